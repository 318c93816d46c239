#!/usr/bin/env node
// The command as installed: runs the built program, and says what to do when there is none yet.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { hashOf, listen, loadBundle } from './bundle.mjs';

const program = new URL('../dist/shootdown.js', import.meta.url);
const bundle = new URL('../dist/bundle/', import.meta.url);
const argv = process.argv.slice(2);

/**
 * Commands that run bundled: those whose first answer is waited for. The others may load C, whatever they are given.
 */
const BUNDLED = new Set(
  'explore list check mutate compare run replay tlb hazards tour completion help -h --help -V --version'.split(' '),
);

/**
 * A module of the user's imports packages that must be the ones of the command: it gets them unbundled. So does C,
 * whose grammar is a file of its package. Files may name modules: a topology its routines, a schedule its scenario.
 */
const takesCode = argv.some(
  (word) =>
    /\.[cm]?[jt]sx?(#|$)|\.(?:c|h|patch|diff|mbox|eml|litmus)(#|$)|^--(?:replace|c)(=|$)/.test(word) ||
    // Traces are long, and name none.
    (argv[0] !== 'tlb' && namesCode(word.replace(/^--[\w-]+=/, ''))),
);

/**
 * True of a file that names code in turn: a topology its module of routines, a schedule what it was recorded of. What
 * can be read only once, such as a pipe, is not looked into: it may.
 * @param {string} path
 */
function namesCode(path) {
  try {
    const known = statSync(path, { throwIfNoEntry: false });
    if (!known?.isFile()) return known !== undefined && !known.isDirectory();
    return /"(?:routines|replace)"|\.(?:[cm]?[jt]sx?|c|litmus)["#]/.test(readFileSync(path, 'latin1'));
  } catch {
    // Too long for a name, as schedules are, or not to be read: whoever reads it says so.
    return false;
  }
}

/** True if nothing was built after the bundle. An installed package has no build information: it was built once. */
function isCurrent() {
  try {
    const built = JSON.parse(readFileSync(new URL('built.json', bundle), 'utf8'));
    return Object.entries(built).every(([path, { time, hash }]) => {
      const file = new URL(path, bundle);
      const now = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
      // A file that was put back from a cache is newer and the same.
      return now === undefined || now === time || hashOf(file) === hash;
    });
  } catch {
    return false;
  }
}

/** The stack of a bug is to name lines of files, and the bundle has few lines. */
const showsStack = process.env['SHOOTDOWN_STACK'] === '1';

if (!existsSync(program)) {
  console.error('shootdown: not built yet: run `npm run build` first');
  process.exitCode = 64;
} else if (BUNDLED.has(argv[0] ?? 'help') && !takesCode && !showsStack && isCurrent()) {
  listen();
  process.exitCode = await loadBundle(new URL('shootdown.cjs', bundle), argv);
} else {
  // Before anything that takes time: Ctrl-C ends the command from its first moment on as it does later.
  (await import(new URL('interrupt.js', program).href)).listenForSignals();
  const { main } = await import(program.href);
  process.exitCode = await main(argv);
}
