/** Worker entry: a part of a machine for another thread, over comlink on the MessagePort in `workerData.port`. */
import { workerData, type MessagePort } from 'node:worker_threads';
import { expose } from 'comlink';
import { PartRunner } from './part-runner.ts';

const { port } = workerData as { port: MessagePort };
expose(new PartRunner(), port);
