/**
 * Command-line arguments: strict, and every mistake is one line. The parser is commander's.
 *
 * How a command is made: a module in `commands/` with
 *
 *     export const flags = { json: { type: 'boolean', help: '...' }, ..., help: { type: 'boolean', help: 'this text' }
 * } as const;
 *     export async function run(argv: readonly string[]): Promise<number> {
 *       if (printedHelp(argv, '<name> <what it takes> [flags]', flags)) return ExitCode.ok;
 *       const args = parseArguments('<name>', argv, flags, positionalsMax);
 *       ...
 *       return ExitCode.ok;
 *     }
 *
 * and a line in the table of `shootdown.ts`, with what the shell may complete for its first argument. Short flags are
 * the same for every command, by the flag's name: {@link SHORT}. A flag given twice is refused unless it is `multiple`.
 * `width(args)` and `paint` in `terminal.ts` say how wide and in which colours to print.
 */
import { ModelError, unknownName } from '@shootdown/machine';
import { Command, CommanderError, Option } from 'commander';

/** A mistake in how the command was called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** One flag of a command. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** The words that it takes, if they are few: for the shell to complete. */
  readonly values?: readonly string[];
  /** What it means, for --help. */
  readonly help: string;
}

/** The flags of a command by name. */
export type Flags = Readonly<Record<string, Flag>>;

/** Short flags, by the name of the long one. */
const SHORT: Readonly<Record<string, string>> = {
  format: 'f',
  help: 'h',
  json: 'j',
  'memory-model': 'm',
  'save-schedule': 'o',
  set: 's',
  timeout: 't',
  variant: 'v',
  workers: 'w',
};

/** Flags and positionals of a call. */
export interface Arguments {
  readonly positionals: readonly string[];
  text(name: string): string | undefined;
  /** All values of a flag that may be repeated. */
  texts(name: string): readonly string[];
  has(name: string): boolean;
  /** Refuses flags that mean nothing here, which is better than to ignore them. Throws UsageError. */
  refuse(names: readonly string[], why: string): void;
  /**
   * A whole number within bounds, or undefined if the flag is absent. Throws UsageError if it is none, ModelError if it
   * is out of bounds.
   */
  whole(name: string, min: number, max?: number): number | undefined;
  /** A virtual time, or undefined if the flag is absent. Throws UsageError if it is none or lacks its unit. */
  nanoseconds(name: string): number | undefined;
  /** An amount of memory, in MiB or with its unit, or undefined if the flag is absent. Throws as `whole` does. */
  bytes(name: string): number | undefined;
  /** One of the values listed, or undefined if the flag is absent. */
  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined;
}

/** Units of a virtual time. */
const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

const MIB = 2 ** 20;
/** Units of memory. */
const BYTES: Readonly<Record<string, number>> = { '': MIB, KiB: 2 ** 10, MiB: MIB, GiB: 2 ** 30, TiB: 2 ** 40 };

/** The words of a flag in help and on the command line: `-v, --variant <value>`. */
function flagWords(name: string, { type }: Flag): string {
  const short = SHORT[name];
  return `${short === undefined ? '' : `-${short}, `}--${name}${type === 'string' ? ' <value>' : ''}`;
}

/** A commander command with these flags and nothing of its own. */
export function commandOf(words: string, flags: Flags): Command {
  const command = new Command(words)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: (text) => process.stdout.write(text) })
    .helpOption(false)
    .argument('[words...]');
  for (const [name, flag] of Object.entries(flags)) {
    const option = new Option(flagWords(name, flag), flag.help);
    command.addOption(flag.multiple === true ? option.argParser(collected) : option);
  }
  return command;
}

function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/**
 * A flag's value. What commander takes for the opposite of another flag (`--no-reduction`) is a flag like others here.
 */
function valueOf(parser: Command, option: Option): unknown {
  const value: unknown = parser.getOptionValue(option.attributeName());
  if (!option.negate) return value;
  return value === false ? true : undefined;
}

/** Parses the arguments of one command. Throws UsageError. */
export function parseArguments(
  command: string,
  argv: readonly string[],
  flags: Flags,
  positionalsMax: number,
): Arguments {
  const parser = commandOf(command, flags);
  const usage = (what: string): UsageError => new UsageError(`shootdown ${command}: ${what}`);
  for (const [name, flag] of Object.entries(flags)) {
    let given = 0;
    parser.on(`option:${name}`, () => {
      if (++given > 1 && flag.multiple !== true) throw usage(`--${name} is given twice`);
    });
  }
  refuseMissingValues(argv, flags, usage);
  try {
    parser.parse([...argv], { from: 'user' });
  } catch (error) {
    throw error instanceof CommanderError ? usage(mistake(error, argv, flags)) : error;
  }
  const values = new Map(parser.options.map((option) => [option.name(), valueOf(parser, option)]));
  const positionals = parser.args;
  if (positionals.length > positionalsMax) throw usage(`unexpected argument ${positionals[positionalsMax] ?? ''}`);
  const text = (name: string): string | undefined => {
    const value = values.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    positionals,
    text,
    texts(name) {
      const value = values.get(name);
      return Array.isArray(value) ? value.map(String) : [];
    },
    has: (name) => values.get(name) === true,
    refuse(names, why) {
      const name = names.find((n) => values.get(n) !== undefined);
      if (name !== undefined) throw usage(`--${name} ${why}`);
    },
    whole(name, min, max = Number.MAX_SAFE_INTEGER) {
      const given = text(name);
      if (given === undefined) return undefined;
      const bounds = `a whole number of at least ${min}${max < Number.MAX_SAFE_INTEGER ? ` and at most ${max}` : ''}`;
      if (!/^\d+$/.test(given))
        throw usage(`--${name}: expected ${/^-\d/.test(given) ? bounds : 'a whole number'} (${given})`);
      const value = Number(given);
      if (!(value >= min && value <= max))
        throw new ModelError(`shootdown ${command}: --${name}: expected ${bounds} (${given})`);
      return value;
    },
    nanoseconds(name) {
      const given = text(name);
      if (given === undefined) return undefined;
      const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ns|us|ms|s)$/.exec(given) ?? [];
      if (number === undefined) throw usage(`--${name}: expected a time with its unit: 250ns, 10us, 1.5ms (${given})`);
      return Number(number) * (NANOSECONDS[unit] as number);
    },
    bytes(name) {
      const given = text(name);
      if (given === undefined) return undefined;
      const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]iB)?$/.exec(given) ?? [];
      if (number === undefined) throw usage(`--${name}: expected MiB, or a number with its unit: 512, 2GiB (${given})`);
      const bytes = Number(number) * (BYTES[unit] as number);
      if (!(bytes >= MIB && bytes <= Number.MAX_SAFE_INTEGER))
        throw new ModelError(
          `shootdown ${command}: --${name}: expected at least 1MiB, and what a computer can have (${given})`,
        );
      return Math.floor(bytes);
    },
    oneOf(name, allowed) {
      const given = text(name);
      if (given === undefined) return undefined;
      const value = allowed.find((v) => v === given);
      if (value === undefined) throw usage(`--${name}: unknown ${unknownName(given, allowed)}`);
      return value;
    },
  };
}

/** commander takes whatever comes next for the value of a flag, another flag too. */
function refuseMissingValues(argv: readonly string[], flags: Flags, usage: (what: string) => UsageError): void {
  const words = new Map<string, Flag>();
  for (const [name, flag] of Object.entries(flags)) {
    words.set(`--${name}`, flag);
    if (SHORT[name] !== undefined) words.set(`-${SHORT[name]}`, flag);
  }
  for (let i = 0; i < argv.length && argv[i] !== '--'; i++) {
    if (words.get(argv[i] as string)?.type !== 'string') continue;
    const value = argv[i + 1];
    if (value === undefined) throw usage(`${argv[i]}: a value is missing`);
    if (value.startsWith('--') || words.has(value)) throw usage(`${argv[i]}: a value is missing (${value} is a flag)`);
    i++;
  }
}

/** What commander has found wrong, in our words. */
function mistake({ code, message }: CommanderError, argv: readonly string[], flags: Flags): string {
  if (code !== 'commander.unknownOption') return message.replace(/^error: /, '').split('\n')[0] ?? '';
  const given = /'(-[^']*)'/.exec(message)?.[1] ?? argv.find((word) => word.startsWith('-')) ?? '';
  const name = given.split('=')[0]?.replace(/^--/, '') ?? '';
  if (given.includes('=') && flags[name]?.type === 'boolean') return `--${name} takes no value (${given})`;
  return `no flag ${unknownName(
    given,
    Object.keys(flags).map((known) => `--${known}`),
  )}`;
}

/** The first positional, or a UsageError that says what is missing. */
export function required(command: string, args: Arguments, what: string): string {
  const value = args.positionals[0];
  if (value === undefined) throw new UsageError(`shootdown ${command}: ${what} is missing`);
  return value;
}
