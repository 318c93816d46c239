/** The interleaving as kernel mails draw it, one row per step, in step with the timeline. */
import { useEffect, useRef } from 'preact/hooks';
import type { Walk } from '../engine/api.ts';
import type { Notes } from '../link.ts';
import { hueOf } from './hue.ts';

/** Rows that are in the document at once; the others are only space. */
const ROWS_AROUND = 120;
const ROW_PX = 18;
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

const rowsByWalk = new WeakMap<Walk, Row[]>();

function rowsOf(shown: Walk): Row[] {
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

export function Columns({ shown, now, onStep, notes = {}, onNote }: ColumnsProps) {
  const list = useRef<HTMLDivElement>(null);
  const rows = withNotes(rowsOf(shown), notes);
  const current = rows.findIndex(({ step }) => step === now);
  const acting = shown.trace.columns
    .map((_, column) => column)
    .filter((c) => shown.trace.steps.some((s) => s.column === c));
  useEffect(() => {
    const box = list.current;
    if (box) box.scrollTop = Math.max(0, current * ROW_PX - box.clientHeight * 0.62);
  }, [current, shown]);
  const first = Math.max(0, current - ROWS_AROUND);
  const last = Math.min(rows.length, Math.max(current, 0) + ROWS_AROUND);
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
      <div class="list m" ref={list} role="listbox" aria-label="steps" tabIndex={0}>
        <div style={{ height: `${first * ROW_PX}px` }} />
        {rows.slice(first, last).map((row, i) => (
          <div
            key={first + i}
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
        <div style={{ height: `${(rows.length - last) * ROW_PX}px` }} />
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
function withNotes(rows: readonly Row[], notes: Notes): readonly Row[] {
  if (Object.keys(notes).length === 0) return rows;
  return rows.flatMap((row): Row[] => {
    const text = row.step > 0 ? notes[row.step] : undefined;
    return text === undefined ? [row] : [row, { ...row, step: 0, text, facts: '', kind: 'remark' }];
  });
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
