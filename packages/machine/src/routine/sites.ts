/**
 * Where in the source operations and assertions stand, so that a verdict can say which of them it did not test.
 *
 * Looking costs a stack trace, so it is done only while a new local state is discovered, and only of what stands for an
 * order or asserts something.
 */
import type { Ordering, SourceLine } from './operation.ts';

/**
 * A place in a routine that an execution has reached. `stands`: an assertion stands in code that was begun;
 * `evaluated`: it was reached itself.
 */
export interface Site {
  readonly kind: 'ordering' | 'assertion' | 'stands' | 'evaluated';
  /** Of the operation, or of the property asserted. */
  readonly name: string;
  /** What the operation stands for; null for an assertion. */
  readonly ordering: Ordering | null;
  /** File, line and column of everything between the routine and the operation. */
  readonly place: string;
}

let looking: Site[] | null = null;

/** Notes the sites that are passed while `work` runs. */
export function sitesOf<T>(found: Site[], work: () => T): T {
  looking = found;
  try {
    return work();
  } finally {
    looking = null;
  }
}

/** An operation that stands for an order is made here, or something is asserted. */
export function noteSite(kind: 'ordering' | 'assertion', name: string, ordering: Ordering | null): void {
  if (looking === null) return;
  const within = line === null ? '' : `${line.file}:${line.line} `;
  looking.push({ kind, name, ordering, place: within + placeOn(new Error().stack ?? '') });
}

let line: SourceLine | null = null;

/** What `work` passes stands in this line, and not in the TypeScript alone: an interpreter's. */
export function sitesWithin<T>(source: SourceLine, work: () => T): T {
  if (looking === null) return work();
  const before = line;
  line = source;
  try {
    return work();
  } finally {
    line = before;
  }
}

/** An assertion in the source of a user's: its function and sentence, and what tells it from others of them. */
export type AssertionSite = readonly [name: string, offset: number];

/** Code with these assertions was begun, or one was evaluated. */
export function noteAssertions(kind: 'stands' | 'evaluated', sites: readonly AssertionSite[]): void {
  if (looking === null) return;
  for (const [name, offset] of sites) looking.push({ kind, name, ordering: null, place: String(offset) });
}

const FRAMES_MAX = 6;
/** By stack: there are as many as ways to get somewhere. */
const places = new Map<string, string>();

function placeOn(stack: string): string {
  let place = places.get(stack);
  if (place === undefined) places.set(stack, (place = placeOf(stack)));
  return place;
}

/** The frames of the routine: those above the machine's own that make an operation, and below the ones that run it. */
function placeOf(stack: string): string {
  const frames: string[] = [];
  for (const line of stack.split('\n').slice(1)) {
    if (MAKING.test(line)) continue;
    if (RUNNING.test(line) || frames.length === FRAMES_MAX) break;
    const place = /([^/\\(]+:\d+:\d+)\)?$/.exec(line)?.[1];
    if (place !== undefined && !line.includes('<anonymous>')) frames.push(place);
  }
  return frames.join(' < ');
}

/** Functions of this package that make steps. */
const MAKING = /\/routine\/(sites|unbegun|operations?|ordered|routine)\.[jt]s|\/memory\/instructions\.[jt]s/;
const RUNNING = /RoutineCursor|\/routine\/nodes\.[jt]s/;
