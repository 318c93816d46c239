/** Words over the whole walk: page-table entries, what TLBs hold and whether that is stale, flushes, locks. */
import type { Walk } from '../engine/api.ts';

/** How a value looks: nothing there, something, no longer in memory, forbidden, under way. */
export type Look = 'none' | 'plain' | 'stale' | 'bad' | 'busy';

/** A word over the walk: from which step on it has which text. */
export interface Track {
  readonly address: number;
  readonly name: string;
  readonly spans: readonly Span[];
}

interface Span {
  readonly from: number;
  to: number;
  readonly text: string;
  readonly value: number;
  readonly look: Look;
}

/** Bits that hardware sets by itself: with and without them it is one translation. */
const ACCESSED_DIRTY = 0x60;
const TLB_REGION = /tlb\.members$/;
const FLUSHING = /\.flushing$/;
const ALLOWED = /\.allowed$/;
const OFFERED = /^frame\.entry$/;

interface Word {
  readonly address: number;
  readonly name: string;
  readonly region: string;
  readonly values: readonly { readonly from: number; readonly value: number; readonly text: string }[];
}

const wordsByWalk = new WeakMap<Walk, readonly Word[]>();

/** Every word with its values, from the step on after which it has them. */
function wordsOf(walk: Walk): readonly Word[] {
  const known = wordsByWalk.get(walk);
  if (known) return known;
  const { words, initial, steps } = walk.states;
  const values = new Map(
    words.map(({ address }, i) => [
      address,
      [{ from: 0, value: initial[i]?.value ?? 0, text: initial[i]?.text ?? '' }],
    ]),
  );
  steps.forEach(({ changes }, i) => {
    for (const { address, after, text } of changes) values.get(address)?.push({ from: i + 1, value: after, text });
  });
  const found = words.map((word) => ({ ...word, values: values.get(word.address) ?? [] }));
  wordsByWalk.set(walk, found);
  return found;
}

function valueAt({ values }: Word, step: number): number {
  return values.findLast(({ from }) => from <= step)?.value ?? 0;
}

/** The values that some words have after a step. */
function valuesAt(walk: Walk, region: RegExp, step: number): Set<number> {
  return new Set(
    wordsOf(walk)
      .filter((word) => region.test(word.region))
      .map((word) => valueAt(word, step) & ~ACCESSED_DIRTY),
  );
}

const spansByWalk = new WeakMap<Walk, Map<number, readonly Span[]>>();

/** How a word looks, from step to step. */
function spansOf(walk: Walk, word: Word): readonly Span[] {
  let byAddress = spansByWalk.get(walk);
  if (!byAddress) spansByWalk.set(walk, (byAddress = new Map()));
  const known = byAddress.get(word.address);
  if (known) return known;
  const spans: Span[] = [];
  for (const from of turnsOf(walk, word)) {
    const { value = 0, text = '' } = word.values.findLast((one) => one.from <= from) ?? {};
    const look = lookAt(walk, word, value, text, from);
    const last = spans.at(-1);
    if (last) last.to = from;
    if (last?.look === look && last.value === value) continue;
    spans.push({ from, to: from, text: textOf(look, text), value, look });
  }
  const last = spans.at(-1);
  if (last) last.to = walk.states.steps.length;
  byAddress.set(word.address, spans);
  return spans;
}

/** Steps after which a word may look different: it changes, or what it is held against does. */
function turnsOf(walk: Walk, word: Word): number[] {
  const others = TLB_REGION.test(word.region)
    ? wordsOf(walk).filter(({ region }) => OFFERED.test(region) || ALLOWED.test(region))
    : [];
  const turns = new Set([word, ...others].flatMap(({ values }) => values.map(({ from }) => from)));
  return [...turns].sort((a, b) => a - b);
}

function lookAt(walk: Walk, { region }: Word, value: number, text: string, step: number): Look {
  if (value === 0 || text === 'none') return 'none';
  if (FLUSHING.test(region)) return 'busy';
  if (!TLB_REGION.test(region)) return 'plain';
  const plain = value & ~ACCESSED_DIRTY;
  if (valuesAt(walk, OFFERED, step).has(plain)) return 'plain';
  const allowed = valuesAt(walk, ALLOWED, step);
  return allowed.size > 0 && !allowed.has(plain) ? 'bad' : 'stale';
}

/** How a word looks after a step. */
export function lookOf(walk: Walk, address: number, step: number): Look {
  const word = wordsOf(walk).find((one) => one.address === address);
  return word ? (spansOf(walk, word).findLast(({ from }) => from <= step)?.look ?? 'plain') : 'plain';
}

/** The step that gave a word the value that it has after another; 0: it has had it from the beginning. */
export function since(walk: Walk, address: number, step: number): number {
  const word = wordsOf(walk).find((one) => one.address === address);
  return word?.values.findLast(({ from }) => from <= step)?.from ?? 0;
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

const RANKS = [/frame\.entry$|pte|pmd|pud/, TLB_REGION, FLUSHING, /loaded|lock|key|seq/];
const UNTOLD = /\.(lowest|tags|loaded|refcount|allowed|held)$/;

/** The words worth a track: those that change, page-table entries and TLBs first; and TLBs that become stale. */
export function tracksOf(walk: Walk, count: number): Track[] {
  const rank = ({ region }: Word): number => {
    const found = RANKS.findIndex((pattern) => pattern.test(region));
    return found < 0 ? RANKS.length : found;
  };
  return wordsOf(walk)
    .filter((word) => !UNTOLD.test(word.region))
    .filter(
      (word) =>
        word.values.length > 1 ||
        (TLB_REGION.test(word.region) && spansOf(walk, word).some(({ look }) => look === 'stale' || look === 'bad')),
    )
    .sort((a, b) => rank(a) - rank(b) || a.address - b.address)
    .slice(0, count)
    .map((word) => ({ address: word.address, name: word.name, spans: spansOf(walk, word) }));
}

function textOf(look: Look, text: string): string {
  if (look === 'stale') return 'stale';
  if (look === 'bad') return '× stale, flushed';
  return look === 'busy' ? 'under way' : text;
}
