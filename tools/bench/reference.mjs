/**
 * Speed and memory of the explorer on the reference system, beside SPIN when it is installed
 * (`apt-get install spin gcc`). Both search the same transition system without reduction, and must agree on its size.
 * Usage: `node tools/bench/reference.mjs [runs]`; needs a build.
 */
import { explore, resolveScenario } from '@shootdown/explorer';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {{ n: number, m: number, fan: number, fix: number }} Parameters */
/** @typedef {{ states: number, transitions: number, statesPerSecond: number, bytesPerState: number }} Measured */

/** @type {readonly Parameters[]} */
const SYSTEMS = [
  { n: 2, m: 5, fan: 2, fix: 1 },
  { n: 3, m: 4, fan: 2, fix: 1 },
];
const RUNS_DEFAULT = 5;
const TARGET_STATES_PER_SECOND = 1.0e6;
const TARGET_BYTES_PER_STATE = 120;

/**
 * Best of some runs: what the machine can do when nobody disturbs it. @param {Parameters} parameters @param {number}
 * runs @returns {Promise<Measured>}
 */
async function explorer(parameters, runs) {
  const { referencePtdump } = await import(
    new URL('../../packages/scenarios/dist/reference-ptdump.js', import.meta.url).href
  );
  /** @type {Measured | undefined} */
  let best;
  for (let run = 0; run < runs; run++) {
    const system = resolveScenario([referencePtdump], { scenario: 'reference-ptdump', parameters }).build();
    const result = await explore(system, { reduction: false, all: true, interleavingsStatesMax: 0 });
    if (best === undefined || result.statesPerSecond > best.statesPerSecond) best = result;
  }
  if (best === undefined) throw new Error('bench: reference: no runs');
  return best;
}

/**
 * The same with SPIN, or undefined if it is not there. @param {Parameters} parameters @param {number} runs @returns
 * {Measured | undefined}
 */
function spin(parameters, runs) {
  if (!existsSync('/usr/bin/spin') || !existsSync('/usr/bin/gcc')) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-spin-'));
  try {
    copyFileSync(new URL('reference.pml', import.meta.url), join(folder, 'reference.pml'));
    const defines = Object.entries(parameters).map(([name, value]) => `-D${name.toUpperCase()}=${value}`);
    execFileSync('/usr/bin/spin', [...defines, '-a', 'reference.pml'], { cwd: folder, stdio: 'pipe' });
    execFileSync('/usr/bin/gcc', ['-O2', '-DNOREDUCE', '-o', 'pan', 'pan.c'], { cwd: folder, stdio: 'pipe' });
    /** @type {Measured | undefined} */
    let best;
    for (let run = 0; run < runs; run++) {
      const measured = readPan(
        execFileSync(join(folder, 'pan'), ['-E', '-c0', '-w24', '-m100000'], { cwd: folder, encoding: 'utf8' }),
      );
      if (best === undefined || measured.statesPerSecond > best.statesPerSecond) best = measured;
    }
    return best;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads the numbers out of what SPIN's verifier prints. @param {string} text @returns {Measured} */
function readPan(text) {
  /** @param {RegExp} pattern */
  const number = (pattern) => {
    const found = pattern.exec(text);
    if (!found) throw new Error(`bench: reference: pan did not print ${String(pattern)}`);
    return Number(found[1]);
  };
  const states = number(/([\d.e+]+) states, stored/);
  const memory = number(/([\d.]+)\s+total actual memory usage/) * 2 ** 20;
  // SPIN counts states stored and matched: the initial state is stored, too, and no transition leads to it.
  return {
    states,
    transitions: number(/([\d.e+]+) transitions/) - 1,
    statesPerSecond: states / number(/elapsed time ([\d.]+) seconds/),
    bytesPerState: memory / states,
  };
}

/** Measures and prints; returns the lines of numbers, for a bigger benchmark. @param {number} [runs] */
export async function benchReference(runs = RUNS_DEFAULT) {
  const rows = [];
  console.log('reference-ptdump, no reduction, one thread, best of', runs);
  for (const parameters of SYSTEMS) {
    const name = Object.values(parameters).join(' ');
    const ours = await explorer(parameters, runs);
    const theirs = spin(parameters, runs);
    if (theirs && (theirs.states !== ours.states || theirs.transitions !== ours.transitions)) {
      throw new Error(
        `bench: reference: ${name}: SPIN has ${theirs.states} states and ${theirs.transitions} transitions, we have ${ours.states} and ${ours.transitions}`,
      );
    }
    rows.push({ name, ours, spin: theirs });
    console.log(`${name}: ${ours.states} states, ${ours.transitions} transitions`);
    console.log(
      `  shootdown  ${line(ours)}  (target ${TARGET_STATES_PER_SECOND / 1e6} M/s, ${TARGET_BYTES_PER_STATE} B)`,
    );
    console.log(
      theirs
        ? `  spin       ${line(theirs)}  ratio ${(ours.statesPerSecond / theirs.statesPerSecond).toFixed(2)}`
        : '  spin       not installed',
    );
  }
  return rows;
}

/** @param {Measured} measured */
function line({ statesPerSecond, bytesPerState }) {
  return `${(statesPerSecond / 1e6).toFixed(2)} M states/s  ${bytesPerState.toFixed(0)} B/state`;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  await benchReference(Number(process.argv[2] ?? RUNS_DEFAULT));
