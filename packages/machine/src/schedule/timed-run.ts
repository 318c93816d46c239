/** What a run in virtual time is given, what its observers see, and how it ends. */
import { keysOf } from '../state/errors.ts';
import type { CostModel } from './cost.ts';
import type { Executor } from '../execute/executor.ts';
import type { CacheCosts } from './cache-lines.ts';
import type { Operation } from '../routine/operation.ts';
import type { Channel, Choice } from '../system/specs.ts';

/** One step as the scheduler saw it, for observers. */
export interface TimedStep {
  readonly entry: number;
  readonly choice: Choice;
  readonly startCycles: number;
  readonly durationCycles: number;
  /** The operation performed, for `advance`. */
  readonly operation: Operation | null;
  /** How long the processor has waited before it could perform it. */
  readonly waitedCycles: number;
}

/** The same while it is being written. */
export type StepRecord = { -readonly [K in keyof TimedStep]: TimedStep[K] };

/**
 * An object for what is said of steps. Its times are no whole numbers, so that it need not change its shape for one.
 */
export function stepRecord(choice: Choice): StepRecord {
  return {
    entry: 0,
    choice,
    startCycles: Number.NaN,
    durationCycles: Number.NaN,
    operation: null,
    waitedCycles: Number.NaN,
  };
}

/** What a run needs besides the executor. */
export interface VirtualTimeOptions {
  readonly costs: CostModel;
  /** The run ends when these processors' tasks have returned. Default: when everything is at rest. */
  readonly until?: readonly number[];
  /** Processors that count as done when they rest, besides those. */
  readonly untilAtRest?: readonly number[];
  /** Addresses of words that are 0 when what they count is done, besides those. */
  readonly untilZero?: readonly number[];
  /** When each processor begins. Default: all at 0. */
  readonly firstCycles?: readonly number[];
  /**
   * Cycles that a message sent by a processor is under way, where that depends on who sends it. Default, and if it is
   * undefined: what the cost table says of the channel's latency.
   */
  readonly latencyOf?: (channel: Channel, sender: number) => number | undefined;
  /** What caches cost. Default: every access costs what the cost table says. */
  readonly caches?: CacheCosts;
  /** Steps at most. Default 100 million. */
  readonly stepsMax?: number;
  /** Called after every step; return false to stop the run. */
  readonly onStep?: (step: TimedStep) => boolean | void;
  /**
   * True: `onStep` gets one object for all steps, which says what the step was until it returns. Default false: what it
   * gets may be kept.
   */
  readonly reusesStep?: boolean;
}

/** The names of the options. */
export const VIRTUAL_TIME_KEYS = keysOf<VirtualTimeOptions>()(
  'costs',
  'until',
  'untilAtRest',
  'untilZero',
  'firstCycles',
  'latencyOf',
  'caches',
  'stepsMax',
  'onStep',
  'reusesStep',
);

/** What reaches the machine from outside at a time: a message of a part that runs elsewhere. */
export interface Arrival {
  readonly cycles: number;
  /** Does what it does: writes words, sends messages. */
  readonly apply: (executor: Executor) => void;
}

/** How a run ended. */
export interface VirtualTimeRun {
  readonly end: 'done' | 'rest' | 'deadlock' | 'steps' | 'stopped' | 'violation';
  readonly steps: number;
  /** Virtual time when the last step was complete. */
  readonly cycles: number;
  /** Cycles each processor spent performing operations. */
  readonly busyCycles: readonly number[];
}
