/**
 * The timeline of a run: its steps in words and with times, from a second run of the same machine. A short one is made
 * by live actors, so that two executors have to agree; a long one by a second direct executor.
 */
import {
  columnsOf,
  describeStep,
  DirectExecutor,
  entryBranch,
  entryChoice,
  LiveExecutor,
  ModelError,
  type Executor,
  type TimedStep,
  type Trace,
  type TraceStep,
} from '@shootdown/machine';
import { formatNumber, renderTrace, traceWriter, type RenderOptions, type TraceFormat } from '@shootdown/report';
import { MachineRunner, type Runnable } from '@shootdown/topology';
import { untilDoneOrInterrupted } from './interrupt.ts';
import { Pulse } from './progress.ts';
import { Window, type Part } from './window.ts';

/** Steps of a timeline that is made of all of them at once: some hundred bytes each, and a text is one string. */
export const TIMELINE_STEPS_MAX = 1_000_000;
/** Live actors make so many steps in about four seconds. */
const LIVE_STEPS_MAX = 100_000;
const PORTION_STEPS = 2000;
/** States of a long run are compared after so many steps each: a fingerprint costs more than a step. */
const COMPARED_STEPS = 64;
/** Text is written in pieces of that size. */
const PIECE_CHARACTERS = 1 << 16;
/** Steps after which the size of the whole can be told. */
const SAMPLE_STEPS = 2000;
/** What is worth being told of. */
const LARGE_BYTES = 1_000_000;

/** What is to be described. */
export interface Described {
  /** Steps of the run: what `MachineRun.steps` was. */
  readonly steps: number;
  readonly seed?: number;
  readonly part?: Part;
  /** Steps that the phase and the times of the part leave; left out where the part does not count from the end. */
  readonly inPart?: number;
}

/** How it ended. */
interface Ended {
  readonly columns: Trace['columns'];
  readonly fingerprint: string;
  readonly interrupted: boolean;
}

/** A timeline, or as much of it as there was time for. */
export interface Timeline {
  readonly trace: Trace;
  readonly interrupted: boolean;
}

/** Makes a run again, and describes the steps of a part. Throws ModelError if there is no such phase. */
async function describe(
  machine: Runnable,
  { steps, seed = 0, part = {}, inPart }: Described,
  onStep: (step: TraceStep) => void,
): Promise<Ended> {
  const live = steps <= LIVE_STEPS_MAX ? new LiveExecutor(machine.system) : null;
  const described: Executor = live ?? new DirectExecutor(machine.system);
  const window = new Window(part, machine.costs.hertz, inPart);
  const disagree = (timed: TimedStep): ModelError =>
    new ModelError(`run: executors disagree at ${machine.system.choices[entryChoice(timed.entry)]?.name ?? '?'}`);
  let shown = 0;
  let isAhead = false;
  const runner: MachineRunner = new MachineRunner(machine, {
    stepsMax: steps,
    seed,
    onStep(timed, executor) {
      if (window.isOver(timed)) {
        isAhead = true;
        return false;
      }
      const { entry, startCycles, durationCycles } = timed;
      if (window.shows(timed, runner.phase)) {
        const step = describeStep(described, entry);
        if (!step) throw disagree(timed);
        shown++;
        const compares = live !== null || shown % COMPARED_STEPS === 0;
        if (compares && described.fingerprint !== executor.fingerprint) throw disagreeing();
        onStep({ ...step, startCycles, durationCycles });
      } else if (!described.step(entryChoice(entry), entryBranch(entry))) throw disagree(timed);
      described.store.commit();
      return true;
    },
  });
  const pulse = new Pulse();
  const interrupted = await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    if (more) pulse.beat(() => `timeline: ${runner.steps} steps of ${steps}`);
    return more;
  });
  pulse.end();
  const { phases, fingerprint } = runner.result();
  // The steps since it was compared last.
  if (!isAhead && described.fingerprint !== fingerprint) throw disagreeing();
  live?.stop();
  if (part.phase !== undefined && shown === 0 && !interrupted)
    throw new ModelError(`run: no phase ${part.phase} (have: ${Object.keys(phases).join(', ')})`);
  return { columns: columnsOf(described), fingerprint: described.fingerprint, interrupted };
}

function disagreeing(): ModelError {
  return new ModelError('run: executors disagree on the state: this is a bug of the laboratory');
}

/** The steps of a part as a trace. Throws ModelError if they are too many, or if there is no such phase. */
export async function timelineOf(machine: Runnable, of: Described): Promise<Timeline> {
  const steps: TraceStep[] = [];
  const { columns, fingerprint, interrupted } = await describe(machine, of, (step) => {
    if (steps.length >= TIMELINE_STEPS_MAX) throw tooLong(steps.length + 1);
    steps.push(step);
  });
  return { trace: { columns, steps, end: null, fingerprint }, interrupted };
}

/** What a run that is longer than such a timeline gets to hear. */
function tooLong(steps: number): ModelError {
  return new ModelError(
    `run: a timeline as text or mermaid has at most ${formatNumber(TIMELINE_STEPS_MAX)} steps (this one: ` +
      `${formatNumber(steps)}): show a part (--from, --to, --last, --phase), or all of it as ftrace, perfetto or json`,
  );
}

/** What is written, and in which format. */
export interface Written extends Described {
  readonly format: TraceFormat;
  /** Steps that the phase and the times of the part leave. */
  readonly inPart: number;
  readonly options: RenderOptions;
}

/**
 * Writes the steps of a part, piece by piece where the format allows; says on stderr how large a large file gets.
 * Returns true if it was interrupted: what is written is whole as a document, and lacks steps. Throws ModelError.
 */
export async function writeTimeline(
  machine: Runnable,
  { format, options, ...of }: Written,
  write: (text: string) => void,
): Promise<boolean> {
  const shown = new Window(of.part ?? {}, machine.costs.hertz).shown(of.inPart);
  if (shown === 0 && of.part?.phase === undefined)
    throw new ModelError(
      `run: no step begins in that time (--from, --to): the run has ${formatNumber(of.steps)} steps`,
    );
  const columns = columnsOf(new DirectExecutor(machine.system));
  const writer = traceWriter(format, { columns, steps: shown, timed: true }, options);
  const size = new Size(format, shown);
  if (writer === null) {
    if (shown > TIMELINE_STEPS_MAX) throw tooLong(shown);
    const { trace, interrupted } = await timelineOf(machine, of);
    const text = renderTrace(format, trace, options);
    size.add(text);
    write(text);
    size.end();
    return interrupted;
  }
  let pieces = writer.begin();
  const flush = (): void => {
    size.add(pieces);
    write(pieces);
    pieces = '';
  };
  let done = 0;
  const { fingerprint, interrupted } = await describe(machine, of, (step) => {
    pieces += writer.step(step);
    if (pieces.length >= PIECE_CHARACTERS) flush();
    if (++done === SAMPLE_STEPS) size.estimate(done, pieces.length);
  });
  pieces += writer.end(null, fingerprint);
  flush();
  size.end();
  return interrupted;
}

/** Tells how large a file gets. */
class Size {
  readonly #format: TraceFormat;
  readonly #steps: number;
  #bytes = 0;

  constructor(format: TraceFormat, steps: number) {
    this.#format = format;
    this.#steps = steps;
  }

  add(text: string): void {
    this.#bytes += Buffer.byteLength(text);
  }

  /** @param done steps written so far, @param waiting characters of them that are not counted yet */
  estimate(done: number, waiting: number): void {
    const whole = ((this.#bytes + waiting) / done) * this.#steps;
    if (whole > LARGE_BYTES) this.#say(`about ${megabytes(whole)}`);
  }

  end(): void {
    if (this.#bytes > LARGE_BYTES) this.#say(`${megabytes(this.#bytes)} written`);
  }

  #say(size: string): void {
    process.stderr.write(`timeline: ${this.#steps} steps as ${this.#format}: ${size}\n`);
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
