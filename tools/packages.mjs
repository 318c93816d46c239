/**
 * Packs every package and checks that others can use it: no tests in it, what its package.json names is there
 * (publint), types resolve (@arethetypeswrong/cli). Usage: `node tools/packages.mjs [--to <folder>] [--install]`;
 * `--to` keeps the tarballs; `--install` puts them into an empty folder outside of this repository and uses them there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {{ name: string, folder: string, manifest: Record<string, any>, tarball: string, files: string[] }} Packed
 */

/** Folders of the packages that are published: all but the tools. */
const folders = ['packages', 'apps'].flatMap((folder) =>
  readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
);

/** What every package says of itself. */
const SAYS = ['name', 'version', 'description', 'keywords', 'license', 'files', 'engines'];

/** @param {string} to @returns {Packed[]} */
function pack(to) {
  return folders.map((folder) => {
    const cwd = join(root, folder);
    // What `npm pack` does by itself where npm may run scripts. `npm run packages` has built everything already.
    execFileSync(process.execPath, [join(root, 'tools/prepack.mjs')], {
      cwd,
      env: { ...process.env, SHOOTDOWN_BUILT: '1' },
    });
    const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', to], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [{ name, filename, files }] = JSON.parse(out.slice(out.indexOf('[\n')));
    const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const tarball = join(to, filename);
    return { name, folder, manifest, tarball, files: files.map((/** @type {{ path: string }} */ { path }) => path) };
  });
}

/** What is wrong with a package, a line each. @param {Packed} packed @param {readonly Packed[]} all */
async function mistakes({ manifest, tarball, files }, all) {
  const found = SAYS.filter((key) => manifest[key] === undefined).map((key) => `package.json has no ${key}`);
  if (manifest['private'] !== undefined) found.push('package.json is private');
  for (const file of files) if (/\.test(-support)?\./.test(file)) found.push(`${file}: a test`);
  for (const needed of ['LICENSE', 'README.md']) if (!files.includes(needed)) found.push(`${needed} is missing`);
  for (const [name, range] of Object.entries(manifest['dependencies'] ?? {})) {
    const own = all.find((other) => other.name === name);
    if (own && range !== own.manifest['version'])
      found.push(`${name} is not pinned: ${range}, its version is ${own.manifest['version']}`);
  }
  if (manifest['exports'] === undefined) return found;
  const { messages } = await publint({ pack: { tarball: new Uint8Array(readFileSync(tarball)).buffer }, strict: true });
  for (const message of messages) found.push(`publint: ${formatMessage(message, manifest)}`);
  const attw = spawnSync(
    join(root, 'node_modules/.bin/attw'),
    [tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color'],
    { encoding: 'utf8' },
  );
  if (attw.status !== 0) found.push(`attw: ${attw.stdout}${attw.stderr}`);
  return found;
}

/**
 * Runs a command that must end in one of some ways.
 * @param {string} cwd @param {string} command @param {readonly string[]} args @param {readonly number[]} codes
 */
function run(cwd, command, args, codes = [0]) {
  process.stdout.write(`$ ${[command, ...args].map((word) => word.replace(/^.*\//, '')).join(' ')}\n`);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (codes.includes(status ?? -1)) return;
  process.stderr.write(`${stdout}${stderr}`);
  throw new Error(`packages: ${command} ${args[0]} failed (exit code ${status})`);
}

/** What a stranger does with the tarballs. @param {readonly Packed[]} all */
function install(all) {
  const home = mkdtempSync(join(tmpdir(), 'shootdown-stranger-'));
  try {
    const tarballs = all.filter(({ manifest }) => manifest['exports']).map(({ tarball }) => tarball);
    const first = join(home, 'command');
    mkdirSync(first);
    writeFileSync(join(first, 'package.json'), '{ "private": true, "type": "module" }\n');
    run(first, 'npm', ['install', '--no-audit', '--no-fund', ...tarballs]);
    // What `shootdown` is on the path of whoever has installed it.
    run(home, join(first, 'node_modules/.bin/shootdown'), ['init', 'x']);
    const x = join(home, 'x');
    run(x, 'npm', ['install', '--no-audit', '--no-fund', ...tarballs]);
    run(x, 'npm', ['test']);
    run(x, join(x, 'node_modules/.bin/tsc'), ['-p', '.']);
    readmeExamples(x);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** The examples of the README, each in a file of its own, compile and run. @param {string} home */
function readmeExamples(home) {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const examples = [...readme.matchAll(/```ts ([\w.-]+)\n([^]*?)\n```/g)].map(([, name = '', code = '']) => ({
    name,
    code,
  }));
  for (const { name, code } of examples) writeFileSync(join(home, `${name}.ts`), `${code}\n`);
  const emits = ['--noEmit', 'false', '--outDir', 'out', '--rewriteRelativeImportExtensions'];
  run(home, join(home, 'node_modules/.bin/tsc'), ['-p', '.', ...emits]);
  const command = join(home, 'node_modules/.bin/shootdown');
  for (const { name, code } of examples) {
    // Some of them show a violation: 12.
    if (/: Scenario\b/.test(code)) run(home, command, ['explore', `${name}.ts`], [0, 12]);
    else if (/= routine\(/.test(code)) run(home, command, ['hazards', `${name}.ts`], [0, 12]);
    else run(home, process.execPath, [`out/${name}.js`]);
  }
  process.stdout.write(`${examples.length} examples of the README compile and run\n`);
}

const { values } = parseArgs({ options: { to: { type: 'string' }, install: { type: 'boolean' } } });
const to = values.to === undefined ? mkdtempSync(join(tmpdir(), 'shootdown-packages-')) : resolve(values.to);
if (!existsSync(to)) mkdirSync(to, { recursive: true });
try {
  const all = pack(to);
  let wrong = 0;
  for (const packed of all) {
    for (const line of await mistakes(packed, all)) {
      process.stdout.write(`${packed.folder}: ${line}\n`);
      wrong++;
    }
  }
  process.stdout.write(`packages: ${all.length} packed, ${wrong} mistakes\n`);
  if (wrong > 0) process.exitCode = 1;
  else if (values.install) install(all);
} finally {
  if (values.to === undefined) rmSync(to, { recursive: true, force: true });
}
