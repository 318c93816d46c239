/** Worker entry: an MMU actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { mmuMachine } from './mmu.machine.ts';

serveWorker(mmuMachine);
