/** Worker entry: a grace-period actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { gracePeriodMachine } from './rcu.machine.ts';

serveWorker(gracePeriodMachine);
