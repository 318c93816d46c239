/** The verdict in words: what was found, what it does not speak of, and what it rests on. */
import type { ExploreResult } from '@shootdown/explorer';
import type { MemoryModel } from '@shootdown/machine';
import { oneLine } from './errors.ts';

/** `SAFE on tso (not tested: 3 smp_rmb, 1 smp_load_acquire): no interleaving violates a property`. */
export function verdictLine(result: ExploreResult, memoryModel: MemoryModel): string {
  switch (result.verdict) {
    case 'safe':
      return `SAFE on ${memoryModel}${notTested(result)}: no interleaving violates a property`;
    case 'deadlock':
      return 'DEADLOCK';
    case 'violation':
      return `VIOLATION: ${oneLine(result.property ?? '')}`;
    case 'bounded':
      return `BOUNDED: no violation within bounds (stopped by ${stopper(result)})`;
  }
}

/** What has ended a search before it was complete. */
function stopper({ stoppedBy, limit }: ExploreResult): string {
  return limit === null ? (stoppedBy ?? 'its bounds') : `a limit of the model: ${oneLine(limit)}`;
}

function notTested({ scope }: ExploreResult): string {
  const stores = scope.storesKeptBehindLoads.length;
  const parts = [
    ...scope.notTested.map(({ operation, sites }) => `${sites} ${operation}`),
    ...(stores === 0
      ? []
      : [`whether ${stores === 1 ? '1 store overtakes' : `${stores} stores overtake`} an earlier load`]),
    ...scope.weakerArchitectures.map((architecture) => `${architecture}'s ordering of loads and stores`),
  ];
  return parts.length === 0 ? '' : ` (not tested: ${oneLine(parts.join(', '))})`;
}

/** What the search has covered, and what no run came to. */
export function coveredLines(result: ExploreResult): string[] {
  const { states, transitions, depth, complete, seconds, interleavings, collisionOdds } = result;
  const lines = [
    `${states} states, ${transitions} transitions, depth ${depth}, ${complete ? 'complete' : 'not complete'}, ${seconds.toFixed(2)} s`,
  ];
  if (result.foundBy === 'pct') lines.push(pctLine(result));
  if (interleavings !== null) lines.push(`${interleavings} interleavings`);
  if (result.violatingTransitions > 0)
    lines.push(`${result.violatingTransitions} violating transition${result.violatingTransitions === 1 ? '' : 's'}`);
  lines.push(
    result.exact
      ? 'whole states compared'
      : `two states share a fingerprint with probability ${collisionOdds.toExponential(1)}`,
  );
  lines.push(
    `reduction ${result.reduction ? 'on' : 'off'}, ${result.workers} worker${result.workers === 1 ? '' : 's'}`,
  );
  return [...lines, ...boundLines(result), ...(result.verdict === 'safe' ? notReachedLines(result) : [])];
}

function pctLine({ pctRuns, shortest }: ExploreResult): string {
  const known = shortest ? 'none is shorter' : 'whether one is shorter is not known';
  return `found by PCT beside the search, with its schedule ${pctRuns ?? '?'}; then shortened: ${known}`;
}

const BOUND_NAMES = {
  maxStates: 'states',
  maxDepth: 'steps of a schedule',
  preemptions: 'preemptions',
  timeoutSeconds: 'seconds',
  maxMemoryBytes: 'bytes of memory',
} as const;

function boundLines({ bounds, boundsGiven }: ExploreResult): string[] {
  const given = boundsGiven.map((name) => `at most ${bounds[name] ?? '?'} ${BOUND_NAMES[name]}`);
  return given.length === 0 ? [] : [`bounds in force: ${given.join(', ')}`];
}

/** What no run came to, one line per kind: a verdict that rests on little should look like it. */
function notReachedLines({ coverage, scope }: ExploreResult): string[] {
  const { seenAlike, assertionsReached, assertionsNeverReached, routinesNeverBegun, propertiesNeverEvaluated } = scope;
  const steps = coverage.routines.flatMap(({ routine, neverPerformed }) =>
    neverPerformed.map((step) => `${routine}: ${step}`),
  );
  const outcomes = coverage.outcomesNeverTaken.map((o) => `${o.routine}: ${o.operation} ${o.outcomes.join(', ')}`);
  return [
    listed('word', 'that others change by atomics, and a plain load is given no old value of', seenAlike),
    listed('assertion', 'reached in some run', assertionsReached),
    listed('assertion', 'never reached', assertionsNeverReached),
    listed('routine', 'never begun', routinesNeverBegun),
    listed('step', 'reached and never performed', steps),
    listed('step', 'whose outcomes were not all taken', outcomes),
    listed('event', 'that never happened', coverage.choicesNeverTaken),
    listed('property', 'never evaluated, because nothing comes to rest', propertiesNeverEvaluated),
  ].filter((line) => line !== null);
}

const LISTED_MAX = 4;

function listed(what: string, how: string, names: readonly string[]): string | null {
  if (names.length === 0) return null;
  const plural = what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`;
  const shown = names.slice(0, LISTED_MAX).map(oneLine).join('; ');
  const more = names.length > LISTED_MAX ? `; and ${names.length - LISTED_MAX} more (--coverage)` : '';
  return `${names.length} ${names.length === 1 ? what : plural} ${how}: ${shown}${more}`;
}
