/**
 * `lazy-pagemap-scan`, `lazy-migrate-vma`, `lazy-unlock`, `lazy-error-path`, `lazy-sleep`, `lazy-order`: one section of
 * mm each, in the order that was wrong and in the one that is right, while a user accesses the pages through a TLB.
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario, Variant } from '@shootdown/explorer';
import { startCpu, user_mode, type Cpu } from '@shootdown/cpu';
import { program, routine, type Steps } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { mk_pte } from '@shootdown/mmu';
import { access, lazyMachine, revoke, Revoked, RW, type LazyMachine } from './lazy-machine.ts';
import { asUser } from '../tasks.ts';

interface Design extends Variant {
  readonly section: lazy.SectionRoutine;
  readonly arch?: lazy.LazyArch;
}

interface SectionScenario {
  readonly name: string;
  readonly title: string;
  readonly designs: readonly Design[];
  /** What nobody may do with page 0 any more when the system call has returned. Default: nothing is revoked. */
  readonly revokes?: number;
  /** Hazards are not judged, only the damage that they do. */
  readonly damageOnly?: boolean;
  /** The section works on the kernel's table. */
  readonly kernel?: boolean;
  /** Entries of that table to begin with. */
  readonly entries?: readonly number[];
}

const { lazyArchs } = lazy;

const systemCall = routine(
  'system_call',
  function* (machine: LazyMachine, body: lazy.SectionRoutine, scenario: SectionScenario): Steps {
    const [ptl] = machine.ptl;
    if (!ptl) return;
    const ptes = scenario.kernel === true ? machine.other : machine.own;
    yield* body({ lazy: machine.lazy, current: { task: 0 }, ptes, start: 0, ptl });
    if (scenario.revokes !== undefined) yield* revoke(machine, 0, scenario.revokes);
  },
);

const user = asUser(function* (machine: LazyMachine, cpu: Cpu): Steps {
  yield* access(machine, cpu.id, 0, true);
  yield* access(machine, cpu.id, 0, true);
  yield* user_mode(cpu);
});

function scenarioOf(described: SectionScenario): Scenario<Design> & OffersC {
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
        cpus: 2,
        tasks: 1,
        kernelTable: described.kernel === true,
        ...(described.damageOnly === true && { hazards: 'ignore' as const }),
        ...(described.entries && { other: described.entries }),
      });
      const [kernel, other] = machine.cpus as [Cpu, Cpu];
      startCpu(machine.builder, kernel, [program(systemCall, machine, variant.section, described)]);
      startCpu(machine.builder, other, [program(user, machine, other)]);
      return machine.builder.build();
    },
  };
}

const ROBERTS = 'Roberts and Gordeev, 2025';

/** Lazy MMU mode: is the write protection of pagemap_scan in force when it has flushed? */
export const lazyPagemapScan = scenarioOf({
  name: 'lazy-pagemap-scan',
  damageOnly: true,
  title: 'Lazy MMU mode: is the write protection of pagemap_scan in force when it has flushed?',
  revokes: Revoked.writes,
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
  revokes: Revoked.accesses,
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
  kernel: true,
  entries: [0, mk_pte(4, RW)],
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
  kernel: true,
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
      source: 'b6ea95a34cbd; pause and resume of v7.0',
      summary: 'the mode is paused meanwhile',
      section: lazy.kasan_populate_vmalloc_pte,
      arch: lazyArchs.sparc64,
    },
  ],
});
