/** Worker entry: a subscription actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { subscriptionMachine } from './subscription.machine.ts';

serveWorker(subscriptionMachine);
