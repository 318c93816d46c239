/**
 * Schedulers that pick one enabled choice after another: seeded random, PCT, and replay of a schedule.
 * (Virtual time is in `virtual-time.ts`; exhaustive search is the explorer's.)
 */
import { ModelError } from '../state/errors.ts';
import type { Executor } from '../execute/executor.ts';
import type { Violation } from '../execute/reports.ts';
import { entryBranch, entryChoice, scheduleEntry } from './schedule.ts';
import { Random } from '../state/random.ts';

/** How a scheduled run ended. */
export interface ScheduledRun {
  /** The choices made: with the same system, replaying them gives the same run. */
  readonly schedule: readonly number[];
  readonly end: 'rest' | 'deadlock' | 'violation' | 'steps';
  readonly violation: Violation | null;
}

/** Picks the next schedule entry, makes it happen, and returns it; -1 if nothing is enabled. */
export interface Scheduler {
  next(executor: Executor): number;
}

/** Random among the choices, and their branches, that are enabled. */
export class RandomScheduler implements Scheduler {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  next(executor: Executor): number {
    const count = executor.system.choices.length;
    const start = this.#random.below(count);
    const stride = coprimeStride(count, this.#random.next());
    for (let i = 0; i < count; i++) {
      const choice = (start + i * stride) % count;
      const entry = stepSomeBranch(executor, choice, this.#random.next());
      if (entry >= 0) return entry;
    }
    return -1;
  }
}

/**
 * Probabilistic concurrency testing: random priorities, changed at `depth` - 1 random steps. Finds a bug of depth d
 * with probability at least 1/(n k^(d-1)) (Burckhardt et al., ASPLOS 2010). Who goes on alone for as many steps as a
 * run is expected to take waits in a loop for somebody of lower priority, and gets the lowest.
 */
export class PctScheduler implements Scheduler {
  readonly #random: Random;
  readonly #changeAt: ReadonlySet<number>;
  readonly #stepsExpected: number;
  /** Of each choice, and the choices by it, the highest first. */
  #priorities: number[] = [];
  #order: readonly number[] = [];
  #step = 0;
  #lowest = 0;
  #last = -1;
  #alone = 0;

  /** @param stepsExpected length k of a typical run; the change points are drawn from it */
  constructor(seed: number, depth: number, stepsExpected: number) {
    this.#random = new Random(seed);
    this.#stepsExpected = stepsExpected;
    this.#changeAt = new Set(Array.from({ length: Math.max(0, depth - 1) }, () => this.#random.below(stepsExpected)));
  }

  next(executor: Executor): number {
    const count = executor.system.choices.length;
    if (this.#priorities.length < count) {
      while (this.#priorities.length < count) this.#priorities.push(1 + this.#random.next());
      this.#sort();
    }
    for (const choice of this.#order) {
      const entry = stepSomeBranch(executor, choice, executor.branchesOf(choice) > 1 ? this.#random.next() : 0);
      if (entry < 0) continue;
      this.#alone = choice === this.#last ? this.#alone + 1 : 1;
      this.#last = choice;
      if (this.#changeAt.has(this.#step++) || this.#alone > this.#stepsExpected) {
        this.#priorities[choice] = this.#lowest--;
        this.#sort();
        this.#alone = 0;
      }
      return entry;
    }
    return -1;
  }

  #sort(): void {
    this.#order = this.#priorities
      .map((_, choice) => choice)
      .sort((a, b) => (this.#priorities[b] as number) - (this.#priorities[a] as number));
  }
}

/**
 * Runs a scheduler from the initial state until nothing is enabled, a property is violated, or `stepsMax` is reached.
 */
export function runScheduler(executor: Executor, scheduler: Scheduler, stepsMax: number): ScheduledRun {
  executor.reset();
  const schedule: number[] = [];
  if (executor.failed) return { schedule, end: 'violation', violation: executor.violation };
  while (schedule.length < stepsMax) {
    const entry = scheduler.next(executor);
    if (entry < 0) return { schedule, end: executor.atRest() ? 'rest' : 'deadlock', violation: null };
    schedule.push(entry);
    if (executor.failed) return { schedule, end: 'violation', violation: executor.violation };
  }
  return { schedule, end: 'steps', violation: null };
}

/**
 * Makes the choices of a schedule happen, from the initial state. Throws ModelError at an entry that is not enabled.
 */
export function replay(executor: Executor, schedule: readonly number[], afterStep?: (index: number) => void): void {
  executor.reset();
  schedule.forEach((entry, i) => {
    if (!Number.isInteger(entry) || entry < 0)
      throw new ModelError(`schedule: step ${i}: not a schedule entry (${String(entry)})`);
    if (!executor.step(entryChoice(entry), entryBranch(entry))) {
      throw new ModelError(
        `schedule: step ${i}: ${executor.system.choices[entryChoice(entry)]?.name ?? '?'} is not enabled there`,
      );
    }
    afterStep?.(i);
  });
}

/**
 * Makes a choice happen on its branch `draw` modulo their number, or on the next one that is not refused; -1 if all
 * are.
 */
function stepSomeBranch(executor: Executor, choice: number, draw: number): number {
  const branches = executor.branchesOf(choice);
  for (let i = 0; i < branches; i++) {
    const branch = (draw + i) % branches;
    if (executor.step(choice, branch)) return scheduleEntry(choice, branch);
  }
  return -1;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** By count, then by the stride that was drawn: the stride to take. */
const strides = new Map<number, number[]>();

function coprimeStride(count: number, draw: number): number {
  let known = strides.get(count);
  if (known === undefined) strides.set(count, (known = []));
  const drawn = 1 + (draw % Math.max(1, count - 1));
  return (known[drawn] ??= coprimeFrom(drawn, count));
}

function coprimeFrom(drawn: number, count: number): number {
  let stride = drawn;
  while (gcd(stride, count) !== 1) stride = (stride % count) + 1;
  return stride;
}
