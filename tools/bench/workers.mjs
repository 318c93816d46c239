/**
 * What two workers are worth: two virtual machines on disjoint CPUs in one process and in two workers; and in the same
 * minute what the computer itself gives: one of them alone, and two processes of one of them each at once. Each
 * measurement is in a process of its own, from its start to its end, because compiled code is kept from one run to the
 * next: `node tools/bench/workers.mjs 0` (or `1`, `process`, `worker`) is one.
 */
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { assemble, partsOf, runMachine } from '@shootdown/topology';
import { PlacedRun } from '@shootdown/topology/placed';
import { apart } from './machines.mjs';

const WINDOW_STEPS = 200_000;
const RUNS = 3;
const MILLION = 1e6;

/** What is run at once, by what it is called. */
const MEASURED = {
  'one alone': ['0'],
  'two processes': ['0', '1'],
  'both in one process': ['process'],
  'both in workers': ['worker'],
};

/**
 * Measures and prints.
 * @param {(what: string, value: number, unit: string, note?: string) => void} line
 * @param {(values: readonly number[]) => number} median
 */
export async function benchWorkers(line, median) {
  /** @type {Record<string, number[]>} */
  const walls = {};
  for (let i = 0; i < RUNS; i++)
    for (const [what, runs] of Object.entries(MEASURED)) {
      const began = performance.now();
      const said = await Promise.all(runs.map(inProcess));
      const wall = (performance.now() - began) / 1000;
      (walls[what] ??= []).push(wall);
      line(what, wall, 's', said.join('; '));
    }
  /** @param {keyof typeof MEASURED} what */
  const of = (what) => median(walls[what] ?? []);
  line('what the computer gives', (2 * of('one alone')) / of('two processes'), 'x', 'one after another : at once');
  const load = `load of the computer: ${loadavg()[0]?.toFixed(2)}`;
  line('ratio', of('both in one process') / of('both in workers'), 'x', load);
}

/** What a process says of its run. @param {string} what @returns {Promise<string>} */
function inProcess(what) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), what], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (text) => (said += String(text)));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(said.trim()) : reject(new Error(`bench: workers: ${what}: exit code ${code}`)),
    );
  });
}

/** @param {'process' | 'worker'} placement */
async function placedRun(placement) {
  const placed = new PlacedRun(apart(placement));
  try {
    await placed.run(WINDOW_STEPS);
    return placed.result();
  } finally {
    await placed.stop();
  }
}

/** @param {string} what */
async function run(what) {
  if (what === 'process' || what === 'worker') return await placedRun(what);
  const part = partsOf(apart('process'))[Number(what)];
  if (!part) throw new Error(`bench: workers: ${what}: expected 0, 1, process or worker`);
  return runMachine(assemble(part.topology));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { end, steps, fingerprint } = await run(process.argv[2] ?? '');
  if (end !== 'done') throw new Error(`bench: workers: the run ended in ${end}`);
  const { user, system } = process.cpuUsage();
  process.stdout.write(`${((user + system) / MILLION).toFixed(2)} s of CPU, ${steps} steps, ${fingerprint}\n`);
}
