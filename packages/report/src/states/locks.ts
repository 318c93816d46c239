/** Locks over a run: what each says of itself, who holds it, who waits for it. */
import type { StateTrace, Trace } from '@shootdown/machine';
import { historiesOf, lastAt, type Stretch, type WordHistory } from './histories.ts';

/** A lock for some steps. Holders and those who wait by the names of their processors. */
export interface LockStretch extends Stretch {
  readonly text: string;
  readonly holders: readonly string[];
  readonly waiters: readonly string[];
}

/** A lock. */
export interface LockView {
  readonly name: string;
  /** Its words. */
  readonly addresses: readonly number[];
  readonly stretches: readonly LockStretch[];
}

type Run = Pick<Trace, 'columns' | 'steps'>;

const PART = /^(.+?)\.(count|read_count|owner|held|waiting|wait_list|waiters|queue)(?:\[\d+\])?$/;
const WHOLE = /(^|\.)(ptl|.*lock|.*mutex)(\[\d+\])?$/;
/** As the words of spinlocks and mutexes are printed. */
const HELD_BY = /^held by (\d+)$/;
const A_LOCK = /lock|sem|mutex|ptl/;

const known = new WeakMap<StateTrace, readonly LockView[]>();

/** The locks of a machine. Who holds them is told by the columns of the trace and by its steps. */
export function locksOf(states: StateTrace, trace: Run): readonly LockView[] {
  const found = known.get(states);
  if (found) return found;
  const parts = new Map<string, WordHistory[]>();
  for (const word of historiesOf(states).values()) {
    const name = PART.exec(word.name)?.[1] ?? (WHOLE.test(word.name) ? word.name : null);
    if (name !== null && A_LOCK.test(name)) parts.set(name, [...(parts.get(name) ?? []), word]);
  }
  const locks = [...parts].map(([name, words]) => ({
    name,
    addresses: words.map(({ address }) => address),
    stretches: lockStretches(words, states.steps.length, trace),
  }));
  known.set(states, locks);
  return locks;
}

function lockStretches(words: readonly WordHistory[], steps: number, trace: Run): LockStretch[] {
  const turns = new Set(words.flatMap(({ values }) => values.map(({ from }) => from)));
  const result: LockStretch[] = [];
  for (const from of [...turns].sort((a, b) => a - b)) {
    const stretch = { from, to: steps, ...lockAt(words, from, trace) };
    const last = result.at(-1);
    if (last) result[result.length - 1] = { ...last, to: from };
    if (!last || JSON.stringify({ ...last, from, to: steps }) !== JSON.stringify(stretch)) result.push(stretch);
  }
  const last = result.at(-1);
  if (last) result[result.length - 1] = { ...last, to: steps };
  return result;
}

function lockAt(
  words: readonly WordHistory[],
  step: number,
  trace: Run,
): Pick<LockStretch, 'text' | 'holders' | 'waiters'> {
  const nameOf = (column: number): string => trace.columns[column]?.name ?? `processor ${column}`;
  const holders = new Set<string>();
  const waiters = new Set<string>();
  for (const { name, values } of words) {
    const value = lastAt(values, step)?.value ?? 0;
    if (value === 0) continue;
    const [, , part = '', index = ''] = /^(.+)\.(\w+)\[(\d+)\]$/.exec(name) ?? [];
    if (name.endsWith('.owner')) holders.add(nameOf(value - 1));
    else if (part === 'held') holders.add(nameOf(Number(index)));
    else if (part === 'waiting' || part === 'waiters') waiters.add(nameOf(Number(index)));
  }
  const main = words.find(({ name }) => /\.(read_)?count$/.test(name)) ?? words[0];
  const { from = 0, value = 0, text = '' } = lastAt(main?.values ?? [], step) ?? {};
  const isWhole = words.length === 1;
  // One word, which says who holds it; or only that somebody does, and then that is who has written it.
  if (isWhole && value !== 0) {
    const holder = HELD_BY.exec(text)?.[1] ?? trace.steps[from - 1]?.column ?? -1;
    if (Number(holder) >= 0) holders.add(nameOf(Number(holder)));
  }
  return { text: isWhole && value === 0 ? 'free' : text, holders: [...holders], waiters: [...waiters] };
}
