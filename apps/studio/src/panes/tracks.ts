/** Words over the whole walk: page-table entries, what TLBs hold and whether that is stale, flushes, locks. */
import {
  historiesOf,
  lastAt,
  stretchesOf,
  tlbsOf,
  type Stretch,
  type TlbState,
  type WordHistory,
} from '@shootdown/report';
import type { Walk } from '../engine/api.ts';

/** How a value looks: nothing there, something, no longer in memory, forbidden, under way, freed. */
export type Look = 'none' | 'plain' | 'stale' | 'bad' | 'busy' | 'freed';

/** A word over the walk: from which step on it has which text. */
export interface Track {
  readonly address: number;
  readonly name: string;
  readonly spans: readonly Span[];
  /** Those of them that nobody may overlook, where they are too many to be told apart. */
  readonly alarms: readonly Span[];
}

export interface Span extends Stretch {
  readonly text: string;
  readonly look: Look;
}

const TLB_REGION = /tlb\.members$/;
const FLUSHING = /\.flushing$/;

const TLB_LOOKS: Readonly<Record<TlbState, Look>> = { none: 'none', cached: 'plain', stale: 'stale', flushed: 'bad' };
const TLB_TEXTS: Readonly<Partial<Record<TlbState, string>>> = { stale: 'stale', flushed: '× stale, flushed' };

function spansOf(walk: Walk, word: WordHistory): readonly Span[] {
  const place = tlbsOf(walk.states).get(word.address);
  if (place)
    return place.stretches.map(({ from, to, state, text }) => ({
      from,
      to,
      text: TLB_TEXTS[state] ?? text,
      look: TLB_LOOKS[state],
    }));
  return stretchesOf(word, walk.states.steps.length).map(({ from, to, value, text }) => {
    const isNone = value === 0 || text === 'none';
    const flush = FLUSHING.test(word.region) ? (isNone ? (from === 0 ? 'none' : 'complete') : 'under way') : null;
    const busy = flush === null ? 'plain' : 'busy';
    const look = isNone ? 'none' : /^freed\b/.test(text) ? 'freed' : busy;
    return { from, to, text: flush ?? text, look };
  });
}

/** How a word of a TLB looks after a step. */
export function lookOf(walk: Walk, address: number, step: number): Look {
  const stretch = lastAt(tlbsOf(walk.states).get(address)?.stretches ?? [], step);
  return stretch ? TLB_LOOKS[stretch.state] : 'plain';
}

/** The step that gave a word the value that it has after another; 0: it has had it from the beginning. */
export function since(walk: Walk, address: number, step: number): number {
  return lastAt(historiesOf(walk.states).get(address)?.values ?? [], step)?.from ?? 0;
}

const SHORT: readonly (readonly [pattern: RegExp, short: string])[] = [
  [/^\w*tlb\((\w+), page (\w+).*\)(\.\d+)?$/, 'TLB $1 $2$3'],
  [/^frame\.entry\[(\d+)\]$/, 'entry $1'],
  [/^\w+\.flushing\[(\d+)\]$/, 'flush of page $1'],
  [/^per_cpu\((.+), (\d+)\)$/, 'CPU$2 $1'],
  [/^(.+)\.count$/, '$1'],
];

/** The name of a word where there is little room. */
export function shortTrackName(name: string): string {
  for (const [pattern, short] of SHORT) if (pattern.test(name)) return name.replace(pattern, short);
  return name;
}

/** At most so many letters of it: the end, which tells it from others. */
export function endOfName(name: string, letters: number): string {
  return name.length <= letters ? name : `…${name.slice(1 - letters)}`;
}

const RANKS = [/frame\.entry$|pte|pmd|pud/, TLB_REGION, FLUSHING, /loaded|lock|key|seq/];
/** Comes after all that have a rank. */
const OTHERS = 1000;
const UNTOLD = /\.(lowest|tags|loaded|refcount|allowed|held|owner)$/;

/**
 * The words worth a track: those that the scenario names, else page-table entries and TLBs first; of these the ones
 * that change, and TLBs that become stale.
 */
export function tracksOf(walk: Walk, count: number): Track[] {
  const rank = ({ region, name }: WordHistory): number => {
    const found =
      walk.tracks.length > 0
        ? walk.tracks.findIndex((track) => name.startsWith(track))
        : RANKS.findIndex((pattern) => pattern.test(region));
    return found < 0 ? OTHERS : found;
  };
  const isTold = (word: WordHistory): boolean =>
    walk.tracks.length > 0 ? rank(word) < OTHERS : !UNTOLD.test(word.region);
  const becomesStale = ({ address }: WordHistory): boolean =>
    tlbsOf(walk.states)
      .get(address)
      ?.stretches.some(({ state }) => state === 'stale' || state === 'flushed') === true;
  return [...historiesOf(walk.states).values()]
    .filter((word) => isTold(word) && (word.values.length > 1 || becomesStale(word)))
    .sort((a, b) => rank(a) - rank(b) || a.address - b.address)
    .slice(0, count)
    .map((word) => {
      const spans = spansOf(walk, word);
      return { address: word.address, name: word.name, spans, alarms: spans.filter(({ look }) => look === 'bad') };
    });
}
