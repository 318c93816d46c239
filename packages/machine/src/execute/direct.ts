/** The executor for long runs: components are tabulated, routines run directly. It cannot undo. */
import { CursorRoutines } from './cursor-routines.ts';
import { Executor } from './executor.ts';
import { TabulatedComponents } from './tabulated-components.ts';
import type { System } from '../system/specs.ts';

/** Runs a system without remembering routine states. */
export class DirectExecutor extends Executor<CursorRoutines, TabulatedComponents> {
  constructor(system: System) {
    super(system, (kept) => ({ routines: new CursorRoutines(kept), components: new TabulatedComponents(kept) }));
  }

  override get commitsEachStep(): boolean {
    return true;
  }

  /** What was written before this step can no longer be undone, so the journal does not grow either. */
  override step(choiceIndex: number, branch = 0): boolean {
    this.store.commit();
    return super.step(choiceIndex, branch);
  }
}
