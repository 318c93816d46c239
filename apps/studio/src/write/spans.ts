/**
 * What words of a program are, for their colours, and which brackets belong together: TypeScript and C are near enough
 * to be read by one set of rules.
 */

const KEYWORDS: Readonly<Record<'c' | 'ts', ReadonlySet<string>>> = {
  c: new Set(
    (
      'break case char const continue default do double else enum extern float for goto if inline int long register ' +
      'return short signed sizeof static struct switch typedef union unsigned void volatile while bool'
    ).split(' '),
  ),
  ts: new Set(
    (
      'as async await break case catch class const continue default delete do else export extends finally for from ' +
      'function if implements import in instanceof interface let new of private readonly return satisfies static ' +
      'switch throw try type typeof var void while yield'
    ).split(' '),
  ),
};
const ATOMS = new Set(['true', 'false', 'null', 'undefined', 'NULL', 'this', 'super']);

const TOKEN =
  /(?<comment>\/\/.*|\/\*[^]*?(?:\*\/|$(?![^])))|(?<string>"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)|(?<text>`(?:[^`\\]|\\[^])*`?)|(?<number>0[xXbB][\da-fA-F_]+[uUlLn]*|\d[\d_.]*(?:[eE][+-]?\d+)?[uUlLn]*)|(?<word>[A-Za-z_$][\w$]*)(?<call>\s*\()?|(?<directive>^#[ \t]*\w+)|(?<bracket>[()[\]{}])/gm;

/** How a span of text looks; `bracket` has no look of its own. */
export type Look = 'comment' | 'string' | 'number' | 'atom' | 'keyword' | 'type' | 'call' | 'bracket';

/** A piece of text. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly look: Look;
}

/** The spans of a text that look like something, in order. */
export function spansOf(text: string, kind: 'c' | 'ts'): Span[] {
  const spans: Span[] = [];
  const add = (from: number, length: number, look: Look | null): void => {
    if (look) spans.push({ from, to: from + length, look });
  };
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(text); found; found = TOKEN.exec(text)) {
    const { comment, string, text: template, number, word, call, directive } = found.groups ?? {};
    if (word !== undefined) {
      // The bracket is a token of its own.
      TOKEN.lastIndex = found.index + word.length;
      add(found.index, word.length, lookOf(word, KEYWORDS[kind], call !== undefined));
    } else if (template !== undefined && kind === 'c') {
      TOKEN.lastIndex = found.index + 1;
    } else if (directive === undefined || kind === 'c') {
      const look =
        comment !== undefined
          ? 'comment'
          : (string ?? template) !== undefined
            ? 'string'
            : number !== undefined
              ? 'number'
              : directive !== undefined
                ? 'keyword'
                : 'bracket';
      add(found.index, found[0].length, look);
    }
  }
  return spans;
}

function lookOf(word: string, keywords: ReadonlySet<string>, isCall: boolean): Look | null {
  if (keywords.has(word)) return 'keyword';
  if (ATOMS.has(word)) return 'atom';
  if (isCall) return 'call';
  return /^[A-Z]\w*[a-z]/.test(word) ? 'type' : null;
}

/** The bracket beside the cursor and the one that belongs to it, if there is one. */
export function bracketsAt(spans: readonly Span[], text: string, cursor: number): readonly number[] {
  const open: number[] = [];
  const pairs = new Map<number, number | null>();
  for (const { from, look } of spans) {
    if (look !== 'bracket') continue;
    const character = text[from] as string;
    if ('([{'.includes(character)) {
      open.push(from);
      continue;
    }
    const other = open.pop();
    const belongs = other !== undefined && '([{'.indexOf(text[other] as string) === ')]}'.indexOf(character);
    pairs.set(from, belongs ? other : null);
    if (other !== undefined) pairs.set(other, belongs ? from : null);
  }
  for (const left of open) pairs.set(left, null);
  const at = [cursor - 1, cursor].find((position) => pairs.has(position));
  if (at === undefined) return [];
  const other = pairs.get(at) ?? null;
  return other === null ? [at] : [at, other];
}
