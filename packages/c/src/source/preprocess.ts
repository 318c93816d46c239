/**
 * A small preprocessor: `#define` and `#if` of the file itself, macros of the scenario. Output has as many lines as
 * input, and what came from a line is in that line, so that the parser's lines are those of the file.
 */
import type { Problems } from '../diagnostics.ts';
import { Conditionals } from './conditionals.ts';
import { Expander, type Macro } from './macros.ts';
import { newlines, tokensOf, type Token } from './tokens.ts';

export interface Preprocessed {
  readonly text: string;
  /** Macros in force at the end. */
  readonly macros: ReadonlyMap<string, Macro>;
}

/** Expands a text. What is wrong in it goes to `problems`. */
export function preprocess(text: string, macros: ReadonlyMap<string, Macro>, problems: Problems): Preprocessed {
  const { tokens, bad } = tokensOf(text);
  for (const { line, what } of bad) problems.add(line, what);
  const expander = new Expander(new Map(macros), problems);
  const conditionals = new Conditionals(expander, problems);
  const out: string[] = [];
  let run: Token[] = [];
  const flush = (): void => {
    out.push(expander.expandText(run));
    run = [];
  };
  for (const line of linesOf(tokens)) {
    const first = line.find((token) => token.kind !== 'space');
    if (first?.text !== '#') {
      run.push(...(conditionals.included ? line : line.flatMap(blank)));
      continue;
    }
    flush();
    directive(line, first, expander, conditionals, problems);
    run.push(...line.flatMap(blank));
  }
  flush();
  conditionals.end();
  return { text: out.join(''), macros: expander.macros };
}

/** What is left of a token that is not compiled: the lines it ends. */
function blank({ text, line }: Token): Token[] {
  const lines = newlines(text);
  return lines === 0 ? [] : [{ kind: 'newline', text: '\n'.repeat(lines), line }];
}

/** Lines with the newline that ends them. */
function linesOf(tokens: readonly Token[]): Token[][] {
  const lines: Token[][] = [];
  let line: Token[] = [];
  for (const token of tokens) {
    line.push(token);
    if (token.kind !== 'newline') continue;
    lines.push(line);
    line = [];
  }
  if (line.length > 0) lines.push(line);
  return lines;
}

function directive(
  line: readonly Token[],
  hash: Token,
  expander: Expander,
  conditionals: Conditionals,
  problems: Problems,
): void {
  const words = line.filter((token) => token.kind !== 'space' && token.kind !== 'newline').slice(1);
  const name = words[0]?.text ?? '';
  const rest = words.slice(1);
  if (conditionals.take(name, rest, hash.line) || !conditionals.included) return;
  switch (name) {
    case '':
    case 'include':
    case 'pragma':
      // What a header declares is the scenario's to offer; what it does not offer is said where it is used.
      return;
    case 'define': {
      const after = line.findIndex((token) => token === rest[0]);
      expander.define(rest[0], line.slice(after + 1), hash.line);
      return;
    }
    case 'undef':
      if (rest[0]) expander.macros.delete(rest[0].text);
      return;
    case 'error':
      problems.add(hash.line, `#error ${rest.map((token) => token.text).join(' ')}`);
      return;
    default:
      problems.add(
        hash.line,
        `#${name} is not supported (have: #define, #undef, #if, #ifdef, #ifndef, #elif, #else, #endif)`,
      );
  }
}
