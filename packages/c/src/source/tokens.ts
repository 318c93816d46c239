/** Preprocessing tokens of C11, 6.4: enough to expand macros without knowing any grammar. */

/** `space` is blanks and comments, `newline` one end of a line that is in no comment. */
export type TokenKind = 'name' | 'number' | 'string' | 'char' | 'punctuator' | 'space' | 'newline';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Line it begins in, from 1. */
  readonly line: number;
}

const PUNCTUATORS =
  /\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|##|[[\](){}.&*+~!/%<>^|?:;=,#\\@$`-]/y;
const PATTERNS: readonly (readonly [TokenKind, RegExp])[] = [
  ['newline', /\r?\n|\r/y],
  ['space', /(?:[ \t\v\f]|\\\r?\n|\/\/[^\n]*|\/\*[^]*?\*\/)+/y],
  ['name', /[A-Za-z_]\w*/y],
  ['number', /\.?\d(?:[eEpP][+-]|[\w.])*/y],
  ['string', /(?:u8|[uUL])?"(?:[^"\\\n]|\\[^])*"/y],
  ['char', /[uUL]?'(?:[^'\\\n]|\\[^])*'/y],
  ['punctuator', PUNCTUATORS],
];

/** A place that begins no token. */
export interface BadToken {
  readonly line: number;
  readonly what: string;
}

/** Cuts a text into tokens. Joined together, their texts are the input again, but for what is in `bad`. */
export function tokensOf(text: string): { readonly tokens: Token[]; readonly bad: BadToken[] } {
  const tokens: Token[] = [];
  const bad: BadToken[] = [];
  let line = 1;
  for (let at = 0; at < text.length;) {
    const token = tokenAt(text, at, line);
    if (token === undefined) {
      bad.push({ line, what: badAt(text, at) });
      // The rest of an unclosed comment is comment.
      if (text.startsWith('/*', at)) break;
      at++;
      continue;
    }
    tokens.push(token);
    at += token.text.length;
    line += newlines(token.text);
  }
  return { tokens, bad };
}

function tokenAt(text: string, at: number, line: number): Token | undefined {
  if (text.startsWith('/*', at) && !text.includes('*/', at + 2)) return undefined;
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) return { kind, text: match[0], line };
  }
  return undefined;
}

function badAt(text: string, at: number): string {
  if (text.startsWith('/*', at)) return 'syntax: a comment that is not closed';
  const character = text[at] ?? '';
  if (character === '"' || character === "'") return `syntax: a ${character} that is not closed in its line`;
  return `syntax: no C begins with ${JSON.stringify(character)}`;
}

/** How many lines a text ends. */
export function newlines(text: string): number {
  return text.split('\n').length - 1;
}
