/**
 * `lazy-migration`, `lazy-softirq`, `lazy-nesting`, `lazy-order`, `lazy-vmalloc`: who is in the mode, and what an
 * exchange or an interrupt makes of it.
 */
import type { Scenario, Variant } from '@shootdown/explorer';
import { startCpu, swapper_done, user_mode, type Cpu } from '@shootdown/cpu';
import { program, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { formatEntry, mk_pte, pte_present } from '@shootdown/mmu';
import {
  access,
  lazyMachine,
  mapInSection,
  raiseSoftirq,
  revoke,
  Revoked,
  RW,
  SOFTIRQ,
  type LazyMachine,
} from './lazy-machine.ts';
import { asUser, setsThenExchanges } from '../tasks.ts';

interface Design extends Variant {
  readonly arch: lazy.LazyArch;
}

const { lazyArchs } = lazy;
const current = { task: 0 };

/** Task A unmaps page 0 in a section. */
const unmapInSection = routine('zap_pte_range (task A)', function* (machine: LazyMachine): Steps {
  const [ptep] = machine.own as [EntryPointer];
  yield* lazy.lazy_mmu_mode_enable(machine.lazy, current);
  yield* lazy.ptep_get_and_clear(machine.lazy, current, ptep, { label: 'ptep_get_and_clear_full()' });
  yield* lazy.lazy_mmu_mode_disable(machine.lazy, current);
  yield* revoke(machine, 0, Revoked.accesses);
});

/** Task B unmaps page 1 outside any section: its flush is due at once. */
const unmapAtOnce = routine('ptep_clear_flush (task B)', function* (machine: LazyMachine): Steps {
  const [, ptep] = machine.own as [EntryPointer, EntryPointer];
  yield* lazy.ptep_get_and_clear(machine.lazy, { task: 1 }, ptep, { label: 'ptep_clear_flush()' });
  yield* revoke(machine, 1, Revoked.accesses);
});

const user = asUser(function* (machine: LazyMachine, cpu: Cpu): Steps {
  yield* access(machine, cpu.id, 0, false);
  yield* access(machine, cpu.id, 1, false);
  yield* user_mode(cpu);
});

/** Lazy MMU mode: does a batch of the CPU stay with the task that fills it? */
export const lazyMigration: Scenario<Design> = {
  name: 'lazy-migration',
  title: 'Lazy MMU mode: does a batch of the CPU stay with the task that fills it?',
  seed: 'S0',
  variants: [
    {
      name: 'sparc64-before-a1d416bf9faf',
      expected: 'violation',
      source: 'a1d416bf9faf',
      summary: 'a task that is moved leaves its batch behind, active for whoever runs there next',
      arch: lazy.sparc64BeforeA1d416bf9faf,
    },
    {
      name: 'powerpc-before-b9ef323ea168',
      expected: 'violation',
      source: 'b9ef323ea168',
      summary: 'the same of powerpc with hashed page tables',
      arch: lazy.powerpcBeforeB9ef323ea168,
    },
    {
      name: 'sparc64',
      expected: 'safe',
      source: 'a1d416bf9faf',
      summary: 'preemption is disabled in the mode',
      arch: lazyArchs.sparc64,
    },
    {
      name: 'powerpc',
      expected: 'safe',
      source: 'b9ef323ea168',
      summary: 'preemption is disabled in the mode',
      arch: lazyArchs['powerpc-hash'],
    },
  ],
  build({ variant, memoryModel }) {
    const machine = lazyMachine({ memoryModel, arch: variant.arch, cpus: 3, tasks: 2, hazards: 'ignore' });
    const [first, second, third] = machine.cpus as [Cpu, Cpu, Cpu];
    const tasks = [program(unmapInSection, machine), program(unmapAtOnce, machine)];
    startCpu(machine.builder, first, tasks, {}, { migratesTo: [second] });
    startCpu(machine.builder, second, [program(swapper_done)]);
    startCpu(machine.builder, third, [program(user, machine, third)]);
    return machine.builder.build();
  },
};

/** Lazy MMU mode: does a softirq that maps a page have its barriers before it touches it? */
export const lazySoftirq: Scenario<Design> = {
  name: 'lazy-softirq',
  title: 'Lazy MMU mode: does a softirq that maps a page have its barriers before it touches it?',
  seed: 'S0',
  variants: [
    {
      name: 'arm64-before-b81c688426a9',
      expected: 'violation',
      source: 'b81c688426a9',
      summary: 'KFENCE in a softirq sees the flag of the task that it interrupts, and leaves its barriers to it',
      arch: lazy.arm64BeforeB81c688426a9,
    },
    {
      name: 'arm64',
      expected: 'safe',
      source: 'b81c688426a9',
      summary: 'interrupts never defer',
      arch: lazyArchs.arm64,
    },
  ],
  build({ variant, memoryModel }) {
    const options = { memoryModel, arch: variant.arch, cpus: 2, tasks: 1, kernelTable: true, vectors: [SOFTIRQ] };
    const machine = lazyMachine(options);
    const [first, second] = machine.cpus as [Cpu, Cpu];
    const [ptl] = machine.ptl;
    if (!ptl) throw new RangeError('lazy-softirq: build: no lock');
    const section: lazy.Section = {
      lazy: machine.lazy,
      current: { task: 0, interrupt: true },
      ptes: machine.other,
      start: 0,
      ptl,
    };
    startCpu(machine.builder, first, [program(mapInSection, machine)], {
      [SOFTIRQ]: program(lazy.kfence_unprotect, section),
    });
    startCpu(machine.builder, second, [program(raiseSoftirq, first)]);
    const [{ address }] = machine.other as [EntryPointer];
    machine.builder.property({
      name: 'the softirq maps its page',
      kind: 'sometimes',
      why: 'otherwise nobody touches it',
      reads: [address],
      check: (read) => read(address) !== 0,
    });
    return machine.builder.build();
  },
};

interface Nested extends Design {
  readonly section: lazy.SectionRoutine;
}

/** Lazy MMU mode: is an update in force when code that needs it goes on, though a section around it is open? */
export const lazyNesting: Scenario<Nested> = {
  name: 'lazy-nesting',
  title: 'Lazy MMU mode: is an update in force when code that needs it goes on, though a section around it is open?',
  seed: 'S0',
  variants: [
    {
      name: 'arm64-v6.16',
      expected: 'safe',
      source: '1ef3095b1405',
      summary: 'the inner section ends the mode: the rest of the outer one is not batched, and nothing is wrong',
      arch: lazy.arm64V6_16,
      section: lazy.kernel_map_pages_nested,
    },
    {
      name: 'current',
      expected: 'safe',
      source: '5ab246749569',
      summary: 'sections count; the end of any makes everything before it effective',
      arch: lazyArchs.arm64,
      section: lazy.kernel_map_pages_nested,
    },
    {
      name: 'debug-pagealloc-deferred',
      expected: 'violation',
      source: 'the report of DEBUG_PAGEALLOC under zap_pte_range(), 2025',
      summary: 'the page is mapped without a section of its own, and only the outer one would make it effective',
      arch: lazyArchs.arm64,
      section: lazy.kernel_map_pages_deferred,
    },
  ],
  build({ variant, memoryModel }) {
    const machine = lazyMachine({ memoryModel, arch: variant.arch, cpus: 1, tasks: 1, kernelTable: true });
    const [cpu] = machine.cpus as [Cpu];
    const [ptl] = machine.ptl;
    if (!ptl) throw new RangeError('lazy-nesting: build: no lock');
    const section: lazy.Section = { lazy: machine.lazy, current, ptes: machine.other, start: 0, ptl };
    startCpu(machine.builder, cpu, [program(variant.section, section)]);
    machine.builder.property({
      name: 'both pages are mapped when all is left',
      kind: 'finally',
      why: 'no update may get lost when sections nest',
      check: (read) => machine.other.every(({ address }) => pte_present(read(address))),
    });
    return machine.builder.build();
  },
};

/** set_pte() is queued; an exchange of the same entry is not. */
const storeThenExchange = setsThenExchanges(function* (machine: LazyMachine): Steps {
  const [ptep] = machine.own as [EntryPointer];
  yield* lazy.lazy_mmu_mode_enable(machine.lazy, current);
  yield* lazy.set_pte(machine.lazy, current, ptep, mk_pte(4, RW));
  yield* lazy.ptep_get_and_clear(machine.lazy, current, ptep);
  yield* lazy.lazy_mmu_mode_disable(machine.lazy, current);
});

/** Judged by lazy-order. */
const STAYS_CLEAR = 'an entry that was cleared last is clear';

/** Lazy MMU mode: can a queued store pass an exchange that comes after it? */
export const lazyOrder: Scenario<Design> = {
  name: 'lazy-order',
  title: 'Lazy MMU mode: can a queued store pass an exchange that comes after it?',
  seed: 'S0',
  variants: [
    {
      name: 'xen-queued-store-vs-xchg',
      expected: 'violation',
      source: 'derived, and confirmed here: set_pte() is queued, the exchange is trapped and performed at once',
      summary: 'the store lands when the mode is left, and brings the entry back',
      arch: lazyArchs['xen-pv'],
    },
    {
      name: 'x86-native',
      expected: 'safe',
      source: 'nothing is deferred',
      summary: 'both are performed in order',
      arch: lazyArchs['x86-native'],
    },
  ],
  build({ variant, memoryModel }) {
    const machine = lazyMachine({ memoryModel, arch: variant.arch, cpus: 1, tasks: 1, hazards: 'ignore' });
    const [cpu] = machine.cpus as [Cpu];
    startCpu(machine.builder, cpu, [program(storeThenExchange, machine)]);
    const [ptep] = machine.own as [EntryPointer];
    machine.builder.property({
      name: STAYS_CLEAR,
      kind: 'finally',
      why: 'the exchange comes last in program order',
      check: (read) => read(ptep.address) === 0,
      detail: (read) => `it is ${formatEntry(read(ptep.address))} in the end`,
    });
    return machine.builder.build();
  },
};
