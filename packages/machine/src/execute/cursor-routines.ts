/**
 * Routines as generators that only go on.
 *
 * A run that does not come back to old states gains nothing from remembering them: every routine keeps its generator
 * and nothing else, so memory does not grow with the length of the run.
 */
import type { Mark, Operation } from '../routine/operation.ts';
import type { Program } from '../routine/routine.ts';
import { RoutineCursor } from '../routine/cursor.ts';
import { ContentHashes } from '../state/words.ts';
import type { Kept, RoutineKeeper } from './keepers.ts';

/** Two ids per word, used in turn: a fingerprint update needs the old content and the new one. */
const IDS_PER_WORD = 2;
const SILENT: readonly Mark[] = [];

/** A word only says that there is a routine, until somebody asks for the fingerprint. */
export class CursorRoutines implements RoutineKeeper {
  said = SILENT;
  readonly #kept: Kept;
  /** The words of routines are close together, from this one on. */
  readonly #first: number;
  /** By word of the routine. */
  readonly #cursors: (RoutineCursor | undefined)[] = [];
  readonly #contents = new ContentHashes();

  constructor(kept: Kept) {
    this.#kept = kept;
    this.#first = Math.min(...kept.system.processors.map(({ taskBase }) => taskBase));
  }

  begin(): void {
    this.#cursors.length = 0;
  }

  start(address: number, program: number): void {
    const { system, store } = this.#kept;
    const cursor = new RoutineCursor(system.programs[program] as Program, program, store.words.length);
    this.#put(address, cursor);
    this.said = cursor.said;
  }

  clear(address: number): void {
    this.#kept.store.writeInterned(address, 0, this.#contents);
    this.#cursors[address - this.#first] = undefined;
  }

  swap(a: number, b: number): void {
    const [first, second] = [this.#at(a), this.#at(b)] as [RoutineCursor, RoutineCursor];
    this.#put(a, second);
    this.#put(b, first);
  }

  advance(address: number, result: number): boolean {
    const cursor = this.#at(address) as RoutineCursor;
    cursor.advance(result);
    this.said = cursor.said;
    return cursor.pending === null;
  }

  operationAt(address: number): Operation | null {
    return this.#at(address)?.pending ?? null;
  }

  stackAt(address: number): readonly string[] {
    return this.#at(address)?.stack ?? [];
  }

  stepsAt(address: number): number | null {
    return this.#at(address)?.steps ?? null;
  }

  settle(): void {
    this.#cursors.forEach((cursor, place) => cursor && this.#write(this.#first + place, cursor));
  }

  #at(address: number): RoutineCursor | undefined {
    return this.#cursors[address - this.#first];
  }

  #put(address: number, cursor: RoutineCursor): void {
    this.#cursors[address - this.#first] = cursor;
    this.#write(address, cursor);
  }

  #write(address: number, cursor: RoutineCursor): void {
    const { store } = this.#kept;
    const first = 1 + address * IDS_PER_WORD;
    const id = store.read(address) === first ? first + 1 : first;
    this.#contents.set(id, cursor.hash);
    store.writeInterned(address, id, this.#contents);
  }
}
