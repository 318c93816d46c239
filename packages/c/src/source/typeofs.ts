/**
 * `typeof(x) y` is a declaration that the parser does not know. So each typeof is replaced by the name of a struct that
 * no file has, and what stood within it is kept beside the text.
 */

/** What such a name begins with: `struct __typeof_3`. */
export const TYPEOF = '__typeof_';

/** What stood within one `typeof()`. */
export interface TypeofExpression {
  readonly text: string;
  readonly line: number;
}

export interface MarkedTypeofs {
  readonly text: string;
  /** By the number in the name. */
  readonly expressions: readonly TypeofExpression[];
}

const WORD = /\b(?:__)?typeof(?:__|_unqual|_unqual__)?\s*\(/g;

/** Replaces every typeof of a text, which keeps its lines. */
export function markTypeofs(text: string): MarkedTypeofs {
  const expressions: TypeofExpression[] = [];
  return { text: marked(text, 1, expressions), expressions };
}

function marked(text: string, first: number, expressions: TypeofExpression[]): string {
  let out = '';
  let [from, line] = [0, first];
  for (const match of text.matchAll(WORD)) {
    if (match.index < from) continue;
    const open = match.index + match[0].length;
    const close = closing(text, open);
    if (close < 0) break;
    const before = text.slice(from, match.index);
    line += newlines(before);
    const inner = text.slice(open, close);
    const at = line + newlines(match[0]);
    const content = marked(inner, at, expressions);
    expressions.push({ text: content, line: at });
    const lines = newlines(match[0]) + newlines(inner);
    out += `${before}struct ${TYPEOF}${expressions.length - 1}${'\n'.repeat(lines)}`;
    line += lines;
    from = close + 1;
  }
  return out + text.slice(from);
}

function newlines(text: string): number {
  return text.split('\n').length - 1;
}

/** Where the parenthesis that is open at a place closes; -1: nowhere. */
function closing(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    const character = text[i] ?? '';
    if (character === '"' || character === "'") i = endOfLiteral(text, i, character);
    else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return i;
  }
  return -1;
}

function endOfLiteral(text: string, from: number, quote: string): number {
  let i = from + 1;
  while (i < text.length && text[i] !== quote && text[i] !== '\n') i += text[i] === '\\' ? 2 : 1;
  return i;
}
