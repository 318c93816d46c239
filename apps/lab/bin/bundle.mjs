// Runs the bundle of the command with what V8 has compiled of it before, and keeps that for the next time.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

const INTERRUPTED = 130;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const end = () => process.exit(INTERRUPTED);

/** Until the command listens itself: Ctrl-C ends it from its first moment on. */
export function listen() {
  for (const signal of SIGNALS) process.on(signal, end);
}

/** What is in a file, in short; asked for rarely, so what it takes is loaded then. @param {string | URL} path */
export function hashOf(path) {
  const { createHash } = createRequire(import.meta.url)('node:crypto');
  return createHash('sha1').update(readFileSync(path)).digest('hex');
}

/** What is in a file; undefined if it cannot be read. @param {string} path */
function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Where nothing can be written, nothing is kept. @param {string} path @param {Buffer} data */
function keep(path, data) {
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, data);
    renameSync(temporary, path);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/**
 * Runs a command line; returns its exit code.
 * @param {URL} url of the bundle @param {readonly string[]} argv
 */
export async function loadBundle(url, argv) {
  const filename = fileURLToPath(url);
  const compiled = `${filename}.${process.version}.compiled`;
  const cachedData = read(compiled);
  const script = new Script(readFileSync(filename, 'latin1'), { filename, ...(cachedData && { cachedData }) });
  const module = { exports: { /** @type {any} */ main: undefined } };
  script.runInThisContext()(module.exports, createRequire(url), module, filename, dirname(filename));
  // What a search needs is kept, when it has run: V8 compiles functions as they are called.
  if (argv[0] === 'explore' && (cachedData === undefined || script.cachedDataRejected === true))
    process.on('exit', () => keep(compiled, script.createCachedData()));
  const code = module.exports.main(argv);
  // It listens by now.
  for (const signal of SIGNALS) process.off(signal, end);
  return await code;
}
