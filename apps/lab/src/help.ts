/** `--help` of a command, from its flags. */
import { commandOf, type Flags } from './arguments.ts';
import { terminalWidth } from './terminal.ts';

const WIDTH = 100;

/** Prints the flags and returns true if help was asked for. */
export function printedHelp(argv: readonly string[], usage: string, flags: Flags): boolean {
  const words = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  if (!words.includes('--help') && !words.includes('-h')) return false;
  const [name = '', ...rest] = usage.split(' ');
  const command = commandOf(`shootdown ${name}`, flags)
    .usage(rest.join(' '))
    .configureHelp({
      helpWidth: terminalWidth(WIDTH),
      styleTitle: (title) => (title === 'Usage:' ? 'usage:' : title === 'Options:' ? 'flags:' : title),
      visibleArguments: () => [],
    });
  process.stdout.write(command.helpInformation());
  return true;
}
