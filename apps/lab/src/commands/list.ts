/** `shootdown list`: scenarios with their variants, and the demos. */
import { parseArguments } from '../arguments.ts';
import { demos } from '../demos/index.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';

const flags = {
  json: { type: 'boolean', help: 'print the scenarios as one JSON array' },
  help: { type: 'boolean', help: 'this text' },
} as const;

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, 'list [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('list', argv, flags, 0);
  if (args.has('json')) {
    process.stdout.write('[]\n');
    return ExitCode.ok;
  }
  process.stdout.write('demos (shootdown run <name>)\n');
  process.stdout.write(`  ${'flush-counts'.padEnd(16)} IPIs and flushes of mprotect, madvise and munmap on four CPUs, as a real kernel counts them\n`);
  for (const demo of demos) process.stdout.write(`  ${demo.name.padEnd(16)} ${demo.title}\n`);
  return ExitCode.ok;
}
