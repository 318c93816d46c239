/** Waits that ended: which step of another processor let one go on. */
import { entryChoice, type StateTrace, type Trace } from '@shootdown/machine';

/** A wait. Numbers of steps count from 1, as columns and replays print them. */
export interface Wait {
  /** Column of the processor that waited. */
  readonly column: number;
  /** The step after which it could not go on. */
  readonly since: number;
  /** The step after which it could, and its column. */
  readonly endedAt: number;
  readonly byColumn: number;
  /** The step with which it went on. */
  readonly goesOnAt: number;
}

/**
 * The waits of a run that another processor ended, in the order in which those that waited went on. A processor waits
 * while its next operation cannot happen: a lock that is held, a csd that is not unlocked yet.
 */
export function waitsOf(states: StateTrace, { steps }: Pick<Trace, 'steps'>): Wait[] {
  const waits: Wait[] = [];
  /** By column: the choice that is its next operation. */
  const choices = new Map<number, number>();
  for (const { kind, column, entry } of steps) if (kind === 'advance') choices.set(column, entryChoice(entry));
  const blocked = new Map<number, number>();
  const ended = new Map<number, Omit<Wait, 'goesOnAt'>>();
  steps.forEach((step, i) => {
    const open = new Set(states.steps[i]?.enabled.map(({ entry }) => entryChoice(entry)));
    for (const [column, choice] of choices) {
      const since = blocked.get(column);
      if (!open.has(choice)) {
        if (since === undefined) blocked.set(column, i);
        ended.delete(column);
      } else if (since !== undefined) {
        blocked.delete(column);
        const byColumn = steps[i - 1]?.column ?? -1;
        if (byColumn >= 0 && byColumn !== column) ended.set(column, { column, since, endedAt: i, byColumn });
      }
    }
    if (step.kind !== 'advance') return;
    const wait = ended.get(step.column);
    if (wait) waits.push({ ...wait, goesOnAt: i + 1 });
    ended.delete(step.column);
  });
  return waits;
}
