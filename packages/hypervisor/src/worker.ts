/** Worker entry: a vCPU actor for another thread. */
import { serveWorker } from '@shootdown/machine/worker';
import { vcpuMachine } from './vcpu.machine.ts';

serveWorker(vcpuMachine);
