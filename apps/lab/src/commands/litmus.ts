/** `shootdown litmus <files or folders>`: litmus tests, run on the machine that runs the kernel routines. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  agreesWith,
  frontEndOf,
  readLitmus,
  runLitmus,
  Unsupported,
  type LitmusResult,
  type LitmusTest,
} from '@shootdown/litmus';
import { ModelError, type MemoryModel } from '@shootdown/machine';
import { parseArguments, UsageError } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { litmusCounterexample } from '../litmus-scenario.ts';
import { Pulse } from '../progress.ts';
import { frontEnds } from '../litmus-scenario.ts';

export const flags = {
  'memory-model': { type: 'string', help: 'sc, tso or arm (default: arm for AArch64 and C, tso for X86_64)' },
  ets2: { type: 'boolean', help: 'the architecture has FEAT_ETS2: translations are ordered more' },
  promises: {
    type: 'string',
    help: 'auto (default): stores may overtake earlier loads where that may matter; never: they do not',
  },
  json: { type: 'boolean', help: 'print one JSON array' },
  help: { type: 'boolean', help: 'this text' },
} as const;

/** One file: its answer, or why there is none. */
interface Answer {
  readonly file: string;
  readonly name: string;
  readonly test: LitmusTest | null;
  readonly result: LitmusResult | null;
  readonly unsupported: string | null;
  readonly seconds: number;
}

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'litmus <files or folders> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('litmus', argv, flags, Number.POSITIVE_INFINITY);
  const memoryModel = args.oneOf('memory-model', ['sc', 'tso', 'arm'] as const);
  const promises = args.oneOf('promises', ['auto', 'never'] as const) ?? 'auto';
  if (args.positionals.length === 0) throw new UsageError('shootdown litmus: a file or folder is missing');
  const pulse = new Pulse();
  const options = { memoryModel, ets2: args.has('ets2'), promises, pulse };
  const json = args.has('json');
  const documents: unknown[] = [];
  for (const argument of args.positionals) {
    const alone = !statOf(argument).isDirectory();
    for (const file of litmusFiles(argument)) {
      pulse.beat(() => `litmus: ${file}`);
      const answer = await answerOf(file, options);
      pulse.clear();
      if (json) documents.push(documentOf(answer));
      else
        process.stdout.write(`${textOf(answer, alone ? await litmusCounterexample(file, answer, options) : null)}\n`);
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(documents)}\n`);
  return ExitCode.ok;
}

function statOf(path: string): { isDirectory(): boolean } {
  if (!existsSync(path)) throw new ModelError(`litmus: no such file or folder (${path})`);
  return statSync(path);
}

/** The file itself, or every `*.litmus` below a folder, in order of name. */
function litmusFiles(path: string): string[] {
  if (!statOf(path).isDirectory()) return [path];
  const below = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const inner = join(folder, entry.name);
        if (entry.isDirectory()) return below(inner);
        return entry.name.endsWith('.litmus') ? [inner] : [];
      });
  return below(path);
}

async function answerOf(
  file: string,
  options: {
    readonly memoryModel: MemoryModel | undefined;
    readonly ets2: boolean;
    readonly promises: 'auto' | 'never';
    readonly pulse: Pulse;
  },
): Promise<Answer> {
  const text = readText(file);
  const start = performance.now();
  const name = text.trimStart().split(/\s+/)[1] ?? '';
  const seconds = (): number => (performance.now() - start) / 1000;
  try {
    const frontEnd = frontEndOf(text, frontEnds);
    const test = await readLitmus(text, frontEnds);
    const { pulse, memoryModel = frontEnd.memoryModel, ...rest } = options;
    const onProgress = (states: number): void => pulse.beat(() => `${states} states, searching: ${file}`);
    const result = runLitmus(test, { ...rest, memoryModel, onProgress });
    return { file, name: test.name, test, result, unsupported: null, seconds: seconds() };
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    const why = error instanceof Unsupported ? error.message : `the machine cannot run it: ${error.message}`;
    return { file, name, test: null, result: null, unsupported: why, seconds: seconds() };
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ModelError(`litmus: cannot be read (${file}: ${String((error as NodeJS.ErrnoException).code)})`);
  }
}

function documentOf({ file, name, result, unsupported, seconds }: Answer): unknown {
  return {
    file,
    name,
    observation: result?.observation ?? null,
    states: result?.states ?? 0,
    outcomes: result?.outcomes.map(({ text }) => text) ?? [],
    seconds,
    unsupported,
  };
}

/** herd's printed form. */
function textOf({ file, name, test, result, unsupported, seconds }: Answer, counterexample: string | null): string {
  if (!test || !result) return `Test ${name === '' ? file : name}\nUnsupported: ${unsupported ?? ''}\n`;
  const positive = result.outcomes.filter(({ holds }) => holds).length;
  const negative = result.outcomes.length - positive;
  const { quantifier, text } = test.condition;
  const lines = [
    `Test ${test.name} ${quantifier === 'exists' ? 'Allowed' : quantifier === 'forall' ? 'Required' : 'Forbidden'}`,
    `States ${result.outcomes.length}`,
    ...result.outcomes.map((outcome) => outcome.text),
  ];
  if (result.bound !== null) lines.push(`Unknown: a bound was hit (${result.bound}), so there may be more states`);
  else
    lines.push(
      agreesWith(quantifier, result) ? 'Ok' : 'No',
      'Witnesses',
      `Positive: ${positive} Negative: ${negative}`,
      ...result.warnings.map((warning) => `Warning: ${warning}`),
      `Condition ${text}`,
      `Observation ${test.name} ${result.observation ?? ''} ${positive} ${negative}`,
    );
  lines.push(`Time ${test.name} ${seconds.toFixed(2)}`, '');
  if (counterexample !== null) lines.push(counterexample);
  return lines.join('\n');
}
