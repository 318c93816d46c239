/**
 * The rules that no section of the matrix breaks are broken here, each by the code that it is about, and kept where
 * that is right.
 */
import { startCpu, type Cpu } from '@shootdown/cpu';
import { explore } from '@shootdown/explorer';
import { program, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { mk_pte } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { lazyMachine, mapInSection, raiseSoftirq, RW, SOFTIRQ, type LazyMachine } from './lazy-machine.ts';

const current = { task: 0 };

/** One task, with every rule judged. */
async function broken(arch: lazy.LazyArch, body: (machine: LazyMachine, ptep: EntryPointer) => Steps) {
  const machine = lazyMachine({ memoryModel: 'sc', arch, cpus: 1, tasks: 1 });
  const [cpu] = machine.cpus as [Cpu];
  const [ptep] = machine.own as [EntryPointer];
  const section = routine('section', function* (): Steps {
    yield* lazy.lazy_mmu_mode_enable(machine.lazy, current);
    yield* body(machine, ptep);
    yield* lazy.lazy_mmu_mode_disable(machine.lazy, current);
  });
  startCpu(machine.builder, cpu, [program(section)]);
  return (await explore(machine.builder.build())).property;
}

function* storeThenExchange({ lazy: mode }: LazyMachine, ptep: EntryPointer): Steps {
  yield* lazy.set_pte(mode, current, ptep, mk_pte(4, RW));
  yield* lazy.ptep_get_and_clear(mode, current, ptep);
}

function* storeThenProtect({ lazy: mode }: LazyMachine, ptep: EntryPointer): Steps {
  yield* lazy.set_pte(mode, current, ptep, mk_pte(4, RW));
  yield* lazy.ptep_set_wrprotect(mode, current, ptep);
}

function* storeThenDereference({ lazy: mode }: LazyMachine, ptep: EntryPointer): Steps {
  yield* lazy.set_pte(mode, current, ptep, mk_pte(4, RW));
  yield* lazy.dereference(mode, current, ptep);
}

describe('rules of lazy MMU mode', () => {
  it('H4: a task that is moved in the mode, unless preemption is disabled', async () => {
    const moved = async (arch: lazy.LazyArch) => {
      const machine = lazyMachine({ memoryModel: 'sc', arch, cpus: 2, tasks: 1 });
      const [first, second] = machine.cpus as [Cpu, Cpu];
      const [ptep] = machine.own as [EntryPointer];
      const section = routine('section', function* (): Steps {
        yield* lazy.lazy_mmu_mode_enable(machine.lazy, current);
        yield* lazy.ptep_get_and_clear(machine.lazy, current, ptep);
        yield* lazy.lazy_mmu_mode_disable(machine.lazy, current);
      });
      startCpu(machine.builder, first, [program(section)], {}, { migratesTo: [second] });
      startCpu(machine.builder, second, [program(routine('nothing', function* () {}))]);
      return (await explore(machine.builder.build())).property;
    };
    expect(await moved(lazy.sparc64BeforeA1d416bf9faf)).toBe(lazy.HAZARDS.H4);
    expect(await moved(lazy.lazyArchs.sparc64)).toBeNull();
  });

  it('H6: an interrupt that is deferred by the section it came into, before b81c688426a9', async () => {
    const interrupted = async (arch: lazy.LazyArch) => {
      const options = { memoryModel: 'sc', arch, cpus: 2, tasks: 1, kernelTable: true, vectors: [SOFTIRQ] } as const;
      const machine = lazyMachine(options);
      const [first, second] = machine.cpus as [Cpu, Cpu];
      const [ptep] = machine.other as [EntryPointer];
      const inSoftirq = { task: 0, interrupt: true };
      const handler = routine('handler', function* (): Steps {
        yield* lazy.set_pte(machine.lazy, inSoftirq, ptep, mk_pte(3, RW));
        yield* lazy.needs_immediate_effect(machine.lazy, inSoftirq, ptep, 'it is mapped');
      });
      startCpu(machine.builder, first, [program(mapInSection, machine)], { [SOFTIRQ]: program(handler) });
      startCpu(machine.builder, second, [program(raiseSoftirq, first)]);
      return (await explore(machine.builder.build())).property;
    };
    expect(await interrupted(lazy.arm64BeforeB81c688426a9)).toBe(lazy.HAZARDS.H6);
    expect(await interrupted(lazy.lazyArchs.arm64)).toBeNull();
  });

  it('H10: an exchange, or a write protection, that passes a queued store', async () => {
    expect(await broken(lazy.lazyArchs['xen-pv'], storeThenExchange)).toBe(lazy.HAZARDS.H10);
    expect(await broken(lazy.lazyArchs['xen-pv'], storeThenProtect)).toBe(lazy.HAZARDS.H10);
    expect(await broken(lazy.lazyArchs.s390, storeThenExchange)).toBeNull();
  });

  it('H11: a dereference where ptep_get() would have read the cache', async () => {
    expect(await broken(lazy.lazyArchs.s390, storeThenDereference)).toBe(lazy.HAZARDS.H11);
    expect(await broken(lazy.lazyArchs['x86-native'], storeThenDereference)).toBeNull();
  });
});
