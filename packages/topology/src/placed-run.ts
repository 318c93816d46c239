/**
 * A run of a machine in parts, each where its placement says: conservative parallel simulation with windows as wide as
 * one likes, because nothing passes between parts. A part that dies is reported by the name of what runs in it.
 */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import { cyclesOf, hashString, ModelError, withCosts, type CostModel } from '@shootdown/machine';
import { architectures } from '@shootdown/mm';
import { releaseProxy, wrap, type Remote } from 'comlink';
import { PartRunner, type PartOptions, type PartState } from './part-runner.ts';
import { partsOf, type Part } from './parts.ts';
import type { Counters, Crossing, MachineRun } from './run.ts';
import type { Topology } from './schema.ts';

export { tracedThreads } from './traced-threads.ts';

/** A part as far as it has come. */
export interface PlacedPart extends Part {
  readonly run: MachineRun | null;
  /** Names of its processors, once it has begun. */
  readonly processors: readonly string[];
  /** How its worker died; null: it lives. */
  readonly lost: string | null;
}

interface Runs {
  start(topology: Topology, options: PartOptions): Promise<void> | void;
  advance(steps: number): Promise<PartState> | PartState;
  advanceTo(cycles: number, arrived: readonly Crossing[]): Promise<PartState> | PartState;
  stop(): Promise<void>;
}

/** A part in a thread of its own. */
class WorkerPart implements Runs {
  readonly #worker: Worker;
  readonly #api: Remote<PartRunner>;
  /** Rejects when the thread ends before it should: a call to it would never settle. */
  readonly #gone: Promise<never>;

  constructor(name: string, onWorker: (name: string, worker: Worker) => void) {
    const { port1, port2 } = new MessageChannel();
    const path = createRequire(import.meta.url).resolve('@shootdown/topology/worker');
    this.#worker = new Worker(path, { workerData: { port: port2 }, transferList: [port2], execArgv: [] });
    this.#gone = new Promise<never>((_resolve, reject) => {
      this.#worker.once('error', (error: Error) => reject(new WorkerLost(error.message)));
      this.#worker.once('exit', (code: number) => reject(new WorkerLost(`exit code ${code}`)));
    });
    this.#gone.catch(() => undefined);
    this.#api = wrap<PartRunner>(port1);
    onWorker(name, this.#worker);
  }

  async start(topology: Topology, options: PartOptions): Promise<void> {
    await Promise.race([this.#api.start(topology, options), this.#gone]);
  }

  async advance(steps: number): Promise<PartState> {
    return await Promise.race([this.#api.advance(steps), this.#gone]);
  }

  async advanceTo(cycles: number, arrived: readonly Crossing[]): Promise<PartState> {
    return await Promise.race([this.#api.advanceTo(cycles, arrived), this.#gone]);
  }

  async stop(): Promise<void> {
    this.#api[releaseProxy]();
    await this.#worker.terminate();
  }
}

class WorkerLost extends Error {}

class LocalPart extends PartRunner implements Runs {
  async stop(): Promise<void> {}
}

/** Options of a placed run. */
export interface PlacedOptions extends PartOptions {
  /** True: everything runs in this thread, whatever the placement says. */
  readonly inProcess?: boolean;
  /** Told of every worker that is started. */
  readonly onWorker?: (name: string, worker: Worker) => void;
  /** Told how long routines took. */
  readonly onRoutine?: (routine: string, cycles: number) => void;
}

interface PlacedState {
  readonly part: Part;
  readonly runs: Runs;
  state: PartState | null;
  lost: string | null;
  started: boolean;
  /** What is on its way to it. */
  arriving: readonly Crossing[];
}

/** A run under way. */
export class PlacedRun {
  readonly #options: PlacedOptions;
  readonly #parts: PlacedState[];
  #wallSeconds = 0;

  constructor(topology: Topology, options: PlacedOptions = {}) {
    this.#options = options;
    const { inProcess = false, onWorker = () => undefined } = options;
    this.#parts = partsOf(topology).map((part) => ({
      part,
      runs: part.placement === 'worker' && !inProcess ? new WorkerPart(part.name, onWorker) : new LocalPart(),
      state: null,
      lost: null,
      started: false,
      arriving: [],
    }));
  }

  /** Every part makes up to so many more steps, those in workers at the same time; false once all have ended. */
  async advance(steps: number): Promise<boolean> {
    const began = performance.now();
    if (this.#linked) await this.#advanceLinked(steps);
    else await Promise.all(this.#parts.map((placed) => this.#advance(placed, (runs) => runs.advance(steps))));
    this.#wallSeconds += (performance.now() - began) / 1000;
    if (this.#linked && this.#parts.some(({ state }) => state?.more === false)) return false;
    if (this.#parts.some(({ lost }) => lost !== null)) return false;
    return this.#parts.some(({ state }) => state?.more === true);
  }

  /** Messages pass between the parts. */
  get #linked(): boolean {
    return this.#parts[0]?.part.device === null;
  }

  get #steps(): number {
    return this.#parts.reduce((sum, { state }) => sum + (state?.run.steps ?? 0), 0);
  }

  /**
   * Windows as wide as a message is under way: what a part sends in one of them reaches the other in a later one, so
   * that both can go through it at once.
   */
  async #advanceLinked(steps: number): Promise<void> {
    const until = this.#steps + steps;
    const width = cyclesOf(costsOf(this.#parts[0]?.part.topology as Topology), 'device_message');
    while (this.#steps < until) {
      const from = Math.min(...this.#parts.map(nextOf));
      if (from === Number.POSITIVE_INFINITY) {
        // Nobody will ever do anything again: the machine says how it ends.
        await this.#advance(this.#parts[0] as PlacedState, (runs) => runs.advance(1));
        return;
      }
      await Promise.all(
        this.#parts.map((placed) => this.#advance(placed, (runs) => runs.advanceTo(from + width, placed.arriving))),
      );
      const [machine, device] = this.#parts as [PlacedState, PlacedState];
      if ([machine, device].some(({ lost, state }) => lost !== null || state?.more === false)) return;
      machine.arriving = later(device, width);
      device.arriving = later(machine, width);
    }
  }

  async #advance(placed: PlacedState, run: (runs: Runs) => Promise<PartState> | PartState): Promise<void> {
    if (placed.lost !== null || placed.state?.more === false) return;
    const { stepsMax, seed, timed, folder } = this.#options;
    try {
      if (!placed.started)
        await placed.runs.start(placed.part.topology, { stepsMax, seed, timed, folder, device: placed.part.device });
      placed.started = true;
      placed.state = await run(placed.runs);
    } catch (error) {
      if (error instanceof WorkerLost) placed.lost = error.message;
      else throw error instanceof Error && error.name === 'ModelError' ? new ModelError(error.message) : error;
      return;
    }
    for (const { routine, cycles } of placed.state.samples)
      for (const sample of cycles) this.#options.onRoutine?.(routine, sample);
  }

  /** Ends the workers. */
  async stop(): Promise<void> {
    await Promise.all(this.#parts.map(({ runs }) => runs.stop()));
  }

  /** Each part as far as it has come. */
  get parts(): readonly PlacedPart[] {
    return this.#parts.map(({ part, state, lost }) => ({
      ...part,
      run: state?.run ?? null,
      processors: state?.processors ?? [],
      lost,
    }));
  }

  /** All parts as one run: processors one part after another, times side by side. */
  result(): MachineRun {
    const runs = this.#parts.flatMap(({ state }) => state?.run ?? []);
    const cycles = Math.max(0, ...runs.map((run) => run.cycles));
    const steps = runs.reduce((sum, run) => sum + run.steps, 0);
    return {
      end: this.#end(runs),
      steps,
      cycles,
      nanoseconds: Math.max(0, ...runs.map((run) => run.nanoseconds)),
      busyCycles: runs.flatMap((run) => run.busyCycles),
      stealCycles: runs.flatMap((run) => run.stealCycles ?? run.busyCycles.map(() => 0)),
      phases: Object.fromEntries(
        [...new Set(runs.flatMap((run) => Object.keys(run.phases)))].map((phase) => [
          phase,
          sideBySide(runs, (run) => run.phases[phase] ?? {}),
        ]),
      ),
      total: sideBySide(runs, (run) => run.total),
      wallSeconds: this.#wallSeconds,
      stepsPerSecond: this.#wallSeconds > 0 ? steps / this.#wallSeconds : 0,
      fingerprint: fingerprintOf(runs),
      schedule: null,
      violation: runs.find((run) => run.violation !== null)?.violation ?? null,
      series: { intervalNanoseconds: 0, counters: {} },
      seed: this.#options.seed ?? 0,
    };
  }

  /** The end that matters most of those of the parts. */
  #end(runs: readonly MachineRun[]): MachineRun['end'] {
    if (this.#parts.some(({ lost }) => lost !== null)) return 'stopped';
    // A device ends only where something is wrong.
    if (this.#linked) return runs.find(({ end }) => end !== 'stopped')?.end ?? 'stopped';
    const order = ['violation', 'deadlock', 'steps', 'stopped', 'time', 'rest', 'done'] as const;
    return order.find((end) => runs.some((run) => run.end === end)) ?? 'stopped';
  }
}

/** When a part does something next: it makes its first step at 0. */
function nextOf({ state, arriving }: PlacedState): number {
  if (state?.more === false) return Number.POSITIVE_INFINITY;
  return Math.min(state === null ? 0 : state.nextCycles, ...arriving.map(({ cycles }) => cycles));
}

/** What a part has sent, when it arrives. */
function later({ state }: PlacedState, width: number): Crossing[] {
  return (state?.sent ?? []).map(({ cycles, message }) => ({ cycles: cycles + width, message }));
}

function costsOf({ architecture, costs }: Topology): CostModel {
  return withCosts(architectures[architecture].costs, costs);
}

function sideBySide(runs: readonly MachineRun[], of: (run: MachineRun) => Counters): Counters {
  const names = [...new Set(runs.flatMap((run) => Object.keys(of(run))))];
  return Object.fromEntries(
    names.map((name) => [name, runs.flatMap((run) => of(run)[name] ?? run.busyCycles.map(() => 0))]),
  );
}

/** Of several parts the hash of theirs, in order. */
function fingerprintOf(runs: readonly MachineRun[]): string {
  const [only] = runs;
  if (runs.length === 1 && only) return only.fingerprint;
  const { lo, hi } = hashString(runs.map((run) => run.fingerprint).join());
  return [hi, lo].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
