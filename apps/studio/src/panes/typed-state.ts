/** The words of a state as what they are: page tables, TLBs, what each CPU has for itself, locks. */
import { framesOf, lastAt, locksOf, tlbsOf } from '@shootdown/report';
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
  readonly waiters: readonly string[];
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

const PER_CPU = /^per_cpu\((.+), (\d+)\)$/;
const INTERNAL = /\.(lowest|tags|loaded|waiting|wait_list|hooks|allowed|begun|flushing)(\[|$)/;

/** Which words have which view: the same at every step. Positions in the words of a state. */
interface Places {
  readonly byAddress: ReadonlyMap<number, number>;
  readonly tlbs: readonly number[];
  readonly cpus: readonly number[];
  readonly perCpu: readonly { readonly name: string; readonly cells: readonly (number | null)[] }[];
  readonly others: readonly number[];
}

const placesByWalk = new WeakMap<Walk, Places>();

function placesOf(walk: Walk): Places {
  const known = placesByWalk.get(walk);
  if (known) return known;
  const { words } = walk.states;
  const frames = framesOf(walk.states);
  const tlbs = tlbsOf(walk.states);
  const viewed = new Set([
    ...frames.flatMap(({ address, entries }) => [address, ...entries.map((entry) => entry.address)]),
    ...locksOf(walk.states, walk.trace).flatMap(({ addresses }) => addresses),
    ...tlbs.keys(),
  ]);
  const rows = new Map<string, (number | null)[]>();
  const cpus = new Set<number>();
  const others: number[] = [];
  words.forEach(({ address, name, region }, i) => {
    if (INTERNAL.test(name) || viewed.has(address)) return;
    const [, word, cpu] = PER_CPU.exec(name) ?? [];
    if (word === undefined) {
      if (!/^frame\b/.test(region)) others.push(i);
      return;
    }
    cpus.add(Number(cpu));
    const row = rows.get(word) ?? [];
    row[Number(cpu)] = i;
    rows.set(word, row);
  });
  const numbers = [...cpus].sort((a, b) => a - b);
  const places: Places = {
    byAddress: new Map(words.map(({ address }, i) => [address, i])),
    tlbs: words.flatMap(({ address }, i) => (tlbs.has(address) ? [i] : [])),
    cpus: numbers,
    perCpu: [...rows].map(([name, row]) => ({ name, cells: numbers.map((cpu) => row[cpu] ?? null) })),
    others,
  };
  placesByWalk.set(walk, places);
  return places;
}

/** Sorts the words of a state. */
export function typedState(walk: Walk, words: readonly ShownWord[], step: number): TypedState {
  const places = placesOf(walk);
  const wordAt = (address: number): ShownWord | null => words[places.byAddress.get(address) ?? -1] ?? null;
  const taken = (positions: readonly number[]): ShownWord[] =>
    positions.flatMap((position) => words[position] ?? []).filter(saysSomething);
  return {
    frames: framesAt(walk, step, wordAt),
    tlbs: taken(places.tlbs),
    cpus: places.cpus,
    perCpu: places.perCpu
      .map(({ name, cells }) => ({ name, cells: cells.map((cell) => (cell === null ? null : (words[cell] ?? null))) }))
      .filter(({ cells }) => cells.some((word) => word !== null && saysSomething(word))),
    locks: locksAt(walk, step, wordAt),
    others: taken(places.others),
  };
}

/** Words that change on the walk, and those that are not 0. */
function saysSomething({ moves, value, text }: ShownWord): boolean {
  return moves || (value !== 0 && text !== 'none');
}

type WordAt = (address: number) => ShownWord | null;

function framesAt(walk: Walk, step: number, wordAt: WordAt): ShownFrame[] {
  return framesOf(walk.states).flatMap(({ frame, address, stretches, roots, entries }): ShownFrame[] => {
    const word = wordAt(address);
    const now = lastAt(stretches, step);
    const shown = entries.flatMap(({ index, address: place, stretches: values }): ShownEntry[] => {
      const entry = wordAt(place);
      const value = lastAt(values, step);
      if (!entry || !value || !saysSomething(entry)) return [];
      return [{ index, text: value.text, changed: entry.before !== null, to: value.pointsTo }];
    });
    if (!word || !now || (!now.isTable && shown.length === 0 && !word.moves && now.value === 0)) return [];
    return [
      {
        frame,
        kind: now.text,
        isTable: now.isTable,
        isFreed: now.isFreed,
        changed: word.before !== null,
        roots: roots
          .filter(({ from, to }) => from <= step && (step < to || to === steps(walk)))
          .map(({ name }) => name),
        entries: shown,
      },
    ];
  });
}

function steps(walk: Walk): number {
  return walk.states.steps.length;
}

function locksAt(walk: Walk, step: number, wordAt: WordAt): ShownLock[] {
  return locksOf(walk.states, walk.trace).flatMap(({ name, addresses, stretches }): ShownLock[] => {
    const words = addresses.flatMap((address) => wordAt(address) ?? []);
    const now = lastAt(stretches, step);
    if (!now || !words.some(saysSomething)) return [];
    const { text, holders, waiters } = now;
    return [{ name, text, holders, waiters, changed: words.some(({ before }) => before !== null) }];
  });
}
