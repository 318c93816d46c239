/**
 * The parts of a litmus file that all dialects share: `ARCH name`, metadata, `{ initial state }`, the programs, and the
 * condition. Format: herdtools7, "Herding cats" user manual, section "Litmus tests".
 */
import { unsupported } from './errors.ts';

/** A file cut into its parts. */
export interface LitmusSource {
  /** `AArch64`, `X86_64`, `C`. */
  readonly dialect: string;
  readonly name: string;
  /** `Variant`, `TTHM`, ... in lower case; several lines of one name are joined by blanks. */
  readonly metadata: ReadonlyMap<string, string>;
  /** What stands between the braces. */
  readonly init: string;
  /** The programs, as they stand. */
  readonly body: string;
  /** Locations to show besides those of the condition. */
  readonly locations: string;
  /** `filter (...)`, or nothing. */
  readonly filter: string;
  /** From `exists`, `~exists` or `forall` on. */
  readonly condition: string;
}

const TAIL = /(?:^|\s|;)(locations|exists|forall|filter)\b|~\s*exists/;

/** Cuts a file into its parts. Throws {@link Unsupported} on a file that has not the form of a test. */
export function cutLitmus(text: string): LitmusSource {
  const plain = withoutComments(text);
  const start = plain.indexOf('{');
  const end = start < 0 ? -1 : closing(plain, start);
  if (end < 0) unsupported('no initial state in braces');
  const [first = '', ...header] = plain.slice(0, start).trim().split('\n');
  const [dialect = '', name = ''] = first.trim().split(/\s+/);
  if (name === '') unsupported('the first line is not "dialect name"');
  const rest = plain.slice(end + 1);
  const tailAt = tailOf(rest);
  if (tailAt < 0) unsupported('no condition');
  const tail = rest.slice(tailAt).trim();
  const [, locations = '', filter = '', condition = tail] =
    /^(?:locations\s*(\[[\s\S]*?\]))?\s*(filter\b[\s\S]*?)?\s*((?:(?:~\s*)?(?:exists|forall)\b[\s\S]*)?)$/.exec(tail) ??
    [];
  // A test that only shows something.
  const asked = condition === '' && locations !== '' ? 'forall (true)' : condition;
  if (!/^(?:~\s*exists|exists|forall)\b/.test(asked)) unsupported('no condition');
  return {
    dialect,
    name,
    metadata: metadataOf(header),
    init: plain.slice(start + 1, end),
    body: rest.slice(0, tailAt),
    locations,
    filter,
    condition: asked,
  };
}

/** In C a brace may close the last thread right before the condition; elsewhere it stands on a line of its own. */
function tailOf(rest: string): number {
  const lastBrace = rest.lastIndexOf('}');
  const from = lastBrace < 0 ? 0 : lastBrace + 1;
  const found = TAIL.exec(rest.slice(from));
  if (!found) return -1;
  return from + found.index + (found[0].startsWith('~') ? 0 : found[0].search(/[lef]/));
}

function withoutComments(text: string): string {
  let depth = 0;
  let plain = '';
  for (let i = 0; i < text.length; i++) {
    if (text.startsWith('(*', i)) {
      depth++;
      i++;
    } else if (depth > 0 && text.startsWith('*)', i)) {
      depth--;
      i++;
    } else if (depth === 0) plain += text[i];
  }
  return plain.replace(/\r/g, '');
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

function metadataOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (const line of lines) {
    const [, key, value] = /^\s*(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) continue;
    const name = key.toLowerCase();
    metadata.set(name, `${metadata.get(name) ?? ''} ${value}`.trim());
  }
  return metadata;
}

/** One program as a column of instructions. */
export interface Column {
  /** `P0`, or `P0.F` for the fault handler of P0. */
  readonly heading: string;
  /** Without blanks around them; empty cells are left out. */
  readonly cells: readonly string[];
}

/** The programs of an assembly dialect: rows that end in `;`, columns between `|`. */
export function columnsOf(body: string): Column[] {
  const rows = body
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== ';')
    .map((line) => line.replace(/;\s*$/, '').split('|'));
  const [headings = [], ...lines] = rows;
  return headings.map((heading, column) => ({
    heading: heading.replace(/\s/g, ''),
    cells: lines.map((line) => (line[column] ?? '').trim()).filter((cell) => cell !== ''),
  }));
}

/** The statements of an initial state: separated by `;`, with blanks trimmed. */
export function statementsOf(init: string): string[] {
  return init
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}
