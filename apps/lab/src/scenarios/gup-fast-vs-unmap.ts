/**
 * `gup-fast-vs-unmap`: may GUP-fast walk page tables that another CPU unmaps, when the flush sends no IPI? (x86 KVM guests, arm64)
 *
 * GUP-fast walks with interrupts off. Where a flush is an IPI to every CPU, it waits for the walk. A paravirtual flush leaves
 * preempted vCPUs out and arm64's TLBI interrupts nobody, so something else must keep tables and pages. See docs/kvm-gup-fast.md.
 */
import type { Scenario, Variant } from '@shootdown/explorer';
import { ModelError, program } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { buildGupMachine, type Flush } from './gup-machine.ts';

/** A variant with the parts it is built from. */
export interface UnmapVariant extends Variant {
  readonly flush: Flush;
  readonly tableFreeing: gup.TableFreeing;
  readonly unmap: gup.Unmap;
  readonly guards: gup.GupGuards;
  /** Mutants: RCU does not see readers that only have interrupts off. */
  readonly rcuKind: gup.RcuKind;
}

type Parts = Partial<Pick<UnmapVariant, 'unmap' | 'rcuKind'>> & { readonly guards?: Partial<gup.GupGuards> };

const THREAD = '"mm: Update ptep_get_lockless()s comment", 24 October 2022';
const ZIJLSTRA = `${THREAD}: RCU_TABLE_FREE delays the freeing`;
const HORN = `${THREAD}: tables are kept, data pages are not`;

function variant(name: string, expected: Variant['expected'], source: string, summary: string, parts: Parts = {}): UnmapVariant {
  const [flush, tableFreeing] = name.split('/') as [Flush, gup.TableFreeing];
  const { unmap = 'munmap', rcuKind = 'asks by interrupt', guards } = parts;
  return { name, expected, source, summary, flush, tableFreeing, unmap, rcuKind, guards: { ...gup.GUP_GUARDS, ...guards } };
}

const unmapVariants: readonly UnmapVariant[] = [
  variant('native-ipi/page-batch', 'safe', 'comment above gup_fast(), mm/gup.c: disabling interrupts blocks the flush', 'x86 on bare metal before v6.15: tables are freed after an IPI to everybody'),
  variant('kvm-pv/page-batch', 'violation', 'why KVM guests set pv_ops.mmu.tlb_remove_table', 'the same under a paravirtual flush: the flush no longer waits for the walk'),
  variant('kvm-pv/call-rcu', 'safe', ZIJLSTRA, 'tables are freed by call_rcu()'),
  variant('kvm-pv/sync-ipi', 'safe', ZIJLSTRA, 'no memory for a batch: tlb_remove_table_sync_one()'),
  variant('kvm-pv/sync-rcu', 'safe', '1fb3d8c20bfa, v7.1', 'no memory for a batch: synchronize_rcu()'),
  variant('tlbi/page-batch', 'violation', 'why arm64 selects MMU_GATHER_RCU_TABLE_FREE', 'arm64 if it freed tables after the flush'),
  variant('tlbi/call-rcu', 'safe', 'arm64 as it is', 'arm64 as it is'),
  variant('kvm-pv/call-rcu/no-recheck', 'violation', HORN, 'without the second look at the entry, another owner\'s page is returned', { guards: { recheck: 'none' } }),
  variant('kvm-pv/call-rcu/dontneed', 'safe', HORN, 'MADV_DONTNEED: no table is freed, so nothing waits for the walk', { unmap: 'dontneed' }),
  variant('kvm-pv/call-rcu/dontneed-no-pte-recheck', 'violation', HORN, 'the same, looking again at the pmd alone', { unmap: 'dontneed', guards: { recheck: 'pmd' } }),
  variant('kvm-pv/call-rcu/no-refcount-test', 'violation', 'derived: folio_try_get() is for this', 'a reference is taken to a page that has none left', { guards: { refcountTest: false } }),
  variant('native-ipi/page-batch/irqs-on', 'violation', 'derived: nothing holds the flush up', 'the walk leaves interrupts on', { guards: { irqsOff: false } }),
  variant('kvm-pv/call-rcu/irqs-on', 'violation', 'derived: a grace period waits for interrupts-off stretches only', 'the walk leaves interrupts on', { guards: { irqsOff: false } }),
  variant('kvm-pv/call-rcu/blind', 'violation', 'derived: RCU as it was before v4.20', 'a grace period that looks at rcu_read_lock() alone', { rcuKind: 'blind' }),
  variant('native-ipi/page-batch/no-recheck', 'safe', 'derived: the flush waits for the walk, and pages are put after it', 'natively the second look is not for munmap'),
];

/** Builds one of the variants. */
export const gupFastVsUnmap: Scenario = {
  name: 'gup-fast-vs-unmap',
  title: 'GUP-fast against munmap: what keeps tables and pages when a flush interrupts nobody?',
  seed: 'S1',
  variants: unmapVariants,
  build({ variant: name, memoryModel }) {
    const design = unmapVariants.find((v) => v.name === name);
    if (!design) throw new ModelError(`scenario: gup-fast-vs-unmap: no variant ${name} (have: ${unmapVariants.map((v) => v.name).join(', ')})`);
    const { flush, tableFreeing, guards, rcuKind, unmap } = design;
    const usesRcu = unmap === 'munmap' && (tableFreeing === 'call-rcu' || tableFreeing === 'sync-rcu');
    return buildGupMachine({
      memoryModel,
      flush,
      guards,
      ...(usesRcu && { rcu: { kind: rcuKind, callbacks: tableFreeing === 'call-rcu' } }),
      remove: (kernel, cpu) => program(gup.unmap_region, kernel, cpu, design),
      removed: unmap === 'munmap' ? 'pmd' : 'pte',
      tableIsFreed: unmap === 'munmap',
    });
  },
};
