/**
 * `gup-fast-vs-collapse`: may khugepaged take a table away from under GUP-fast when its flush sends no IPI? (2022)
 *
 * Collapsing clears the pmd and leaves the ptes as they are, so a walk that has read the pmd sees nothing change below.
 * The table is deposited, and freed without a grace period when the huge page is zapped. See docs/kvm-gup-fast.md.
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario, Variant } from '@shootdown/explorer';
import { program } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { buildGupMachine, type Flush } from './gup-machine.ts';

/** A variant with the parts it is built from. */
interface CollapseVariant extends Variant {
  readonly flush: Flush;
  readonly recheck: gup.Recheck;
  readonly sync: gup.CollapseSync;
  readonly deposit: gup.Deposit;
  readonly section: gup.ReadSection;
  readonly counts: boolean;
}

type Parts = Partial<Pick<CollapseVariant, 'flush' | 'recheck' | 'sync' | 'deposit' | 'section' | 'counts'>>;

const DEFAULTS = {
  flush: 'tlbi',
  recheck: 'pte+pmd',
  sync: 'none',
  deposit: 'freed',
  section: 'irqs off',
  counts: true,
} as const satisfies Parts;
const RECHECK_FIX = '70cbc3cc78a9 ("mm: gup: fix the fast GUP race against THP collapse")';
const SYNC_FIX = '2ba99c5e0881 ("mm/khugepaged: fix GUP-fast interaction by sending IPI")';

function variant(
  name: string,
  expected: Variant['expected'],
  source: string,
  summary: string,
  parts: Parts,
): CollapseVariant {
  return { ...DEFAULTS, ...parts, name, expected, source, summary };
}

const collapseVariants: readonly CollapseVariant[] = [
  variant('no-recheck', 'violation', RECHECK_FIX, 'the walk never looks again', { recheck: 'none' }),
  variant('pte-recheck', 'violation', RECHECK_FIX, 'before v6.0: the pte is looked at again, and it has not changed', {
    recheck: 'pte',
  }),
  variant(
    'pmd-recheck',
    'violation',
    SYNC_FIX,
    'v6.0: the pmd is looked at again as well; nothing waits for walks (2ba99c5e0881 is in v6.1)',
    {},
  ),
  variant(
    'pmd-recheck+ipi',
    'safe',
    SYNC_FIX,
    'tlb_remove_table_sync_one() between clearing the pmd and touching the table',
    { sync: 'ipi' },
  ),
  variant(
    'pmd-recheck+sync-rcu',
    'safe',
    `${SYNC_FIX}, with synchronize_rcu() instead`,
    'synchronize_rcu() in its place',
    { sync: 'rcu' },
  ),
  variant('pmd-recheck+ipi/kvm-pv', 'safe', SYNC_FIX, 'the same in a KVM guest', { sync: 'ipi', flush: 'kvm-pv' }),
  variant(
    'pmd-recheck/kvm-pv',
    'violation',
    `${SYNC_FIX}: also on x86 under a paravirtual flush`,
    'a KVM guest without the IPI',
    { flush: 'kvm-pv' },
  ),
  variant('pmd-recheck+ipi/hypercall', 'safe', SYNC_FIX, 'the same in a guest of Hyper-V or Xen', {
    sync: 'ipi',
    flush: 'hypercall',
  }),
  variant(
    'pmd-recheck/hypercall',
    'violation',
    `${SYNC_FIX}: derived for a flush by hypercall`,
    'a guest of Hyper-V or Xen without the IPI',
    { flush: 'hypercall' },
  ),
  variant('pmd-recheck+ipi/invlpgb', 'safe', SYNC_FIX, 'the same on AMD with INVLPGB', {
    sync: 'ipi',
    flush: 'invlpgb',
  }),
  variant(
    'pmd-recheck/invlpgb',
    'violation',
    `${SYNC_FIX}: derived for a flush by INVLPGB`,
    'AMD with INVLPGB without the IPI',
    { flush: 'invlpgb' },
  ),
  variant(
    'pte-recheck/native-ipi',
    'safe',
    'before 2667f50e8b81: where the flush is an IPI it is the wait',
    'bare metal before v6.0: the flush waits for the walk',
    { recheck: 'pte', flush: 'native-ipi' },
  ),
  variant(
    'pmd-recheck/native-ipi',
    'safe',
    'series of 2026 that leaves the second IPI out where the flush has sent one',
    'bare metal without the second IPI',
    { flush: 'native-ipi' },
  ),
  variant(
    'pmd-recheck+ipi/irqs-on',
    'violation',
    'derived: the IPI waits for interrupts-off stretches only',
    'the walk leaves interrupts on',
    { sync: 'ipi', section: 'none' },
  ),
  variant(
    'pmd-recheck+ipi/no-count',
    'violation',
    'derived: the wait is for walks under way, not for what they have pinned',
    'khugepaged does not count references',
    { sync: 'ipi', counts: false },
  ),
  variant(
    'pte-recheck/deposit-kept',
    'violation',
    `${RECHECK_FIX}: the race needs no freed table`,
    'nobody frees the table',
    { recheck: 'pte', deposit: 'kept' },
  ),
  variant(
    'pmd-recheck/deposit-kept',
    'safe',
    'derived: twin of the one above',
    'nobody frees the table, and the pmd is looked at again',
    { deposit: 'kept' },
  ),
  variant(
    'pmd-recheck/deposit-rcu',
    'safe',
    'derived: what pte_free_defer() does for file mappings',
    'no wait, but the deposited table is freed by call_rcu()',
    { deposit: 'freed-rcu' },
  ),
];

/** GUP-fast against khugepaged: what keeps the table and the page when the flush is no IPI? */
export const gupFastVsCollapse: Scenario<CollapseVariant> & OffersC = {
  name: 'gup-fast-vs-collapse',
  title: 'GUP-fast against khugepaged: what keeps the table and the page when the flush is no IPI?',
  seed: 'S1',
  variants: collapseVariants,
  routines: () => gup.gupFastRoutines,
  c: async () => (await import('./gup-fast.c.ts')).gupFastOffer,
  build({ variant: { flush, recheck, sync, deposit, section, counts }, memoryModel }) {
    const usesRcu = sync === 'rcu' || deposit === 'freed-rcu';
    return buildGupMachine({
      memoryModel,
      flush,
      guards: { ...gup.GUP_GUARDS, recheck, section },
      ...(usesRcu && { rcu: { kind: 'asks by interrupt', callbacks: deposit === 'freed-rcu' } }),
      remove: (kernel, cpu) => program(gup.khugepaged, kernel, cpu, sync, deposit, counts),
      removed: 'pmd',
      tablesAreFreed: deposit !== 'kept',
      staysMapped: deposit === 'kept',
      references: 1,
    });
  },
};
