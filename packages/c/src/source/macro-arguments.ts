/** Lists of tokens: the arguments of a macro, blanks, lines. */
import { newlines, type Token } from './tokens.ts';

export function textOf(tokens: readonly Token[]): string {
  return tokens.map((token) => token.text).join('');
}

/** Index of the next token from `from` on that is no space. */
export function nextWord(tokens: readonly Token[], from: number): number {
  let i = from;
  while (tokens[i]?.kind === 'space') i++;
  return i;
}

/** Without blanks at either end. */
export function trimmed(tokens: readonly Token[]): Token[] {
  const isBlank = (token: Token | undefined): boolean => token?.kind === 'space' || token?.kind === 'newline';
  let [from, to] = [0, tokens.length];
  while (from < to && isBlank(tokens[from])) from++;
  while (to > from && isBlank(tokens[to - 1])) to--;
  return tokens.slice(from, to);
}

/** The lines that some tokens end, which must not get lost. */
export function linesWithin(tokens: readonly Token[]): Token[] {
  const lines = tokens.reduce((sum, token) => sum + newlines(token.text), 0);
  return lines === 0 ? [] : [{ kind: 'newline', text: '\n'.repeat(lines), line: tokens[0]?.line ?? 0 }];
}

export interface MacroCall {
  readonly args: Token[][];
  /** Index of the closing parenthesis. */
  readonly end: number;
}

/**
 * The arguments of a call whose parenthesis is the next word from `from` on; null if there is none, or it is not
 * closed.
 */
export function argumentsAt(tokens: readonly Token[], from: number): MacroCall | null {
  let open = from;
  while (tokens[open]?.kind === 'space' || tokens[open]?.kind === 'newline') open++;
  if (tokens[open]?.text !== '(') return null;
  const args: Token[][] = [];
  let arg: Token[] = [];
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    const token = tokens[i] as Token;
    if (token.text === '(') depth++;
    if (token.text === ')') depth--;
    if (depth === 0) return { args: [...args, arg], end: i };
    if (depth === 1 && token.text === ',') {
      args.push(arg);
      arg = [];
    } else if (i > open) arg.push(token);
  }
  return null;
}
