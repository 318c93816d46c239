/** `shootdown topology from-hwloc <file.xml>`: the topology of a machine, from what lstopo says of it. */
import { basename } from 'node:path';
import { parseArguments, required, UsageError } from '../arguments.ts';
import { oneLine } from '../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { topologyFromHwloc } from '../hwloc.ts';
import { readText } from '../machines.ts';

export const flags = { help: { type: 'boolean', help: 'this text' } } as const;

const FROM_HWLOC = 'from-hwloc';

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, `topology ${FROM_HWLOC} <file.xml>: prints what \`shootdown run\` takes`, flags))
    return ExitCode.ok;
  const args = parseArguments('topology', argv, flags, 2);
  const what = required('topology', args, `what to do (${FROM_HWLOC})`);
  if (what !== FROM_HWLOC) throw new UsageError(`shootdown topology: no ${what} (have: ${FROM_HWLOC})`);
  const path = args.positionals[1];
  if (path === undefined) throw new UsageError(`shootdown topology ${FROM_HWLOC}: expected a file that lstopo wrote`);
  const { topology, leftOut } = topologyFromHwloc(readText(path, 'topology'), basename(path, '.xml'), path);
  process.stdout.write(`${JSON.stringify(topology, null, 2)}\n`);
  if (leftOut !== '') process.stderr.write(`topology: ${oneLine(path)}: ${leftOut}\n`);
  return ExitCode.ok;
}
