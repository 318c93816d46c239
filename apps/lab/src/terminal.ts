/** What the terminal can show: how wide, and in which colours. */
import pc from 'picocolors';
import type { Arguments, Flag } from './arguments.ts';

/** Narrower than that no column of a counterexample has room. */
const WIDTH_MIN = 32;
const WIDTH_MAX = 1000;

/** The flag of every command that prints columns. */
export const widthFlag = {
  width: { type: 'string', help: 'characters per line (default: the terminal, or 76)' },
} as const satisfies Readonly<Record<string, Flag>>;

/** The flag of commands that print the steps of a counterexample. */
export const expandFlag = {
  expand: { type: 'boolean', help: 'print every step of a round of IPIs, and marks of checkers' },
} as const satisfies Readonly<Record<string, Flag>>;

/**
 * Characters per line: what was asked for, what the terminal has, or `otherwise` where nobody looks. Throws UsageError,
 * ModelError.
 */
export function width(args: Arguments, otherwise: number): number {
  return args.whole('width', WIDTH_MIN, WIDTH_MAX) ?? terminalWidth(otherwise);
}

/** The same for sentences, which are wrapped only where somebody asks for a width or looks: others search in them. */
export function proseWidth(args: Arguments): number {
  return width(args, Number.POSITIVE_INFINITY);
}

/** Characters per line of the terminal, or `otherwise` if stdout is none. */
export function terminalWidth(otherwise: number): number {
  const { isTTY, columns } = process.stdout;
  return isTTY && columns > 0 ? Math.max(columns, WIDTH_MIN) : otherwise;
}

const STYLES = ['bold', 'underline', 'red', 'green', 'yellow'] as const;
type Style = (typeof STYLES)[number];

/**
 * Coloured text stands between two marks until it is written: whatever looks at text on its way there sees no escapes
 * of a terminal.
 */
const MARK_FIRST = 0xf_5d00;
const MARK_END = String.fromCodePoint(MARK_FIRST);
const markOf = (style: Style): string => String.fromCodePoint(MARK_FIRST + 1 + STYLES.indexOf(style));
const MARKED = /([\u{f5d01}-\u{f5d05}])([^\u{f5d00}]*)\u{f5d00}/gu;
const MARKS = /[\u{f5d00}-\u{f5d05}]/gu;

/** True for a terminal whose user has not refused colours (NO_COLOR); a file or pipe gets none. */
function coloured(): boolean {
  return process.stdout.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb';
}

/** Text in a style, if stdout shows it. */
export const paint = Object.fromEntries(
  STYLES.map((style) => [style, (text: string) => (coloured() ? `${markOf(style)}${text}${MARK_END}` : text)]),
) as Readonly<Record<Style, (text: string) => string>>;

/** From here on what {@link paint} has marked is written in colour. */
export function writeColours(stream: NodeJS.WriteStream): void {
  if (!coloured()) return;
  const colours = pc.createColors(true);
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const shown = (text: string): string =>
    text.replaceAll(MARKED, (_, mark: string, inner: string) =>
      colours[STYLES[(mark.codePointAt(0) as number) - MARK_FIRST - 1] as Style](inner),
    );
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? shown(chunk) : chunk, ...rest);
}

/** Stands for: what is written takes the place of the line that the cursor is in. */
const MARK_LINE = String.fromCodePoint(0xf_5d10);
const ERASE_LINE = '\r\u001B[K';

/** A line that the next one takes the place of, cut to the width of the terminal on stderr. */
export function statusLine(text: string): string {
  const { columns } = process.stderr;
  return `${MARK_LINE}${columns > 1 ? text.slice(0, columns - 1) : text}`;
}

/** From here on what {@link statusLine} has marked is written over the line before. */
export function writeStatusLines(stream: NodeJS.WriteStream): void {
  if (!stream.isTTY) return;
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? chunk.replaceAll(MARK_LINE, ERASE_LINE) : chunk, ...rest);
}

/**
 * Wraps words to a width: the first line begins with `first`, the others are indented. Words longer than a line stay
 * whole.
 */
export function wrapped(first: string, indent: number, text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = first;
  let room = columns - indent;
  for (const word of text.split(' ')) {
    const bare = word.replaceAll(MARKS, '').length;
    if (bare + 1 > room && room < columns - indent) {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent);
      room = columns - indent;
    }
    line += `${word} `;
    room -= bare + 1;
  }
  return [...lines, line.trimEnd()];
}
