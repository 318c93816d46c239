/**
 * Both sides of a patch: the functions that it touches, before and after, in the lines that they have in their files.
 */
import { is } from '@shootdown/machine';
import { checkTexts } from '../checked.ts';
import { CError } from '../diagnostics.ts';
import type { CFile } from '../replace.ts';
import { tokensOf } from '../source/tokens.ts';
import { readDiff, type DiffFile, type Hunk } from './diff.ts';
import { functionsOf } from './functions.ts';

/** The C files of a patch as they are without it and with it. */
export interface Sides {
  readonly before: readonly CFile[];
  readonly after: readonly CFile[];
}

type Side = 'before' | 'after';

/** Reads a file of a kernel tree by its path; null if there is none. */
export type ReadTree = (path: string) => string | null;

/**
 * Both sides of a patch. Without a tree the patch must hold whole functions, as `git diff -W` prints them.
 * @throws CError on what is no patch, on fragments, and on a tree that the patch does not apply to
 */
export async function sidesOf(name: string, text: string, tree?: ReadTree): Promise<Sides> {
  checkTexts('sidesOf', { name, text });
  if (tree !== undefined) is.callable('c: sidesOf: tree', tree);
  const files = readDiff(name, text).filter(({ path }) => /\.[ch]$/.test(path));
  if (files.length === 0) throw new CError([`${name}:1: touches no C file`]);
  if (tree) {
    const both = await Promise.all(files.map((file) => withTree(name, file, tree)));
    return { before: both.map(({ before }) => before), after: both.map(({ after }) => after) };
  }
  const fragments = files.flatMap((file) => file.hunks.flatMap((hunk) => fragmentOf(name, file, hunk)));
  if (fragments.length > 0) throw new CError(fragments);
  const side = (of: Side) => files.map((file) => ({ name: baseName(file.path), text: placed(file.hunks, of) }));
  return { before: side('before'), after: side('after') };
}

function baseName(path: string): string {
  return path.split('/').at(-1) ?? path;
}

/** The lines of a side. */
function linesOf(hunk: Hunk, side: Side): string[] {
  const other = side === 'before' ? '+' : '-';
  return hunk.lines.filter(({ kind }) => kind !== other).map(({ text }) => text);
}

/** Hunks in their lines, nothing in between. */
function placed(hunks: readonly Hunk[], side: Side): string {
  const lines: string[] = [];
  for (const hunk of hunks) {
    const first = Math.max(1, hunk[side]);
    while (lines.length < first - 1) lines.push('');
    lines.push(...(wholeLines(hunk, side) ?? []));
  }
  return `${lines.join('\n')}\n`;
}

/** A hunk may begin in the middle of the comment above a function. */
function withoutOpenComment(lines: readonly string[]): string[] {
  const end = lines.findIndex((line) => line.includes('*/'));
  const start = lines.findIndex((line) => line.includes('/*'));
  if (end < 0 || (start >= 0 && start <= end)) return [...lines];
  return lines.map((line, i) => (i < end ? '' : i === end ? line.slice(line.indexOf('*/') + 2) : line));
}

/**
 * What to say of a hunk that changes a part of a function; nothing if it changes whole ones, or what is outside of
 * them.
 */
function fragmentOf(name: string, { path }: DiffFile, hunk: Hunk): string[] {
  if ((['before', 'after'] as const).every((side) => wholeLines(hunk, side) !== null)) return [];
  const called = /(\w+)\s*\(/.exec(hunk.heading)?.[1];
  const what = called === undefined ? `a part of ${path}` : `a part of ${called}()`;
  return [
    `${name}:${hunk.at}: only ${what} is here: make the patch with git diff -W, or give --tree DIR with the kernel's source`,
  ];
}

/**
 * The lines of a side without what is cut at its ends: of the construct that the hunk begins in the middle of, and of
 * the one it ends in. Null if one of them is changed, so that all of it would be needed.
 */
function wholeLines(hunk: Hunk, side: Side): string[] | null {
  const other = side === 'before' ? '+' : '-';
  const kept = hunk.lines.filter(({ kind }) => kind !== other);
  const lines = withoutOpenComment(kept.map(({ text }) => text));
  const isChanged = (from: number, to: number): boolean => kept.slice(from, to).some(({ kind }) => kind !== ' ');
  const begin = firstWhole(lines);
  const end = lastWhole(lines, begin);
  if (isChanged(0, begin) || isChanged(end, kept.length)) return null;
  // What was added or removed within what is cut is nowhere else to be seen.
  if (touchesCut(hunk, side, begin, end)) return null;
  return lines.map((line, i) => (i < begin || i >= end ? '' : line));
}

/** Whether the other side changes something within the lines that are cut from this one. */
function touchesCut(hunk: Hunk, side: Side, begin: number, end: number): boolean {
  const other = side === 'before' ? '+' : '-';
  let at = 0;
  for (const { kind } of hunk.lines) {
    if (kind === other && (at < begin || (at > end && at > 0))) return true;
    if (kind !== other) at++;
  }
  return false;
}

/** Index of the first line that no construct before the hunk reaches into. */
function firstWhole(lines: readonly string[]): number {
  const first = lines.findIndex((line) => line.trim() !== '');
  const depth = lines.map(depthOf);
  let least = 0;
  let sum = 0;
  let begin = 0;
  depth.forEach((d, i) => {
    sum += d;
    if (sum < least) [least, begin] = [sum, i + 1];
  });
  // A body without its braces: indented lines up to the one that closes it.
  if (begin > 0 || first < 0 || !/^\s/.test(lines[first] ?? '')) return begin;
  const closed = lines.findIndex((line) => line.startsWith('}'));
  return closed < 0 ? lines.length : closed + 1;
}

/** Index behind the last line of the last construct that is whole. */
function lastWhole(lines: readonly string[], begin: number): number {
  let sum = 0;
  let end = begin;
  for (let i = begin; i < lines.length; i++) {
    const line = lines[i] ?? '';
    sum += depthOf(line);
    if (sum === 0 && (/[;}]\s*$/.test(line) || line.trim() === '' || line.startsWith('#') || line.endsWith('*/')))
      end = i + 1;
  }
  return sum === 0 ? lines.length : end;
}

/** Braces that a line opens more than it closes. */
function depthOf(line: string): number {
  return tokensOf(line).tokens.reduce((sum, { text }) => sum + (text === '{' ? 1 : text === '}' ? -1 : 0), 0);
}

/** The functions of a kernel tree that a patch touches. The tree may have been patched already. */
async function withTree(
  name: string,
  file: DiffFile,
  tree: ReadTree,
): Promise<{ readonly before: CFile; readonly after: CFile }> {
  const text = tree(file.path);
  if (text === null) throw new CError([`${name}: ${file.path} is not in the tree`]);
  const isBefore = applies(text, file.hunks, 'before');
  if (!isBefore && !applies(text, file.hunks, 'after'))
    throw new CError([`${name}: does not apply to ${file.path} of the tree, neither forwards nor backwards`]);
  const other = applied(text, file.hunks, isBefore ? 'before' : 'after');
  const [before, after] = isBefore ? [text, other] : [other, text];
  return {
    before: { name: baseName(file.path), text: await functionsOf(before, rangesOf(file.hunks, 'before')) },
    after: { name: baseName(file.path), text: await functionsOf(after, rangesOf(file.hunks, 'after')) },
  };
}

function applies(text: string, hunks: readonly Hunk[], side: Side): boolean {
  const lines = text.split('\n');
  return hunks.every((hunk) => {
    const wanted = linesOf(hunk, side);
    const first = Math.max(1, hunk[side]) - 1;
    return wanted.every((line, i) => lines[first + i]?.trimEnd() === line.trimEnd());
  });
}

/** The text with one side's lines replaced by the other's. */
function applied(text: string, hunks: readonly Hunk[], side: Side): string {
  const lines = text.split('\n');
  const other = side === 'before' ? 'after' : 'before';
  for (const hunk of [...hunks].reverse()) {
    const old = linesOf(hunk, side);
    lines.splice(Math.max(1, hunk[side]) - 1, old.length, ...linesOf(hunk, other));
  }
  return lines.join('\n');
}

/** Lines that a side changes, from 1. */
function rangesOf(hunks: readonly Hunk[], side: Side): number[] {
  const changed: number[] = [];
  const other = side === 'before' ? '+' : '-';
  for (const hunk of hunks) {
    let line = Math.max(1, hunk[side]);
    for (const { kind } of hunk.lines) {
      if (kind !== ' ') changed.push(line);
      if (kind !== other) line++;
    }
  }
  return changed;
}
