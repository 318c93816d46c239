/** The heat strip as data: lines by configuration, and what each cell says. */
import type { Judgement } from '@shootdown/explorer';
import { Change, formatMutation, valueAlwaysRead } from '@shootdown/machine';
import type { JudgedLine } from '../engine/api.ts';

/** What may be done to a line, as the picker groups it. */
export const kinds = ['leave out', 'swap with next', 'force a branch', 'weaken'] as const;
export type Kind = (typeof kinds)[number];

/** The group that a change belongs to. */
function kindOf(change: string): Kind {
  if (change === Change.swap) return 'swap with next';
  if (change === Change.leaveOut || change === Change.leaveOutPair || change === Change.recheck) return 'leave out';
  return valueAlwaysRead(change) === undefined ? 'weaken' : 'force a branch';
}

/** A change as a sentence's end: `pud_clear(pudp)` left out. */
export function changeWords(change: string): string {
  switch (change) {
    case Change.leaveOut:
      return 'left out';
    case Change.leaveOutPair:
      return 'left out with what closes it';
    case Change.recheck:
      return 'not read again';
    case Change.loadThenStore:
      return 'as a load and a store';
    case Change.swap:
      return 'after the next line';
    default: {
      const value = valueAlwaysRead(change);
      return value === undefined ? `as ${change.replaceAll('-', ' ')}` : `always reads ${value}`;
    }
  }
}

/** One line, changed in one way, in every configuration that has it. */
export interface Row {
  readonly name: string;
  readonly line: JudgedLine;
  /** By configuration; undefined: not judged yet, or not there. */
  readonly cells: readonly (Judgement | undefined)[];
}

/** Puts the lines of several configurations into one list, in the order of the code. */
export function rowsOf(lists: readonly (readonly JudgedLine[])[], kind: Kind): Row[] {
  const order: string[] = [];
  const lines = new Map<string, JudgedLine>();
  const cells = new Map<string, (Judgement | undefined)[]>();
  lists.forEach((list, column) => {
    let previous: string | null = null;
    for (const line of list) {
      const name = formatMutation(line);
      if (!lines.has(name)) {
        order.splice(previous === null ? 0 : order.indexOf(previous) + 1, 0, name);
        lines.set(name, line);
        cells.set(
          name,
          lists.map(() => undefined),
        );
      }
      const row = cells.get(name);
      if (row) row[column] = line.judgement ?? undefined;
      previous = name;
    }
  });
  return order.flatMap((name): Row[] => {
    const line = lines.get(name);
    return line && kindOf(line.change) === kind ? [{ name, line, cells: cells.get(name) ?? [] }] : [];
  });
}

/** How a cell looks, and the few characters in it. */
export interface Cell {
  readonly look: 'bad' | 'hot' | 'deadlock' | 'witness' | 'safe' | 'open' | 'none';
  readonly text: string;
  readonly title: string;
}

/** A failure after so few steps is one that every test would meet. */
const HOT_STEPS_MAX = 20;

/** What a judgement looks like. */
export function cellOf(judgement: Judgement | undefined, done: boolean): Cell {
  if (!judgement)
    return done
      ? { look: 'none', text: 'n/a', title: 'this configuration does not come to the line' }
      : { look: 'none', text: '', title: 'not judged yet' };
  const { result, property, kind, witnessGone, schedule, stoppedBy } = judgement;
  const steps = schedule?.length ?? 0;
  if (witnessGone) return { look: 'witness', text: '◌', title: `a witness is gone: ${property ?? ''}` };
  if (result === 'bounded')
    return { look: 'open', text: '?', title: `nothing broke before ${property ?? stoppedBy ?? 'its bounds'}` };
  if (result !== 'needed')
    return { look: 'safe', text: result === 'no difference' ? '=' : '·', title: `${result} here` };
  if (kind === 'crash') return { look: 'hot', text: '×', title: `the code breaks down: ${property ?? ''}` };
  if (kind === 'deadlock') return { look: 'deadlock', text: `⊘ ${steps}`, title: `deadlock after ${steps} steps` };
  const look = steps <= HOT_STEPS_MAX ? 'hot' : 'bad';
  return { look, text: `× ${steps}`, title: `${property ?? ''}, after ${steps} steps` };
}

/** Whether a row's line is needed: in every configuration that has it, in some, in none, or nobody can say. */
export function needOf({ cells }: Row): 'all' | 'some' | 'none' | 'unknown' {
  const judged = cells.filter((cell) => cell !== undefined);
  if (judged.every(({ witnessGone }) => witnessGone)) return 'unknown';
  const needed = judged.filter(({ result, witnessGone }) => result === 'needed' && !witnessGone).length;
  if (needed === judged.length) return 'all';
  if (needed > 0) return 'some';
  return judged.some(({ result, witnessGone }) => result === 'bounded' || witnessGone) ? 'unknown' : 'none';
}

/** What breaks, in a few words at the end of a row. */
export function breaksIn(row: Row): string {
  const judged = row.cells.filter((cell) => cell !== undefined);
  const needed = judged.filter(({ result, witnessGone }) => result === 'needed' && !witnessGone);
  const [first] = needed;
  const unmodelled = row.line.unmodelled.length > 0 ? ` · not modelled: ${row.line.unmodelled.join(', ')}` : '';
  if (!first) {
    if (judged.length === 0) return '';
    if (judged.some(({ witnessGone }) => witnessGone)) return 'a witness is gone';
    if (judged.some(({ result }) => result === 'bounded')) return `not decided within the bounds${unmodelled}`;
    const same = judged.every(({ result }) => result === 'no difference');
    return `${same ? (row.line.isBarrier ? 'orders nothing here' : 'no difference') : 'not needed here'}${unmodelled}`;
  }
  const what =
    first.kind === 'crash' ? 'the code breaks down' : first.kind === 'deadlock' ? 'deadlock' : first.property;
  return needed.length < judged.length ? `${what ?? ''}, ${needed.length} of ${judged.length}` : (what ?? '');
}
