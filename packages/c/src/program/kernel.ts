/** The memory of a program, as its C and its primitives see it: words by number, called by their names. */
import {
  accessOf,
  performAccess,
  resumed,
  swapIf,
  swapTo,
  type Address,
  type Dependencies,
  type Mark,
  type Operation,
  type Steps,
} from '@shootdown/machine';
import type { Access, AtomicName } from '../compile/code.ts';
import type { Memory } from '../run/memory.ts';
import type { Races } from '../run/races.ts';
import { PointerBase } from '../run/words.ts';
import type { ProgramLayout } from './layout.ts';

/** Where the words of a program are in the machine that runs it. */
export interface ProgramPlaces {
  /** Address of a word by its number. */
  addressOf(word: number): Address;
  /** Address of the word that counts a thread's RCU read-side sections. */
  section(thread: number): Address;
  readonly threads: number;
  /** Null: nothing is accessed in a plain way, so nothing can race. */
  readonly races: Races | null;
}

export class ProgramKernel implements Memory {
  readonly base = 0;
  readonly cells: number;
  readonly layout: ProgramLayout;
  readonly #places: ProgramPlaces;

  constructor(layout: ProgramLayout, places: ProgramPlaces) {
    this.layout = layout;
    this.cells = layout.words.length;
    this.#places = places;
  }

  addressOf(word: number): Address {
    return this.#places.addressOf(word);
  }

  nameOf(word: number): string {
    return this.layout.words[word]?.name ?? `word ${word}`;
  }

  /** A value as it is printed: the name of what it points to, or a number. */
  show(value: number): string {
    return shownValue(this.layout, value);
  }

  section(thread: number): Address {
    return this.#places.section(thread);
  }

  get sections(): Address[] {
    return Array.from({ length: this.#places.threads }, (_, i) => this.section(i));
  }

  load(word: number, access: Access, dependencies: Dependencies | null = null): Steps<number> {
    const acquire = access === 'smp_load_acquire' ? 'full' : 'none';
    const loads = accessOf({ kind: 'load', address: this.addressOf(word), acquire, dependencies });
    const name = this.nameOf(word);
    const saying = { label: access === 'plain' ? name : `${access}(${name})`, fact: (v: number) => this.show(v) };
    return this.watched(performAccess(loads, saying), word, false, access === 'plain');
  }

  *store(word: number, value: number, access: Access, dependencies: Dependencies | null = null): Steps {
    const release = access === 'smp_store_release' || access === 'rcu_assign_pointer';
    const stores = accessOf({ kind: 'store', address: this.addressOf(word), value, release, dependencies });
    const [name, text] = [this.nameOf(word), this.show(value)];
    const label = access === 'plain' ? `${name} = ${text}` : `${access}(${name}, ${text})`;
    yield* this.watched(performAccess(stores, { label }), word, true, access === 'plain');
  }

  atomic(
    word: number,
    { operation, name }: AtomicName,
    words: readonly number[],
    dependencies: Dependencies | null = null,
  ): Steps<number> {
    const [a = 0, b = 0] = words;
    const relaxed = name.endsWith('_relaxed');
    const access = accessOf({
      kind: 'update',
      address: this.addressOf(word),
      modify: operation === 'xchg' ? swapTo(a) : swapIf(a, b),
      acquire: relaxed || name.endsWith('_release') ? 'none' : 'full',
      release: !relaxed && !name.endsWith('_acquire'),
      dependencies,
    });
    const shown = [this.nameOf(word), ...words.map((value) => this.show(value))].join(', ');
    const saying = { label: `${name}(${shown})`, fact: (v: number) => this.show(v) };
    return this.watched(performAccess(access, saying), word, true);
  }

  /** An access of one word: where there are plain ones, with a look for races. */
  *watched(steps: Steps<number>, word: number, write: boolean, plain = false): Steps<number> {
    const { races } = this.#places;
    if (!races) return yield* steps;
    let result = 0;
    for (let next = resumed(steps, 0); !next.done; next = resumed(steps, result)) {
      const { value } = next;
      result = isOperation(value) ? yield* races.access(value, word, write, plain) : yield value;
    }
    return result;
  }
}

/** A value as it is printed. */
export function shownValue({ words }: ProgramLayout, value: number): string {
  return value >= PointerBase.shared ? (words[value - PointerBase.shared]?.name ?? String(value)) : String(value);
}

function isOperation(value: Operation | Mark): value is Operation {
  return 'definition' in value;
}
