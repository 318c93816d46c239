/**
 * What `npm pack` does first in every package: builds it, and puts the licence beside it, which npm takes from the
 * package's own folder only. Usage: `prepack` of a package's scripts, in its folder.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** @type {{ scripts?: Record<string, string> }} */
const { scripts = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
if (scripts['build'] !== undefined && process.env['SHOOTDOWN_BUILT'] !== '1')
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
if (existsSync(`${root}LICENSE`)) copyFileSync(`${root}LICENSE`, 'LICENSE');
