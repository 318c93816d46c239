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
  /** By address of the routine's word. */
  readonly #cursors = new Map<number, RoutineCursor>();
  readonly #contents = new ContentHashes();
  /** What was asked for last: mostly the next question is about the same routine. */
  #lastAddress = -1;
  #last: RoutineCursor | undefined;

  constructor(kept: Kept) {
    this.#kept = kept;
  }

  begin(): void {
    this.#cursors.clear();
    this.#lastAddress = -1;
  }

  start(address: number, program: number): void {
    const { system, store } = this.#kept;
    const cursor = new RoutineCursor(system.programs[program] as Program, program, store.words.length);
    this.#put(address, cursor);
    this.said = cursor.said;
  }

  clear(address: number): void {
    this.#kept.store.writeInterned(address, 0, this.#contents);
    this.#cursors.delete(address);
    this.#lastAddress = -1;
  }

  swap(a: number, b: number): void {
    const [first, second] = [this.#cursors.get(a), this.#cursors.get(b)] as [RoutineCursor, RoutineCursor];
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
    for (const [address, cursor] of this.#cursors) this.#write(address, cursor);
  }

  #at(address: number): RoutineCursor | undefined {
    if (address !== this.#lastAddress) {
      this.#lastAddress = address;
      this.#last = this.#cursors.get(address);
    }
    return this.#last;
  }

  #put(address: number, cursor: RoutineCursor): void {
    this.#cursors.set(address, cursor);
    this.#lastAddress = -1;
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
