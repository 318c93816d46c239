/** `shootdown run <topology file or demo>`: counters, times and, on request, the timeline of one run. */
import { columnsOf, describeStep, entryChoice, LiveExecutor, ModelError, TabulatedExecutor, type Executor, type Trace, type TraceStep } from '@shootdown/machine';
import { counterTable, Histogram, histogramText, renderTrace, textTable, traceFormats } from '@shootdown/report';
import { MachineRunner, type AssembledMachine, type Counters, type MachineRun } from '@shootdown/topology';
import { parseArguments, required, UsageError, type Arguments } from '../arguments.ts';
import { flushCounts, flushOperations, remoteStates, type FlushCountRow } from '../demos/flush-counts.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { hostReport, hostText } from '../host-report.ts';
import { untilDoneOrInterrupted } from '../interrupt.ts';
import { demoNames, machineNamed } from '../machines.ts';
import { formatSchedule, saveSchedule } from '../schedule-file.ts';

const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  format: { type: 'string', help: `also print the timeline: ${traceFormats.join(', ')}` },
  phase: { type: 'string', help: 'timeline of this phase only' },
  executor: { type: 'string', help: 'direct (default), tabulated or live' },
  'max-steps': { type: 'string', help: 'stop after so many steps' },
  'save-schedule': { type: 'string', help: 'write the schedule to a file, for replay' },
  operation: { type: 'string', help: 'flush-counts: one operation' },
  pages: { type: 'string', help: 'flush-counts: pages per area' },
  remote: { type: 'string', help: 'flush-counts: other threads' },
  state: { type: 'string', help: 'flush-counts: none, spin or sleep' },
  help: { type: 'boolean', help: 'this text' },
} as const;

/** Routines whose latency is worth a histogram. */
const TIMED_ROUTINES = new Set(['flush_tlb_mm_range', '__flush_tlb_range', 'exc_page_fault', 'munmap', 'mprotect', 'madvise_dontneed', 'fork']);

const PORTION_STEPS = 20_000;
const PROGRESS_MS = 1000;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, `run <topology.json | flush-counts | ${demoNames().join(' | ')}> [flags]`, flags)) return ExitCode.ok;
  const args = parseArguments('run', argv, flags, 1);
  const name = required('run', args, 'a topology file or demo');
  return name === 'flush-counts' ? runFlushCounts(args) : await runOne(args, name);
}

function runFlushCounts(args: Arguments): number {
  const pages = args.whole('pages', 1);
  const remote = args.whole('remote', 0);
  const operation = args.oneOf('operation', flushOperations);
  const state = args.oneOf('state', remoteStates);
  const rows = flushCounts({
    ...(operation === undefined ? {} : { operation }),
    ...(pages === undefined ? {} : { pages }),
    ...(remote === undefined ? {} : { remote }),
    ...(state === undefined ? {} : { state }),
  });
  process.stdout.write(args.has('json') ? `${JSON.stringify(rows)}\n` : flushCountTable(rows));
  return ExitCode.ok;
}

/** The table as text. */
export function flushCountTable(rows: readonly FlushCountRow[]): string {
  const columns = ['operation', 'pages', 'remote', 'state', 'IPIs per CPU', 'received', 'local all', 'local one'];
  return textTable({ columns, rows: rows.map((r) => [r.operation, r.pages, r.remote, r.state, r.ipis.join(' '), r.received, r.localAll, r.localOne]) }, { width: 100 });
}

function executorFor(kind: string, machine: AssembledMachine): Executor | undefined {
  if (kind === 'live') return new LiveExecutor(machine.system);
  return kind === 'tabulated' ? new TabulatedExecutor(machine.system) : undefined;
}

async function runOne(args: Arguments, name: string): Promise<number> {
  for (const flag of ['operation', 'pages', 'remote', 'state']) {
    if (args.text(flag) !== undefined) throw new UsageError(`shootdown run: --${flag} belongs to the demo flush-counts`);
  }
  const machine = machineNamed(name);
  const format = args.oneOf('format', traceFormats);
  const stepsMax = args.whole('max-steps', 1);
  const executor = executorFor(args.oneOf('executor', ['direct', 'tabulated', 'live'] as const) ?? 'direct', machine);
  const savePath = args.text('save-schedule');
  const latencies = new Map<string, Histogram>();
  const runner = new MachineRunner(machine, {
    onRoutine: (routine, _processor, cycles) => {
      if (!TIMED_ROUTINES.has(routine)) return;
      const histogram = latencies.get(routine) ?? new Histogram();
      latencies.set(routine, histogram);
      histogram.add(cycles);
    },
    keepSchedule: format !== undefined || savePath !== undefined,
    ...(stepsMax === undefined ? {} : { stepsMax }),
    ...(executor === undefined ? {} : { executor }),
  });
  let reported = performance.now();
  const interrupted = await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    if (performance.now() - reported > PROGRESS_MS) {
      reported = performance.now();
      const { steps, nanoseconds } = runner.result();
      process.stderr.write(`${steps} steps, ${(nanoseconds / 1e6).toFixed(3)} ms of virtual time\n`);
    }
    return more;
  });
  const result = runner.result();
  if (savePath !== undefined) {
    saveSchedule(savePath, {
      shootdown: 1,
      machine: demoNames().includes(name) ? { demo: name } : { topology: { ...machine.topology } },
      schedule: formatSchedule(result.schedule ?? []),
      fingerprint: result.fingerprint,
    });
  }
  const { schedule: _schedule, ...document } = result;
  if (format !== undefined) process.stdout.write(renderTrace(format, timelineOf(machine, args.text('phase'), stepsMax), { hertz: machine.costs.hertz }));
  else process.stdout.write(args.has('json') ? `${JSON.stringify(runDocument(machine, document, latencies))}\n` : describeRun(machine, result, latencies));
  return interrupted ? ExitCode.interrupted : exitCodeOf(result);
}

function runDocument(machine: AssembledMachine, result: Omit<MachineRun, 'schedule'>, latencies: ReadonlyMap<string, Histogram>): unknown {
  const host = hostReport(machine, { ...result, schedule: null }, latencies);
  return { name: machine.topology.name, ...result, histograms: Object.fromEntries(latencies), ...(host && { host }) };
}

function exitCodeOf(result: MachineRun): number {
  switch (result.end) {
    case 'violation':
      return ExitCode.violation;
    case 'deadlock':
      return ExitCode.deadlock;
    case 'steps':
      return ExitCode.bounded;
    default:
      return ExitCode.ok;
  }
}

/** Counters, busy times and the end of a run, for people. */
export function describeRun(machine: AssembledMachine, result: MachineRun, latencies: ReadonlyMap<string, Histogram>): string {
  const names = machine.system.processors.map((p) => p.name);
  const text = [`${machine.topology.name}: ${result.end} after ${result.steps} steps, ${(result.nanoseconds / 1000).toFixed(1)} us of virtual time\n`];
  if (result.violation !== null) text.push(`  *** ${result.violation}\n`);
  const host = hostReport(machine, result, latencies);
  if (host) return text.join('') + `${Math.round(result.stepsPerSecond)} steps per second\n` + hostText(host);
  for (const [phase, counters] of Object.entries(result.phases)) {
    if (Object.keys(counters).length === 0) continue;
    text.push(`\n${phase}\n`, textTable(counterTable(names, nonZero(counters))));
  }
  text.push('\n', textTable(counterTable(names, { 'busy cycles': [...result.busyCycles] })));
  for (const [routine, histogram] of latencies) text.push('\n', histogramText(histogram, { title: `${routine}()`, unit: 'cycles' }));
  return text.join('');
}

function nonZero(counters: Counters): Counters {
  return Object.fromEntries(Object.entries(counters).filter(([, row]) => row.some((n) => n !== 0)));
}

/** The trace of a run with times, from a second run of the same machine; of one phase, or of all. */
export function timelineOf(machine: AssembledMachine, phase?: string, stepsMax?: number): Trace {
  const described = new LiveExecutor(machine.system);
  const steps: TraceStep[] = [];
  let current = 'start-up';
  const runner = new MachineRunner(machine, {
    ...(stepsMax !== undefined && { stepsMax }),
    onStep: (timed, executor) => {
      const before = described.onCount;
      described.onCount = (_processor, counter) => {
        if (counter.startsWith('phase:')) current = counter.slice('phase:'.length);
      };
      const wanted = phase === undefined || current === phase;
      const step = describeStep(described, timed.entry);
      described.onCount = before;
      if (!step) throw new ModelError(`run: executors disagree at ${machine.system.choices[entryChoice(timed.entry)]?.name ?? '?'}`);
      if (described.fingerprint !== executor.fingerprint) throw new ModelError('run: executors disagree on the state: this is a bug of the laboratory');
      if (wanted) steps.push({ ...step, startCycles: timed.startCycles, durationCycles: timed.durationCycles });
    },
  });
  runner.advance(Number.POSITIVE_INFINITY);
  const result = runner.result();
  described.stop();
  if (phase !== undefined && steps.length === 0) throw new ModelError(`run: no phase ${phase} (have: ${Object.keys(result.phases).join(', ')})`);
  return { columns: columnsOf(described), steps, end: null, fingerprint: result.fingerprint };
}
