/** `--help` of a command, from its flags. */
import { commandOf, type Flags } from './arguments.ts';
import { terminalWidth, wrapped } from './terminal.ts';

const WIDTH = 100;
const INDENT = 2;

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
  const columns = terminalWidth(WIDTH);
  const [first = '', ...lines] = command.helpInformation().split('\n');
  process.stdout.write([...wrapped('', INDENT, first, columns), ...lines].join('\n'));
  return true;
}
