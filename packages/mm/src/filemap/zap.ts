/**
 * munmap() of a shared file page, as far as the dirty bit goes: who learns of it, and when the folio ceases to count as
 * mapped.
 */
import { checkedOnce, checkValues, is, point, routine, wordsOf, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Kernel } from '../kernel.ts';
import { tlb_finish_mmu, tlb_gather_mmu } from '../mmu-gather.ts';
import { pte_offset } from '../pgtable.ts';
import {
  zap_pte_range,
  zap_pte_range_flush_after_ptl,
  zap_pte_range_not_marked,
  zap_pte_range_read_then_clear,
  zap_pte_range_v3_14,
  zap_pte_range_v3_15,
  type ZapPteRange,
} from '../zap.ts';
import type { FileFolio } from '../file-folio.ts';

/** How zap_pte_range() treats a dirty page of a file. */
export interface ZapDesign {
  /** force_flush: the TLB is flushed before the page-table lock is dropped (1cf35d47712d, v3.15). */
  readonly flushUnderPtl: boolean;
  /** tlb_delay_rmap(): the folio counts as mapped until the flush (5df397dec7c4, v6.2). */
  readonly delayedRmap: boolean;
  /** `not marked`: the entry's dirty bit is forgotten. `read, then clear`: hardware may set it in between. */
  readonly mutant?: 'not marked' | 'read, then clear';
}

const MUTANTS = wordsOf<NonNullable<ZapDesign['mutant']>>()('not marked', 'read, then clear');

const checkZap = checkedOnce((design: ZapDesign) =>
  checkValues(
    'filemap: zap_page_range: design',
    design,
    { flushUnderPtl: is.flag, delayedRmap: is.flag, mutant: is.oneOf(MUTANTS) },
    ['flushUnderPtl', 'delayedRmap'],
  ),
);

/** Every version of zap_pte_range(), to stand in for the kernel's own. */
export const zapVersions = {
  v3_14: zap_pte_range_v3_14,
  v3_15: zap_pte_range_v3_15,
  v6_2: zap_pte_range,
  flushAfterPtl: zap_pte_range_flush_after_ptl,
  notMarked: zap_pte_range_not_marked,
  readThenClear: zap_pte_range_read_then_clear,
} as const;

/** The version that a design is. Mutants are mutants of v6.2. */
function versionOf({ flushUnderPtl, delayedRmap, mutant }: ZapDesign): ZapPteRange {
  if (mutant) return mutant === 'not marked' ? zapVersions.notMarked : zapVersions.readThenClear;
  if (!delayedRmap) return flushUnderPtl ? zapVersions.v3_15 : zapVersions.v3_14;
  return flushUnderPtl ? zapVersions.v6_2 : zapVersions.flushAfterPtl;
}

/** Unmaps one page of a file. */
export const zap_page_range = routine(
  'zap_page_range',
  function* (folio: FileFolio, cpu: Cpu, vpn: number, design: ZapDesign): Steps {
    const version = versionOf(checkZap(design));
    const kernel: Kernel = { ...folio.kernel, folio };
    const tlb = yield* tlb_gather_mmu(folio.mm);
    const ptep = yield* pte_offset(kernel, folio.mm, vpn);
    if (ptep) yield* version(kernel, cpu, tlb, ptep, vpn, vpn + 1);
    yield* point('tlb_finish_mmu');
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  },
);
