/** Litmus tests of the Linux-kernel memory model: `C name`, `{ initial state }`, P0() ... Pn(), a condition. */
import { CError } from '../diagnostics.ts';
import { newlines } from '../source/tokens.ts';

/** A litmus test cut into what is C and what is not. */
export interface LkmmSource {
  readonly name: string;
  /** The programs, in the lines that they have in the file, with a type for each function. */
  readonly body: string;
  /** Initial values by variable, as they are written; null: only declared. */
  readonly initial: ReadonlyMap<string, string | null>;
  /** Initial values of local variables, as they are written, by thread. */
  readonly locals: ReadonlyMap<number, ReadonlyMap<string, string>>;
  /** From `exists`, `~exists`, `forall` or `locations` on. */
  readonly tail: string;
}

const TAIL = /^[ \t]*(?:locations|filter|exists|~\s*exists|forall)\b/m;

/** Cuts a test. Throws CError on what has not the form of one. */
export function cutLkmm(file: string, text: string): LkmmSource {
  const plain = withoutComments(text);
  const [first = ''] = plain.trimStart().split('\n');
  const name = /^C\s+(\S+)/.exec(first)?.[1];
  if (name === undefined) throw new CError([`${file}:1: a litmus test begins with "C" and its name`]);
  const open = plain.indexOf('{');
  const close = open < 0 ? -1 : closing(plain, open);
  if (close < 0) throw new CError([`${file}:1: no initial state in braces`]);
  const rest = plain.slice(close + 1);
  const lastBrace = rest.lastIndexOf('}');
  const end = lastBrace < 0 ? -1 : rest.slice(lastBrace).search(TAIL);
  const cut = end < 0 ? rest.length : lastBrace + end;
  const body = rest.slice(0, cut).replaceAll(/^([ \t]*)(P\d+\s*\()/gm, '$1void $2');
  return {
    name,
    body: '\n'.repeat(newlines(plain.slice(0, close + 1))) + body,
    ...initialOf(file, plain.slice(open + 1, close), newlines(plain.slice(0, open)) + 1),
    tail: rest.slice(cut),
  };
}

/** Blanks comments `(* ... *)`, and keeps their lines. */
function withoutComments(text: string): string {
  let depth = 0;
  let plain = '';
  for (let i = 0; i < text.length; i++) {
    const two = text.slice(i, i + 2);
    // "(*x)" is C: a comment of OCaml's kind has a blank or a word of its own behind the star.
    if (two === '(*' && (depth > 0 || /[\s*\\]/.test(text[i + 2] ?? ''))) {
      depth++;
      i++;
      plain += '  ';
    } else if (depth > 0 && two === '*)') {
      depth--;
      i++;
      plain += '  ';
    } else plain += depth === 0 || text[i] === '\n' ? text[i] : ' ';
  }
  return plain.replaceAll('\r', '');
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '{') depth++;
    if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

const ENTRY = /^(?:(?:struct\s+)?[A-Za-z_]\w*(?:\s+\w+)*[\s*]+)?\**\[?([A-Za-z_]\w*)\]?(?:\[\d*\])?\s*(?:=\s*(.+))?$/s;

/** `1:r4=y`: a local variable of a thread. */
const LOCAL = /^(?:\w+[\s*]+)?P?(\d+):\s*([A-Za-z_]\w*)\s*=\s*(\S+)$/;

function initialOf(file: string, text: string, line: number): Pick<LkmmSource, 'initial' | 'locals'> {
  const values = new Map<string, string | null>();
  const locals = new Map<number, Map<string, string>>();
  for (const entry of text.split(';').map((part) => part.trim())) {
    if (entry === '') continue;
    const [, thread, local, value] = LOCAL.exec(entry) ?? [];
    if (thread !== undefined && local !== undefined && value !== undefined) {
      const own = locals.get(Number(thread)) ?? new Map<string, string>();
      locals.set(Number(thread), own.set(local, value));
      continue;
    }
    const match = ENTRY.exec(entry);
    if (!match?.[1] || entry.includes(':'))
      throw new CError([`${file}:${line}: initial state: not supported: ${entry.replaceAll(/\s+/g, ' ')}`]);
    values.set(match[1], match[2]?.trim() ?? null);
  }
  return { initial: values, locals };
}
