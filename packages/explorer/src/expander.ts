/**
 * Takes every choice that is enabled in one state. All engines and every worker use this one loop, so that they agree
 * on what the successors of a state are.
 */
import { LimitError, ModelError, scheduleEntry, type System, type TabulatedExecutor } from '@shootdown/machine';
import { Packing, StateFlag } from './graph.ts';
import type { PropertyChecker } from './properties.ts';
import type { Reduction } from './reduction.ts';
import { hasRunOutOfRoom } from './replay.ts';

/** Is told of every successor while the executor is in it. */
export interface Successors {
  arrive(entry: number): void;
}

const NOBODY: Successors = { arrive: () => undefined };

/** Expands states of one executor. */
export class Expander {
  /** Transitions per choice of the system. */
  readonly taken: Float64Array;
  /** Something enabled was left out because it would have been one preemption too many. */
  pruned = false;
  /** While a successor is reported: the processor that moved last (+ 1, 0: none) and the preemptions so far. */
  nextLast = 0;
  nextUsed = 0;
  readonly #executor: TabulatedExecutor;
  readonly #checker: PropertyChecker;
  readonly #reduction: Reduction | null;
  readonly #preemptions: number;
  readonly #choices: number;
  readonly #processors: number;
  readonly #spontaneous: Uint8Array;
  readonly #branchesMax: number;
  /** Schedule entry of the first branch of each choice: most have no other. */
  readonly #entries: readonly number[];

  constructor(
    system: System,
    executor: TabulatedExecutor,
    checker: PropertyChecker,
    reduction: Reduction | null,
    preemptions: number,
  ) {
    this.#executor = executor;
    this.#checker = checker;
    this.#reduction = reduction;
    this.#preemptions = preemptions;
    this.#choices = system.choices.length;
    this.#processors = system.processors.length;
    this.#branchesMax = new Packing(this.#choices).branchesMax;
    this.taken = new Float64Array(this.#choices);
    this.#entries = system.choices.map((_, choice) => scheduleEntry(choice, 0));
    this.#spontaneous = Uint8Array.from(system.choices, (choice) => (choice.kind === 'spontaneous' ? 1 : 0));
  }

  /**
   * Expands the executor's present state (journal empty) and comes back to it. Returns its {@link StateFlag}s.
   * @param last the processor that moved last, + 1; only looked at when preemptions are bounded
   * @param used preemptions so far
   */
  expand(successors: Successors, last: number, used: number): number {
    const { lo, hi } = this.#executor.store;
    if (this.#preemptions !== Infinity) return this.#expandBounded(successors, last, used);
    if (this.#reduction !== null) {
      for (let choice = this.#reduction.next(0); choice >= 0; choice = this.#reduction.next(choice + 1)) {
        if (this.take(choice, lo, hi, successors) > 0) return 0;
      }
    }
    let busy = 0;
    let idle = 0;
    for (let choice = 0; choice < this.#choices; choice++) {
      const taken = this.take(choice, lo, hi, successors);
      if (this.#spontaneous[choice] === 1) idle += taken;
      else busy += taken;
    }
    return busy > 0 ? 0 : this.quiet(idle);
  }

  /** Takes all branches of one choice from the state with fingerprint (lo, hi); returns how many were enabled. */
  take(choice: number, lo: number, hi: number, successors: Successors): number {
    const executor = this.#executor;
    const { store } = executor;
    const mark = store.mark;
    let enabled = 0;
    let branches = 1;
    for (let branch = 0; branch < branches; branch++) {
      if (executor.step(choice, branch)) {
        enabled++;
        successors.arrive(branch === 0 ? (this.#entries[choice] as number) : scheduleEntry(choice, branch));
        store.undo(mark, lo, hi);
      } else if (store.mark !== mark) {
        throw new ModelError(`explore: ${this.#nameOf(choice)}: changed the state although it could not happen`);
      }
      if (executor.branchCount > branches) branches = this.checkBranches(choice, executor.branchCount);
    }
    this.taken[choice] = (this.taken[choice] as number) + enabled;
    return enabled;
  }

  /** Whether a choice has an enabled branch in the state with fingerprint (lo, hi). */
  enabled(choice: number, lo: number, hi: number): boolean {
    const before = this.taken[choice] as number;
    const enabled = this.take(choice, lo, hi, NOBODY) > 0;
    this.taken[choice] = before;
    return enabled;
  }

  /** Throws ModelError if a step has more outcomes than a schedule entry can say. */
  checkBranches(choice: number, branches: number): number {
    if (branches > this.#branchesMax) {
      throw new LimitError(
        `explore: ${this.#nameOf(choice)}: ${branches} outcomes of one step, at most ${this.#branchesMax} can be explored`,
      );
    }
    return branches;
  }

  /** Flags of a state in which nothing but (some) spontaneous choices can move. */
  quiet(spontaneous: number): number {
    if (this.#executor.atRest()) return StateFlag.rest | (this.#checker.finallyBroken() ? StateFlag.finallyBroken : 0);
    return spontaneous === 0 && !hasRunOutOfRoom(this.#executor) ? StateFlag.deadlock : 0;
  }

  /** Leaving a processor that could go on is a preemption; those beyond the bound are left out. */
  #expandBounded(successors: Successors, last: number, used: number): number {
    const { lo, hi } = this.#executor.store;
    this.nextLast = last;
    this.nextUsed = used;
    const running = last - 1;
    const goesOn = running >= 0 ? this.take(running, lo, hi, successors) : 0;
    let busy = goesOn;
    let idle = 0;
    for (let choice = 0; choice < this.#choices; choice++) {
      if (choice === running) continue;
      const advances = choice < this.#processors;
      this.nextLast = advances ? choice + 1 : last;
      this.nextUsed = advances && goesOn > 0 ? used + 1 : used;
      const allowed = this.nextUsed <= this.#preemptions;
      const taken = this.take(choice, lo, hi, allowed ? successors : NOBODY);
      if (!allowed && taken > 0) this.pruned = true;
      if (this.#spontaneous[choice] === 1) idle += taken;
      else busy += taken;
    }
    return busy > 0 ? 0 : this.quiet(idle);
  }

  #nameOf(choice: number): string {
    return this.#executor.system.choices[choice]?.name ?? `choice ${choice}`;
  }
}
