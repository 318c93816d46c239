/**
 * What a component's worker entry runs: serves its machine to another thread, over comlink on the MessagePort in
 * `workerData.port`.
 */
import { workerData, type MessagePort } from 'node:worker_threads';
import { expose } from 'comlink';
import { serveMachine } from './serve.ts';
import type { AnyStateMachine } from './xstate-adapter.ts';

/** The one line of a worker entry. */
export function serveWorker(machine: AnyStateMachine): void {
  const { port } = workerData as { port: MessagePort };
  expose(serveMachine(machine), port);
}
