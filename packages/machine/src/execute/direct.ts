/**
 * The executor for long runs: components are tabulated, routines run directly.
 *
 * A run that does not come back to old states gains nothing from remembering them: here every routine keeps its
 * generator and nothing else, so memory does not grow with the length of the run. It cannot undo.
 */
import type { Operation } from '../routine/operation.ts';
import { RoutineCursor, type Program } from '../routine/routine.ts';
import type { Processor } from '../system/system.ts';
import { TabulatedExecutor } from './tabulated.ts';
import { ContentHashes } from '../state/words.ts';

/** Two ids per word, used in turn: a fingerprint update needs the old content and the new one. */
const IDS_PER_WORD = 2;

/** Runs a system without remembering routine states. */
export class DirectExecutor extends TabulatedExecutor {
  /**
   * By address of the routine's word. Set up by {@link begin}: the base constructor starts routines before fields
   * exist.
   */
  declare private cursors: Map<number, RoutineCursor>;
  declare private contents: ContentHashes;

  override get commitsEachStep(): boolean {
    return true;
  }

  /** What was written before this step can no longer be undone, so the journal does not grow either. */
  override step(choiceIndex: number, branch = 0): boolean {
    this.store.commit();
    return super.step(choiceIndex, branch);
  }

  /** Routines that a reset leaves behind are none of the new run's. */
  protected override begin(): void {
    this.cursors = new Map();
    this.contents = new ContentHashes();
    super.begin();
  }

  /** Nobody asks after every step, so what stands for the routines in it is brought up to date here. */
  override get fingerprint(): string {
    for (const [address, cursor] of this.cursors) this.writeCursor(address, cursor);
    return super.fingerprint;
  }

  protected override advance(index: number, branch: number): boolean {
    return this.performPending(index, branch);
  }

  override stackOf(processor: number): readonly string[] {
    return this.cursors.get(this.topAddress(this.system.processors[processor] as Processor))?.stack ?? [];
  }

  protected override operationAt(address: number): Operation | null {
    return this.cursors.get(address)?.pending ?? null;
  }

  protected override stepsAt(address: number): number | null {
    return this.cursors.get(address)?.steps ?? null;
  }

  protected override startRoutine(address: number, program: number): void {
    const cursor = new RoutineCursor(this.system.programs[program] as Program, program, this.store.words.length);
    this.put(address, cursor);
    this.heard(cursor);
  }

  protected override clearRoutine(address: number): void {
    this.store.writeInterned(address, 0, this.contents);
    this.cursors.delete(address);
  }

  protected override swapRoutines(a: number, b: number): void {
    const [first, second] = [this.cursors.get(a), this.cursors.get(b)] as [RoutineCursor, RoutineCursor];
    this.put(a, second);
    this.put(b, first);
  }

  /** A routine comes to a word. What it has said was heard where it was. */
  private put(address: number, cursor: RoutineCursor): void {
    this.cursors.set(address, cursor);
    this.writeCursor(address, cursor);
  }

  protected override advanceRoutine(address: number, result: number): boolean {
    const cursor = this.cursors.get(address) as RoutineCursor;
    cursor.advance(result);
    this.heard(cursor);
    return cursor.pending === null;
  }

  private heard(cursor: RoutineCursor): void {
    if (cursor.said.length > 0) this.hear(cursor.said);
  }

  private writeCursor(address: number, cursor: RoutineCursor): void {
    const first = 1 + address * IDS_PER_WORD;
    const id = this.store.read(address) === first ? first + 1 : first;
    this.contents.set(id, cursor.hash);
    this.store.writeInterned(address, id, this.contents);
  }
}
