/** Every barrier of these scenarios left out, or one step weaker, on `arm`: which are needed. */
import { changed, explore, linesOf, mutationsNamed, resolveScenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { DEEP, UNCOUNTED } from './matrix.test-support.ts';

interface Table {
  readonly scenario: string;
  readonly variant: string;
  /** Parameters that are not their defaults. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** In every test run. */
  readonly quick?: boolean;
  /** What the changes come to. */
  readonly changes: Readonly<Record<string, 'needed' | 'not needed'>>;
}

const tables: readonly Table[] = [
  {
    scenario: 'lazy-vmalloc',
    variant: 'current',
    quick: true,
    changes: {
      'arch_flush_lazy_mmu_mode/emit_pte_barriers:leave-out': 'needed',
      'arch_flush_lazy_mmu_mode/emit_pte_barriers:isb-alone-instead': 'needed',
      'arch_flush_lazy_mmu_mode/emit_pte_barriers:dsb-ishst-alone-instead': 'needed',
    },
  },
  {
    scenario: 'sme-dvmsync-erratum',
    variant: 'dmb',
    changes: {
      'zap_page/dsb:leave-out': 'needed',
      'zap_page/dsb.2:leave-out': 'needed',
      'zap_page/dsb.2:dsb-ishst-instead': 'needed',
      'do_handle_IPI/dsb:leave-out': 'needed',
      'sme_set_active/smp_mb:leave-out': 'needed',
      'sme_set_active/smp_mb:smp_wmb-instead': 'needed',
      'sme_set_active/smp_mb:smp_rmb-instead': 'needed',
      // The handler hands on nothing that CPU0 needs: the unit has finished for all.
      'do_handle_IPI/llist_del_all:relaxed-instead': 'not needed',
      'do_handle_IPI/csd_unlock:relaxed-instead': 'not needed',
    },
  },
  {
    scenario: 'ptdump-vmalloc',
    variant: 'v6-no-kick',
    changes: {
      'pud_free_pmd_page/__flush_tlb_kernel_pgtable:leave-out': 'needed',
      'pud_free_pmd_page/__flush_tlb_kernel_pgtable:dsb-ishst-instead': 'needed',
      'pud_free_pmd_page/isb:leave-out': 'needed',
      // The pud entry has been cleared and flushed before, so nobody walks to the pmd table any more.
      '__pmd_free_pte_page/__flush_tlb_kernel_pgtable:leave-out': 'not needed',
      '__pmd_free_pte_page/__flush_tlb_kernel_pgtable:dsb-ishst-instead': 'not needed',
      '__pmd_free_pte_page/isb:leave-out': 'not needed',
    },
  },
  {
    scenario: 'kvm-fault-vs-invalidate',
    variant: 'rmap-lock',
    changes: {
      'kvm_mmu_notifier_invalidate_range_end/smp_wmb:leave-out': 'needed',
      'mmu_invalidate_retry/smp_rmb:leave-out': 'needed',
      // What it orders the snapshot before takes locks.
      'kvm_tdp_page_fault/smp_rmb:leave-out': 'not needed',
      'tlb_gather_mmu/inc_tlb_flush_pending:relaxed-instead': 'not needed',
      'tlb_finish_mmu/dec_tlb_flush_pending:relaxed-instead': 'not needed',
      'sysvec_call_function/llist_del_all:relaxed-instead': 'not needed',
    },
  },
  {
    scenario: 'contpte-fold',
    variant: 'one-folio',
    parameters: { block: 2, reader: 0, device: 0 },
    changes: {
      '__flush_tlb_range/dsb:leave-out': 'needed',
      '__flush_tlb_range/dsb.2:leave-out': 'needed',
      '__flush_tlb_range/dsb.2:dsb-ishst-instead': 'needed',
    },
  },
];

/** Barriers left out, and whatever has a weaker form. */
const ABOUT_ORDER = /^(smp_[rwm]+b|dsb|isb|emit_pte_barriers|__flush_tlb_kernel_pgtable)/;

describe.each(tables.filter(({ quick }) => DEEP || quick === true))(
  'barriers of $scenario $variant on arm',
  ({ scenario, variant, parameters = {}, changes }) => {
    const build = () => resolveScenario(scenarios, { scenario, variant, memoryModel: 'arm', parameters }).build();

    it('are those that the table has', async () => {
      const { lines, unchanged } = await linesOf(build());
      expect(unchanged.verdict).toBe('safe');
      const found = lines.flatMap(({ routine, step, changes: possible }) =>
        possible
          .filter((change) => change.endsWith('-instead') || (change === 'leave-out' && ABOUT_ORDER.test(step)))
          .map((change) => `${routine}/${step}:${change}`),
      );
      expect(found.sort()).toEqual(Object.keys(changes).sort());
    });

    it('are needed as it says', async () => {
      const names = Object.keys(changes);
      const mutations = await mutationsNamed(build(), names);
      const judged: Record<string, string> = {};
      for (const [index, mutation] of mutations.entries()) {
        const { verdict } = await explore(changed(build(), [mutation]), UNCOUNTED);
        judged[names[index] as string] = verdict === 'safe' ? 'not needed' : 'needed';
      }
      expect(judged).toEqual(changes);
    });
  },
);
