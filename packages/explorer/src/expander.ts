/**
 * Takes every choice that is enabled in one state. Both engines and every worker use this one loop, so that they agree on
 * what the successors of a state are.
 */
import { BLOCKED, ModelError, scheduleEntry, type System, type TabulatedExecutor } from '@shootdown/machine';
import { ENTRY_MAX, StateFlag } from './graph.ts';
import type { PropertyChecker } from './properties.ts';
import type { Reduction } from './reduction.ts';

/** Is told of every successor while the executor is in it. */
export interface Successors {
  arrive(entry: number): void;
}

/** Kinds of choices: spontaneous ones do not keep a system from being at rest. */
export class Expander {
  /** Transitions per choice of the system. */
  readonly taken: Float64Array;
  readonly #executor: TabulatedExecutor;
  readonly #checker: PropertyChecker;
  readonly #spontaneous: Uint8Array;
  readonly #choices: number;
  readonly #reduction: Reduction | null;

  constructor(system: System, executor: TabulatedExecutor, checker: PropertyChecker, reduction: Reduction | null) {
    this.#executor = executor;
    this.#checker = checker;
    this.#reduction = reduction;
    this.#choices = system.choices.length;
    this.taken = new Float64Array(this.#choices);
    this.#spontaneous = Uint8Array.from(system.choices, (choice) => (choice.kind === 'spontaneous' ? 1 : 0));
  }

  /** Expands the executor's present state (journal empty) and comes back to it. Returns its {@link StateFlag}s. */
  expand(successors: Successors): number {
    const { store } = this.#executor;
    const { lo, hi } = store;
    if (this.#reduction !== null) {
      const count = this.#reduction.rank();
      for (let i = 0; i < count; i++) if (this.take(this.#reduction.ranked[i] as number, lo, hi, successors) > 0) return 0;
    }
    let busy = 0;
    let idle = 0;
    for (let choice = 0; choice < this.#choices; choice++) {
      const taken = this.take(choice, lo, hi, successors);
      if (this.#spontaneous[choice] === 1) idle += taken;
      else busy += taken;
    }
    return busy > 0 ? 0 : this.#quiet(idle);
  }

  /** Takes all branches of one choice; returns how many were enabled. */
  take(choice: number, lo: number, hi: number, successors: Successors): number {
    const executor = this.#executor;
    const { store } = executor;
    let enabled = 0;
    let branches = 1;
    for (let branch = 0; branch < branches; branch++) {
      if (executor.step(choice, branch)) {
        enabled++;
        successors.arrive(scheduleEntry(choice, branch));
        store.undo(0, lo, hi);
      } else if (store.mark !== 0) {
        throw new ModelError(`explore: ${this.#executor.system.choices[choice]?.name ?? '?'}: changed the state although it was blocked (${BLOCKED})`);
      }
      if (executor.branchCount > branches) branches = this.#checked(choice, executor.branchCount);
    }
    this.taken[choice] = (this.taken[choice] as number) + enabled;
    return enabled;
  }

  #checked(choice: number, branches: number): number {
    if (scheduleEntry(choice, branches - 1) > ENTRY_MAX) {
      throw new ModelError(`explore: ${this.#executor.system.choices[choice]?.name ?? '?'}: ${branches} outcomes of one step, at most 128 can be explored`);
    }
    return branches;
  }

  /** Nothing but spontaneous choices can move. */
  #quiet(spontaneous: number): number {
    if (this.#executor.atRest()) return StateFlag.rest | (this.#checker.finallyBroken() ? StateFlag.finallyBroken : 0);
    return spontaneous === 0 ? StateFlag.deadlock : 0;
  }
}
