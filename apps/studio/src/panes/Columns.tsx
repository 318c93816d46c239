/** The interleaving as kernel mails draw it, one row per step, in step with the timeline. */
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
}

/** One and the same, or every drawing would begin another. */
const NO_NOTES: Notes = {};

export function Columns({ shown, now, onStep, notes = NO_NOTES, onNote }: ColumnsProps) {
  const list = useRef<HTMLDivElement>(null);
  const { rows, rowOf } = useMemo(() => withNotes(rowsOf(shown), notes, steps(shown)), [shown, notes]);
  const acting = useMemo(() => actingIn(shown), [shown]);
  const current = rowOf[now] ?? -1;
  const [{ first, last }, setShown] = useState({ first: 0, last: 0 });
  const look = (): void => {
    const box = list.current;
    if (!box) return;
    const top = Math.floor(box.scrollTop / ROW_PX);
    const bottom = top + Math.ceil(box.clientHeight / ROW_PX);
    // As long as what is shown is there, scrolling asks nothing of the page.
    if (top >= first && bottom <= last) return;
    setShown({ first: Math.max(0, top - ROWS_SPARE), last: Math.min(rows.length, bottom + ROWS_SPARE) });
  };
  const place = (): void => {
    const box = list.current;
    if (box) box.scrollTop = Math.max(0, current * ROW_PX - box.clientHeight * CURRENT_SHARE);
    look();
  };
  useLayoutEffect(place, [current, rows]);
  const placed = useRef(place);
  placed.current = place;
  // The list becomes smaller when what is above it comes.
  useLayoutEffect(() => {
    const sizes = new ResizeObserver(() => placed.current());
    if (list.current) sizes.observe(list.current);
    return () => sizes.disconnect();
  }, []);
  const template = { gridTemplateColumns: `36px repeat(${acting.length}, minmax(0, 1fr))` };
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
      <div class="list m" ref={list} role="listbox" aria-label="steps" tabIndex={0} onScroll={look}>
        <div style={{ height: `${first * ROW_PX}px` }} />
        {rows.slice(first, last).map((row, i) => (
          <div
            // Far from where it was, a row is written anew rather than made anew.
            key={(first + i) % (last - first)}
            role={row.step > 0 ? 'option' : 'presentation'}
            aria-selected={row.step > 0 ? row.step === now : undefined}
            class={classOf(row, now, steps(shown))}
            style={template}
            onClick={() => row.step > 0 && onStep(row.step)}
          >
            <span class="no">{row.step > 0 ? row.step : ''}</span>
            {acting.map((column) => (
              <Cell key={column} row={row} column={column} alone={column === acting[0]} />
            ))}
          </div>
        ))}
        <div style={{ height: `${Math.max(0, rows.length - last) * ROW_PX}px` }} />
      </div>
      {onNote && (
        <label class="noting">
          <span>Note at step {now}</span>
          <input
            key={now}
            value={notes[now] ?? ''}
            placeholder="travels with the link"
            data-testid="note"
            onChange={(event) => onNote(event.currentTarget.value)}
          />
        </label>
      )}
    </section>
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

function classOf(row: Row, now: number, last: number): string {
  const parts = ['row'];
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
