/** One part under way, in this thread or served to another: advanced in windows, read after each. */
import { assemble } from './assemble.ts';
import { MachineRunner, type MachineRun } from './run.ts';
import type { Topology } from './schema.ts';

/** What a part is asked for besides its topology. Everything crosses threads as plain data. */
export interface PartOptions {
  readonly stepsMax?: number | undefined;
  readonly seed?: number | undefined;
  /** Routines whose times are wanted. */
  readonly timed?: readonly string[] | undefined;
}

/** How long routines took: counts by the power of two, as histograms have them. */
export interface RoutineSamples {
  readonly routine: string;
  readonly cycles: readonly number[];
}

/** A part after a window. */
export interface PartState {
  /** It has not ended. */
  readonly more: boolean;
  readonly run: MachineRun;
  /** Times of routines that have returned in this window. */
  readonly samples: readonly RoutineSamples[];
}

/** Runs one part. */
export class PartRunner {
  #runner: MachineRunner | null = null;
  #samples = new Map<string, number[]>();

  /** Assembles it. Throws ModelError. */
  start(topology: Topology, { stepsMax, seed, timed = [] }: PartOptions = {}): void {
    const wanted = new Set(timed);
    this.#runner = new MachineRunner(assemble(topology), {
      ...(stepsMax !== undefined && { stepsMax }),
      ...(seed !== undefined && { seed }),
      ...(wanted.size > 0 && {
        onRoutine: (routine, _processor, cycles) => {
          if (wanted.has(routine)) this.#sample(routine, cycles);
        },
      }),
    });
  }

  #sample(routine: string, cycles: number): void {
    const known = this.#samples.get(routine);
    if (known) known.push(cycles);
    else this.#samples.set(routine, [cycles]);
  }

  /** Makes so many more steps. */
  advance(steps: number): PartState {
    if (!this.#runner) throw new Error('part: advance: not started');
    const more = this.#runner.advance(steps);
    const samples = [...this.#samples].map(([routine, cycles]) => ({ routine, cycles }));
    this.#samples = new Map();
    return { more, run: this.#runner.result(), samples };
  }
}
