/**
 * The timeline of a run: its steps in words and with times, from a second run of the same machine that a live executor
 * describes.
 */
import {
  columnsOf,
  describeStep,
  entryChoice,
  LiveExecutor,
  ModelError,
  type Trace,
  type TraceStep,
} from '@shootdown/machine';
import { MachineRunner, PHASE_PREFIX, type Runnable } from '@shootdown/topology';
import { untilDoneOrInterrupted } from './interrupt.ts';

/** Steps of a timeline at most: some hundred bytes each, and a document is one string. */
export const TIMELINE_STEPS_MAX = 1_000_000;

const PORTION_STEPS = 2000;
const PROGRESS_MS = 1000;

/** What a run that is longer than any timeline gets to hear. */
export function tooLong(): ModelError {
  return new ModelError(
    `run: a timeline has at most ${TIMELINE_STEPS_MAX} steps: bound the run with --max-steps, or show one --phase of it`,
  );
}

/** A timeline, or as much of it as there was time for. */
export interface Timeline {
  readonly trace: Trace;
  readonly interrupted: boolean;
}

/**
 * Makes the first `stepsMax` steps of a run again, and describes them, or those of one phase. Throws ModelError if they
 * are too many, or if there is no such phase.
 */
export async function timelineOf(machine: Runnable, stepsMax: number, phase?: string, seed = 0): Promise<Timeline> {
  const described = new LiveExecutor(machine.system);
  const steps: TraceStep[] = [];
  let current = 'start-up';
  const runner = new MachineRunner(machine, {
    stepsMax,
    seed,
    onStep: (timed, executor) => {
      const before = described.onCount;
      described.onCount = (_processor, counter) => {
        if (counter.startsWith(PHASE_PREFIX)) current = counter.slice(PHASE_PREFIX.length);
      };
      const wanted = phase === undefined || current === phase;
      const step = describeStep(described, timed.entry);
      described.onCount = before;
      if (!step)
        throw new ModelError(
          `run: executors disagree at ${machine.system.choices[entryChoice(timed.entry)]?.name ?? '?'}`,
        );
      if (described.fingerprint !== executor.fingerprint)
        throw new ModelError('run: executors disagree on the state: this is a bug of the laboratory');
      if (wanted) steps.push({ ...step, startCycles: timed.startCycles, durationCycles: timed.durationCycles });
      if (steps.length > TIMELINE_STEPS_MAX) throw tooLong();
    },
  });
  let reported = performance.now();
  const interrupted = await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    if (performance.now() - reported > PROGRESS_MS) {
      reported = performance.now();
      process.stderr.write(
        `timeline: ${runner.result().steps} steps${Number.isFinite(stepsMax) ? ` of ${stepsMax}` : ''}\n`,
      );
    }
    return more;
  });
  const { phases, fingerprint } = runner.result();
  described.stop();
  if (phase !== undefined && steps.length === 0 && !interrupted)
    throw new ModelError(`run: no phase ${phase} (have: ${Object.keys(phases).join(', ')})`);
  return { trace: { columns: columnsOf(described), steps, end: null, fingerprint }, interrupted };
}
