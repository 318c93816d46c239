/** Worker entry: a CPU actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { cpuMachine } from './cpu.machine.ts';

serveWorker(cpuMachine);
