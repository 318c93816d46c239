/**
 * What this laboratory is worth per second on this computer: `npm run bench`; one part of it, after a build:
 * `node tools/bench/bench.mjs workers`.
 *
 * Every figure is the median of several runs in this one process, and every ratio compares two figures of the same run
 * of the benchmark, because absolute ones say as much about the computer as about the program. Runs on the built
 * packages.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import {
  DirectExecutor,
  LiveExecutor,
  RandomScheduler,
  replay,
  runScheduler,
  TabulatedExecutor,
} from '@shootdown/machine';
import { countTlb, parseTlbGeometry, readReferenceTrace } from '@shootdown/mmu';
import { naiveCountTlb } from '@shootdown/mmu/naive';
import { assemble, parseTopologyText, runMachine } from '@shootdown/topology';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { everyCpu, flushMachine, machineRoom } from './machines.mjs';
import { benchWorkers } from './workers.mjs';

const TRACE = new URL('../../apps/lab/data/traces/sort-3m.u64.gz', import.meta.url);
const HOST = new URL('../../apps/lab/topologies/kvm-two-vms.json', import.meta.url);
const EXPLORER_BENCHMARK = new URL('reference.mjs', import.meta.url);
const STUDIO = new URL('../../apps/studio/test/bench.mjs', import.meta.url);

const SHOOTDOWN = fileURLToPath(new URL('../../apps/lab/bin/shootdown.mjs', import.meta.url));
const LARGE_HOST = fileURLToPath(new URL('../../apps/lab/topologies/kvm-64-cpus.json', import.meta.url));

const SIZES = [4, 64, 256];
const SIZE_STEPS = 400_000;
const FAST_RUNS = 9;
const SLOW_RUNS = 3;
const SCHEDULE_STEPS = 20_000;
const LIVE_STEPS = 4_000;
const SEED = 1;
const MILLION = 1e6;

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** Seconds that `work` takes. @param {() => void} work */
function seconds(work) {
  const began = performance.now();
  work();
  return (performance.now() - began) / 1000;
}

/** Median seconds of several runs. @param {number} runs @param {() => void} work */
function medianSeconds(runs, work) {
  return median(Array.from({ length: runs }, () => seconds(work)));
}

/** @param {string} what @param {number} value @param {string} unit @param {string} [note] */
function line(what, value, unit, note = '') {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  process.stdout.write(`  ${what.padEnd(34)} ${text.padStart(12)} ${unit.padEnd(14)} ${note}`.trimEnd() + '\n');
}

/** @param {string} text */
function heading(text) {
  process.stdout.write(`\n${text}\n`);
}

async function benchTlb() {
  heading('TLB look-ups: sort-3m, held in memory; L1I 64x4, L1D 64x4, L2 1536x12');
  const trace = await readReferenceTrace(TRACE.pathname);
  const config = { l1i: parseTlbGeometry('64x4'), l1d: parseTlbGeometry('64x4'), l2: parseTlbGeometry('1536x12') };
  const counts = countTlb(trace, config);
  const naiveCounts = naiveCountTlb(trace, config);
  if (JSON.stringify(counts) !== JSON.stringify(naiveCounts))
    throw new Error('bench: tlb: the naive reference counts differently');
  const fast = counts.lookups / medianSeconds(FAST_RUNS, () => countTlb(trace, config)) / MILLION;
  const naive = counts.lookups / medianSeconds(SLOW_RUNS, () => naiveCountTlb(trace, config)) / MILLION;
  line('shootdown tlb', fast, 'M look-ups/s', `${counts.lookups} look-ups, median of ${FAST_RUNS}`);
  line('naive reference, same counts', naive, 'M look-ups/s', `median of ${SLOW_RUNS}`);
  line('ratio', fast / naive, 'x');
}

function benchExecutors() {
  heading('Executors: four CPUs with interrupts, ticks and store buffers; one schedule for all');
  const system = machineRoom(4);
  const { schedule } = runScheduler(new TabulatedExecutor(system), new RandomScheduler(SEED), SCHEDULE_STEPS);
  const live = new LiveExecutor(system);
  const tabulated = new TabulatedExecutor(system);
  const direct = new DirectExecutor(system);
  const first = seconds(() => replay(tabulated, schedule));
  const callsToFill = tabulated.xstateCalls;
  replay(direct, schedule);
  if (direct.fingerprint !== tabulated.fingerprint) throw new Error('bench: executors: direct and tabulated disagree');
  const rates = {
    live: LIVE_STEPS / medianSeconds(SLOW_RUNS, () => replay(live, schedule.slice(0, LIVE_STEPS))),
    direct: schedule.length / medianSeconds(FAST_RUNS, () => replay(direct, schedule)),
    tabulated: schedule.length / medianSeconds(FAST_RUNS, () => replay(tabulated, schedule)),
  };
  replay(tabulated, schedule.slice(0, LIVE_STEPS));
  if (live.fingerprint !== tabulated.fingerprint) throw new Error('bench: executors: live and tabulated disagree');
  line('live (XState actors)', rates.live, 'steps/s', `${LIVE_STEPS} steps, median of ${SLOW_RUNS}`);
  line('direct (long runs)', rates.direct, 'steps/s', `${schedule.length} steps, median of ${FAST_RUNS}`);
  line('tabulated', rates.tabulated, 'steps/s', `${schedule.length} steps, median of ${FAST_RUNS}`);
  line('tabulated, first time', schedule.length / first, 'steps/s', 'tables still empty');
  line('ratio direct : live', rates.direct / rates.live, 'x');
  line('ratio tabulated : live', rates.tabulated / rates.live, 'x');
  benchXStateCalls(system, callsToFill);
}

/** How often a million steps ask XState, over many schedules: the tables fill once. */
function benchXStateCalls(system, callsToFill) {
  const executor = new TabulatedExecutor(system);
  let steps = 0;
  for (let seed = SEED; steps < MILLION; seed++)
    steps += runScheduler(executor, new RandomScheduler(seed), SCHEDULE_STEPS).schedule.length;
  line(
    'XState calls per million steps',
    (executor.xstateCalls / steps) * MILLION,
    'calls',
    `${callsToFill} of them in the first ${SCHEDULE_STEPS} steps`,
  );
}

function benchFlushCounts() {
  heading('A run in virtual time: the machine of the flush-count demo, 34 pages, 2 threads that spin');
  const runs = Array.from({ length: SLOW_RUNS }, () => runMachine(flushMachine(34, 2)));
  const [run] = runs;
  if (!run || run.end !== 'done') throw new Error(`bench: flush counts: the run ended in ${run?.end}`);
  line('steps', median(runs.map((r) => r.stepsPerSecond)), 'steps/s', `${run.steps} steps, median of ${SLOW_RUNS}`);
  line(
    'simulated time',
    run.nanoseconds / 1e6,
    'ms',
    `in ${median(runs.map((r) => r.wallSeconds)).toFixed(2)} s of real time`,
  );
}

function benchHost() {
  heading('A run in virtual time: a host of two VMs of four vCPUs, exits, second stage and preemption');
  const topology = parseTopologyText(readFileSync(HOST, 'utf8'), 'kvm-two-vms.json');
  const runs = Array.from({ length: SLOW_RUNS }, () => runMachine(assemble(topology)));
  const [run] = runs;
  if (!run || run.violation) throw new Error(`bench: host: the run ended in ${run?.end}`);
  line('steps', median(runs.map((r) => r.stepsPerSecond)), 'steps/s', `${run.steps} steps, median of ${SLOW_RUNS}`);
}

/** Steps per second of a process that maps and unmaps on all CPUs, which all want its lock. */
function benchSizes() {
  heading('Steps per second by size: a process per CPU that maps, touches and unmaps 4 pages');
  /** @type {Map<number, number>} */
  const rates = new Map();
  for (const size of SIZES) {
    const rate = median(
      Array.from({ length: SLOW_RUNS }, () => runMachine(everyCpu(size), { stepsMax: SIZE_STEPS }).stepsPerSecond),
    );
    rates.set(size, rate);
    line(`${size} CPUs`, rate, 'steps/s', `${((rates.get(4) ?? rate) / rate).toFixed(2)}x slower than 4 CPUs`);
  }
}

/** The three virtual machines on 64 CPUs, ten million steps, in a process of its own. */
function benchLargeHost() {
  heading('The host of 64 CPUs with three virtual machines: 10 million steps; at most 60 s and 1 GB are wanted');
  const began = performance.now();
  const { status } = spawnSync(
    process.execPath,
    ['--max-old-space-size=1000', SHOOTDOWN, 'run', LARGE_HOST, '--max-steps', String(10 * MILLION), '--json'],
    { stdio: 'ignore' },
  );
  line('time', (performance.now() - began) / 1000, 's', `exit code ${status}`);
}

/** Two virtual machines on disjoint CPUs, in one process and in two workers. */
async function benchTwoWorkers() {
  heading('Two virtual machines on CPUs of their own: in one process, and in two workers; 1.6x is wanted on two cores');
  await benchWorkers(line, median);
}

/** A process of its own: the executors above leave this one's compiled code fit for everything at once. */
const inProcess = (url) => () => execFileSync(process.execPath, [fileURLToPath(url)], { stdio: 'inherit' });

/** @type {Readonly<Record<string, () => void | Promise<void>>>} */
const BENCHMARKS = {
  tlb: benchTlb,
  executors: benchExecutors,
  'flush-counts': benchFlushCounts,
  host: benchHost,
  sizes: benchSizes,
  'large-host': benchLargeHost,
  workers: benchTwoWorkers,
  explorer: inProcess(EXPLORER_BENCHMARK),
  studio: inProcess(STUDIO),
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown !== undefined) {
  process.stderr.write(`bench: no benchmark ${unknown} (have: ${Object.keys(BENCHMARKS).join(', ')})\n`);
  process.exit(64);
}
const [processor] = cpus();
process.stdout.write(`node ${process.version}, ${cpus().length} x ${processor?.model.trim() ?? 'unknown processor'}\n`);
for (const [name, bench] of Object.entries(BENCHMARKS)) if (wanted.length === 0 || wanted.includes(name)) await bench();
