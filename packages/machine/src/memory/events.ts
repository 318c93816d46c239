/**
 * Events of a weak memory, sets of them, and their order.
 *
 * An event is what a processor may have seen or not: a message that is not the oldest of its location, or a DSB that
 * has completed a TLBI. Their order is a partial one, and grows as it is found out: two stores that nobody has compared
 * are in no order, and a load that is given an old message orders the newer one after all that its processor must have
 * seen. What is stored here stands for every total order that agrees with it.
 */

/** A set of events, one bit each. A view is one; with an event it holds all that are before that. */
export type Events = bigint;

/** No event: as a view, that of who must have seen nothing. */
export const NOTHING: Events = 0n;
/** The number of an event that is none: of the oldest message of a location, which everybody has seen. */
export const NO_EVENT = -1;

const bits: Events[] = [];

/** The set of one event; nothing for {@link NO_EVENT}. */
export function only(event: number): Events {
  if (event < 0) return NOTHING;
  return (bits[event] ??= 1n << BigInt(event));
}

/** Whether an event is in a set. */
export function has(events: Events, event: number): boolean {
  return (events & only(event)) !== NOTHING;
}

/** Whether all of `part` is in `whole`. */
export function isWithin(part: Events, whole: Events): boolean {
  return (part & ~whole) === NOTHING;
}

/** What several sets have in common; everything if there are none. */
export function common(sets: readonly Events[]): Events {
  return sets.reduce((left, set) => left & set, EVERYTHING);
}

/** All events there may be. */
const EVERYTHING: Events = -1n;

/** The numbers of a set, ascending. */
export function numbersOf(events: Events): number[] {
  const numbers: number[] = [];
  for (let event = 0, left = events; left !== NOTHING; event++, left >>= 1n)
    if ((left & 1n) === 1n) numbers.push(event);
  return numbers;
}
