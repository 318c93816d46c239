/** The interleaving as kernel mails draw it, one row per step, in step with the timeline. */
import type { VNode } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Walk } from '../engine/api.ts';
import type { Notes } from '../link.ts';
import { hueOf } from './hue.ts';

const ROW_PX = 18;
/** Rows above and below what the list shows that are in the document, too; all others are only space. */
const ROWS_SPARE = 12;
/** Where the present step stands in the list. */
const CURRENT_SHARE = 0.62;
const INDENT_PX = 10;

interface Row {
  /** Step number, or 0 for a heading. */
  readonly step: number;
  readonly column: number;
  readonly level: number;
  readonly text: string;
  readonly facts: string;
  readonly kind: 'step' | 'heading' | 'problem' | 'remark';
}

/** Rows, and where each step stands in them. */
interface Rows {
  readonly rows: readonly Row[];
  readonly rowOf: Int32Array;
}

const rowsByWalk = new WeakMap<Walk, readonly Row[]>();

function rowsOf(shown: Walk): readonly Row[] {
  const known = rowsByWalk.get(shown);
  if (known) return known;
  const rows: Row[] = [];
  shown.trace.steps.forEach((step, i) => {
    const { level = 0, heading = null } = shown.placements[i] ?? {};
    const place = { column: step.column, level };
    if (heading !== null)
      rows.push({ ...place, step: 0, level: Math.max(0, level - 1), text: heading, facts: '', kind: 'heading' });
    const result = shown.states.steps[i]?.result ?? null;
    const changes = shown.states.steps[i]?.changes ?? [];
    const facts = step.facts.length > 0 ? `[ ${step.facts.join(', ')} ]` : valueOf(step.text, result, changes);
    rows.push({ ...place, step: i + 1, text: step.text, facts, kind: 'step' });
    if (step.violation) rows.push({ ...place, step: 0, text: step.violation.property, facts: '', kind: 'problem' });
  });
  const { end } = shown.trace;
  if (end && shown.trace.steps.at(-1)?.violation === null)
    rows.push({ step: 0, column: -1, level: 0, text: end.text, facts: '', kind: 'problem' });
  rowsByWalk.set(shown, rows);
  return rows;
}

/** The value of a read that the routine does not print itself. */
function valueOf(text: string, result: number | null, changes: readonly unknown[]): string {
  return result !== null && changes.length === 0 && /^(READ_ONCE|smp_load_acquire|per_cpu)/.test(text)
    ? `[ ${result} ]`
    : '';
}

interface ColumnsProps {
  readonly shown: Walk;
  /** Steps that are done. */
  readonly now: number;
  readonly onStep: (step: number) => void;
  /** What is said of steps. */
  readonly notes?: Notes;
  readonly onNote?: (text: string) => void;
  /** Steps that are marked. */
  readonly found?: ReadonlySet<number>;
}

/** One and the same, or every drawing would begin another. */
const NO_NOTES: Notes = {};
const NONE: ReadonlySet<number> = new Set();

/** Rows are drawn in blocks, so that most scrolling finds them there. */
const BLOCK = 8;
/** Until it is known how high the list is. */
const HEIGHT_PX = 400;

/** A row that is on the page, and how it looks there: as long as that is so, it is not looked at again. */
interface Drawn {
  readonly look: string;
  readonly node: VNode;
}

export function Columns({ shown, now, onStep, notes = NO_NOTES, onNote, found = NONE }: ColumnsProps) {
  const list = useRef<HTMLDivElement>(null);
  const { rows, rowOf } = useMemo(() => withNotes(rowsOf(shown), notes, steps(shown)), [shown, notes]);
  const acting = useMemo(() => actingIn(shown), [shown]);
  const current = rowOf[now] ?? -1;
  const [height, setHeight] = useState(HEIGHT_PX);
  const topOf = (row: number): number => Math.max(0, Math.round(row * ROW_PX - height * CURRENT_SHARE));
  // Where the list stands: where the reader has scrolled to, until the present step is another one.
  const scrolled = useRef(0);
  const [, setBlock] = useState(0);
  const place = `${current} ${height} ${rows.length}`;
  const placed = useRef('');
  const top = topOf(current);
  if (placed.current !== place) scrolled.current = top;
  useLayoutEffect(() => {
    if (placed.current === place) return undefined;
    placed.current = place;
    // With everything else that the step has changed, so that the page is laid out once.
    const frame = requestAnimationFrame(() => {
      if (list.current) list.current.scrollTop = top;
    });
    return () => cancelAnimationFrame(frame);
  }, [place]);
  useLayoutEffect(() => {
    const sizes = new ResizeObserver(([entry]) => setHeight(entry?.contentRect.height || HEIGHT_PX));
    if (list.current) sizes.observe(list.current);
    return () => sizes.disconnect();
  }, []);
  const look = ({ currentTarget }: { readonly currentTarget: HTMLElement }): void => {
    scrolled.current = currentTarget.scrollTop;
    setBlock(blockAt(scrolled.current));
  };
  const template = useMemo(
    () => ({ gridTemplateColumns: `36px repeat(${acting.length}, minmax(0, 1fr))` }),
    [acting.length],
  );
  const first = Math.max(0, blockAt(scrolled.current) * BLOCK - ROWS_SPARE);
  const many = Math.ceil(height / ROW_PX / BLOCK) * BLOCK + BLOCK + 2 * ROWS_SPARE;
  const last = Math.min(rows.length, first + many);
  const before = useRef({ rows, drawn: new Map<number, Drawn>() });
  const known = before.current.rows === rows ? before.current.drawn : new Map<number, Drawn>();
  const drawn = new Map<number, Drawn>();
  for (let i = first; i < last; i++) {
    const row = rows[i] as Row;
    const className = classOf(row, now, steps(shown), found);
    const look = `${className} ${many}`;
    const old = known.get(i);
    if (old?.look === look) drawn.set(i, old);
    else
      drawn.set(i, {
        look,
        node: (
          <div
            // Far from where it was, a row is written anew rather than made anew.
            key={i % many}
            role={row.step > 0 ? 'option' : 'presentation'}
            aria-selected={row.step > 0 ? row.step === now : undefined}
            class={className}
            style={template}
            id={row.step > 0 ? `step-${row.step}` : undefined}
            data-step={row.step}
          >
            <span class="no">{row.step > 0 ? row.step : ''}</span>
            {acting.map((column) => (
              <Cell key={column} row={row} column={column} alone={column === acting[0]} />
            ))}
          </div>
        ),
      });
  }
  before.current = { rows, drawn };
  const pick = ({ target }: MouseEvent): void => {
    const step = Number((target as HTMLElement).closest<HTMLElement>('.row')?.dataset['step'] ?? 0);
    if (step > 0) onStep(step);
  };
  return (
    <section class="panel cols" aria-label="interleaving">
      <div class="row hd" style={template}>
        <span class="no" />
        {acting.map((column) => (
          <span class="c" key={column}>
            <i class={`sw k${hueOf(column)}`} /> <b>{shown.trace.columns[column]?.name}</b>{' '}
            <span class="dim">{shown.trace.columns[column]?.routine}()</span>
          </span>
        ))}
      </div>
      <div
        class="list m"
        ref={list}
        role="listbox"
        aria-label="steps"
        aria-activedescendant={drawn.has(current) ? `step-${now}` : undefined}
        tabIndex={0}
        onScroll={look}
        onClick={pick}
      >
        <div style={{ height: `${first * ROW_PX}px` }} />
        {[...drawn.values()].map(({ node }) => node)}
        <div style={{ height: `${Math.max(0, rows.length - last) * ROW_PX}px` }} />
      </div>
      {onNote && <NoteField now={now} text={notes[now] ?? ''} onNote={onNote} />}
    </section>
  );
}

function blockAt(scrolled: number): number {
  return Math.floor(scrolled / ROW_PX / BLOCK);
}

interface NoteFieldProps {
  readonly now: number;
  readonly text: string;
  readonly onNote: (text: string) => void;
}

/** What the reader says of the present step. */
function NoteField({ now, text, onNote }: NoteFieldProps) {
  return (
    <label class="noting">
      <span>Note at step {now}</span>
      <input
        value={text}
        placeholder="travels with the link"
        data-testid="note"
        onChange={(event) => onNote(event.currentTarget.value)}
      />
    </label>
  );
}

/** Notes stand below their steps. */
function withNotes(plain: readonly Row[], notes: Notes, count: number): Rows {
  const rows: Row[] = [];
  const rowOf = new Int32Array(count + 1).fill(-1);
  for (const row of plain) {
    if (row.step > 0) rowOf[row.step] = rows.length;
    rows.push(row);
    const text = row.step > 0 ? notes[row.step] : undefined;
    if (text !== undefined) rows.push({ ...row, step: 0, text, facts: '', kind: 'remark' });
  }
  return { rows, rowOf };
}

/** Columns with a step. */
function actingIn(shown: Walk): number[] {
  const acting = new Set(shown.trace.steps.map(({ column }) => column));
  return shown.trace.columns.map((_, column) => column).filter((column) => acting.has(column));
}

function steps(shown: Walk): number {
  return shown.trace.steps.length;
}

function classOf(row: Row, now: number, last: number, found: ReadonlySet<number>): string {
  const parts = ['row'];
  if (found.has(row.step)) parts.push('hit');
  if (row.kind !== 'step') parts.push(row.kind === 'heading' ? 'fn' : row.kind);
  if (row.step > now) parts.push('fut');
  if (row.step > 0 && row.step === now) parts.push('cur', now === last ? 'last' : '');
  return parts.join(' ');
}

function Cell({ row, column, alone }: { readonly row: Row; readonly column: number; readonly alone: boolean }) {
  const mine = row.column === column || (row.column < 0 && alone);
  if (!mine) return <span class="c" />;
  return (
    <span class={`c has h${hueOf(column)}`} title={`${row.text} ${row.facts}`}>
      <span style={{ paddingLeft: `${row.level * INDENT_PX}px` }} class={row.kind === 'problem' ? 'x' : ''}>
        {row.kind === 'problem' ? '× ' : row.kind === 'remark' ? '▸ ' : ''}
        {row.text}
      </span>
      {row.facts !== '' && <span class="fx"> {row.facts}</span>}
    </span>
  );
}
