/** What the terminal can show: how wide, and in which colours. */
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import type { Arguments, Flag } from './arguments.ts';

/** Narrower than that no column of a counterexample has room. */
const WIDTH_MIN = 32;
const WIDTH_MAX = 1000;

/** The flag of every command that prints columns. */
export const widthFlag = {
  width: { type: 'string', help: 'characters per line (default: the terminal, or 76)' },
} as const satisfies Readonly<Record<string, Flag>>;

/** Characters per line: what was asked for, what the terminal has, or `otherwise` where nobody looks. Throws UsageError, ModelError. */
export function width(args: Arguments, otherwise: number): number {
  return args.whole('width', WIDTH_MIN, WIDTH_MAX) ?? terminalWidth(otherwise);
}

/** Characters per line of the terminal, or `otherwise` if stdout is none. */
export function terminalWidth(otherwise: number): number {
  const { isTTY, columns } = process.stdout;
  return isTTY && columns > 0 ? Math.max(columns, WIDTH_MIN) : otherwise;
}

/** Colours for a terminal whose user has not refused them (NO_COLOR); a file or pipe gets none. */
export const paint = pc.createColors(
  process.stdout.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb',
);

/** Wraps words to a width: the first line begins with `first`, the others are indented. Words longer than a line stay whole. */
export function wrapped(first: string, indent: number, text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = first;
  let room = columns - indent;
  for (const word of text.split(' ')) {
    const bare = stripVTControlCharacters(word).length;
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
