/** Worker entry: a ptdump actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { ptdumpMachine } from './ptdump.machine.ts';

serveWorker(ptdumpMachine);
