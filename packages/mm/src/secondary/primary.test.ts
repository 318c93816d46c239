import type { Cpu } from '@shootdown/cpu';
import { SystemBuilder } from '@shootdown/machine';
import { addFaultHandler } from '@shootdown/mmu-notifier';
import { expect, it } from 'vitest';
import type { Kernel, Mm } from '../kernel.ts';
import { primaryMmu } from './primary.ts';

it('the actor of faults is that of one thread: told by two, it would stand where neither does', () => {
  const fault = addFaultHandler(new SystemBuilder(), 'CPU0', 'kvm');
  const thread = (cpu: object): unknown => primaryMmu({} as Kernel, cpu as Cpu, {} as Mm, { fault });
  const own = { name: 'CPU0' };
  thread(own);
  thread(own);
  expect(() => thread({ name: 'CPU1' })).toThrow(
    'mm: primaryMmu: CPU0.kvm.fault stands for the faults of CPU0 and of CPU1: addFaultHandler() makes one for each thread',
  );
});
