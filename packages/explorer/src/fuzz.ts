/**
 * `fuzz`: random schedules of the same model, for spaces too big to search. It finds violations and proves nothing: the
 * best verdict it can give is `bounded`.
 */
import {
  entryChoice,
  ModelError,
  PctScheduler,
  refuseReplacedUnknown,
  refuseStrays,
  RandomScheduler,
  runScheduler,
  TabulatedExecutor,
  type Scheduler,
  type System,
  checkOptions,
  keysOf,
  checkWord,
} from '@shootdown/machine';
import { verifyAnew, verifyBuild } from './anew.ts';
import { coverageOf, type Coverage } from './coverage.ts';
import { contextSwitches, tidySchedule } from './counterexample.ts';
import { PropertyChecker } from './properties.ts';
import { endsIn } from './replay.ts';
import { NO_DEADLOCK, type Problem, type ProblemKind, type Progress, type StopReason, type Verdict } from './result.ts';
import { rememberRuns, verifyNodes, verifyRuns } from './verify.ts';
import { Watch } from './watch.ts';

/** How to fuzz. One seed gives the same runs on any machine. */
export interface FuzzOptions {
  /**
   * `random`: any enabled choice is as likely as another. `pct`: random priorities with few changes, for deep bugs; the
   * changes come within the length of the longest of a few random runs, which is measured first.
   */
  readonly kind: 'random' | 'pct';
  readonly seed: number;
  readonly runs: number;
  /** Steps of one run at most. */
  readonly stepsMax: number;
  /** `pct`: ordering constraints the bug needs at most. Default 3. */
  readonly pctDepth?: number;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** As in `explore`. */
  readonly fresh?: (() => Promise<System>) | undefined;
}

const FUZZ_KEYS = keysOf<FuzzOptions>()(
  'kind',
  'seed',
  'runs',
  'stepsMax',
  'pctDepth',
  'timeoutSeconds',
  'signal',
  'onProgress',
  'fresh',
);

/** What fuzzing found, in the vocabulary of `explore`. */
export interface FuzzResult {
  readonly verdict: Verdict;
  readonly property: string | null;
  readonly kind: ProblemKind | null;
  /** The seed of the run that found it: `fuzz` with this seed and one run finds it again. */
  readonly seed: number | null;
  readonly runs: number;
  readonly steps: number;
  readonly stoppedBy: StopReason | null;
  readonly seconds: number;
  /** The schedule as found, with steps left out and rearranged as long as it still shows the problem. */
  readonly schedule: readonly number[] | null;
  readonly contextSwitches: number | null;
  readonly sometimes: readonly { readonly name: string; readonly witnessed: boolean }[];
  readonly coverage: Coverage;
}

const PCT_DEPTH_DEFAULT = 3;
/** Whatever there is has changed: the state is a new one. */
const EVERYTHING = -1;
/**
 * Random runs that say how long a run is. Their seeds are the same whatever is asked for: so is what one seed finds.
 */
const MEASURED_RUNS = 5;
const MEASURED_STEPS_MAX = 10_000;
const HISTORY_MAX = 10_000;
/** Longer schedules are reported as they were found: tidying replays a schedule once per step. */
const TIDY_LENGTH_MAX = 2_000;

/** Runs random schedules until one shows a problem. Throws ModelError on options out of range. */
export async function fuzz(system: System, options: FuzzOptions): Promise<FuzzResult> {
  checkOptions('fuzz: options', options, FUZZ_KEYS, ['kind', 'seed', 'runs', 'stepsMax']);
  checkWord('fuzz: options: kind', options.kind, ['random', 'pct']);
  checkRanges(options);
  const plain: System = { ...system, symmetric: [], maxHistory: Math.min(system.maxHistory, HISTORY_MAX) };
  rememberRuns(system);
  const fuzzer = new Fuzzer(plain);
  const stepsExpected = options.kind === 'pct' ? fuzzer.stepsOfARun(options.stepsMax) : options.stepsMax;
  const watch = new Watch(options);
  watch.enter('searching');
  let stoppedBy: StopReason | null = null;
  let runs = 0;
  let seed: number | null = null;
  while (runs < options.runs && stoppedBy === null && fuzzer.problem === null) {
    seed = options.seed + runs++;
    fuzzer.run(schedulerOf(options, seed, stepsExpected), options.stepsMax);
    if (watch.due)
      stoppedBy = await watch.pause(() => ({
        states: fuzzer.steps,
        transitions: fuzzer.steps,
        depth: options.stepsMax,
        queue: options.runs - runs,
      }));
  }
  verifyNodes(plain, fuzzer.executor.nodes, fuzzer.steps, false);
  await verifyAnew(system, fuzzer.executor.nodes, options.fresh);
  verifyBuild(system, fuzzer.steps);
  verifyRuns(system, fuzzer.steps);
  refuseStrays('fuzz');
  refuseReplacedUnknown('fuzz', system);
  const { problem } = fuzzer;
  const schedule = problem === null ? null : fuzzer.tidied(problem);
  return {
    verdict: problem === null ? 'bounded' : problem.kind === 'deadlock' ? 'deadlock' : 'violation',
    property: problem?.property ?? null,
    kind: problem?.kind ?? null,
    seed: problem === null ? null : seed,
    runs,
    steps: fuzzer.steps,
    stoppedBy: problem === null ? stoppedBy : 'violation',
    seconds: watch.seconds,
    schedule,
    contextSwitches: schedule && contextSwitches(plain, schedule),
    sometimes: fuzzer.checker.sometimes.map(({ name }) => ({ name, witnessed: fuzzer.witnessed.has(name) })),
    coverage: coverageOf(plain, fuzzer.executor, fuzzer.taken),
  };
}

class Fuzzer {
  readonly executor: TabulatedExecutor;
  readonly checker: PropertyChecker;
  readonly taken: Float64Array;
  readonly witnessed = new Set<string>();
  problem: Problem | null = null;
  steps = 0;
  readonly #system: System;
  #schedule: number[] = [];

  constructor(system: System) {
    this.#system = system;
    this.executor = new TabulatedExecutor(system);
    this.checker = new PropertyChecker(system, this.executor);
    this.taken = new Float64Array(system.choices.length);
  }

  /** Steps of a long run: change points of PCT that lie beyond its end would change nothing. */
  stepsOfARun(stepsMax: number): number {
    const measured = Math.min(stepsMax, MEASURED_STEPS_MAX);
    let longest = 1;
    for (let seed = 0; seed < MEASURED_RUNS; seed++) {
      const { schedule } = runScheduler(this.executor, new RandomScheduler(seed), measured);
      longest = Math.max(longest, schedule.length);
    }
    return longest;
  }

  /** One run; sets {@link problem} if it shows one. */
  run(scheduler: Scheduler, stepsMax: number): void {
    const { executor } = this;
    executor.reset();
    this.#schedule = [];
    if (executor.violation) this.#found('step', executor.violation.property);
    this.#checkState(EVERYTHING);
    while (this.problem === null && this.#schedule.length < stepsMax) {
      const entry = scheduler.next(executor);
      if (entry < 0) {
        this.#atEnd();
        return;
      }
      this.#schedule.push(entry);
      const choice = entryChoice(entry);
      this.taken[choice] = (this.taken[choice] as number) + 1;
      this.steps++;
      if (executor.violation) this.#found('step', executor.violation.property);
      else this.#checkState(this.checker.changedSince(0));
      executor.store.commit();
    }
  }

  /** The schedule of the problem, shorter and with fewer context switches if that can be had. */
  tidied(problem: Problem): number[] {
    if (this.#schedule.length > TIDY_LENGTH_MAX) return this.#schedule;
    return tidySchedule(this.#system, this.executor, this.#schedule, endsIn(this.#system, this.executor, problem));
  }

  #atEnd(): void {
    const length = this.#schedule.length;
    for (const kind of ['deadlock', 'finally'] as const) {
      const names = kind === 'deadlock' ? [NO_DEADLOCK] : this.checker.finally.map(({ name }) => name);
      const property = names.find((name) => endsIn(this.#system, this.executor, { kind, property: name, length })());
      if (property !== undefined) return this.#found(kind, property);
    }
  }

  #found(kind: ProblemKind, property: string): void {
    this.problem ??= { kind, property, length: this.#schedule.length };
  }

  /** Of the properties that may depend on what has changed. */
  #checkState(changed: number): void {
    if (changed === 0) return;
    const { checker } = this;
    for (const property of checker.always)
      if (checker.mayDependOn(property, changed) && !checker.holds(property)) this.#found('always', property.name);
    for (const property of checker.sometimes) {
      if (this.witnessed.has(property.name) || !checker.mayDependOn(property, changed)) continue;
      if (checker.holds(property)) this.witnessed.add(property.name);
    }
  }
}

function schedulerOf({ kind, pctDepth = PCT_DEPTH_DEFAULT }: FuzzOptions, seed: number, steps: number): Scheduler {
  return kind === 'pct' ? new PctScheduler(seed, pctDepth, steps) : new RandomScheduler(seed);
}

function checkRanges({ seed, runs, stepsMax, pctDepth = PCT_DEPTH_DEFAULT }: FuzzOptions): void {
  const check = (name: string, value: number, min: number): void => {
    if (!Number.isInteger(value) || value < min)
      throw new ModelError(`fuzz: options: ${name} must be a whole number from ${min} (${value})`);
  };
  check('seed', seed, 0);
  check('runs', runs, 1);
  check('stepsMax', stepsMax, 1);
  check('pctDepth', pctDepth, 1);
}
