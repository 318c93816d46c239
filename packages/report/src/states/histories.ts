/** Every word of a run over its steps, for views that jump to any step. */
import type { StateTrace, StateWord } from '@shootdown/machine';

/** Something that begins after a number of steps; what begins before the first is there from the beginning. */
export interface Beginning {
  readonly from: number;
}

/** A stretch of a run: after `from` steps it begins, after `to` it is over. */
export interface Stretch extends Beginning {
  readonly to: number;
}

/** A value that a word has from some step on, as its region prints it. */
export interface WordValue extends Beginning {
  readonly value: number;
  readonly text: string;
}

/** A word with all its values, in the order of the steps. */
export interface WordHistory extends StateWord {
  readonly values: readonly WordValue[];
}

/**
 * Position of the last that has begun after so many steps; -1: none has. The list is in the order of its beginnings.
 */
export function positionAt(list: readonly Beginning[], step: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as Beginning).from <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The last that has begun after so many steps. */
export function lastAt<T extends Beginning>(list: readonly T[], step: number): T | null {
  return list[positionAt(list, step)] ?? null;
}

/** The stretches of a word's values in a run of so many steps. */
export function stretchesOf({ values }: WordHistory, steps: number): (WordValue & Stretch)[] {
  return values.map((value, i) => ({ ...value, to: values[i + 1]?.from ?? steps }));
}

const known = new WeakMap<StateTrace, ReadonlyMap<number, WordHistory>>();

/** The words of a run by address. */
export function historiesOf(states: StateTrace): ReadonlyMap<number, WordHistory> {
  const found = known.get(states);
  if (found) return found;
  const { words, initial, steps } = states;
  const values = words.map((_, i): WordValue[] => [
    { from: 0, value: initial[i]?.value ?? 0, text: initial[i]?.text ?? '' },
  ]);
  const byAddress = new Map(words.map(({ address }, i) => [address, values[i]]));
  steps.forEach(({ changes }, i) => {
    for (const { address, after, text } of changes) byAddress.get(address)?.push({ from: i + 1, value: after, text });
  });
  const histories = new Map(words.map((word, i) => [word.address, { ...word, values: values[i] ?? [] }]));
  known.set(states, histories);
  return histories;
}
