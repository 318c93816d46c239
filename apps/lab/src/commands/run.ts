/** `shootdown run <topology file, demo or scenario>`: counters, times and, on request, the timeline of one run. */
import { formatSchedule, LiveExecutor, TabulatedExecutor, type Executor, type System } from '@shootdown/machine';
import {
  counterTable,
  Histogram,
  histogramText,
  MessageCounts,
  messagesText,
  renderTrace,
  textTable,
  traceFormats,
  type TraceFormat,
} from '@shootdown/report';
import { lazy } from '@shootdown/mm';
import {
  lazyModeOf,
  MachineRunner,
  type AssembledMachine,
  type Counters,
  type MachineRun,
  type Runnable,
} from '@shootdown/topology';
import { parseArguments, required, type Arguments } from '../arguments.ts';
import { ExitCode, exitCodeOfRun } from '../exit-codes.ts';
import { failureLines } from '../failures.ts';
import { inspectionLines } from '../inspection.ts';
import { printedHelp } from '../help.ts';
import { width, widthFlag } from '../terminal.ts';
import { hostReport, hostText } from '@shootdown/scenarios';
import { untilDoneOrInterrupted } from '../interrupt.ts';
import { demoNames, FLUSH_COUNTS, topologyNames } from '../machines.ts';
import { refuseSaving, runTarget, type RunTarget } from '../run-target.ts';
import { savedScenario, scenarioFlags } from '../scenario-request.ts';
import { scheduleTarget } from '../schedule-file.ts';
import { TIMELINE_STEPS_MAX, timelineOf, tooLong } from '../timeline.ts';
import { flushCountFlags, runFlushCounts } from './run-flush-counts.ts';

export const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  format: { type: 'string', values: traceFormats, help: `print the timeline instead: ${traceFormats.join(', ')}` },
  phase: { type: 'string', help: 'timeline of this phase only' },
  executor: { type: 'string', values: ['direct', 'tabulated', 'live'], help: 'direct (default), tabulated or live' },
  messages: { type: 'boolean', help: 'print who sent what to whom instead' },
  inspect: { type: 'boolean', help: "print XState's inspection events instead, a JSON line each" },
  'max-steps': { type: 'string', help: 'stop after so many steps' },
  'save-schedule': { type: 'string', help: 'write the schedule to a file, for replay' },
  ...scenarioFlags,
  ...widthFlag,
  ...flushCountFlags,
  help: { type: 'boolean', help: 'this text' },
} as const;

/** Routines whose latency is worth a histogram. */
const TIMED_ROUTINES = new Set([
  'flush_tlb_mm_range',
  '__flush_tlb_range',
  'exc_page_fault',
  'munmap',
  'mprotect',
  'madvise_dontneed',
  'fork',
]);

const PORTION_STEPS = 20_000;
const PROGRESS_MS = 1000;

export async function run(argv: readonly string[]): Promise<number> {
  if (
    printedHelp(
      argv,
      `run <topology.json | ${[FLUSH_COUNTS, ...demoNames(), ...topologyNames()].join(' | ')} | a scenario> [flags]`,
      flags,
    )
  )
    return ExitCode.ok;
  const args = parseArguments('run', argv, flags, 1);
  const name = required('run', args, 'a topology file or demo');
  return name === FLUSH_COUNTS ? await runFlushCounts(args) : await runOne(args, name);
}

function executorFor(kind: string, system: System, inspects: boolean): Executor | undefined {
  if (inspects)
    return new LiveExecutor(
      system,
      inspectionLines((line) => void process.stdout.write(line)),
    );
  if (kind === 'live') return new LiveExecutor(system);
  return kind === 'tabulated' ? new TabulatedExecutor(system) : undefined;
}

async function runOne(args: Arguments, name: string): Promise<number> {
  args.refuse(Object.keys(flushCountFlags), `belongs to the demo ${FLUSH_COUNTS}`);
  if (args.text('format') === undefined) args.refuse(['phase'], 'belongs to a timeline: give a --format too');
  const format = args.oneOf('format', traceFormats);
  const columns = width(args, TIMELINE_WIDTH);
  const phase = args.text('phase');
  const stepsMax = args.whole('max-steps', 1);
  const inspects = args.has('inspect');
  const kind = args.oneOf('executor', ['direct', 'tabulated', 'live'] as const) ?? 'direct';
  if (inspects)
    args.refuse(['json', 'format', 'messages'], 'does not go with --inspect, which prints lines of its own');
  if (inspects && kind !== 'live') args.refuse(['executor'], 'does not go with --inspect: it takes live actors');
  const of = await runTarget('run', name, args);
  const { machine } = of;
  refuseSaving('run', args, of);
  const savePath = args.text('save-schedule');
  const target = savePath === undefined ? null : scheduleTarget(savePath);
  const executor = executorFor(kind, machine.system, inspects);
  const messages = args.has('messages') ? new MessageCounts() : null;
  const latencies = new Map<string, Histogram>();
  const runner = new MachineRunner(machine, {
    onRoutine: (routine, _processor, cycles) => {
      if (!TIMED_ROUTINES.has(routine)) return;
      const histogram = latencies.get(routine) ?? new Histogram();
      latencies.set(routine, histogram);
      histogram.add(cycles);
    },
    keepSchedule: target !== null,
    ...(messages && { onMessage: (message) => messages.add(message) }),
    ...(stepsMax === undefined ? {} : { stepsMax }),
    ...(executor === undefined ? {} : { executor }),
  });
  // With --json the document is the result, and there is no timeline.
  const timeline = format !== undefined && !args.has('json') ? format : null;
  let interrupted = await advanceToTheEnd(runner, timeline !== null && phase === undefined);
  const result = runner.result();
  if (timeline !== null)
    interrupted = (await printTimeline(machine, timeline, result.steps, phase, columns)) || interrupted;
  else if (!inspects)
    process.stdout.write(
      args.has('json')
        ? `${JSON.stringify({ ...runDocument(of, result, latencies), ...(messages && { messages: messages.list }) })}\n`
        : messages
          ? messagesText(messages.list)
          : describeRun(of, result, latencies),
    );
  target?.write({
    shootdown: 1,
    ...savedTarget(of, name),
    schedule: formatSchedule(result.schedule ?? []),
    fingerprint: result.fingerprint,
  });
  return interrupted ? ExitCode.interrupted : exitCodeOfRun(result);
}

/**
 * Runs with progress; returns true if it was interrupted. Throws ModelError as soon as a run is too long to be shown
 * step by step.
 */
async function advanceToTheEnd(runner: MachineRunner, shown: boolean): Promise<boolean> {
  let reported = performance.now();
  return await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    const { steps, nanoseconds } = runner.result();
    if (shown && steps > TIMELINE_STEPS_MAX) throw tooLong();
    if (performance.now() - reported > PROGRESS_MS) {
      reported = performance.now();
      process.stderr.write(`${steps} steps, ${(nanoseconds / 1e6).toFixed(3)} ms of virtual time\n`);
    }
    return more;
  });
}

const TIMELINE_WIDTH = 96;

async function printTimeline(
  machine: Runnable,
  format: TraceFormat,
  steps: number,
  phase: string | undefined,
  columns: number,
): Promise<boolean> {
  const { hertz } = machine.costs;
  const { trace, interrupted } = await timelineOf(machine, steps, phase);
  process.stdout.write(renderTrace(format, trace, { hertz, width: columns, time: { unit: 'ns', hertz } }));
  return interrupted;
}

function runDocument(
  { name, assembled, replaced, routines }: RunTarget,
  { schedule: _, ...result }: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): object {
  const host = assembled && hostReport(assembled, { ...result, schedule: null }, latencies);
  return {
    name,
    ...(replaced !== null && { replaced: routines }),
    ...result,
    ...(assembled && { lazyMmu: lazyMmuOf(assembled, result.total) }),
    histograms: Object.fromEntries(latencies),
    ...(host && { host }),
  };
}

/** What a saved schedule says about the machine it belongs to. */
function savedTarget({ assembled, scenario }: RunTarget, name: string) {
  if (assembled)
    return { machine: demoNames().includes(name) ? { demo: name } : { topology: { ...assembled.topology } } };
  return scenario ? { scenario: savedScenario(scenario) } : {};
}

/** What a run's sections of lazy MMU mode came to: how many there were, and the rules broken in them, by class. */
function lazyMmuOf(machine: AssembledMachine, total: Counters) {
  const sum = (counter: string): number => (total[counter] ?? []).reduce((a, b) => a + b, 0);
  const broken = lazy.hazardClasses.map((kind) => [kind, sum(`hazard ${kind}`)] as const);
  return {
    arch: lazyModeOf(machine.topology, machine.topology.name).name,
    sections: sum(lazy.SECTIONS),
    hazards: Object.fromEntries(broken.filter(([, times]) => times > 0)),
  };
}

function lazyMmuLine(machine: AssembledMachine, total: Counters): string {
  const { arch, sections, hazards } = lazyMmuOf(machine, total);
  if (sections === 0) return '';
  const broken = Object.entries(hazards).map(([kind, times]) => `${kind} ${times}`);
  return `lazy MMU mode (${arch}): ${sections} section${sections === 1 ? '' : 's'}, hazards: ${broken.join(', ') || 'none'}\n`;
}

/** Counters, busy times and the end of a run, for people. */
function describeRun(
  { name, machine, assembled, replaced }: RunTarget,
  result: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): string {
  const names = machine.system.processors.map((p) => p.name);
  const text = [
    ...(replaced === null ? [] : [`${replaced}\n`]),
    `${name}: ${result.end} after ${result.steps} steps, ${(result.nanoseconds / 1000).toFixed(1)} us of virtual time\n`,
  ];
  if (result.violation !== null) text.push(`  *** ${result.violation}\n`);
  text.push(...failureLines(result));
  if (assembled) text.push(lazyMmuLine(assembled, result.total));
  const host = assembled && hostReport(assembled, result, latencies);
  if (host) return text.join('') + `${Math.round(result.stepsPerSecond)} steps per second\n` + hostText(host);
  for (const [phase, counters] of Object.entries(result.phases)) {
    if (Object.keys(counters).length === 0) continue;
    text.push(`\n${phase}\n`, textTable(counterTable(names, nonZero(counters))));
  }
  text.push('\n', textTable(counterTable(names, { 'busy cycles': [...result.busyCycles] })));
  for (const [routine, histogram] of latencies)
    text.push('\n', histogramText(histogram, { title: `${routine}()`, unit: 'cycles' }));
  return text.join('');
}

function nonZero(counters: Counters): Counters {
  return Object.fromEntries(Object.entries(counters).filter(([, row]) => row.some((n) => n !== 0)));
}
