/** Worker entry: serves a subscription actor over comlink, on the MessagePort in `workerData.port`. */
import { workerData, type MessagePort } from 'node:worker_threads';
import { serveMachine } from '@shootdown/machine';
import { expose } from 'comlink';
import { subscriptionMachine } from './subscription.machine.ts';

const { port } = workerData as { port: MessagePort };
expose(serveMachine(subscriptionMachine), port);
