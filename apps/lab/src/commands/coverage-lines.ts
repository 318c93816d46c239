/** What a search has covered, in words: by routine, what was performed and what never was. */
import type { Coverage, RoutineCoverage, Scope } from '@shootdown/explorer';
import { oneLine } from '../errors.ts';
import { wrapped } from '../terminal.ts';

const INDENT = 4;

/**
 * A paragraph per routine, and one for what never happened. Nothing is known of code that no run comes to.
 * @param scope of a search of all states; null: schedules were sampled
 */
export function coverageLines(coverage: Coverage, scope: Scope | null, columns: number): string[] {
  const { routines, outcomesNeverTaken, choicesNeverTaken } = coverage;
  const list = (what: string, words: readonly string[], level = 1): string[] =>
    wrapped(' '.repeat(INDENT * (level - 1)), INDENT * level, `${what}: ${words.map(oneLine).join(', ')}.`, columns);
  const lines = [
    ...wrapped(
      '',
      0,
      `Covered, by routine. A step is one operation at one point of what a routine has done before.`,
      columns,
    ),
    '',
  ];
  for (const routine of routines) {
    lines.push(...wrapped('', INDENT, oneLine(summary(routine)), columns));
    if (routine.operations.length > 0) lines.push(...list('performed', routine.operations, 2));
    if (routine.neverPerformed.length > 0) lines.push(...list('reached, never performed', routine.neverPerformed, 2));
    for (const { routine: name, operation, outcomes } of outcomesNeverTaken)
      if (name === routine.routine)
        lines.push(...list(`never came out of ${oneLine(operation)}`, outcomes.map(String), 2));
  }
  lines.push('');
  const never = scope?.routinesNeverBegun ?? [];
  if (never.length > 0) lines.push(...list('Never begun', never));
  if (choicesNeverTaken.length > 0) lines.push(...list('Never happened', choicesNeverTaken));
  if (scope && scope.assertionsNeverReached.length > 0)
    lines.push(...list('Never asserted, in code that was begun', scope.assertionsNeverReached));
  if (scope && scope.propertiesNeverEvaluated.length > 0)
    lines.push(...list('Never looked at, because nothing comes to rest', scope.propertiesNeverEvaluated));
  if (never.length + choicesNeverTaken.length + outcomesNeverTaken.length === 0 && routines.every(isWhole))
    lines.push('Nothing that was reached was left out.');
  return lines;
}

function isWhole({ neverPerformed }: RoutineCoverage): boolean {
  return neverPerformed.length === 0;
}

function summary({ routine, steps, performed }: RoutineCoverage): string {
  const name = /[()]$/.test(routine) ? routine : `${routine}()`;
  if (performed === steps)
    return `${name}: ${steps === 1 ? 'its one step was performed' : `all ${steps} steps performed`}`;
  if (performed === 0) return `${name}: none of its ${steps} step${steps === 1 ? '' : 's'} was performed`;
  return `${name}: ${performed} of ${steps} steps performed`;
}
