/**
 * `lazy-pagemap-scan`, `lazy-migrate-vma`, `lazy-unlock`, `lazy-error-path`, `lazy-sleep`, `lazy-order`: one section of
 * mm each, in the order that was wrong and in the one that is right, while a user accesses the pages through a TLB.
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario, Variant } from '@shootdown/explorer';
import { startCpu, swapper_done, type Cpu } from '@shootdown/cpu';
import { assertThat, program, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { mk_pte, pte_pfn } from '@shootdown/mmu';
import { access, EMPTY_PAGE, lazyMachine, revoke, Revoked, RW, type LazyMachine } from './lazy-machine.ts';
import { reclaims, userThatFaults } from './lazy-neighbours.ts';
import { asUser } from '../tasks.ts';

interface Design extends Variant {
  readonly section: lazy.SectionRoutine;
  readonly arch?: lazy.LazyArch;
}

interface SectionScenario {
  readonly name: string;
  readonly title: string;
  readonly designs: readonly Design[];
  /** Hazards are not judged, only the damage that they do. */
  readonly damageOnly?: boolean;
  /** CPUs and tasks, one of each unless said otherwise. */
  readonly cpus?: number;
  readonly tasks?: number;
  /** Entries of the kernel's table to begin with, if the section works on that. */
  readonly kernel?: readonly number[];
  /** Who runs where. */
  readonly start: (machine: LazyMachine, section: lazy.SectionRoutine) => void;
}

const { lazyArchs } = lazy;

function sectionOf(machine: LazyMachine, ptes: readonly EntryPointer[], task: number): lazy.Section {
  const [ptl] = machine.ptl;
  if (!ptl) throw new RangeError('lazy: build: no lock');
  return { lazy: machine.lazy, current: { task }, ptes, start: 0, ptl };
}

/** A system call that works on the process's table; when it has returned, `revokes` may not be done any more. */
const systemCall = routine(
  'system_call',
  function* (machine: LazyMachine, body: lazy.SectionRoutine, revokes: number): Steps {
    yield* body(sectionOf(machine, machine.own, 0));
    yield* revoke(machine, 0, revokes);
  },
);

const user = asUser(function* (machine: LazyMachine, cpu: Cpu): Steps {
  yield* access(machine, cpu.id, 0, true);
  yield* access(machine, cpu.id, 0, false);
});

/** A write protection, while a user accesses the page and another CPU reclaims it. */
function protects(machine: LazyMachine, section: lazy.SectionRoutine): void {
  const { builder } = machine;
  const [kernel, other, third] = machine.cpus as [Cpu, Cpu, Cpu];
  startCpu(builder, kernel, [program(systemCall, machine, section, Revoked.writes)]);
  startCpu(builder, other, [program(user, machine, other)]);
  startCpu(builder, third, [program(reclaims, machine, 0)]);
}

const DATA_STAYS = 'no empty page in place of one that has data';

/** Pages are taken away for a migration, while a user accesses the first and faults. */
function migrates(machine: LazyMachine, section: lazy.SectionRoutine): void {
  const { builder } = machine;
  const [kernel, other] = machine.cpus as [Cpu, Cpu];
  startCpu(builder, kernel, [program(systemCall, machine, section, Revoked.accesses)]);
  startCpu(builder, other, [program(userThatFaults, machine, other, 0)]);
  builder.property({
    name: DATA_STAYS,
    kind: 'always',
    why: 'a fault waits for a migration entry; where there is none, it maps an empty page',
    reads: machine.own.map(({ address }) => address),
    check: (read) => machine.own.every(({ address }) => pte_pfn(read(address)) !== EMPTY_PAGE),
  });
}

/** vmap() of two pages, the second of which is taken; then of one, which is used. */
const vmapsTwice = routine('vmap (fails first)', function* (machine: LazyMachine, body: lazy.SectionRoutine): Steps {
  const section = sectionOf(machine, machine.other, 0);
  const first = { ...section, ptes: machine.other.slice(0, 1) };
  yield* body(section);
  yield* lazy.vunmap_pte_range(first);
  yield* body(first);
  yield* lazy.kernel_access(machine.lazy, section.current, machine.other[0] as EntryPointer, '*(char *)area->addr');
});

const TAKEN = mk_pte(4, RW);

function vmaps(machine: LazyMachine, section: lazy.SectionRoutine): void {
  const { builder } = machine;
  const [cpu] = machine.cpus as [Cpu];
  startCpu(builder, cpu, [program(vmapsTwice, machine, section)]);
  const [, { address }] = machine.other as [EntryPointer, EntryPointer];
  builder.property({
    name: 'a page that is mapped stays where it is',
    kind: 'always',
    why: 'vmap() of a place that is taken returns -EBUSY',
    reads: [address],
    check: (read) => read(address) === TAKEN,
  });
}

const SHADOW_STAYS = 'nobody replaces a page of shadow that is in use';

/** vmalloc() with KASAN: the shadow is populated, and then written: who reads it later finds that. */
const unpoisons = routine(
  'kasan_populate_vmalloc',
  function* (machine: LazyMachine, body: lazy.SectionRoutine, task: number): Steps {
    const section = sectionOf(machine, machine.other.slice(0, 1), task);
    const [ptep] = section.ptes as [EntryPointer];
    yield* body(section);
    const written = yield* lazy.kernel_access(machine.lazy, section.current, ptep, 'kasan_unpoison(shadow)');
    const read = yield* lazy.kernel_access(machine.lazy, section.current, ptep, 'kasan_byte_accessible(shadow)');
    yield* assertThat(read === written, SHADOW_STAYS);
  },
);

/** Two areas that share a page of shadow; whoever populates it may be moved to a third CPU. */
function populates(machine: LazyMachine, section: lazy.SectionRoutine): void {
  const { builder } = machine;
  const [first, second, idle] = machine.cpus as [Cpu, Cpu, Cpu];
  startCpu(builder, first, [program(unpoisons, machine, section, 0)], {}, { migratesTo: [idle] });
  startCpu(builder, second, [program(unpoisons, machine, section, 1)]);
  startCpu(builder, idle, [program(swapper_done)]);
}

function scenarioOf(described: SectionScenario): Scenario<Design> & OffersC {
  const { cpus = 1, tasks = 1, kernel, damageOnly = false, start } = described;
  return {
    name: described.name,
    title: described.title,
    seed: 'S0',
    variants: described.designs,
    routines: ({ section }) => ({ [section.routineName]: section }),
    c: async () => (await import('./lazy.c.ts')).lazyOffer,
    build({ variant, memoryModel }) {
      const machine = lazyMachine({
        memoryModel,
        arch: variant.arch ?? lazyArchs['xen-pv'],
        cpus,
        tasks,
        kernelTable: kernel !== undefined,
        ...(damageOnly && { hazards: 'ignore' as const }),
        ...(kernel && { other: kernel }),
      });
      start(machine, variant.section);
      return machine.builder.build();
    },
  };
}

const ROBERTS = 'Roberts and Gordeev, 2025';

/** Lazy MMU mode: is the write protection of pagemap_scan in force when it has flushed? */
export const lazyPagemapScan = scenarioOf({
  name: 'lazy-pagemap-scan',
  title: 'Lazy MMU mode: is the write protection of pagemap_scan in force when it has flushed?',
  damageOnly: true,
  cpus: 3,
  tasks: 2,
  start: protects,
  designs: [
    {
      name: 'flush-before-leave',
      expected: 'violation',
      source: ROBERTS,
      summary: 'the flush comes while the write protection is queued: the TLB is filled again with the old entry',
      section: lazy.pagemap_scan_pmd_entry_flush_before_leave,
    },
    {
      name: 'leave-before-flush',
      expected: 'safe',
      source: ROBERTS,
      summary: 'the mode is left first, then the flush, then the lock is dropped',
      section: lazy.pagemap_scan_pmd_entry,
    },
  ],
});

/** Lazy MMU mode: are the migration entries in memory when their pages are flushed? */
export const lazyMigrateVma = scenarioOf({
  name: 'lazy-migrate-vma',
  title: 'Lazy MMU mode: are the migration entries in memory when their pages are flushed?',
  cpus: 2,
  tasks: 2,
  start: migrates,
  designs: [
    {
      name: 'flush-before-leave',
      expected: 'violation',
      source: ROBERTS,
      summary: 'the flush comes while the migration entries are queued',
      section: lazy.migrate_vma_collect_pmd_flush_before_leave,
    },
    {
      name: 'leave-before-flush',
      expected: 'safe',
      source: ROBERTS,
      summary: 'the mode is left first',
      section: lazy.migrate_vma_collect_pmd,
    },
  ],
});

/** Lazy MMU mode: are updates in memory when the page-table lock is dropped? */
export const lazyUnlock = scenarioOf({
  name: 'lazy-unlock',
  title: 'Lazy MMU mode: are updates in memory when the page-table lock is dropped?',
  cpus: 3,
  tasks: 2,
  start: protects,
  designs: [
    {
      name: 'buggy',
      expected: 'violation',
      source: 'before ad449d856bd7',
      summary: 'the lock is dropped while updates are queued',
      section: lazy.pagemap_scan_pmd_entry_unlock_before_leave,
    },
    {
      name: 'fixed',
      expected: 'safe',
      source: 'ad449d856bd7',
      summary: 'the mode is left under the lock',
      section: lazy.pagemap_scan_pmd_entry,
    },
  ],
});

/** Lazy MMU mode: is the mode left when a mapping fails halfway? */
export const lazyErrorPath = scenarioOf({
  name: 'lazy-error-path',
  title: 'Lazy MMU mode: is the mode left when a mapping fails halfway?',
  kernel: [0, TAKEN],
  start: vmaps,
  designs: [
    {
      name: 'buggy',
      expected: 'violation',
      source: 'before fea18c686320',
      summary: 'an entry that is taken returns -EBUSY with the mode on',
      section: lazy.vmap_pages_pte_range_buggy,
    },
    {
      name: 'fixed',
      expected: 'safe',
      source: 'fea18c686320',
      summary: 'the error leaves the loop, and then the mode',
      section: lazy.vmap_pages_pte_range,
    },
  ],
});

/** Lazy MMU mode: does anybody sleep in it? */
export const lazySleep = scenarioOf({
  name: 'lazy-sleep',
  title: 'Lazy MMU mode: does anybody sleep in it?',
  cpus: 3,
  tasks: 2,
  kernel: [],
  start: populates,
  designs: [
    {
      name: 'buggy',
      expected: 'violation',
      source: 'before b6ea95a34cbd',
      summary: 'kasan_populate_vmalloc_pte() allocates in the section of apply_to_page_range()',
      section: lazy.kasan_populate_vmalloc_pte_sleeps,
      arch: lazyArchs.sparc64,
    },
    {
      name: 'fixed',
      expected: 'safe',
      source: 'b6ea95a34cbd; c519c3c0a113; pause and resume of v7.0',
      summary: 'pages are allocated before the walk, and each is mapped with the mode paused',
      section: lazy.kasan_populate_vmalloc_pte,
      arch: lazyArchs.sparc64,
    },
  ],
});
