/** Worker threads: started, raced against their own end, and stopped. comlink carries the calls. */
import { fromThread, ModelError } from '@shootdown/machine';
import { releaseProxy, wrap, type Remote } from 'comlink';
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { WorkerApi } from './worker.ts';

/** One worker thread. */
export class WorkerThread {
  protected readonly api: Remote<WorkerApi>;
  readonly #worker: Worker;
  /** Rejects when the thread ends before it should. */
  readonly #gone: Promise<never>;

  /**
   * Loads the built worker through the package's own exports, so that sources and builds start the same one.
   * @param task what it works for, in errors
   */
  constructor(task: string, index: number) {
    const { port1, port2 } = new MessageChannel();
    const path = createRequire(import.meta.url).resolve('@shootdown/explorer/worker');
    this.#worker = new Worker(path, { workerData: { port: port2 }, transferList: [port2], execArgv: [] });
    this.#gone = new Promise<never>((_resolve, reject) => {
      this.#worker.once('error', (error: Error) =>
        reject(new ModelError(`${task}: worker ${index}: ${error.message}`)),
      );
      this.#worker.once('exit', (code: number) =>
        reject(new ModelError(`${task}: worker ${index}: ended early (exit code ${code})`)),
      );
    });
    this.#gone.catch(() => undefined);
    this.api = wrap<WorkerApi>(port1);
  }

  async stop(): Promise<void> {
    this.api[releaseProxy]();
    await this.#worker.terminate();
  }

  /** A call that fails when the thread dies. */
  protected async raced<T>(call: Promise<T>): Promise<T> {
    try {
      return await Promise.race([call, this.#gone]);
    } catch (error) {
      throw fromThread(error);
    }
  }
}
