/**
 * Line wrapping for C-like labels: at a space or after a comma if that leaves a decent line, else after a bracket that
 * opens, else after an operator (`->`, `=`, `|`). An identifier that is wider than the line by itself runs beyond it if
 * it may, else it is cut, after an underscore if it has one.
 */

/** Makes one printable line of any text: white space becomes single spaces, control characters question marks. */
export function plainLine(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/\p{Cc}/gu, '?');
}

/**
 * Wraps a plain line.
 * @param width of every line; one character per line if there is no room for more
 * @param hang spaces in front of every line but the first
 * @param widest how wide a line may become for an identifier
 */
export function wrapLine(text: string, width: number, hang: number, widest = width): string[] {
  const lines: string[] = [];
  let indent = '';
  let rest = text;
  const within = (characters: number): number => Math.max(1, characters - indent.length);
  while (rest.length > within(width)) {
    const cut = bestCut(rest, within(width), within(widest));
    lines.push(indent + rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
    indent = ' '.repeat(hang);
  }
  if (rest !== '' || lines.length === 0) lines.push(indent + rest);
  return lines;
}

/** Characters that never begin a line. */
const CLOSERS = ')]},;:>';
/** An identifier with what stands before it and belongs behind it. */
const WHOLE = /^\W*\w+[()[\]{},;:>]*/;

/**
 * Where to cut: the number of characters that stay, at least 1 and at most `room`, or `widest` if one identifier is.
 */
function bestCut(text: string, room: number, widest: number): number {
  const last = { space: 0, edge: 0, underscore: 0 };
  // Behind brackets that the line does not close: `f(g(0)->x` goes on behind `f(`.
  const open: number[] = [];
  for (let i = 1; i <= room; i++) {
    const before = text[i - 1] as string;
    if ('([{'.includes(before)) open.push(i);
    if (')]}'.includes(before)) open.pop();
    const kind = cutAt(before, text[i] as string);
    if (kind) last[kind] = i;
  }
  const { space, edge, underscore } = last;
  const bracket = open.findLast((i) => !CLOSERS.includes(text[i] as string)) ?? 0;
  if (space * 2 >= room) return space;
  if (bracket * 3 >= room) return bracket;
  const between = space || bracket || edge;
  const whole = between === 0 ? (WHOLE.exec(text)?.[0].length ?? 0) : 0;
  // What runs beyond the line anyway does so with its arguments, if they fit as well.
  if (whole > room && whole <= widest) return text.length <= widest ? text.length : whole;
  if (whole > 0 && whole <= room) return whole;
  const cut = between || underscore || room;
  // A surrogate pair is one character.
  return cut > 1 && /[\uD800-\uDBFF]/.test(text[cut - 1] as string) ? cut - 1 : cut;
}

/**
 * What a cut between two characters would be; an edge is one after an operator. Elsewhere it leaves half an identifier,
 * or a call without its bracket.
 */
function cutAt(before: string, after: string): 'space' | 'edge' | 'underscore' | null {
  if (after === ' ' || before === ' ' || before === ',') return 'space';
  if (!isIdentifier(after) || '([{)]}'.includes(before)) return null;
  if (before === '_') return 'underscore';
  return isIdentifier(before) ? null : 'edge';
}

/** The narrowest line in which {@link wrapLine} need not cut an identifier of this text. */
export function widthUncut(text: string, hang: number): number {
  const words = text.match(/[^\sA-Za-z0-9_]?[A-Za-z0-9_]+[()[\]{},;:>]*/g) ?? [];
  return Math.max(0, ...words.map((word, i) => word.length + (i === 0 ? 0 : hang)));
}

function isIdentifier(character: string): boolean {
  return /[A-Za-z0-9_]/.test(character);
}
