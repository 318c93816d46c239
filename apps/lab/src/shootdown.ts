/**
 * The `shootdown` command. Results on stdout, progress on stderr; exit codes in `exit-codes.ts`.
 *
 * Commands are loaded when they are called, so that the first answer does not wait for code it does not need.
 */
import { UsageError } from './arguments.ts';
import { isUserError, linesOf, oneLine } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { listenForSignals } from './interrupt.ts';
import { OutputError, writeWholeChunks } from './output.ts';

/** A command: its arguments after its name; returns the exit code. */
export type Command = (argv: readonly string[]) => Promise<number> | number;

const commands: Readonly<
  Record<string, { readonly help: string; readonly load: () => Promise<{ readonly run: Command }> }>
> = {
  list: { help: 'scenarios, variants, demos', load: () => import('./commands/list.ts') },
  explore: {
    help: 'every interleaving: a proof or the shortest counterexample',
    load: () => import('./commands/explore.ts'),
  },
  mutate: { help: 'which line is needed for what', load: () => import('./commands/mutate.ts') },
  compare: { help: 'what each design costs, side by side', load: () => import('./commands/compare.ts') },
  run: { help: 'runs a topology file or demo under a cost model', load: () => import('./commands/run.ts') },
  litmus: {
    help: 'litmus tests of the memory model, on the machine that runs the kernel routines',
    load: () => import('./commands/litmus.ts'),
  },
  tlb: { help: 'counts TLB hits and misses of a memory trace', load: () => import('./commands/tlb.ts') },
  replay: { help: 'steps through a saved schedule', load: () => import('./commands/replay.ts') },
  tour: { help: 'what a newcomer wants to see', load: () => import('./commands/tour.ts') },
};

function usage(): string {
  const lines = Object.entries(commands).map(([name, c]) => `  shootdown ${name.padEnd(8)} ${c.help}`);
  return ['usage:', ...lines, '', 'shootdown <command> --help lists its flags.', ''].join('\n');
}

/**
 * What no command can catch, once per process.
 *
 * `shootdown ... | head`: nobody reads on, so nothing more is worth finding. Node ignores SIGPIPE; its exit code is kept.
 * Progress that nobody can read is no reason to give up the search.
 */
function catchTheRest(): void {
  if (process.stderr.listenerCount('error') > 0) return;
  listenForSignals();
  writeWholeChunks(process.stdout);
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.nobodyReads);
    process.stderr.write(`shootdown: the output cannot be written (${error.code ?? oneLine(error.message)})\n`);
    process.exit(ExitCode.outputFailed);
  });
  process.on('uncaughtException', (error) => process.exit(report(error)));
}

/** Prints the one line that an error is worth; returns the exit code. The stack of a bug is printed on request only. */
function report(error: unknown): number {
  if (isUserError(error)) {
    process.stderr.write(`${linesOf(error).join('\n')}\n`);
    if (error instanceof OutputError) return ExitCode.outputFailed;
    return error instanceof UsageError ? ExitCode.usage : ExitCode.invalidInput;
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  process.stderr.write(
    `shootdown: this is a bug in shootdown: please report this line and the command that led to it: ${oneLine(message)}\n`,
  );
  if (process.env['SHOOTDOWN_STACK'] === '1' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return ExitCode.software;
}

/** Runs one command line; returns the exit code. Mistakes of the user are one line on stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  catchTheRest();
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(usage());
    return name === undefined ? ExitCode.usage : ExitCode.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    return report(new UsageError(`shootdown: no command ${name} (have: ${Object.keys(commands).join(', ')})`));
  }
  try {
    return await (await command.load()).run(rest);
  } catch (error) {
    return report(error);
  }
}
