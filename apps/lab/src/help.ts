/** `--help` of a command, from its flags. */
import type { Flag } from './arguments.ts';

/** Prints the flags and returns true if help was asked for. */
export function printedHelp(argv: readonly string[], usage: string, flags: Readonly<Record<string, Flag>>): boolean {
  if (!argv.includes('--help')) return false;
  const lines = Object.entries(flags).map(
    ([name, f]) => `  --${(f.type === 'string' ? `${name} <value>` : name).padEnd(24)} ${f.help}`,
  );
  process.stdout.write([`usage: shootdown ${usage}`, ...lines, ''].join('\n'));
  return true;
}
