/**
 * `gup-fast-vs-unmap`: may GUP-fast walk page tables that another CPU unmaps, when the flush sends no IPI? (x86 guests,
 * AMD, arm64)
 *
 * GUP-fast walks with interrupts off. Where a flush is an IPI to every CPU, it waits for the walk. A paravirtual flush
 * leaves preempted vCPUs out; a hypercall, INVLPGB and arm64's TLBI interrupt nobody. So something else must keep
 * tables and pages. See docs/kvm-gup-fast.md.
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario, Variant } from '@shootdown/explorer';
import { program } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { buildGupMachine, type Flush } from './gup-machine.ts';

/** A variant with the parts it is built from. */
interface UnmapVariant extends Variant {
  readonly flush: Flush;
  readonly tables: number;
  readonly freeing: gup.TableFreeing;
  readonly unmap: gup.Unmap;
  readonly guards: gup.GupGuards;
  /** Mutants: RCU does not see readers that only have interrupts off. */
  readonly rcuKind: gup.RcuKind;
}

type Parts = Partial<Pick<UnmapVariant, 'unmap' | 'rcuKind' | 'tables' | 'memoryModel'>> & {
  readonly freeing?: Partial<gup.TableFreeing>;
  readonly guards?: Partial<gup.GupGuards>;
};

/**
 * Ways of freeing tables. `batch` and what follows have two tables, so that there is a midway, unless the walk is
 * another.
 */
const FREEING = {
  'page-batch': { freeing: { batch: 'with pages' } },
  'call-rcu': {},
  'sync-ipi': { freeing: { allocation: 'fails' } },
  'sync-rcu': { freeing: { allocation: 'fails', one: 'sync-rcu' } },
  batch: { tables: 2 },
  'batch-full': { tables: 2, freeing: { batch: 1 } },
  'allocation-may-fail': { tables: 2, freeing: { allocation: 'may fail' } },
} as const satisfies Readonly<Record<string, Parts>>;

/** More tables than there are. */
const NEVER_FULL = 509;
const TABLE_FREEING: gup.TableFreeing = {
  batch: NEVER_FULL,
  allocation: 'succeeds',
  one: 'sync-ipi',
  free: 'call-rcu',
};

const THREAD = '"mm: Update ptep_get_lockless()s comment", 24 October 2022';
const ZIJLSTRA = `${THREAD}: RCU_TABLE_FREE delays the freeing`;
const HORN = `${THREAD}: tables are kept, and only when one is removed; CAG48ez3fG=WnvbiE5mJaD66_gJj_hohnV8CqBG9eNdjd7pJW3A@mail.gmail.com`;
const PIN_THEN_LOOK =
  'comment above gup_fast_pte_range(), mm/gup.c: pin and look again, against clear and look at the count';
const GATHER = 'comment above tlb_remove_table_smp_sync(), mm/mmu_gather.c';
const SEMI_RCU = 'comment in tlb_remove_table_sync_one(): not an RCU grace period';
const PT_RECLAIM = 'CONFIG_PT_RECLAIM, v6.14';
const V7_1 = '1fb3d8c20bfa, v7.1';

/** What a variant is, and what it is called after. */
interface Named {
  readonly flush: Flush;
  readonly freeing: keyof typeof FREEING;
  /** What else is different, if anything is. */
  readonly rest?: string;
}

function variant(
  { flush, freeing, rest }: Named,
  expected: Variant['expected'],
  source: string,
  summary: string,
  parts: Parts = {},
): UnmapVariant {
  const meaning: Parts = FREEING[freeing];
  const { unmap = 'munmap', rcuKind = 'asks by interrupt', tables = 1 } = { ...meaning, ...parts };
  return {
    name: [flush, freeing, ...(rest === undefined ? [] : [rest])].join('/'),
    expected,
    source,
    summary,
    ...(flush === 'tlbi' && typeof expected === 'string' && { expectedOn: { arm: expected } }),
    ...(parts.memoryModel && { memoryModel: parts.memoryModel }),
    flush,
    tables,
    freeing: { ...TABLE_FREEING, ...meaning.freeing, ...parts.freeing },
    unmap,
    rcuKind,
    guards: { ...gup.GUP_GUARDS, ...parts.guards },
  };
}

const unmapVariants: readonly UnmapVariant[] = [
  variant(
    { flush: 'native-ipi', freeing: 'page-batch' },
    'safe',
    'comment above gup_fast(), mm/gup.c: disabling interrupts blocks the flush',
    'x86 on bare metal before v6.15: tables are freed after an IPI to everybody',
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'page-batch' },
    'violation',
    'why KVM guests set pv_ops.mmu.tlb_remove_table',
    'the same under a paravirtual flush: the flush no longer waits for the walk',
  ),
  variant({ flush: 'kvm-pv', freeing: 'call-rcu' }, 'safe', ZIJLSTRA, 'tables are freed by call_rcu()'),
  variant(
    { flush: 'kvm-pv', freeing: 'sync-ipi' },
    'safe',
    ZIJLSTRA,
    'no memory for a batch: tlb_remove_table_sync_one()',
  ),
  variant({ flush: 'kvm-pv', freeing: 'sync-rcu' }, 'safe', V7_1, 'no memory for a batch: synchronize_rcu()'),
  variant(
    { flush: 'hypercall', freeing: 'page-batch' },
    'violation',
    'why guests of Hyper-V and Xen set pv_ops.mmu.tlb_remove_table',
    'a guest of Hyper-V or Xen if it freed tables after the flush',
  ),
  variant(
    { flush: 'hypercall', freeing: 'call-rcu' },
    'safe',
    'hyperv_setup_mmu_ops(), xen_init_mmu_ops()',
    'a guest of Hyper-V or Xen as it is',
  ),
  variant(
    { flush: 'invlpgb', freeing: 'page-batch' },
    'violation',
    'a37259732a7d: why x86 selects MMU_GATHER_RCU_TABLE_FREE',
    'AMD with INVLPGB if it freed tables after the flush',
  ),
  variant({ flush: 'invlpgb', freeing: 'call-rcu' }, 'safe', 'a37259732a7d, v6.15', 'AMD with INVLPGB as it is'),
  variant(
    { flush: 'tlbi', freeing: 'page-batch' },
    'violation',
    'why arm64 selects MMU_GATHER_RCU_TABLE_FREE',
    'arm64 if it freed tables after the flush',
  ),
  variant({ flush: 'tlbi', freeing: 'call-rcu' }, 'safe', 'arm64 as it is', 'arm64 as it is'),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'no-recheck' },
    'violation',
    HORN,
    "without the second look at the entry, another owner's page is returned",
    { guards: { recheck: 'none' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'dontneed' },
    'safe',
    HORN,
    'MADV_DONTNEED: no table is freed, so nothing waits for the walk',
    {
      unmap: 'dontneed',
    },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'dontneed-no-pte-recheck' },
    'violation',
    HORN,
    'the same, looking again at the pmd alone',
    {
      unmap: 'dontneed',
      guards: { recheck: 'pmd' },
    },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'no-refcount-test' },
    'violation',
    'derived: folio_try_get() is for this',
    'a reference is taken to a page that has none left',
    { guards: { refcountTest: false } },
  ),
  variant(
    { flush: 'invlpgb', freeing: 'call-rcu', rest: 'dontneed' },
    'safe',
    PIN_THEN_LOOK,
    'AMD with INVLPGB, MADV_DONTNEED',
    { unmap: 'dontneed' },
  ),
  variant(
    { flush: 'invlpgb', freeing: 'call-rcu', rest: 'dontneed-no-barrier' },
    { sc: 'safe', tso: 'violation' },
    PIN_THEN_LOOK,
    'the same, but taking a reference is no full barrier: the second look may come first',
    {
      unmap: 'dontneed',
      guards: { refcountBarrier: false },
      memoryModel: 'tso',
    },
  ),
  variant(
    { flush: 'native-ipi', freeing: 'page-batch', rest: 'irqs-on' },
    'violation',
    'derived: nothing holds the flush up',
    'the walk leaves interrupts on',
    { guards: { section: 'none' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'irqs-on' },
    'violation',
    'derived: a grace period waits for interrupts-off stretches only',
    'the walk leaves interrupts on',
    { guards: { section: 'none' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'call-rcu', rest: 'blind' },
    'violation',
    'derived: RCU as it was before v4.20',
    'a grace period that looks at rcu_read_lock() alone',
    { rcuKind: 'blind' },
  ),
  variant(
    { flush: 'native-ipi', freeing: 'page-batch', rest: 'no-recheck' },
    'safe',
    'derived: the flush waits for the walk, and pages are put after it',
    'natively the second look is not for munmap',
    { guards: { recheck: 'none' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'batch' },
    'safe',
    GATHER,
    'two tables, in one batch until the gather is finished',
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'batch', rest: 'no-rcu' },
    'violation',
    GATHER,
    'the batch is freed after the flush: MMU_GATHER_TABLE_FREE without RCU',
    { freeing: { free: 'at once' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'batch-full' },
    'safe',
    GATHER,
    'two tables, and a batch that one fills: flushed and handed to RCU midway',
  ),
  variant({ flush: 'kvm-pv', freeing: 'batch-full', rest: 'no-rcu' }, 'violation', GATHER, 'the same without RCU', {
    freeing: { free: 'at once' },
  }),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail' },
    'safe',
    GATHER,
    'two tables, each with or without memory for a batch: tlb_remove_table_sync_one()',
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'no-ipi' },
    'violation',
    GATHER,
    'a table without a batch is freed after the flush',
    { freeing: { one: 'at once' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'pt-reclaim' },
    'safe',
    PT_RECLAIM,
    'a table without a batch is freed by call_rcu() on its own',
    { freeing: { one: 'call-rcu' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'pt-reclaim/blind' },
    'violation',
    'derived: RCU as it was before v4.20',
    'the same with a grace period that looks at rcu_read_lock() alone',
    { freeing: { one: 'call-rcu' }, rcuKind: 'blind' },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'sync-rcu' },
    'safe',
    V7_1,
    'a table without a batch is freed after synchronize_rcu()',
    { freeing: { one: 'sync-rcu' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'sync-rcu/blind' },
    'violation',
    'derived: RCU as it was before v4.20',
    'the same with a grace period that looks at rcu_read_lock() alone',
    { freeing: { one: 'sync-rcu' }, rcuKind: 'blind' },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'rcu-walker' },
    'violation',
    SEMI_RCU,
    'tlb_remove_table_sync_one(), and a walk that is only in an RCU section',
    { tables: 1, guards: { section: 'rcu_read_lock' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'pt-reclaim/rcu-walker' },
    'safe',
    PT_RECLAIM,
    'call_rcu() on the table, and a walk that is only in an RCU section',
    { tables: 1, freeing: { one: 'call-rcu' }, guards: { section: 'rcu_read_lock' } },
  ),
  variant(
    { flush: 'kvm-pv', freeing: 'allocation-may-fail', rest: 'sync-rcu/rcu-walker' },
    'safe',
    V7_1,
    'synchronize_rcu(), and a walk that is only in an RCU section',
    { tables: 1, freeing: { one: 'sync-rcu' }, guards: { section: 'rcu_read_lock' } },
  ),
];

/** GUP-fast against munmap: what keeps tables and pages when a flush interrupts nobody? */
export const gupFastVsUnmap: Scenario<UnmapVariant> & OffersC = {
  name: 'gup-fast-vs-unmap',
  title: 'GUP-fast against munmap: what keeps tables and pages when a flush interrupts nobody?',
  seed: 'S1',
  variants: unmapVariants,
  routines: () => gup.gupFastRoutines,
  c: async () => (await import('./gup-fast.c.ts')).gupFastOffer,
  build({ variant: { flush, tables, freeing, guards, rcuKind, unmap }, memoryModel }) {
    const { callbacks, used } = usesRcu(freeing);
    return buildGupMachine({
      memoryModel,
      flush,
      tables,
      guards,
      ...(unmap === 'munmap' && used && { rcu: { kind: rcuKind, callbacks } }),
      remove: (kernel, cpu) => program(gup.unmap_region, kernel, cpu, { tableFreeing: freeing, unmap }),
      removed: unmap === 'munmap' ? 'pmd' : 'pte',
      tablesAreFreed: unmap === 'munmap',
      references: tables,
      midway: tables > 1 && (freeing.batch === 1 || freeing.allocation === 'may fail'),
    });
  },
};

/** Whether tables are freed by RCU, and by its callbacks. */
function usesRcu({ batch, allocation, one, free }: gup.TableFreeing): {
  readonly used: boolean;
  readonly callbacks: boolean;
} {
  const batched = batch !== 'with pages' && allocation !== 'fails' && free === 'call-rcu';
  const single = batch !== 'with pages' && allocation !== 'succeeds';
  const callbacks = batched || (single && one === 'call-rcu');
  return { callbacks, used: callbacks || (single && one === 'sync-rcu') };
}
