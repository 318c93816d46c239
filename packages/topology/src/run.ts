/**
 * Running an assembled machine in virtual time, and what one reads off it.
 */
import {
  DirectExecutor,
  Random,
  refuseReplacedUnknown,
  VirtualTimeScheduler,
  type CacheCosts,
  type Channel,
  type Executor,
  type Operation,
  type SentMessage,
  type TimedStep,
  type VirtualTimeRun,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import type { AssembledMachine } from './assemble.ts';
import type { LinkEnd, LinkMessage } from './device-link.ts';
import { GracePeriods } from './grace-periods.ts';
import { RoutineTimes, type OnRoutine } from './routine-times.ts';
import { PHASE_PREFIX, type Topology } from './schema.ts';
import { TimeSeries, type CounterSeries } from './series.ts';
import { STEAL_COUNTERS, StealTimes } from './steal-times.ts';
import { waitingIn } from './waiting.ts';

/** Counters of one phase: per counter, per processor. */
export type Counters = Readonly<Record<string, readonly number[]>>;

/** What a run gives. */
export interface MachineRun {
  /** `time`: the description's runMicroseconds are over. */
  readonly end: VirtualTimeRun['end'] | 'time';
  readonly steps: number;
  readonly cycles: number;
  readonly nanoseconds: number;
  readonly busyCycles: readonly number[];
  /**
   * Of a host: cycles in which each vCPU was runnable and another had its CPU (what steal time reports); null of a
   * native machine.
   */
  readonly stealCycles: readonly number[] | null;
  /** Counters by phase, in the order in which the phases began; what comes before the first `measure` is `start-up`. */
  readonly phases: Readonly<Record<string, Counters>>;
  /** Counters over the whole run. */
  readonly total: Counters;
  readonly wallSeconds: number;
  readonly stepsPerSecond: number;
  readonly fingerprint: string;
  /** The choices made; only kept on request. */
  readonly schedule: readonly number[] | null;
  readonly violation: string | null;
  /** After a deadlock what each processor waits for, a line each; otherwise nothing. */
  readonly waiting: readonly string[];
  /** Counters over virtual time: the sum over all processors in each interval, the first of which begins at 0. */
  readonly series: {
    readonly intervalNanoseconds: number;
    readonly counters: Readonly<Record<string, readonly number[]>>;
  };
  /** What {@link RunOptions.seed} was. */
  readonly seed: number;
}

/** What a run needs of a machine: an {@link AssembledMachine} has it, and so has any system with its costs. */
export interface Runnable extends Pick<AssembledMachine, 'system' | 'costs' | 'vms'> {
  readonly topology: Pick<Topology, 'runMicroseconds'>;
  /** See {@link AssembledMachine}; left out: the run is over when everything is at rest. */
  readonly until?: readonly number[];
  readonly untilAtRest?: readonly number[];
  /** Words that are 0 by then. */
  readonly untilZero?: readonly number[];
  /** See {@link AssembledMachine.latencyOf}. */
  readonly latencyOf?: (channel: Channel, sender: number) => number | undefined;
  /** What caches cost. Left out: nothing. */
  readonly caches?: CacheCosts;
  /** The end of its link to a part that runs elsewhere, if it has one. */
  readonly link?: LinkEnd;
}

/** A message over a link, and when it was sent or arrives. */
export interface Crossing {
  readonly cycles: number;
  readonly message: LinkMessage;
}

/** Options of a run. */
export interface RunOptions {
  readonly stepsMax?: number;
  readonly keepSchedule?: boolean;
  /** Default: a DirectExecutor. Its state must be the initial one. */
  readonly executor?: Executor;
  readonly onStep?: (step: TimedStep, executor: Executor) => boolean | void;
  /** Called when a routine has returned, with the virtual time it took. */
  readonly onRoutine?: OnRoutine;
  /** Called when a processor has waited before it could perform an operation, with how long. */
  readonly onWait?: (operation: Operation, processor: number, cycles: number) => void;
  /** Called when a grace period of RCU is over, with how long it took. */
  readonly onGracePeriod?: (cycles: number) => void;
  /**
   * Processors begin at random times within some microseconds, so that runs of different seeds differ as repetitions of
   * a measurement do. 0, the default: all begin at once.
   */
  readonly seed?: number;
  /** Called with every message between components. */
  readonly onMessage?: (message: SentMessage) => void;
}

const RUN_VALUES: OptionValues<RunOptions> = {
  stepsMax: is.whole(),
  keepSchedule: is.flag,
  executor: is.anything,
  onStep: is.callable,
  onRoutine: is.callable,
  onWait: is.callable,
  onGracePeriod: is.callable,
  seed: is.whole(),
  onMessage: is.callable,
};

/** Processors of a run with a seed begin within so many cycles. */
const SKEW_CYCLES = 30_000;

const START_UP = 'start-up';

/** Where a counter is booked: by processor, in this phase and in the whole run, and over time. */
interface Book {
  readonly inPhase: number[];
  readonly total: number[];
  readonly series: CounterSeries;
  /** It says when vCPUs wait for their CPU. */
  readonly steals: boolean;
}

/** A run under way: advance it in portions, read the result at any time. */
export class MachineRunner {
  readonly #machine: Runnable;
  readonly #executor: Executor;
  readonly #scheduler: VirtualTimeScheduler;
  readonly #options: RunOptions;
  /** Named by the description, which may call a phase `constructor`. */
  readonly #phases: Record<string, Record<string, number[]>> = named();
  readonly #total: Record<string, number[]> = named();
  /** Where what is counted in this phase is booked, by counter. */
  readonly #books = new Map<string, Book>();
  readonly #schedule: number[] = [];
  readonly #times: RoutineTimes | null;
  readonly #steal: StealTimes | null;
  readonly #gracePeriods: GracePeriods | null;
  readonly #series = new TimeSeries();
  #phase = START_UP;
  #now = 0;
  #wallSeconds = 0;
  #timeIsUp = false;
  readonly #cyclesMax: number;
  readonly #sent: Crossing[] = [];

  constructor(machine: Runnable, options: RunOptions = {}) {
    checkValues('run: options', options, RUN_VALUES);
    this.#machine = machine;
    this.#options = options;
    const { runMicroseconds } = machine.topology;
    this.#cyclesMax =
      runMicroseconds === undefined ? Number.POSITIVE_INFINITY : (runMicroseconds * machine.costs.hertz) / MICROSECONDS;
    this.#executor = options.executor ?? new DirectExecutor(machine.system);
    this.#times = options.onRoutine ? new RoutineTimes(this.#executor, options.onRoutine) : null;
    this.#steal = machine.vms.length > 0 ? new StealTimes(machine, this.#executor) : null;
    this.#gracePeriods = options.onGracePeriod ? new GracePeriods(options.onGracePeriod) : null;
    this.#executor.observe = true;
    if (options.onMessage) this.#executor.onMessage = options.onMessage;
    this.#executor.onCount = (processor, counter, amount) => this.#count(processor, counter, amount);
    this.#scheduler = new VirtualTimeScheduler(this.#executor, {
      costs: machine.costs,
      ...(machine.until && { until: machine.until }),
      ...(machine.untilAtRest && { untilAtRest: machine.untilAtRest }),
      ...(machine.untilZero && { untilZero: machine.untilZero }),
      ...(machine.latencyOf && { latencyOf: machine.latencyOf }),
      ...(machine.caches && { caches: machine.caches }),
      ...(options.stepsMax === undefined ? {} : { stepsMax: options.stepsMax }),
      ...(options.seed ? { firstCycles: skewed(options.seed, machine.system.processors.length) } : {}),
      onStep: (step) => this.#observe(step),
      reusesStep: true,
    });
  }

  /** Makes up to `steps` more steps; false once the run has ended. */
  advance(steps: number): boolean {
    const began = performance.now();
    const more = this.#scheduler.advance(steps);
    this.#wallSeconds += (performance.now() - began) / 1000;
    return more;
  }

  /** Makes the steps that begin before a time, with what arrives over the link; false once the run has ended. */
  advanceTo(cycles: number, arrived: readonly Crossing[]): boolean {
    const { link } = this.#machine;
    const arrivals = arrived.map(({ cycles: at, message }) => ({
      cycles: at,
      apply: (executor: Executor) => {
        this.#now = at;
        link?.arrives(executor, message);
        this.#crosses(at);
      },
    }));
    const began = performance.now();
    const more = this.#scheduler.advanceTo(cycles, arrivals);
    this.#wallSeconds += (performance.now() - began) / 1000;
    return more;
  }

  /** What has been sent over the link since the last time, and when. */
  takeSent(): Crossing[] {
    return this.#sent.splice(0);
  }

  /** Steps so far. */
  get steps(): number {
    return this.#scheduler.result().steps;
  }

  /** Virtual time so far. */
  get nanoseconds(): number {
    return (this.#scheduler.result().cycles / this.#machine.costs.hertz) * NANOSECONDS;
  }

  /** When the next step begins, as far as anybody knows. */
  get nextCycles(): number {
    return this.#scheduler.nextCycles;
  }

  #crosses(cycles: number): void {
    const { link } = this.#machine;
    link?.settles(this.#executor);
    for (const message of link?.take() ?? []) this.#sent.push({ cycles, message });
  }

  /** The phase that the run is in. */
  get phase(): string {
    return this.#phase;
  }

  /** What the run has given so far. Throws ModelError if a routine was to take the place of one that there is not. */
  result(): MachineRun {
    refuseReplacedUnknown('run', this.#machine.system);
    const run = this.#scheduler.result();
    return {
      end: this.#timeIsUp && run.end === 'stopped' ? 'time' : run.end,
      steps: run.steps,
      cycles: run.cycles,
      nanoseconds: this.nanoseconds,
      busyCycles: run.busyCycles,
      stealCycles: this.#steal?.upTo(run.cycles) ?? null,
      phases: this.#phases,
      total: this.#total,
      wallSeconds: this.#wallSeconds,
      stepsPerSecond: this.#wallSeconds > 0 ? run.steps / this.#wallSeconds : 0,
      fingerprint: this.#executor.fingerprint,
      schedule: this.#options.keepSchedule ? this.#schedule : null,
      violation: this.#executor.violation?.property ?? null,
      waiting: run.end === 'deadlock' ? waitingIn(this.#executor, this.#machine) : [],
      series: {
        intervalNanoseconds: (this.#series.intervalCycles / this.#machine.costs.hertz) * NANOSECONDS,
        counters: this.#series.counts,
      },
      seed: this.#options.seed ?? 0,
    };
  }

  #observe(step: TimedStep): boolean | void {
    this.#executor.store.commit();
    if (this.#options.keepSchedule) this.#schedule.push(step.entry);
    this.#times?.observe(step);
    this.#now = step.startCycles + step.durationCycles;
    if (step.waitedCycles > 0 && step.choice.kind === 'advance' && step.operation !== null)
      this.#options.onWait?.(step.operation, step.choice.processor, step.waitedCycles);
    this.#steal?.observe(step);
    this.#gracePeriods?.observe(step);
    if (this.#machine.link) this.#crosses(this.#now);
    if (this.#now >= this.#cyclesMax) this.#timeIsUp = true;
    // The last step has happened, too.
    const { onStep } = this.#options;
    const goOn = onStep ? onStep({ ...step }, this.#executor) : true;
    return this.#timeIsUp ? false : goOn;
  }

  #count(processor: number, counter: string, amount: number): void {
    const book = this.#books.get(counter) ?? this.#bookOf(counter);
    if (book === null) return;
    if (book.steals) this.#steal?.counted(processor, counter);
    book.inPhase[processor] = (book.inPhase[processor] as number) + amount;
    book.total[processor] = (book.total[processor] as number) + amount;
    this.#series.add(book.series, this.#now, amount);
  }

  /** Where a counter is booked from now on. Null: it says that a phase begins. */
  #bookOf(counter: string): Book | null {
    if (counter.startsWith(PHASE_PREFIX)) {
      this.#phase = counter.slice(PHASE_PREFIX.length);
      this.#phases[this.#phase] ??= named();
      this.#books.clear();
      return null;
    }
    const none = (): number[] => this.#machine.system.processors.map(() => 0);
    const book: Book = {
      inPhase: ((this.#phases[this.#phase] ??= named())[counter] ??= none()),
      total: (this.#total[counter] ??= none()),
      series: this.#series.of(counter),
      steals: STEAL_COUNTERS.has(counter),
    };
    this.#books.set(counter, book);
    return book;
  }
}

function skewed(seed: number, processors: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: processors }, () => random.below(SKEW_CYCLES));
}

/** An object that has no members but those put into it. */
function named<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;

/** Runs a machine until its threads are done. */
export function runMachine(machine: Runnable, options: RunOptions = {}): MachineRun {
  const runner = new MachineRunner(machine, options);
  runner.advance(Number.POSITIVE_INFINITY);
  return runner.result();
}
