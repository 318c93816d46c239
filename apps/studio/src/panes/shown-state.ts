/** The state after so many steps of a walk: values, texts, and what the last step changed. */
import type { Walk } from '../engine/api.ts';

export interface ShownWord {
  readonly address: number;
  readonly name: string;
  readonly region: string;
  readonly value: number;
  readonly text: string;
  /** The text before the last step, if that changed it. */
  readonly before: string | null;
  /** It changes somewhere on the walk. */
  readonly moves: boolean;
}

/** Every so many steps the whole state is kept; between, it is put together from changes. */
const KEEP_EVERY = 256;

interface Values {
  readonly value: Int32Array;
  readonly text: string[];
}

interface Kept {
  readonly indexOf: ReadonlyMap<number, number>;
  readonly moves: ReadonlySet<number>;
  readonly states: Map<number, Values>;
}

const keptByWalk = new WeakMap<Walk, Kept>();

function keptOf(walk: Walk): Kept {
  const known = keptByWalk.get(walk);
  if (known) return known;
  const { words, initial, steps } = walk.states;
  const kept: Kept = {
    indexOf: new Map(words.map(({ address }, i) => [address, i])),
    moves: new Set(steps.flatMap(({ changes }) => changes.map(({ address }) => address))),
    states: new Map([
      [0, { value: Int32Array.from(initial, ({ value }) => value), text: initial.map(({ text }) => text) }],
    ]),
  };
  keptByWalk.set(walk, kept);
  return kept;
}

function valuesAfter(walk: Walk, step: number): Values {
  const kept = keptOf(walk);
  const whole = Math.floor(step / KEEP_EVERY) * KEEP_EVERY;
  let from = whole;
  while (!kept.states.has(from)) from -= KEEP_EVERY;
  for (; from < whole; from += KEEP_EVERY)
    kept.states.set(from + KEEP_EVERY, advanced(walk, kept.states.get(from) as Values, from, from + KEEP_EVERY));
  return advanced(walk, kept.states.get(whole) as Values, whole, step);
}

function advanced(walk: Walk, { value, text }: Values, from: number, to: number): Values {
  const { indexOf } = keptOf(walk);
  const next = { value: value.slice(), text: [...text] };
  for (let i = from; i < to; i++) {
    for (const change of walk.states.steps[i]?.changes ?? []) {
      const index = indexOf.get(change.address) ?? 0;
      next.value[index] = change.after;
      next.text[index] = change.text;
    }
  }
  return next;
}

/** All words after a number of steps. */
export function stateAfter(walk: Walk, step: number): ShownWord[] {
  const { moves } = keptOf(walk);
  const { value, text } = valuesAfter(walk, step);
  const before = step > 0 ? valuesAfter(walk, step - 1) : null;
  const changed = new Set((walk.states.steps[step - 1]?.changes ?? []).map(({ address }) => address));
  return walk.states.words.map(({ address, name, region }, i) => ({
    address,
    name,
    region,
    value: value[i] ?? 0,
    text: text[i] ?? '',
    before: changed.has(address) ? (before?.text[i] ?? '') : null,
    moves: moves.has(address),
  }));
}

const actorsByWalk = new WeakMap<Walk, Record<string, string>[]>();

/** The actors' states after a number of steps. */
export function actorsAfter(walk: Walk, step: number): Record<string, string> {
  let kept = actorsByWalk.get(walk);
  if (!kept) actorsByWalk.set(walk, (kept = [{ ...walk.states.actors }]));
  const whole = Math.floor(step / KEEP_EVERY);
  const actors = { ...kept[Math.min(whole, kept.length - 1)] };
  for (let i = Math.min(whole, kept.length - 1) * KEEP_EVERY; i < step; i++) {
    Object.assign(actors, walk.states.steps[i]?.actors ?? {});
    if ((i + 1) % KEEP_EVERY === 0) kept[(i + 1) / KEEP_EVERY] ??= { ...actors };
  }
  return actors;
}
