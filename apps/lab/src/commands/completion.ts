/**
 * `shootdown completion bash` (or zsh, or fish): a script that lets the shell complete commands, flags, scenarios and
 * variants. The script asks the command itself what can come next (`shootdown completion --words <which> <word>...`),
 * so it is never out of date.
 */
import { comparisons, demos, scenarios } from '@shootdown/scenarios';
import { parseArguments, required, UsageError, type Flag, type Flags } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { FLUSH_COUNTS, topologyNames } from '../machines.ts';
import { commands, type Completes } from '../shootdown.ts';

export const flags = { help: { type: 'boolean', help: 'this text' } } as const;

/** The shell does what the command has no answer for: it completes files. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# shootdown completion bash
_shootdown() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <("\${COMP_WORDS[0]}" completion --words "$COMP_CWORD" "\${COMP_WORDS[@]:1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _shootdown shootdown
`,
  zsh: `#compdef shootdown
# shootdown completion zsh
_shootdown() {
  local -a found
  found=("\${(@f)$("\${words[1]}" completion --words "$((CURRENT - 1))" "\${(@)words[2,-1]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _shootdown shootdown
`,
  fish: `# shootdown completion fish
function __shootdown_words
  set -l words (commandline -opc) (commandline -ct)
  $words[1] completion --words (math (count $words) - 1) $words[2..] 2>/dev/null
end
complete -c shootdown -a '(__shootdown_words)'
`,
};
const SHELLS = Object.keys(SCRIPTS);

export async function run(argv: readonly string[]): Promise<number> {
  if (argv[0] === '--words') return await printWords(Number(argv[1]), argv.slice(2));
  if (
    printedHelp(argv, 'completion <bash, zsh or fish>: put `source <(shootdown completion bash)` into ~/.bashrc', flags)
  )
    return ExitCode.ok;
  const args = parseArguments('completion', argv, flags, 1);
  const shell = required('completion', args, `a shell (${SHELLS.join(', ')})`);
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined)
    throw new UsageError(`shootdown completion: no script for ${shell} (have: ${SHELLS.join(', ')})`);
  process.stdout.write(script);
  return ExitCode.ok;
}

/**
 * Prints what the word under the cursor can become.
 * @param at number of that word: 0 is the command `shootdown` itself
 * @param words the words after it
 */
async function printWords(at: number, words: readonly string[]): Promise<number> {
  const current = words[at - 1] ?? '';
  const found = (await candidates(words.slice(0, at - 1), current)).filter((word) => word.startsWith(current));
  process.stdout.write(found.map((word) => `${word}\n`).join(''));
  return ExitCode.ok;
}

async function candidates(before: readonly string[], current: string): Promise<readonly string[]> {
  const [name, ...rest] = before;
  if (name === undefined) return [...Object.keys(commands), 'help', '--help', '--version'];
  if (name === 'help') return rest.length === 0 ? Object.keys(commands) : [];
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) return [];
  const known = ((await command.load()).flags ?? {}) as Flags;
  const flag = known[rest.at(-1)?.replace(/^--/, '') ?? ''];
  if (rest.at(-1)?.startsWith('--') && flag?.type === 'string') return valuesOf(rest.at(-1) as string, flag, rest);
  if (current.startsWith('-')) return Object.keys(known).map((word) => `--${word}`);
  return firstArgument(command.completes);
}

function valuesOf(word: string, flag: Flag, rest: readonly string[]): readonly string[] {
  if (word !== '--variant') return flag.values ?? [];
  return scenarios.find((scenario) => rest.includes(scenario.name))?.variants.map((variant) => variant.name) ?? [];
}

function firstArgument(completes: Completes | undefined): readonly string[] {
  switch (completes) {
    case 'scenario':
      return scenarios.map((scenario) => scenario.name);
    case 'machine':
      return [FLUSH_COUNTS, ...demos.map((demo) => demo.name), ...topologyNames(), ...Object.keys(comparisons)];
    case 'command':
      return Object.keys(commands);
    case 'shell':
      return SHELLS;
    case 'file':
    case undefined:
      return [];
  }
}
