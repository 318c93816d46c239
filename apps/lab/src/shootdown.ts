/**
 * The `shootdown` command. Results on stdout, progress on stderr; exit codes in `exit-codes.ts`; how a command is made
 * in `arguments.ts`.
 *
 * Commands are loaded when they are called, so that the first answer does not wait for code it does not need.
 */
import { readFileSync } from 'node:fs';
import { unknownName } from '@shootdown/machine';
import { UsageError } from './arguments.ts';
import { answerTo, oneLine } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { hosted, needsHost } from './host.ts';
import { hasHost, tellHost } from './host-link.ts';
import { listenForSignals } from './interrupt.ts';
import { namesModule } from './modules.ts';
import { writeColours, writeStatusLines } from './terminal.ts';
import { writeNoControls, writeWholeChunks } from './output.ts';

/** A command: its arguments after its name; returns the exit code. */
export type Command = (argv: readonly string[]) => Promise<number> | number;

/** What the shell completes a command's first argument with, besides files. */
export type Completes = 'scenario' | 'machine' | 'command' | 'shell' | 'file';

/** A command as the table below has it. */
export interface CommandEntry {
  readonly help: string;
  readonly completes?: Completes;
  readonly load: () => Promise<{ readonly run: Command; readonly flags?: Readonly<Record<string, unknown>> }>;
}

/** All commands, by name. */
export const commands: Readonly<Record<string, CommandEntry>> = {
  list: {
    help: 'scenarios, demos and machines; of one all there is to know',
    completes: 'scenario',
    load: () => import('./commands/list.ts'),
  },
  explore: {
    help: 'every interleaving: a proof or the shortest counterexample',
    completes: 'scenario',
    load: () => import('./commands/explore.ts'),
  },
  check: {
    help: 'every variant on every memory model: is each verdict the one expected?',
    completes: 'scenario',
    load: () => import('./commands/check.ts'),
  },
  mutate: {
    help: 'which line is needed for what',
    completes: 'scenario',
    load: () => import('./commands/mutate.ts'),
  },
  compare: {
    help: 'what each design costs, side by side',
    completes: 'machine',
    load: () => import('./commands/compare.ts'),
  },
  run: {
    help: 'runs a topology file or demo under a cost model',
    completes: 'machine',
    load: () => import('./commands/run.ts'),
  },
  litmus: {
    help: 'litmus tests, on the machine that runs the kernel routines',
    completes: 'file',
    load: () => import('./commands/litmus.ts'),
  },
  hazards: {
    help: 'which sections break which rule of lazy MMU mode, on which architecture',
    completes: 'file',
    load: () => import('./commands/hazards.ts'),
  },
  tlb: {
    help: 'counts TLB hits and misses of a memory trace',
    completes: 'file',
    load: () => import('./commands/tlb.ts'),
  },
  topology: {
    help: 'makes a topology file of what lstopo writes',
    load: () => import('./commands/topology.ts'),
  },
  machines: {
    help: 'the actors of a machine; of one, its statechart',
    load: () => import('./commands/machines.ts'),
  },
  schema: {
    help: 'the JSON Schema of a file or document',
    load: () => import('./commands/schema.ts'),
  },
  replay: {
    help: 'steps through a saved schedule',
    completes: 'scenario',
    load: () => import('./commands/replay.ts'),
  },
  tour: { help: 'what a newcomer wants to see', load: () => import('./commands/tour.ts') },
  init: { help: 'a folder with a scenario of your own to begin with', load: () => import('./commands/init.ts') },
  completion: {
    help: 'prints what lets bash, zsh or fish complete commands, flags and names',
    completes: 'shell',
    load: () => import('./commands/completion.ts'),
  },
};

function usage(): string {
  const wide = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, c]) => `  shootdown ${name.padEnd(wide)}  ${c.help}`);
  return [
    'usage:',
    ...lines,
    '',
    '`shootdown help <command>` lists its flags, `shootdown --version` says which one this is.',
    '',
  ].join('\n');
}

/**
 * What no command can catch, once per process.
 *
 * `shootdown ... | head`: nobody reads on, so nothing more is worth finding. Node ignores SIGPIPE; its exit code is
 * kept. Progress that nobody can read is no reason to give up the search.
 */
function catchTheRest(): void {
  if (process.stderr.listenerCount('error') > 0) return;
  listenForSignals();
  // Marks of colours become escapes after everything else that a terminal would obey has been written out.
  writeColours(process.stdout);
  writeStatusLines(process.stderr);
  for (const stream of [process.stdout, process.stderr]) writeNoControls(stream);
  writeWholeChunks(process.stdout);
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.nobodyReads);
    process.stderr.write(`shootdown: the output cannot be written (${error.code ?? oneLine(error.message)})\n`);
    process.exit(ExitCode.outputFailed);
  });
  process.on('uncaughtException', (error) => {
    const code = report(error);
    tellHost({ type: 'code', code });
    process.exit(code);
  });
}

/**
 * The exit code of a command line's first error, once printed: what comes after it comes of a module that is ending.
 */
let reported: number | null = null;
/** What it says. */
let commandLine: readonly string[] = [];

/** Prints the one line that an error is worth; returns the exit code. The stack of a bug is printed on request only. */
function report(error: unknown): number {
  reported ??= printed(error);
  return reported;
}

function printed(error: unknown): number {
  const { lines, code } = answerTo(error, hasHost() ? moduleNamed() : null);
  process.stderr.write(`${lines.join('\n')}\n`);
  if (code === ExitCode.software && process.env['SHOOTDOWN_STACK'] === '1' && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`);
  return code;
}

/** The module of the user's that a command line names; all of it if it names none. */
function moduleNamed(): string {
  return commandLine.find((word) => namesModule(word)) ?? commandLine.join(' ');
}

/** The version in this package's package.json. */
function version(): string {
  const { version: number } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return number;
}

function commandNamed(name: string): CommandEntry {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command) return command;
  throw new UsageError(
    `shootdown: no ${name.startsWith('-') ? 'flag' : 'command'} ${unknownName(name, Object.keys(commands))}`,
  );
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  switch (name) {
    case undefined:
      process.stdout.write(usage());
      return ExitCode.usage;
    case '-h':
    case '--help':
    case 'help':
      if (name !== 'help' || rest[0] === undefined || rest[0].startsWith('-')) process.stdout.write(usage());
      else return await (await commandNamed(rest[0]).load()).run(['--help']);
      return ExitCode.ok;
    case '-V':
    case '--version':
      process.stdout.write(`${version()}\n`);
      return ExitCode.ok;
    default:
      return await (await commandNamed(name).load()).run(rest);
  }
}

/** Runs one command line; returns the exit code. Mistakes of the user are one line on stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  catchTheRest();
  reported = null;
  commandLine = argv;
  try {
    return needsHost(argv) ? await hosted(argv) : await dispatch(argv);
  } catch (error) {
    return report(error);
  }
}
