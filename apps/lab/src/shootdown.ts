/**
 * The `shootdown` command. Results on stdout, progress on stderr; exit codes in `exit-codes.ts`.
 *
 * Commands are loaded when they are called, so that the first answer does not wait for code it does not need.
 */
import { isUserError, UsageError } from './arguments.ts';
import { ExitCode } from './exit-codes.ts';

/** A command: its arguments after its name; returns the exit code. */
export type Command = (argv: readonly string[]) => Promise<number> | number;

const commands: Readonly<Record<string, { readonly help: string; readonly load: () => Promise<{ readonly run: Command }> }>> = {
  list: { help: 'scenarios, variants, demos', load: () => import('./commands/list.ts') },
  explore: { help: 'every interleaving: a proof or the shortest counterexample', load: () => import('./commands/explore.ts') },
  compare: { help: 'what each design costs, side by side', load: () => import('./commands/compare.ts') },
  run: { help: 'runs a topology file or demo under a cost model', load: () => import('./commands/run.ts') },
  tlb: { help: 'counts TLB hits and misses of a memory trace', load: () => import('./commands/tlb.ts') },
  replay: { help: 'steps through a saved schedule', load: () => import('./commands/replay.ts') },
  tour: { help: 'what a newcomer wants to see', load: () => import('./commands/tour.ts') },
};

function usage(): string {
  const lines = Object.entries(commands).map(([name, c]) => `  shootdown ${name.padEnd(8)} ${c.help}`);
  return ['usage:', ...lines, '', 'shootdown <command> --help lists its flags.', ''].join('\n');
}

/** `shootdown ... | head`: nobody reads on, so nothing more is worth finding. Node ignores SIGPIPE; its exit code is kept. */
function endWithTheReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(ExitCode.nobodyReads);
    });
  }
}

/** Runs one command line; returns the exit code. Mistakes of the user are one line on stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  endWithTheReader();
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(usage());
    return name === undefined ? ExitCode.usage : ExitCode.ok;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    process.stderr.write(`shootdown: no command ${name} (have: ${Object.keys(commands).join(', ')})\n`);
    return ExitCode.usage;
  }
  try {
    return await (await command.load()).run(rest);
  } catch (error) {
    if (!isUserError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return error instanceof UsageError ? ExitCode.usage : ExitCode.invalidInput;
  }
}
