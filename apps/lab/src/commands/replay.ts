/** `shootdown replay <schedule file>`: makes a saved run happen again, step by step. */
import { LiveExecutor, ModelError, recordTrace, TabulatedExecutor } from '@shootdown/machine';
import { renderTrace, traceFormats } from '@shootdown/report';
import { assemble, parseTopology } from '@shootdown/topology';
import { parseArguments, required } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { machineNamed, readText } from '../machines.ts';
import { parseSavedSchedule, parseSchedule, type SavedSchedule } from '../schedule-file.ts';

const flags = {
  format: { type: 'string', help: `how to print it: ${traceFormats.join(', ')} (default text)` },
  executor: { type: 'string', help: 'tabulated (default) or live' },
  help: { type: 'boolean', help: 'this text' },
} as const;

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, 'replay <schedule.json> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('replay', argv, flags, 1);
  const path = required('replay', args, 'a schedule file');
  const saved = parseSavedSchedule(readText(path, 'schedule'), path);
  const system = systemOf(saved, path);
  const live = args.oneOf('executor', ['tabulated', 'live'] as const) === 'live';
  const trace = recordTrace(live ? new LiveExecutor(system) : new TabulatedExecutor(system), parseSchedule(saved.schedule));
  process.stdout.write(renderTrace(args.oneOf('format', traceFormats) ?? 'text', trace, {}));
  if (saved.fingerprint !== undefined && saved.fingerprint !== trace.fingerprint) {
    throw new ModelError(`replay: ${path}: ends in state ${trace.fingerprint}, but ${saved.fingerprint} was saved: another version of the machine?`);
  }
  process.stderr.write(`${trace.steps.length} steps, fingerprint ${trace.fingerprint}\n`);
  return trace.end?.kind === 'violation' ? ExitCode.violation : ExitCode.ok;
}

function systemOf(saved: SavedSchedule, path: string) {
  const { machine } = saved;
  if (!machine) throw new ModelError(`replay: ${path}: names no machine`);
  return 'demo' in machine ? machineNamed(machine.demo).system : assemble(parseTopology(machine.topology, path)).system;
}
