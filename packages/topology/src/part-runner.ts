/** One part under way, in this thread or served to another: advanced in windows, read after each. */
import { ModelError } from '@shootdown/machine';
import { assemble, assembleDevice } from './assemble.ts';
import { waitOf } from './routine-times.ts';
import { tracedThreads } from './traced-threads.ts';
import { MachineRunner, type Crossing, type MachineRun } from './run.ts';
import type { Topology } from './schema.ts';

/** What a part is asked for besides its topology. Everything crosses threads as plain data. */
export interface PartOptions {
  readonly stepsMax?: number | undefined;
  readonly seed?: number | undefined;
  /** Routines whose times are wanted; then what was waited for as well, by {@link waitOf}. */
  readonly timed?: readonly string[] | undefined;
  /** Where the topology's file is: the traces of its threads are found from there. Left out: nobody reads them. */
  readonly folder?: string | undefined;
  /** See {@link Part.device}. */
  readonly device?: string | null | undefined;
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
  /** Names of the processors, in the order of the counters. */
  readonly processors: readonly string[];
  /** Times of routines that have returned in this window. */
  readonly samples: readonly RoutineSamples[];
}

/** A part after a window between messages: no more than what the next one needs. */
export interface LinkState {
  /** It has not ended. */
  readonly more: boolean;
  /** Steps so far. */
  readonly steps: number;
  /** What it has sent over its link in this window. */
  readonly sent: readonly Crossing[];
  /** When its next step begins, as far as it knows; Infinity: not before something arrives. */
  readonly nextCycles: number;
}

/** Routines of one's own are loaded by whoever reads the file, and cannot be handed to another thread. */
function refuseRoutines({ name: machine, host, processes: native }: Topology): void {
  for (const { threads } of host ? [] : native)
    for (const { routine } of threads)
      if (routine !== undefined)
        throw new ModelError(
          `topology: ${machine}: routine ${routine}: a machine whose device is placed runs in parts, which have no routines of one's own`,
        );
  for (const { name, processes } of host?.vms ?? [])
    for (const { threads } of processes)
      for (const { routine } of threads)
        if (routine !== undefined)
          throw new ModelError(
            `topology: ${name}: routine ${routine}: virtual machines with CPUs of their own run in parts, which have no routines of one's own`,
          );
}

/** Runs one part. */
export class PartRunner {
  #runner: MachineRunner | null = null;
  #processors: readonly string[] = [];
  #samples = new Map<string, number[]>();
  #more = true;

  /** Assembles it. Throws ModelError, TraceError. */
  async start(topology: Topology, { stepsMax, seed, timed = [], folder, device }: PartOptions = {}): Promise<void> {
    refuseRoutines(topology);
    const wanted = new Set(timed);
    const own = folder === undefined ? undefined : await tracedThreads(topology, folder);
    const machine =
      typeof device === 'string'
        ? assembleDevice(topology, device)
        : assemble(topology, own, undefined, device === null);
    this.#processors = machine.system.processors.map(({ name }) => name);
    this.#runner = new MachineRunner(machine, {
      ...(stepsMax !== undefined && { stepsMax }),
      ...(seed !== undefined && { seed }),
      ...(wanted.size > 0 && {
        onRoutine: (routine, _processor, cycles) => {
          if (wanted.has(routine)) this.#sample(routine, cycles);
        },
        onWait: (operation, _processor, cycles) => {
          const kind = waitOf(operation);
          if (kind !== null) this.#sample(kind, cycles);
        },
        onGracePeriod: (cycles) => this.#sample('grace period', cycles),
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
    this.#more = this.#started().advance(steps);
    return this.read();
  }

  /** Makes the steps that begin before a time, with what arrives over the link until then. */
  advanceTo(cycles: number, arrived: readonly Crossing[]): LinkState {
    const runner = this.#started();
    this.#more = runner.advanceTo(cycles, arrived);
    return { more: this.#more, steps: runner.steps, sent: runner.takeSent(), nextCycles: runner.nextCycles };
  }

  /** How far it has come. */
  read(): PartState {
    const samples = [...this.#samples].map(([routine, cycles]) => ({ routine, cycles }));
    this.#samples = new Map();
    return { more: this.#more, run: this.#started().result(), processors: this.#processors, samples };
  }

  #started(): MachineRunner {
    if (!this.#runner) throw new Error('part: advance: not started');
    return this.#runner;
  }
}
