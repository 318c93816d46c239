/**
 * A run of a machine in parts, each where its placement says: conservative parallel simulation. Between virtual
 * machines nothing passes, and windows are as wide as one likes; between a machine and its device messages do, and
 * windows are as wide as the shortest is under way. A part that dies is reported by the name of what runs in it.
 */
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import { cyclesOf, fromThread, hashString, withCosts } from '@shootdown/machine';
import { architectures } from '@shootdown/mm';
import { releaseProxy, wrap, type Remote } from 'comlink';
import { PartRunner, type LinkState, type PartOptions, type PartState } from './part-runner.ts';
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
  advanceTo(cycles: number, arrived: readonly Crossing[]): Promise<LinkState> | LinkState;
  read(): Promise<PartState> | PartState;
  stop(): Promise<void>;
}

/** Steps leave much behind that is soon garbage: with room for more of it a worker collects less often. */
const YOUNG_GENERATION_MB = 64;

/** A part in a thread of its own. */
class WorkerPart implements Runs {
  readonly #worker: Worker;
  readonly #api: Remote<PartRunner>;
  /** Rejects when the thread ends before it should: a call to it would never settle. */
  readonly #gone: Promise<never>;

  constructor(name: string, onWorker: (name: string, worker: Worker) => void) {
    const { port1, port2 } = new MessageChannel();
    const path = createRequire(import.meta.url).resolve('@shootdown/topology/worker');
    this.#worker = new Worker(path, {
      workerData: { port: port2 },
      transferList: [port2],
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
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

  async advanceTo(cycles: number, arrived: readonly Crossing[]): Promise<LinkState> {
    return await Promise.race([this.#api.advanceTo(cycles, arrived), this.#gone]);
  }

  async read(): Promise<PartState> {
    return await Promise.race([this.#api.read(), this.#gone]);
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

/** What a run to the end is told. */
export interface PlacedRunning {
  /** Ends it, with what was measured. */
  readonly signal?: AbortSignal;
  readonly onProgress?: () => void;
}

interface PlacedState {
  readonly part: Part;
  readonly runs: Runs;
  state: PartState | null;
  lost: string | null;
  started: boolean;
  /** After the last window, if messages pass. */
  link: LinkState | null;
  /** What is on its way to it. */
  arriving: readonly Crossing[];
}

/** A part in this thread lets others have it after so many steps. */
const PORTION_STEPS = 20_000;

/** Parts that messages pass between are read after so many steps: this much is lost when a worker dies. */
const LINKED_STEPS = 20_000;

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
      link: null,
      arriving: [],
    }));
  }

  /** Every part makes up to so many more steps, those in workers at the same time; false once all have ended. */
  async advance(steps: number): Promise<boolean> {
    const began = performance.now();
    if (this.#linked) await this.#advanceLinked(steps);
    else await Promise.all(this.#parts.map((placed) => this.#advance(placed, steps)));
    this.#wallSeconds += (performance.now() - began) / 1000;
    if (this.#parts.some(({ lost }) => lost !== null)) return false;
    if (this.#linked) return this.#parts.every(({ state }) => state?.more === true);
    return this.#parts.some(({ state }) => state?.more === true);
  }

  /**
   * Runs all parts to their ends, or until one of them has lost its worker or thrown. Parts that nothing passes between
   * do not wait for one another.
   * @param steps after which a part in a worker tells how far it is; then `onProgress` is called
   */
  async run(steps: number, { signal, onProgress = () => undefined }: PlacedRunning = {}): Promise<void> {
    if (this.#linked) {
      while (signal?.aborted !== true && (await this.advance(steps))) {
        onProgress();
        await othersTurn();
      }
      return;
    }
    const began = performance.now();
    const before = this.#wallSeconds;
    const goesOn = ({ state, lost }: PlacedState): boolean => lost === null && state?.more !== false;
    let hasFailed = false;
    const isOver = (): boolean =>
      hasFailed || signal?.aborted === true || this.#parts.some(({ lost }) => lost !== null);
    const advances = async (placed: PlacedState): Promise<void> => {
      const isHere = placed.runs instanceof LocalPart;
      while (!isOver() && goesOn(placed)) {
        await this.#advance(placed, isHere ? PORTION_STEPS : steps);
        this.#wallSeconds = before + (performance.now() - began) / 1000;
        onProgress();
        if (isHere) await othersTurn();
      }
    };
    const endsOthers = (error: unknown): never => {
      hasFailed = true;
      throw error;
    };
    await Promise.all(this.#parts.map((placed) => advances(placed).catch(endsOthers)));
  }

  /** Messages pass between the parts. */
  get #linked(): boolean {
    return this.#parts[0]?.part.device === null;
  }

  /** Both parts, until they have made so many more steps or one of them has ended. */
  async #advanceLinked(steps: number): Promise<void> {
    const until = this.#linkedSteps + Math.min(steps, LINKED_STEPS);
    const [machine] = this.#parts as [PlacedState];
    while (this.#linkedSteps < until) {
      const from = Math.min(...this.#parts.map(nextOf));
      // Nobody will ever do anything again: the machine says how it ends.
      if (from === Number.POSITIVE_INFINITY) return await this.#advance(machine, 1);
      await this.#passWindow(from);
      if (this.#parts.some(({ lost, link }) => lost !== null || link?.more === false)) break;
    }
    await Promise.all(
      this.#parts.map(async (placed) => {
        if (placed.lost === null) this.#take(placed, await this.#reach(placed, (runs) => runs.read()));
      }),
    );
  }

  get #linkedSteps(): number {
    return this.#parts.reduce((sum, { link }) => sum + (link?.steps ?? 0), 0);
  }

  /**
   * Windows are as wide as a message is under way: what a part sends in one of them reaches the other in a later one,
   * so that both can go through it at once.
   */
  async #passWindow(from: number): Promise<void> {
    const [machine, device] = this.#parts as [PlacedState, PlacedState];
    const { architecture, costs } = machine.part.topology;
    const width = cyclesOf(withCosts(architectures[architecture].costs, costs), 'device_message');
    await Promise.all(
      this.#parts.map(async (placed) => {
        const { arriving } = placed;
        placed.link = (await this.#reach(placed, (runs) => runs.advanceTo(from + width, arriving))) ?? placed.link;
      }),
    );
    machine.arriving = later(device, width);
    device.arriving = later(machine, width);
  }

  async #advance(placed: PlacedState, steps: number): Promise<void> {
    if (placed.lost !== null || placed.state?.more === false) return;
    this.#take(placed, await this.#reach(placed, (runs) => runs.advance(steps)));
  }

  /** Has a part do something, and start before that; null: its worker has died. */
  async #reach<T>(placed: PlacedState, act: (runs: Runs) => Promise<T> | T): Promise<T | null> {
    const { stepsMax, seed, timed, folder } = this.#options;
    const { topology, device } = placed.part;
    try {
      if (!placed.started) await placed.runs.start(topology, { stepsMax, seed, timed, folder, device });
      placed.started = true;
      return await act(placed.runs);
    } catch (error) {
      if (error instanceof WorkerLost) placed.lost = error.message;
      else throw fromThread(error);
      return null;
    }
  }

  #take(placed: PlacedState, state: PartState | null): void {
    if (state === null) return;
    placed.state = state;
    for (const { routine, cycles } of state.samples)
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
      waiting: runs.flatMap((run) => run.waiting),
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

/** Signals, timers and messages of workers are heard. */
async function othersTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** When a part does something next: it makes its first step at 0. */
function nextOf({ link, arriving }: PlacedState): number {
  return Math.min(link === null ? 0 : link.nextCycles, ...arriving.map(({ cycles }) => cycles));
}

/** What a part has sent, when it arrives. */
function later({ link }: PlacedState, width: number): Crossing[] {
  return (link?.sent ?? []).map(({ cycles, message }) => ({ cycles: cycles + width, message }));
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
