/** What TLBs hold over a run, and whether memory still offers it. */
import type { StateTrace } from '@shootdown/machine';
import { historiesOf, lastAt, stretchesOf, type Stretch, type WordHistory } from './histories.ts';

/**
 * `stale`: memory offers it no longer, which is legal until a flush of it has ended; `flushed`: that flush has ended,
 * and it is there all the same.
 */
export type TlbState = 'none' | 'cached' | 'stale' | 'flushed';

/** What an entry of a TLB is for some steps. Numbers are of steps: after so many of them. */
export interface TlbStretch extends Stretch {
  readonly state: TlbState;
  readonly value: number;
  readonly text: string;
  /** Null: it holds nothing. */
  readonly cachedAt: number | null;
  readonly staleSince: number | null;
  readonly flushCompletedAt: number | null;
}

/** A place of a TLB: it holds one translation at most. */
export interface TlbPlace {
  readonly address: number;
  /** `tlb(CPU0, page 0x0, space 1).2` */
  readonly name: string;
  /** Name of the processor that walks for it. */
  readonly processor: string | null;
  readonly page: string | null;
  readonly space: string | null;
  readonly stretches: readonly TlbStretch[];
}

const TLB_REGION = /tlb\.members$/;
const OFFERED = /^frame\.entry$/;
const ALLOWED = /\.allowed$/;
const NAMED = /^\w*tlb\((\w+)(?:, page (\w+))?(?:, space (\w+))?/;
/** Bits that hardware sets by itself: with and without them it is one translation. */
const ACCESSED_DIRTY = 0x60;

const known = new WeakMap<StateTrace, ReadonlyMap<number, TlbPlace>>();

/** The places of all TLBs by the address of their word. */
export function tlbsOf(states: StateTrace): ReadonlyMap<number, TlbPlace> {
  const found = known.get(states);
  if (found) return found;
  const steps = states.steps.length;
  const words = [...historiesOf(states).values()];
  const offered = translationsIn(words, OFFERED, steps);
  const monitored = words.some(({ region }) => ALLOWED.test(region));
  const allowed = monitored ? translationsIn(words, ALLOWED, steps) : null;
  const places = words
    .filter(({ region }) => TLB_REGION.test(region))
    .map((word): TlbPlace => {
      const [, processor = null, page = null, space = null] = NAMED.exec(word.name) ?? [];
      const stretches = placeStretches(word, steps, offered, allowed);
      return { address: word.address, name: word.name, processor, page, space, stretches };
    });
  const byAddress = new Map(places.map((place) => [place.address, place]));
  known.set(states, byAddress);
  return byAddress;
}

type Translations = ReadonlyMap<number, readonly Stretch[]>;

/** When some word of a kind of region held a translation, by translation. */
function translationsIn(words: readonly WordHistory[], region: RegExp, steps: number): Translations {
  const found = new Map<number, Stretch[]>();
  for (const word of words) {
    if (!region.test(word.region)) continue;
    // To the end of the run and beyond: what holds after the last step has not ended there.
    for (const { value, from, to } of stretchesOf(word, steps + 1)) {
      const list = found.get(value & ~ACCESSED_DIRTY);
      if (list) list.push({ from, to });
      else found.set(value & ~ACCESSED_DIRTY, [{ from, to }]);
    }
  }
  return new Map([...found].map(([value, list]) => [value, united(list)]));
}

function united(list: readonly Stretch[]): Stretch[] {
  const result: { from: number; to: number }[] = [];
  for (const { from, to } of list.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else result.push({ from, to });
  }
  return result;
}

/** A translation stays cached while only the bits change that hardware sets. */
function placeStretches(
  word: WordHistory,
  steps: number,
  offered: Translations,
  allowed: Translations | null,
): TlbStretch[] {
  const result: TlbStretch[] = [];
  let cachedAt = 0;
  let before = 0;
  for (const { from, to, value, text } of stretchesOf(word, steps + 1)) {
    const plain = value & ~ACCESSED_DIRTY;
    if (plain !== before) cachedAt = from;
    before = plain;
    const turns =
      value === 0 ? [] : [...turnsWithin(offered, plain, from, to), ...turnsWithin(allowed, plain, from, to)];
    for (const turn of new Set([from, ...turns.sort((a, b) => a - b)])) {
      const stretch = { from: turn, to: steps, value, text, ...stateAt(value, text, turn, cachedAt, offered, allowed) };
      const last = result.at(-1);
      if (last) result[result.length - 1] = { ...last, to: turn };
      if (!last || last.state !== stretch.state || last.value !== value) result.push(stretch);
    }
  }
  const last = result.at(-1);
  if (last) result[result.length - 1] = { ...last, to: steps };
  return result;
}

function turnsWithin(translations: Translations | null, plain: number, from: number, to: number): number[] {
  const list = translations?.get(plain) ?? [];
  const turns: number[] = [];
  const within = (step: number): boolean => step > from && step < to;
  for (const stretch of list) {
    if (within(stretch.from)) turns.push(stretch.from);
    if (within(stretch.to)) turns.push(stretch.to);
  }
  return turns;
}

/** When a translation that does not hold after some steps has ceased to; 0: it never held. Null: it holds. */
function ceased(translations: Translations, plain: number, step: number): number | null {
  const last = lastAt(translations.get(plain) ?? [], step);
  if (last === null) return 0;
  return last.to > step ? null : last.to;
}

function stateAt(
  value: number,
  text: string,
  step: number,
  cachedAt: number,
  offered: Translations,
  allowed: Translations | null,
): Pick<TlbStretch, 'state' | 'cachedAt' | 'staleSince' | 'flushCompletedAt'> {
  if (value === 0 || text === 'none')
    return { state: 'none', cachedAt: null, staleSince: null, flushCompletedAt: null };
  const plain = value & ~ACCESSED_DIRTY;
  const withdrawn = ceased(offered, plain, step);
  if (withdrawn === null) return { state: 'cached', cachedAt, staleSince: null, flushCompletedAt: null };
  // What a walk brings that began before is stale from the step on that caches it.
  const staleSince = Math.max(withdrawn, cachedAt);
  const flushCompletedAt = allowed && ceased(allowed, plain, step);
  return { state: flushCompletedAt === null ? 'stale' : 'flushed', cachedAt, staleSince, flushCompletedAt };
}
