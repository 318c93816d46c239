/** Unified diffs, as git prints them. */
import { CError } from '../diagnostics.ts';

/** One line of a hunk: `-` stands before only, `+` after only. */
export interface DiffLine {
  readonly kind: ' ' | '-' | '+';
  readonly text: string;
}

export interface Hunk {
  /** First line before and after, from 1. */
  readonly before: number;
  readonly after: number;
  /** What stands behind the second `@@`: the function in which the hunk begins, as git sees it. */
  readonly heading: string;
  readonly lines: readonly DiffLine[];
  /** Line of the patch. */
  readonly at: number;
}

export interface DiffFile {
  /** Path after the patch (before it, if the file is removed), without `a/` and `b/`. */
  readonly path: string;
  readonly hunks: readonly Hunk[];
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/;

/** Reads a patch; what is no diff in it (a mail's text, a signature) is passed over. Throws CError. */
export function readDiff(name: string, text: string): DiffFile[] {
  const lines = text.split(/\r?\n/);
  const files: { path: string; hunks: Hunk[] }[] = [];
  let old = '';
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? '';
    if (line.startsWith('--- ') && lines[i + 1]?.startsWith('+++ ')) {
      old = pathOf(line);
      const path = pathOf(lines[++i] ?? '');
      files.push({ path: path === '/dev/null' ? old : path, hunks: [] });
      continue;
    }
    const header = HUNK.exec(line);
    if (!header) continue;
    const file = files.at(-1);
    if (!file)
      throw new CError([`${name}:${i + 1}: a hunk that belongs to no file: "--- a/..." and "+++ b/..." are missing`]);
    const hunk = readHunk(name, lines, i, header);
    file.hunks.push(hunk);
    i += hunk.lines.length;
  }
  if (files.every(({ hunks }) => hunks.length === 0))
    throw new CError([`${name}:1: no diff: expected the output of git diff -W`]);
  return files.filter(({ hunks }) => hunks.length > 0);
}

function readHunk(name: string, lines: readonly string[], at: number, header: RegExpExecArray): Hunk {
  const [, before = '0', beforeCount = '1', after = '0', afterCount = '1', heading = ''] = header;
  let [old, now] = [Number(beforeCount), Number(afterCount)];
  const read: DiffLine[] = [];
  for (let i = at + 1; old > 0 || now > 0; i++) {
    const line = lines[i];
    // Some mailers cut the blank of an empty line off.
    const kind = line === '' ? ' ' : line?.[0];
    if (line === undefined || (kind !== ' ' && kind !== '-' && kind !== '+')) {
      if (line?.startsWith('\\')) {
        read.push({ kind: ' ', text: '' });
        continue;
      }
      throw new CError([`${name}:${i + 1}: the hunk of line ${at + 1} ends too early`]);
    }
    if (kind !== '+') old--;
    if (kind !== '-') now--;
    if (old < 0 || now < 0) throw new CError([`${name}:${i + 1}: the hunk of line ${at + 1} is longer than it says`]);
    read.push({ kind, text: line.slice(1) });
  }
  return { before: Number(before), after: Number(after), heading, lines: read, at: at + 1 };
}

function pathOf(line: string): string {
  const path = line.slice(4).split('\t')[0]?.trim() ?? '';
  return path.replace(/^[ab]\//, '');
}
