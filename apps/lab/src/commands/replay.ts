/** `shootdown replay <schedule file | scenario>`: makes a run happen again, step by step. */
import { explained, judgeSchedule } from '@shootdown/explorer';
import {
  LiveExecutor,
  ModelError,
  parseScheduleUpTo,
  type ParsedSchedule,
  recordTrace,
  TabulatedExecutor,
  type System,
} from '@shootdown/machine';
import { renderTrace, traceFormats, traceJson } from '@shootdown/report';
import { assemble, parseTopology } from '@shootdown/topology';
import { parseArguments, required, UsageError, type Arguments } from '../arguments.ts';
import { exitCodeOf } from '../counterexample.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { expandFlag, width, widthFlag } from '../terminal.ts';
import { machineNamed, namesFile, readText } from '../machines.ts';
import {
  mutateFlag,
  namesScenario,
  requestedScenario,
  scenarioFlags,
  scenarioOf,
  withMutations,
  type RequestedScenario,
} from '../scenario-request.ts';
import { statesOf } from '../states-along.ts';
import { studioLine } from '../studio-link.ts';
import { parseSavedSchedule, type SavedSchedule } from '../saved-schedule.ts';

export const flags = {
  ...scenarioFlags,
  ...mutateFlag,
  schedule: { type: 'string', help: 'the choices, as a counterexample prints them (with a scenario)' },
  format: { type: 'string', values: traceFormats, help: `how to print it: ${traceFormats.join(', ')} (default text)` },
  executor: { type: 'string', values: ['tabulated', 'live'], help: 'tabulated (default) or live' },
  ...widthFlag,
  ...expandFlag,
  json: { type: 'boolean', help: 'print one JSON document, as --format json does' },
  help: { type: 'boolean', help: 'this text' },
} as const;

/** Steps that are replayed at most: each is described, in some hundred bytes, and a document is one string. */
const STEPS_MAX = 1_000_000;

const WIDTH = 76;

interface Request {
  /** Null: a run of a machine. */
  readonly resolved: RequestedScenario | null;
  readonly system: System;
  readonly schedule: ParsedSchedule;
  readonly fingerprint: string | undefined;
}

export async function run(argv: readonly string[]): Promise<number> {
  if (
    printedHelp(
      argv,
      'replay <schedule.json> | <scenario or module.js> --variant <name> --schedule <choices> [flags]',
      flags,
    )
  )
    return ExitCode.ok;
  const args = parseArguments('replay', argv, flags, 1);
  const live = args.oneOf('executor', ['tabulated', 'live'] as const) === 'live';
  const columns = width(args, WIDTH);
  const given = args.oneOf('format', traceFormats) ?? 'text';
  const format = args.has('json') ? 'json' : given;
  const { resolved, system, schedule: asked, fingerprint } = await requestOf(args);
  const schedule = asked.entries;
  const executor = live ? new LiveExecutor(system) : new TabulatedExecutor(system);
  const recorded = recordTrace(executor, schedule);
  if (asked.left > 0)
    throw new ModelError(
      `schedule: ${schedule.length + asked.left} steps: a replay shows at most ${schedule.length}, and all of those can happen`,
    );
  const problem = judgeSchedule(system, schedule);
  const verdict = problem === null ? 'safe' : problem.kind === 'deadlock' ? 'deadlock' : 'violation';
  const trace = problem?.length === schedule.length ? explained(executor, recorded, { ...problem, verdict }) : recorded;
  if (fingerprint !== undefined && fingerprint !== trace.fingerprint) {
    throw new ModelError(
      `replay: ends in state ${trace.fingerprint}, but ${fingerprint} was saved: another version of the machine?`,
    );
  }
  process.stdout.write(
    format === 'json'
      ? traceJson(trace, null, statesOf(system, schedule))
      : renderTrace(format, trace, { width: columns, expand: args.has('expand') }),
  );
  const link = resolved === null ? '' : studioLine(resolved, schedule);
  (format === 'text' ? process.stdout : process.stderr).write(link);
  process.stderr.write(`${trace.steps.length} steps, fingerprint ${trace.fingerprint}\n`);
  if (problem && problem.length < schedule.length)
    process.stderr.write(`violated at step ${problem.length} of ${schedule.length}: ${problem.property}\n`);
  return exitCodeOf({ verdict });
}

async function requestOf(args: Arguments): Promise<Request> {
  const name = required('replay', args, 'a schedule file or scenario');
  const given = args.text('schedule');
  // A saved schedule brings its own.
  if (given !== undefined || (await namesScenario(name)) || !namesFile(name)) {
    if (given === undefined) throw new UsageError('shootdown replay: --schedule is missing');
    const resolved = await withMutations(await scenarioOf('replay', name, args), args.texts('mutate'));
    return {
      resolved,
      system: resolved.build(),
      schedule: parseScheduleUpTo(given, STEPS_MAX),
      fingerprint: undefined,
    };
  }
  args.refuse(
    ['variant', 'memory-model', 'set', 'replace', 'side', 'tree', 'mutate'],
    'goes with a scenario, not with a file',
  );
  const saved = parseSavedSchedule(readText(name, 'schedule'), name);
  const resolved = saved.scenario ? await scenarioIn(saved.scenario) : null;
  return {
    resolved,
    system: resolved ? resolved.build() : systemOf(saved, name),
    schedule: parseScheduleUpTo(saved.schedule, STEPS_MAX),
    fingerprint: saved.fingerprint,
  };
}

async function scenarioIn(saved: NonNullable<SavedSchedule['scenario']>): Promise<RequestedScenario> {
  const { name, variant, memoryModel, parameters, replace, mutate } = saved;
  const request = { variant, memoryModel, parameters, replacement: replace };
  return await withMutations(await requestedScenario(name, request), mutate ?? []);
}

function systemOf({ machine }: SavedSchedule, path: string): System {
  if (!machine) throw new ModelError(`replay: ${path}: names neither a machine nor a scenario`);
  return 'demo' in machine ? machineNamed(machine.demo).system : assemble(parseTopology(machine.topology, path)).system;
}
