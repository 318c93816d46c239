/** `shootdown run <topology file, demo or scenario>`: counters, times and, on request, the timeline of one run. */
import { dirname } from 'node:path';
import {
  formatSchedule,
  LiveExecutor,
  TabulatedExecutor,
  type Executor,
  type System,
  type TimedStep,
} from '@shootdown/machine';
import {
  type Histogram,
  MessageCounts,
  messagesText,
  textTable,
  traceFormats,
  type TraceFormat,
} from '@shootdown/report';
import { MachineRunner, type MachineRun, type Runnable, type Topology } from '@shootdown/topology';
import { parseArguments, required, UsageError, type Arguments } from '../arguments.ts';
import { ExitCode, exitCodeOfRun } from '../exit-codes.ts';
import { failureLines } from '../failures.ts';
import { inspectionLines } from '../inspection.ts';
import { printedHelp } from '../help.ts';
import { width, widthFlag } from '../terminal.ts';
import { hostReport, hostText } from '@shootdown/scenarios';
import { untilDoneOrInterrupted } from '../interrupt.ts';
import { demoNames, FLUSH_COUNTS, namesFile } from '../machines.ts';
import { sayUncalled } from '../replacement.ts';
import { refuseSaving, runTarget, type RunTarget } from '../run-target.ts';
import { savedScenario, scenarioFlags } from '../scenario-request.ts';
import { Latencies } from '../latencies.ts';
import { runPageHtml } from '../run-page.ts';
import { runSeeds } from '../run-seeds.ts';
import { isPlaced, runPlaced } from '../run-placed.ts';
import { countersText, describeRun, lazyMmuOf } from '../run-text.ts';
import { checkDistinct, fileTarget, scheduleTarget } from '../schedule-file.ts';
import { Pulse } from '../progress.ts';
import { writeTimeline, type Written } from '../timeline.ts';
import { partOf, Window, windowFlags } from '../window.ts';
import { flushCountFlags, runFlushCounts } from './run-flush-counts.ts';

export const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  format: { type: 'string', values: traceFormats, help: `print the timeline instead: ${traceFormats.join(', ')}` },
  ...windowFlags,
  executor: { type: 'string', values: ['direct', 'tabulated', 'live'], help: 'direct (default), tabulated or live' },
  messages: { type: 'boolean', help: 'print who sent what to whom instead' },
  inspect: { type: 'boolean', help: "print XState's inspection events instead, a JSON line each" },
  routines: { type: 'string', help: 'the module of routines that threads of a topology file run' },
  report: { type: 'string', help: 'write a page of plots and tables, one HTML file' },
  timeline: { type: 'string', help: 'write the timeline to a file, for ui.perfetto.dev' },
  seed: { type: 'string', help: 'CPUs begin at random times: 0, the default, all at once' },
  seeds: { type: 'string', help: 'repeat the run with the seeds 1 to N: means, 95 % confidence intervals' },
  'max-steps': { type: 'string', help: 'stop after so many steps' },
  'save-schedule': { type: 'string', help: 'write the schedule to a file, for replay' },
  ...scenarioFlags,
  ...widthFlag,
  ...flushCountFlags,
  help: { type: 'boolean', help: 'this text' },
} as const;

const PORTION_STEPS = 5_000;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'run <topology.json, machine or scenario; `shootdown list` has the names> [flags]', flags))
    return ExitCode.ok;
  const args = parseArguments('run', argv, flags, 1);
  const name = required('run', args, 'a topology file or demo');
  return name === FLUSH_COUNTS ? await runFlushCounts(args) : await runOne(args, name);
}

/** What a run shows of one machine as a whole. */
const WHOLE_ONLY = [
  'format',
  ...Object.keys(windowFlags),
  'executor',
  'messages',
  'inspect',
  'save-schedule',
  'report',
  'timeline',
  'replace',
  'seeds',
];

/** What a run shows that is not repeated. */
const ONE_RUN_ONLY = [
  'from',
  'to',
  'last',
  'format',
  'phase',
  'executor',
  'messages',
  'inspect',
  'save-schedule',
  'report',
  'timeline',
  'seed',
];
const SEEDS_MAX = 10_000;

async function runInParts(
  args: Arguments,
  topology: Topology,
  stepsMax: number | undefined,
  seed: number,
  folder: string | undefined,
): Promise<number> {
  const { run: result, parts, latencies, hosts, interrupted } = await runPlaced(topology, stepsMax, seed, folder);
  const { schedule: _, ...rest } = result;
  const shown = parts.map(({ name, placement, run, lost }) => ({
    name,
    placement,
    end: run?.end ?? null,
    steps: run?.steps ?? 0,
    fingerprint: run?.fingerprint ?? null,
    lost,
  }));
  const histograms = Object.fromEntries(latencies);
  const processors = parts.flatMap((part) => part.processors);
  if (args.has('json'))
    process.stdout.write(
      `${JSON.stringify({ name: topology.name, processors, ...rest, histograms, parts: shown, hosts })}\n`,
    );
  else
    process.stdout.write(
      `${topology.name}: ${result.end} after ${result.steps} steps, ${(result.nanoseconds / 1000).toFixed(1)} us of virtual time\n` +
        failureLines(result).join('') +
        textTable({
          columns: ['part', 'placement', 'end', 'steps', 'fingerprint'],
          rows: shown.map((part) => [part.name, part.placement, part.lost ?? part.end, part.steps, part.fingerprint]),
        }) +
        (topology.host
          ? hosts.map((host) => `\n${hostText(host)}`).join('')
          : countersText(processors, result, latencies)),
    );
  if (shown.some(({ lost }) => lost !== null)) return ExitCode.bounded;
  return interrupted ? ExitCode.interrupted : exitCodeOfRun(result);
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
  if (args.text('format') === undefined && args.text('timeline') === undefined)
    args.refuse(Object.keys(windowFlags), 'belongs to a timeline: give a --format too');
  const format = args.oneOf('format', traceFormats);
  const columns = width(args, TIMELINE_WIDTH);
  const part = partOf(args);
  const stepsMax = args.whole('max-steps', 1);
  const inspects = args.has('inspect');
  const kind = args.oneOf('executor', ['direct', 'tabulated', 'live'] as const) ?? 'direct';
  if (inspects)
    args.refuse(['json', 'format', 'messages'], 'does not go with --inspect, which prints lines of its own');
  if (inspects && kind !== 'live') args.refuse(['executor'], 'does not go with --inspect: it takes live actors');
  const of = await runTarget('run', name, args);
  const { machine } = of;
  refuseSaving('run', args, of);
  const seed = args.whole('seed', 0) ?? 0;
  if (of.assembled && isPlaced(of.assembled.topology)) {
    const parts = of.assembled.topology.host
      ? 'virtual machines that have CPUs of their own'
      : 'a placed device and its machine';
    args.refuse(WHOLE_ONLY, `does not go with ${parts}, which run in parts`);
    return await runInParts(args, of.assembled.topology, stepsMax, seed, namesFile(name) ? dirname(name) : undefined);
  }
  const seeds = args.whole('seeds', 2, SEEDS_MAX);
  if (seeds !== undefined) {
    args.refuse([...ONE_RUN_ONLY], 'does not go with --seeds, which repeats the run');
    return await runSeeds(of, seeds, stepsMax, args.has('json'));
  }
  const given = ['report', 'timeline', 'save-schedule'].map((flag) => [`--${flag}`, args.text(flag)] as const);
  checkDistinct('run', [
    ...(namesFile(name) ? [['the topology', name] as const] : []),
    ...given.flatMap(([flag, path]) => (path === undefined ? [] : [[flag, path] as const])),
  ]);
  const savePath = args.text('save-schedule');
  const target = savePath === undefined ? null : scheduleTarget(savePath);
  const reportPath = args.text('report');
  if (reportPath !== undefined && of.assembled === null)
    throw new UsageError('shootdown run: --report belongs to a machine');
  const report = reportPath === undefined ? null : fileTarget('report', reportPath);
  const timelinePath = args.text('timeline');
  const perfetto = timelinePath === undefined ? null : fileTarget('timeline', timelinePath);
  const executor = executorFor(kind, machine.system, inspects);
  const messages = args.has('messages') || report !== null ? new MessageCounts() : null;
  const times = new Latencies();
  const latencies = times.histograms;
  const window = new Window(part, machine.costs.hertz);
  const runner: MachineRunner = new MachineRunner(machine, {
    ...(format !== undefined || perfetto !== null
      ? { onStep: (step: TimedStep) => void window.shows(step, runner.phase) }
      : {}),
    onRoutine: times.onRoutine,
    onWait: times.onWait,
    onGracePeriod: times.onGracePeriod,
    seed,
    keepSchedule: target !== null,
    ...(messages && { onMessage: (message) => messages.add(message) }),
    ...(stepsMax === undefined ? {} : { stepsMax }),
    ...(executor === undefined ? {} : { executor }),
  });
  // With --json the document is the result, and there is no timeline.
  const timeline = format !== undefined && !args.has('json') ? format : null;
  let interrupted = await advanceToTheEnd(runner);
  const result = runner.result();
  const shown = { steps: result.steps, seed, part, inPart: window.steps };
  if (of.assembled) report?.write(runPageHtml(of.assembled, result, latencies, messages?.list ?? null));
  const timelineIn = (as: TraceFormat, write: (text: string) => void): Promise<boolean> =>
    writeTimeline(machine, { ...shown, format: as, options: renderOptions(machine, columns) }, write);
  if (perfetto !== null)
    interrupted = (await perfetto.writeDuring((write) => timelineIn('perfetto', write))) || interrupted;
  if (timeline !== null)
    interrupted = (await timelineIn(timeline, (text) => void process.stdout.write(text))) || interrupted;
  else if (!inspects)
    process.stdout.write(
      args.has('json')
        ? `${JSON.stringify({ ...runDocument(of, result, latencies), ...(messages && args.has('messages') && { messages: messages.list }) })}\n`
        : messages && args.has('messages')
          ? messagesText(messages.list)
          : describeRun(of, result, latencies),
    );
  sayUncalled(of);
  target?.write({
    shootdown: 1,
    ...savedTarget(of, name),
    schedule: formatSchedule(result.schedule ?? []),
    fingerprint: result.fingerprint,
  });
  return interrupted ? ExitCode.interrupted : exitCodeOfRun(result);
}

/** Runs with progress; returns true if it was interrupted. */
async function advanceToTheEnd(runner: MachineRunner): Promise<boolean> {
  const pulse = new Pulse();
  const interrupted = await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    if (more) pulse.beat(() => `${runner.steps} steps, ${(runner.nanoseconds / 1e6).toFixed(3)} ms of virtual time`);
    return more;
  });
  pulse.end();
  return interrupted;
}

const TIMELINE_WIDTH = 96;

function renderOptions({ costs: { hertz } }: Runnable, columns: number): Written['options'] {
  return { hertz, width: columns, time: { unit: 'ns', hertz } };
}

function runDocument(
  { name, machine, assembled, replaced, routines }: RunTarget,
  { schedule: _, ...result }: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): object {
  const host = assembled && hostReport(assembled, { ...result, schedule: null }, latencies);
  return {
    name,
    ...(replaced !== null && { replaced: routines }),
    ...namesIn(machine),
    ...result,
    ...(assembled && { lazyMmu: lazyMmuOf(assembled, result.total) }),
    histograms: Object.fromEntries(latencies),
    ...(host && { host }),
  };
}

/** Whose the columns of the counters are; of a host's vCPUs, in which VM each is. */
function namesIn({ system, vms }: Runnable): object {
  const processors = system.processors.map((processor) => processor.name);
  const of = (vm: string): string[] => processors.filter((name) => name.startsWith(`${vm}.`));
  return { processors, ...(vms.length > 0 && { vms: vms.map(({ name }) => ({ name, processors: of(name) })) }) };
}

/** What a saved schedule says about the machine it belongs to. */
function savedTarget({ assembled, scenario }: RunTarget, name: string) {
  if (assembled)
    return { machine: demoNames().includes(name) ? { demo: name } : { topology: { ...assembled.topology } } };
  return scenario ? { scenario: savedScenario(scenario) } : {};
}
