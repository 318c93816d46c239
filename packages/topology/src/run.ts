/**
 * Running an assembled machine in virtual time, and what one reads off it.
 */
import { DirectExecutor, runVirtualTime, type Executor, type TimedStep, type VirtualTimeRun } from '@shootdown/machine';
import type { AssembledMachine } from './assemble.ts';
import { PHASE_PREFIX } from './script.ts';

/** Counters of one phase: per counter, per processor. */
export type Counters = Readonly<Record<string, readonly number[]>>;

/** What a run gives. */
export interface MachineRun {
  readonly end: VirtualTimeRun['end'];
  readonly steps: number;
  readonly cycles: number;
  readonly nanoseconds: number;
  readonly busyCycles: readonly number[];
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
}

/** Options of a run. */
export interface RunOptions {
  readonly stepsMax?: number;
  readonly keepSchedule?: boolean;
  readonly executor?: Executor;
  readonly onStep?: (step: TimedStep, executor: Executor) => boolean | void;
}

const START_UP = 'start-up';

/** Runs a machine until its threads are done. */
export function runMachine(machine: AssembledMachine, options: RunOptions = {}): MachineRun {
  const executor = options.executor ?? new DirectExecutor(machine.system);
  const processors = machine.system.processors.length;
  const phases: Record<string, Record<string, number[]>> = {};
  const total: Record<string, number[]> = {};
  let phase = START_UP;
  const book = (into: Record<string, number[]>, counter: string, processor: number, amount: number): void => {
    const row = (into[counter] ??= Array.from({ length: processors }, () => 0));
    row[processor] = (row[processor] ?? 0) + amount;
  };
  executor.observe = true;
  executor.onCount = (processor, counter, amount) => {
    if (counter.startsWith(PHASE_PREFIX)) phase = counter.slice(PHASE_PREFIX.length);
    else {
      book((phases[phase] ??= {}), counter, processor, amount);
      book(total, counter, processor, amount);
    }
    phases[phase] ??= {};
  };
  const schedule: number[] = [];
  const began = performance.now();
  const run = runVirtualTime(executor, {
    costs: machine.costs,
    until: machine.until,
    ...(options.stepsMax === undefined ? {} : { stepsMax: options.stepsMax }),
    onStep: (step) => {
      executor.store.commit();
      if (options.keepSchedule) schedule.push(step.entry);
      return options.onStep?.(step, executor);
    },
  });
  const wallSeconds = (performance.now() - began) / 1000;
  executor.onCount = null;
  return {
    end: run.end,
    steps: run.steps,
    cycles: run.cycles,
    nanoseconds: (run.cycles / machine.costs.hertz) * 1e9,
    busyCycles: run.busyCycles,
    phases,
    total,
    wallSeconds,
    stepsPerSecond: run.steps / wallSeconds,
    fingerprint: executor.fingerprint,
    schedule: options.keepSchedule ? schedule : null,
    violation: executor.violation?.property ?? null,
  };
}
