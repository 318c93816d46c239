/** Worker entry: serves a ptdump actor over comlink, on the MessagePort in `workerData.port`. */
import { workerData, type MessagePort } from 'node:worker_threads';
import { serveMachine } from '@shootdown/machine';
import { expose } from 'comlink';
import { ptdumpMachine } from './ptdump.machine.ts';

const { port } = workerData as { port: MessagePort };
expose(serveMachine(ptdumpMachine), port);
