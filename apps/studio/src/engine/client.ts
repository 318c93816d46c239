/** The page's side of the worker: started when first asked, thrown away when it is stuck or dead. */
import { proxy, wrap, type Remote } from 'comlink';
import type {
  Beyond,
  Engine,
  JudgedLine,
  MachineEntry,
  Mutated,
  RanMachine,
  ScenarioEntry,
  SearchProgress,
  SystemRequest,
  Verdict,
  Walk,
} from './api.ts';

/** One of several workers: the panes answer while others search. */
class EngineClient {
  #worker: Worker | null = null;
  #remote: Remote<Engine> | null = null;
  #died: Promise<never> | null = null;

  #start(): Remote<Engine> {
    if (this.#remote) return this.#remote;
    const worker = new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' });
    this.#worker = worker;
    this.#died = new Promise((_, reject) => {
      worker.addEventListener('error', (event) => {
        this.stop();
        reject(new Error(`the search has ended: ${event.message || 'its worker is out of memory or could not start'}`));
      });
    });
    this.#died.catch(() => undefined);
    this.#remote = wrap<Engine>(worker);
    return this.#remote;
  }

  /** Ends whatever is under way. */
  stop(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#remote = null;
  }

  async #ask<T>(question: (remote: Remote<Engine>) => Promise<T>): Promise<T> {
    const remote = this.#start();
    return await Promise.race([question(remote), this.#died as Promise<never>]);
  }

  scenarios(): Promise<ScenarioEntry[]> {
    return this.#ask((remote) => remote.scenarios());
  }

  explore(request: SystemRequest, onProgress: (progress: SearchProgress) => void): Promise<Verdict> {
    return this.#ask((remote) => remote.explore(request, proxy(onProgress)));
  }

  walk(request: SystemRequest, schedule: readonly number[]): Promise<Walk> {
    return this.#ask((remote) => remote.walk(request, schedule));
  }

  beyond(request: SystemRequest, schedule: readonly number[]): Promise<Beyond> {
    return this.#ask((remote) => remote.beyond(request, schedule));
  }

  onwards(request: SystemRequest, schedule: readonly number[]): Promise<Walk | null> {
    return this.#ask((remote) => remote.onwards(request, schedule));
  }

  mutate(request: SystemRequest, onJudged: (line: JudgedLine, judged: number, all: number) => void): Promise<Mutated> {
    return this.#ask((remote) => remote.mutate(request, proxy(onJudged)));
  }

  machines(): Promise<MachineEntry[]> {
    return this.#ask((remote) => remote.machines());
  }

  run(name: string, text: string, onProgress: (steps: number, nanoseconds: number) => void): Promise<RanMachine> {
    return this.#ask((remote) => remote.run(name, text, proxy(onProgress)));
  }
}

/** Answers at once: verdicts and walks. */
export const foreground = new EngineClient();
/** Searches the whole space around a walk. */
export const background = new EngineClient();
/** Changes lines, and runs machines. */
export const laboratory = new EngineClient();
