/** Worker entry: serves a CPU actor over comlink, on the MessagePort in `workerData.port`. */
import { workerData, type MessagePort } from 'node:worker_threads';
import { serveMachine } from '@shootdown/machine';
import { expose } from 'comlink';
import { cpuMachine } from './cpu.machine.ts';

const { port } = workerData as { port: MessagePort };
expose(serveMachine(cpuMachine), port);
