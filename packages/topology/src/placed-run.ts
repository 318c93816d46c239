/**
 * A run of a machine in parts, each where its placement says: conservative parallel simulation with windows as wide as
 * one likes, because nothing passes between parts. A part that dies is reported by the name of what runs in it.
 */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import { hashString, ModelError } from '@shootdown/machine';
import { releaseProxy, wrap, type Remote } from 'comlink';
import { PartRunner, type PartOptions, type PartState } from './part-runner.ts';
import { partsOf, type Part } from './parts.ts';
import type { Counters, MachineRun } from './run.ts';
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
    }));
  }

  /** Every part makes up to so many more steps, those in workers at the same time; false once all have ended. */
  async advance(steps: number): Promise<boolean> {
    const began = performance.now();
    await Promise.all(this.#parts.map((placed) => this.#advance(placed, steps)));
    this.#wallSeconds += (performance.now() - began) / 1000;
    if (this.#parts.some(({ lost }) => lost !== null)) return false;
    return this.#parts.some(({ state }) => state?.more === true);
  }

  async #advance(placed: PlacedState, steps: number): Promise<void> {
    if (placed.lost !== null || placed.state?.more === false) return;
    const { stepsMax, seed, timed, folder } = this.#options;
    try {
      if (!placed.started) await placed.runs.start(placed.part.topology, { stepsMax, seed, timed, folder });
      placed.started = true;
      placed.state = await placed.runs.advance(steps);
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
    const order = ['violation', 'deadlock', 'steps', 'stopped', 'time', 'rest', 'done'] as const;
    return order.find((end) => runs.some((run) => run.end === end)) ?? 'stopped';
  }
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
