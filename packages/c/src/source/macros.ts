/** Macros and their expansion: C11, 6.10.3. A macro is not expanded again within its own expansion. */
import type { Problems } from '../diagnostics.ts';
import { argumentsAt, linesWithin, nextWord, textOf, trimmed } from './macro-arguments.ts';
import { tokensOf, type Token } from './tokens.ts';

export interface Macro {
  readonly name: string;
  /** Null: object-like. */
  readonly parameters: readonly string[] | null;
  /** The last parameter takes all arguments that are left. */
  readonly variadic: boolean;
  readonly body: readonly Token[];
}

/** A macro that is a number. */
export function numberMacro(name: string, value: number): [string, Macro] {
  return [name, { name, parameters: null, variadic: false, body: tokensOf(String(value)).tokens }];
}

/** Tokens that the expansions of one stretch of text may grow to. */
const TOKENS_MAX = 200_000;

/** Says nothing that a checker of interleavings could use. */
const ATTRIBUTE = '__attribute__';

export class Expander {
  readonly macros: Map<string, Macro>;
  readonly #problems: Problems;
  #grown = 0;

  constructor(macros: Map<string, Macro>, problems: Problems) {
    this.macros = macros;
    this.#problems = problems;
  }

  /** Takes a `#define`: its name and all that follows in the line. */
  define(name: Token | undefined, line: readonly Token[], at: number): void {
    if (name?.kind !== 'name') {
      this.#problems.add(at, 'syntax: #define needs a name');
      return;
    }
    const rest = line.filter((token) => token.kind !== 'newline');
    if (rest[0]?.text !== '(') {
      this.macros.set(name.text, { name: name.text, parameters: null, variadic: false, body: trimmed(rest) });
      return;
    }
    const end = rest.findIndex((token) => token.text === ')');
    const words = rest.slice(1, end).filter((token) => token.kind !== 'space');
    const names = words.filter((_, i) => i % 2 === 0);
    const commas = words.filter((_, i) => i % 2 === 1);
    const wellFormed =
      end >= 0 &&
      commas.every((token) => token.text === ',') &&
      (words.length === 0 || words.length % 2 === 1) &&
      names.every((token, i) => token.kind === 'name' || (token.text === '...' && i === names.length - 1));
    if (!wellFormed) {
      this.#problems.add(at, `syntax: the parameters of macro ${name.text}`);
      return;
    }
    const variadic = names.at(-1)?.text === '...';
    const parameters = names.map((token) => (token.text === '...' ? '__VA_ARGS__' : token.text));
    this.macros.set(name.text, { name: name.text, parameters, variadic, body: trimmed(rest.slice(end + 1)) });
  }

  /** Expands tokens to text with as many lines. */
  expandText(tokens: readonly Token[]): string {
    this.#grown = 0;
    return textOf(this.#expand(tokens, new Set()));
  }

  /** Expands the words of `#if`: `defined x`, IS_ENABLED(x). */
  expandCondition(words: readonly Token[]): Token[] {
    this.#grown = 0;
    const prepared: Token[] = [];
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as Token;
      if (word.text !== 'defined' && word.text !== 'IS_ENABLED') {
        prepared.push(word);
        continue;
      }
      const inParentheses = words[i + 1]?.text === '(';
      const name = words[i + (inParentheses ? 2 : 1)];
      i += inParentheses ? 3 : 1;
      prepared.push({ kind: 'number', text: this.macros.has(name?.text ?? '') ? '1' : '0', line: word.line });
    }
    return this.#expand(prepared, new Set()).filter((token) => token.kind !== 'space' && token.kind !== 'newline');
  }

  #expand(tokens: readonly Token[], hidden: ReadonlySet<string>): Token[] {
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as Token;
      const macro = token.kind === 'name' && !hidden.has(token.text) ? this.macros.get(token.text) : undefined;
      if (macro?.parameters === null) {
        out.push(...this.#rescan(macro, macro.body, token, hidden));
        continue;
      }
      const call = macro || token.text === ATTRIBUTE ? argumentsAt(tokens, i + 1) : null;
      if (!call) {
        out.push(token);
        continue;
      }
      if (macro) {
        const body = this.#substitute(macro, call.args, token, hidden);
        if (body) out.push(...this.#rescan(macro, body, token, hidden));
      }
      out.push(...linesWithin(tokens.slice(i, call.end + 1)));
      i = call.end;
    }
    return out;
  }

  /** Expands what a macro became, all in the line of the macro's name. */
  #rescan(macro: Macro, body: readonly Token[], at: Token, hidden: ReadonlySet<string>): Token[] {
    this.#grown += body.length;
    if (this.#grown > TOKENS_MAX) {
      this.#problems.add(at.line, `macro ${macro.name} grows to more than ${TOKENS_MAX} tokens`);
      return [];
    }
    const inLine = body.map((token): Token => {
      const isBlank = token.kind === 'space' || token.kind === 'newline';
      return { kind: isBlank ? 'space' : token.kind, text: isBlank ? ' ' : token.text, line: at.line };
    });
    return this.#expand(inLine, new Set([...hidden, macro.name]));
  }

  #substitute(macro: Macro, given: readonly Token[][], at: Token, hidden: ReadonlySet<string>): Token[] | null {
    const parameters = macro.parameters ?? [];
    let args = parameters.length === 0 && given.length === 1 && trimmed(given[0] ?? []).length === 0 ? [] : [...given];
    if (macro.variadic) {
      const fixed = parameters.length - 1;
      const comma: Token = { kind: 'punctuator', text: ',', line: at.line };
      const rest = args.slice(fixed).flatMap((arg, i) => (i === 0 ? arg : [comma, ...arg]));
      args = [...args.slice(0, fixed), rest];
    }
    if (args.length !== parameters.length) {
      this.#problems.add(at.line, `macro ${macro.name}() takes ${parameters.length} arguments (given: ${args.length})`);
      return null;
    }
    const of = (token: Token | undefined): Token[] | undefined => {
      const index = token?.kind === 'name' ? parameters.indexOf(token.text) : -1;
      return index < 0 ? undefined : trimmed(args[index] ?? []);
    };
    const out: Token[] = [];
    const { body } = macro;
    for (let i = 0; i < body.length; i++) {
      const token = body[i] as Token;
      const next = nextWord(body, i + 1);
      const text = token.text === '#' ? of(body[next]) : undefined;
      if (text) {
        out.push({ kind: 'string', text: JSON.stringify(textOf(text)), line: at.line });
        i = next;
      } else if (body[next]?.text === '##') {
        i = paste(body, i, of, out, at);
      } else {
        const arg = of(token);
        if (arg) out.push(...this.#expand(arg, hidden));
        else out.push(token);
      }
    }
    return out;
  }
}

/** `a ## b ## c` from `first` on; returns the last index used. */
function paste(
  body: readonly Token[],
  first: number,
  of: (token: Token | undefined) => Token[] | undefined,
  out: Token[],
  at: Token,
): number {
  let last = first;
  let text = textOf(of(body[first]) ?? [body[first] as Token]);
  for (;;) {
    const operator = nextWord(body, last + 1);
    const right = nextWord(body, operator + 1);
    if (body[operator]?.text !== '##' || body[right] === undefined) break;
    text += textOf(of(body[right]) ?? [body[right]]);
    last = right;
  }
  // The comma of `, ## __VA_ARGS__` goes with the arguments.
  if (text !== ',') out.push(...tokensOf(text).tokens.map((token) => ({ ...token, line: at.line })));
  return last === first ? first + 1 : last;
}
