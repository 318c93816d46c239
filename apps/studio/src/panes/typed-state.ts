/** The words of a state as what they are: page tables, TLBs, what each CPU has for itself, locks. */
import type { Walk } from '../engine/api.ts';
import type { ShownWord } from './shown-state.ts';

/** An entry of a table that says something, or that the step has changed. */
export interface ShownEntry {
  readonly index: number;
  readonly text: string;
  readonly changed: boolean;
  /** The frame that it points to; null: none of this machine. */
  readonly to: number | null;
}

/** A table or page, by the number of its frame. */
export interface ShownFrame {
  readonly frame: number;
  readonly kind: string;
  readonly isTable: boolean;
  readonly isFreed: boolean;
  readonly changed: boolean;
  /** The address spaces whose root it is. */
  readonly roots: readonly string[];
  readonly entries: readonly ShownEntry[];
}

/** A lock: what it says of itself, and who holds it. */
export interface ShownLock {
  readonly name: string;
  readonly text: string;
  readonly holders: readonly string[];
  readonly changed: boolean;
}

/** What each CPU has for itself: a row per word, a column per CPU. */
export interface PerCpuRow {
  readonly name: string;
  readonly cells: readonly (ShownWord | null)[];
}

/** Everything that has a view of its own, and the words that have none. */
export interface TypedState {
  readonly frames: readonly ShownFrame[];
  readonly tlbs: readonly ShownWord[];
  readonly cpus: readonly number[];
  readonly perCpu: readonly PerCpuRow[];
  readonly locks: readonly ShownLock[];
  readonly others: readonly ShownWord[];
}

/** Formats of x86 and arm64 alike: bit 0 says that an entry is there, and the frame begins at bit 12. */
const PRESENT = 1;
const FRAME_SHIFT = 12;

const PER_CPU = /^per_cpu\((.+), (\d+)\)$/;
const TLB = /^\w*tlb\(/;
const LOCK = /^(.+?)\.(count|owner|held|waiters?|queue)(?:\[\d+\])?$/;
const INTERNAL = /\.(lowest|tags|loaded|waiting|wait_list|hooks|allowed|begun|flushing)(\[|$)/;

/** Sorts the words of a state. */
export function typedState(walk: Walk, words: readonly ShownWord[]): TypedState {
  const left = new Set(words.filter(({ name }) => !INTERNAL.test(name)));
  const frames = framesIn(walk, words, left);
  const tlbs = takeFrom(left, ({ name }) => TLB.test(name));
  const { cpus, perCpu } = perCpuIn(takeFrom(left, ({ name }) => PER_CPU.test(name)));
  const locks = locksIn(walk, left);
  return {
    frames,
    tlbs: tlbs.filter(saysSomething),
    cpus,
    perCpu,
    locks,
    others: [...left].filter((word) => saysSomething(word) && !/^frame\b/.test(word.region)),
  };
}

/** Words that change on the walk, and those that are not 0. */
function saysSomething({ moves, value, text }: ShownWord): boolean {
  return moves || (value !== 0 && text !== 'none');
}

function takeFrom(left: Set<ShownWord>, is: (word: ShownWord) => boolean): ShownWord[] {
  const taken = [...left].filter(is);
  for (const word of taken) left.delete(word);
  return taken;
}

function framesIn(walk: Walk, words: readonly ShownWord[], left: Set<ShownWord>): ShownFrame[] {
  const states = words.filter(({ region }) => region === 'frame.state');
  const entries = words.filter(({ region }) => region === 'frame.entry');
  const each = entriesPerTable(walk, states, entries.length);
  if (each === 0) return [];
  for (const word of [...states, ...entries]) left.delete(word);
  const roots = words.filter(({ name, value }) => /\bpgd$/.test(name) && value > 0);
  return states.flatMap((state, frame): ShownFrame[] => {
    const own = entries.slice(frame * each, (frame + 1) * each);
    const shown = own
      .map((word, index): ShownEntry | null => {
        if (!saysSomething(word)) return null;
        const to = word.value >>> FRAME_SHIFT;
        const points = (word.value & PRESENT) !== 0 && to < states.length;
        return { index, text: word.text, changed: word.before !== null, to: points ? to : null };
      })
      .filter((entry) => entry !== null);
    const isTable = /table/.test(state.text);
    if (!isTable && shown.length === 0 && !state.moves && state.value === 0) return [];
    return [
      {
        frame,
        kind: state.text,
        isTable,
        isFreed: /freed/.test(state.text),
        changed: state.before !== null,
        roots: roots.filter(({ value }) => value === frame + 1).map(({ name }) => name.replace(/\.?pgd$/, '')),
        entries: shown,
      },
    ];
  });
}

/**
 * Tables come first, and only they have entries: as many each as make room for every frame that is a table at some
 * time.
 */
function entriesPerTable(walk: Walk, states: readonly ShownWord[], entries: number): number {
  const addresses = states.map(({ address }) => address);
  const first = addresses[0] ?? 0;
  const wereTables = [
    ...walk.states.words.flatMap(({ address }, i) =>
      /table/.test(walk.states.initial[i]?.text ?? '') ? [address] : [],
    ),
    ...walk.states.steps.flatMap(({ changes }) =>
      changes.filter(({ text }) => /table/.test(text)).map((c) => c.address),
    ),
  ].filter((address) => addresses.includes(address));
  const least = Math.max(0, ...wereTables.map((address) => address - first + 1));
  for (let tables = Math.max(1, least); tables <= states.length; tables++)
    if (entries % tables === 0) return entries / tables;
  return 0;
}

function perCpuIn(words: readonly ShownWord[]): Pick<TypedState, 'cpus' | 'perCpu'> {
  const rows = new Map<string, ShownWord[]>();
  const cpus = new Set<number>();
  for (const word of words) {
    const [, name = '', cpu = ''] = PER_CPU.exec(word.name) ?? [];
    cpus.add(Number(cpu));
    const row = rows.get(name) ?? [];
    row[Number(cpu)] = word;
    rows.set(name, row);
  }
  const numbers = [...cpus].sort((a, b) => a - b);
  return {
    cpus: numbers,
    perCpu: [...rows]
      .filter(([, row]) => row.some(saysSomething))
      .map(([name, row]) => ({ name, cells: numbers.map((cpu) => row[cpu] ?? null) })),
  };
}

function locksIn(walk: Walk, left: Set<ShownWord>): ShownLock[] {
  const parts = new Map<string, ShownWord[]>();
  for (const word of left) {
    const name = LOCK.exec(word.name)?.[1] ?? (/(^|\.)(ptl|.*lock)(\[\d+\])?$/.test(word.name) ? word.name : null);
    if (name !== null && /lock|sem|mutex|ptl/.test(name)) parts.set(name, [...(parts.get(name) ?? []), word]);
  }
  return [...parts].flatMap(([name, words]): ShownLock[] => {
    for (const word of words) left.delete(word);
    if (!words.some(saysSomething)) return [];
    const nameOf = (column: number): string => walk.trace.columns[column]?.name ?? `processor ${column}`;
    const holders = words.flatMap((word) => {
      if (word.value === 0) return [];
      if (word.name.endsWith('.owner')) return [nameOf(word.value - 1)];
      const held = /\.held\[(\d+)\]$/.exec(word.name)?.[1];
      return held === undefined ? [] : [nameOf(Number(held))];
    });
    const main = words.find((word) => word.name.endsWith('.count')) ?? words[0];
    const free = main?.value === 0;
    return [
      {
        name,
        text: free && !main.name.endsWith('.count') ? 'free' : (main?.text ?? ''),
        holders: [...new Set(holders)],
        changed: words.some(({ before }) => before !== null),
      },
    ];
  });
}
