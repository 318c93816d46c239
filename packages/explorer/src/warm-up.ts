/**
 * A few random runs before the search. Reduction begins with what they have seen, so that it seldom has to start over;
 * and they check, state by state, that processors declared interchangeable are.
 */
import {
  entryChoice,
  ModelError,
  Random,
  RandomScheduler,
  scheduleEntry,
  type Executor,
  type Processor,
  type Scheduler,
  type System,
  type TabulatedExecutor,
} from '@shootdown/machine';

const RUNS = 200;
/** One step in so many may change the choice in a sticky run. */
const STICKINESS = 12;
const STEPS_MAX = 10_000;
/** A search of few states needs to know little: so many steps for each. */
const STEPS_PER_STATE = 10;
/** What has been seen is sets of words, by processor and local state: no more of these than so many bits. */
const SEEN_BITS_MAX = 2 ** 28;

/** Steps between two looks of the caller at the clock. */
const SLICE = 32;

/**
 * Makes the random runs; always the same ones. Yields now and then, with the number of steps: who asks for no more has
 * had enough, and leaves the executor wherever it is. Throws ModelError if a declared symmetry does not hold.
 * @param statesMax states that the search may have
 */
export function* warmUp(system: System, executor: TabulatedExecutor, statesMax: number): Generator<number, void> {
  const stepsMax = Math.min(STEPS_MAX, STEPS_PER_STATE * statesMax);
  const nodesMax = SEEN_BITS_MAX / (system.layout.words * system.processors.length);
  const isEnough = (): boolean => steps >= stepsMax || executor.nodes.count > nodesMax;
  let steps = 0;
  for (let run = 0; run < RUNS && !isEnough(); run++) {
    const scheduler = run % 2 === 0 ? new RandomScheduler(run) : new StickyScheduler(run);
    executor.reset();
    do {
      if (++steps % SLICE === 0) yield steps;
      checkSymmetry(system, executor);
    } while (!isEnough() && nextOf(scheduler, executor) >= 0);
  }
  executor.reset();
}

/**
 * Makes the next step of a random run: the entry, negative if there is none. A run ends where a routine throws, too:
 * the search says so, unless it has something shorter to tell.
 */
export function nextOf(scheduler: Scheduler, executor: Executor): number {
  try {
    return scheduler.next(executor);
  } catch (error) {
    if (error instanceof ModelError) return -1;
    throw error;
  }
}

/** Mostly goes on with the choice made last: runs in which whole routines happen between two steps of another. */
class StickyScheduler implements Scheduler {
  readonly #random: Random;
  readonly #scheduler: RandomScheduler;
  #last = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#scheduler = new RandomScheduler(seed);
  }

  next(executor: Executor): number {
    if (this.#random.below(STICKINESS) > 0 && executor.step(this.#last, 0)) return scheduleEntry(this.#last, 0);
    const entry = this.#scheduler.next(executor);
    if (entry >= 0) this.#last = entryChoice(entry);
    return entry;
  }
}

/**
 * Swaps two interchangeable processors and compares where the two states lead: a necessary condition, checked on the
 * states of random runs. It fails, for instance, if an operation writes the number of the processor that performs it.
 */
function checkSymmetry(system: System, executor: TabulatedExecutor): void {
  for (const group of system.symmetric) {
    for (let i = 1; i < group.length; i++) {
      const a = system.processors[group[i - 1] ?? 0] as Processor;
      const b = system.processors[group[i] ?? 0] as Processor;
      const before = successors(system, executor);
      swap(executor, a, b);
      const after = successors(system, executor);
      swap(executor, a, b);
      if (before !== after) {
        throw new ModelError(
          `explore: symmetry: ${a.name} and ${b.name} are declared interchangeable, but swapping them changes what can happen: do not declare them symmetric`,
        );
      }
    }
  }
}

/** Fingerprints of all successors and truth of all properties, in an order that does not depend on the processors. */
function successors(system: System, executor: TabulatedExecutor): string {
  const { store } = executor;
  const { mark, lo, hi } = store;
  const seen: string[] = [];
  for (let choice = 0; choice < system.choices.length; choice++) {
    for (let branch = 0, branches = 1; branch < branches; branch++) {
      const happened = executor.step(choice, branch);
      branches = Math.max(branches, executor.branchCount);
      if (happened) seen.push(`${executor.fingerprint}${executor.failed ? '!' : ''}`);
      store.undo(mark, lo, hi);
    }
  }
  const truths = system.properties.map((property) => property.check((address) => store.read(address)));
  return `${seen.sort().join()} ${truths.join()}`;
}

/** Exchanges the local states of two processors; their words share seeds, so the fingerprint stays. */
function swap(executor: TabulatedExecutor, a: Processor, b: Processor): void {
  const { words } = executor.store;
  for (let slot = 0; slot < a.tasks.length; slot++) {
    const word = words[a.taskBase + slot] as number;
    words[a.taskBase + slot] = words[b.taskBase + slot] as number;
    words[b.taskBase + slot] = word;
  }
}
