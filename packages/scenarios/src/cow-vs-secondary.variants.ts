/**
 * The designs that `cow-vs-secondary` compares: what kernels did from 2009 to 2024, what was proposed, and each without
 * one of its parts.
 */
import type { Variant } from '@shootdown/explorer';
import {
  CHANGE_PTE_ARM64,
  CHANGE_PTE_X86,
  secondary,
  type ChangePteDesign,
  type IpiTlbOptions,
  type KvmMutant,
  type ReuseEra,
} from '@shootdown/mm';
import { alsoOnArm } from './on-arm.ts';

const { NotifierEra } = secondary;

/**
 * Who uses the page besides the process: a guest, a device with a table of its own, a device that walks the primary
 * table.
 */
export type Who = 'guest' | 'device' | 'guest and device' | 'device TLB' | 'nobody';

/** A variant with the parts it is built from. */
export interface CowVariant extends Variant {
  readonly era: keyof typeof NotifierEra;
  readonly design?: Partial<secondary.NotifierDesign>;
  readonly who: Who;
  /** KVM's change_pte(); v6.10 has none. */
  readonly change_pte?: ChangePteDesign;
  readonly kvm?: KvmMutant;
  readonly tlb?: IpiTlbOptions;
  /** What decides whether a write fault copies. Default: the reference count. */
  readonly reuse?: ReuseEra;
  /** What the process does. `zap`: it gives the page back. `collapse`: khugepaged takes the table away. */
  readonly does: 'cow' | 'cow and zap' | 'zap' | 'collapse' | 'collapse in silence';
  /**
   * What the other thread does: it writes if it can at once, or once a fault has been handled, or reads twice. Default
   * `writes`.
   */
  readonly other?: 'writes' | 'faults' | 'reads twice';
}

/** Since v5.13 change_pte() does not count: the bracket around it does. */
const UNCOUNTED = { countsSequence: false } as const;

const GUANGRONG =
  '"mm: mmu_notifier: fix inconsistent memory between secondary MMU and host", Xiao Guangrong, August 2012';
const HAGGAI =
  '6bdb913f0a70 ("mm: wrap calls to set_pte_at_notify with invalidate_range_start and invalidate_range_end")';
const THREAD = '"mm/mmu_notifier: restore set_pte_at_notify semantics", January 2014';
const INVALIDATE_RANGE = '0f0a327fa12c ("mmu_notifier: add the callback for mmu_notifier_invalidate_range()")';
const ARM64 = 'arch/arm64/kvm/mmu.c, v6.9: kvm_set_spte_gfn()';
const V6_10 = 'f7842747d13d ("mm: replace set_pte_at_notify() with just set_pte_at()")';
const NOBODY = 'no outside authority';

type Parts = Omit<CowVariant, 'name' | 'expected' | 'source' | 'summary' | 'does' | 'who'> &
  Partial<Pick<CowVariant, 'does' | 'who'>>;

function variant(
  name: string,
  expected: Variant['expected'],
  source: string,
  summary: string,
  parts: Parts,
): CowVariant {
  const change_pte = parts.change_pte ?? (parts.era === 'E0' || parts.era === 'E5' ? undefined : CHANGE_PTE_X86);
  return { who: 'guest', does: 'cow', ...parts, ...(change_pte && { change_pte }), name, expected, source, summary };
}

export const cowVariants: readonly CowVariant[] = alsoOnArm([
  variant(
    'E0',
    'safe',
    'mm/memory.c, v2.6.31',
    'to v2.6.31: invalidate_page() between clearing and setting the entry',
    { era: 'E0' },
  ),
  variant('E0/no-notifier', 'violation', NOBODY, 'nobody is told', { era: 'E0', design: { atSet: 'nothing' } }),
  variant(
    'E0/no-sequence',
    'violation',
    'virt/kvm/kvm_main.c, v2.6.31: mmu_notifier_seq++',
    'invalidate_page() does not count, and a fault under way maps the old page',
    {
      era: 'E0',
      parameters: { established: 0 },
      kvm: 'invalidate_page does not count',
    },
  ),
  variant(
    'E1-set-then-change',
    'violation',
    GUANGRONG,
    'v2.6.32 to v3.6: the entry is set, then change_pte() is called',
    { era: 'E1-set-then-change' },
  ),
  variant('E1-change-then-set', 'safe', GUANGRONG, 'the fix: change_pte() comes first', {
    era: 'E1-change-then-set',
  }),
  variant(
    'E1-change-then-set/no-sequence',
    'violation',
    'virt/kvm/kvm_main.c, v3.6: mmu_notifier_seq++',
    'change_pte() does not count, and a fault under way maps the old page',
    {
      era: 'E1-change-then-set',
      parameters: { established: 0 },
      change_pte: { ...CHANGE_PTE_X86, ...UNCOUNTED },
    },
  ),
  variant(
    'E1-change-then-set/no-lock',
    'violation',
    NOBODY,
    'change_pte() comes without mmu_lock, between check and installation of a fault',
    {
      era: 'E1-change-then-set',
      parameters: { established: 0 },
      change_pte: { ...CHANGE_PTE_X86, takesLock: false },
    },
  ),
  variant(
    'E1-change-then-set/sleeping-device',
    'violation',
    HAGGAI,
    'a device without change_pte(): its invalidate_page() sleeps under the page-table lock',
    { era: 'E1-change-then-set', who: 'device' },
  ),
  variant('E2', 'safe', HAGGAI, 'v3.7: invalidate_range_start() and _end() around it', { era: 'E2' }),
  variant('E2/device', 'safe', HAGGAI, 'the same with a device that has a table of its own', {
    era: 'E2',
    who: 'device',
  }),
  variant('E2/no-bracket', 'violation', NOBODY, 'without them a device is told nothing', {
    era: 'E2',
    who: 'device',
    design: { bracketsSetPte: 'nowhere' },
  }),
  variant('E2/no-flush', 'violation', NOBODY, 'KVM removes the entry, and no vCPU is told', {
    era: 'E2',
    kvm: 'no flush',
  }),
  variant('E2/device-tlb', 'violation', INVALIDATE_RANGE, 'a device that walks the primary table learns of nothing', {
    era: 'E2',
    who: 'device TLB',
  }),
  variant('E2/device-tlb-zap', 'violation', INVALIDATE_RANGE, 'nor that the page is given back', {
    era: 'E2',
    who: 'device TLB',
    does: 'zap',
  }),
  variant('E2-rapoport-kvm-only', 'safe', THREAD, 'the proposal of 2014 (no bracket), with nobody but KVM', {
    era: 'E2-rapoport',
  }),
  variant(
    'E2-rapoport',
    'violation',
    `${THREAD}: Haggai Eran`,
    'the proposal of 2014 with a device that has no change_pte()',
    { era: 'E2-rapoport', who: 'device' },
  ),
  variant(
    'E2-rapoport-ro-until-notified',
    'safe',
    'derived: nobody can write before everybody has been told',
    'the same, and the entry stays read-only until then; the other thread only writes if it can',
    {
      era: 'E2-rapoport-ro-until-notified',
      who: 'device',
    },
  ),
  variant(
    'E2-rapoport-ro-until-notified/other-faults',
    'violation',
    `${NOBODY}: wp_page_reuse() makes the entry writable, because nobody else has the page`,
    'the same, and the other thread handles its fault',
    {
      era: 'E2-rapoport-ro-until-notified',
      who: 'device',
      other: 'faults',
    },
  ),
  variant(
    'E2-rapoport-ro-until-notified/extra-reference',
    'violation',
    'do_wp_page(), v3.13: reuse_swap_page() looks at the map count and swap count, not at references',
    'and a reference to the new page is held until everybody has been told: nobody else maps it, so it is taken over',
    {
      era: 'E2-rapoport-ro-until-notified/extra-reference',
      who: 'device',
      other: 'faults',
      reuse: 'map count',
    },
  ),
  variant(
    'E2-rapoport-ro-until-notified/extra-reference-v5.9',
    'safe',
    '09854ba94c6a ("mm: do_wp_page() simplification"), v5.9: page_count() decides',
    'the same with the fault of v5.9 to v5.18, which finds that somebody else has the page',
    {
      era: 'E2-rapoport-ro-until-notified/extra-reference',
      who: 'device',
      other: 'faults',
    },
  ),
  variant(
    'E2-rapoport-ro-until-notified/extra-reference-v5.19',
    'violation',
    '6c287605fd56 ("mm: remember exclusively mapped anonymous pages with PG_anon_exclusive"), v5.19',
    'the same with the fault since v5.19, which takes over an exclusive page whoever has references to it',
    {
      era: 'E2-rapoport-ro-until-notified/extra-reference',
      who: 'device',
      other: 'faults',
      reuse: 'PageAnonExclusive',
    },
  ),
  variant('E3', 'safe', 'mm/memory.c, v4.14', 'v3.19: secondary TLBs are told under the page-table lock as well', {
    era: 'E3',
  }),
  variant(
    'E3/device-tlb',
    'safe',
    'mm/memory.c, v4.14: ptep_clear_flush_notify()',
    'a device that walks the primary table',
    { era: 'E3', who: 'device TLB' },
  ),
  variant(
    'E3/device-tlb-zap',
    'safe',
    'mm/mmu_gather.c, v4.14: mmu_notifier_invalidate_range()',
    'the flush of the gather tells it that the page is given back',
    { era: 'E3', who: 'device TLB', does: 'zap' },
  ),
  variant(
    'E4',
    'safe',
    'virt/kvm/kvm_main.c, v6.6',
    'v6.6, with a guest: change_pte() does not count (since v5.13), because the bracket does',
    { era: 'E4', change_pte: { ...CHANGE_PTE_X86, ...UNCOUNTED } },
  ),
  variant(
    'E4/device-tlb',
    'safe',
    '1af5a8109904 ("mmu_notifiers: rename invalidate_range notifier")',
    'v6.6: the flush itself tells secondary TLBs',
    { era: 'E4', who: 'device TLB' },
  ),
  variant('E4/device-tlb-zap', 'safe', '1af5a8109904', 'and when the page is given back', {
    era: 'E4',
    who: 'device TLB',
    does: 'zap',
  }),
  variant('E4/arm64', 'safe', ARM64, 'change_pte() of arm64 maps the new page read-only, mapped before or not', {
    era: 'E4',
    change_pte: { ...CHANGE_PTE_ARM64, ...UNCOUNTED },
  }),
  variant(
    'E4/arm64-nested-bracket',
    'violation',
    `derived: ${ARM64}; no report is known to us`,
    'the same, while another thread gives the page back',
    {
      era: 'E4',
      change_pte: { ...CHANGE_PTE_ARM64, ...UNCOUNTED },
      does: 'cow and zap',
    },
  ),
  variant('E5', 'safe', V6_10, 'v6.10: the bracket alone', { era: 'E5' }),
  variant('E5/guest-and-device', 'safe', V6_10, 'the same with a guest and a device', {
    era: 'E5',
    who: 'guest and device',
  }),
  variant('E5/no-bracket', 'violation', NOBODY, 'without it a guest is told nothing', {
    era: 'E5',
    design: { bracketsSetPte: 'nowhere' },
  }),
  variant(
    'E5/reader',
    'safe',
    'mm/memory.c, v6.18: ptep_clear_flush()',
    'nobody but the process: another thread reads the page twice',
    { era: 'E5', who: 'nobody', other: 'reads twice' },
  ),
  variant('E5/reader/no-ipi', 'violation', NOBODY, 'the same, and the other CPU is not flushed', {
    era: 'E5',
    who: 'nobody',
    other: 'reads twice',
    tlb: { sendsIpis: false },
  }),
  variant(
    'option-3',
    'safe',
    'derived: the mapping is established under the same bracket',
    'v3.7, and change_pte() maps what is not mapped, too',
    { era: 'E2', change_pte: CHANGE_PTE_ARM64 },
  ),
  variant(
    'option-3-nested-bracket',
    'violation',
    `${HAGGAI}: not with more than one bracket open`,
    'the same, while another thread gives the page back',
    {
      era: 'E2',
      change_pte: CHANGE_PTE_ARM64,
      does: 'cow and zap',
    },
  ),
  variant(
    'option-3-nested-bracket/leave',
    'safe',
    'twin: v3.7 on x86',
    'change_pte() leaves alone what is not mapped',
    { era: 'E2', does: 'cow and zap' },
  ),
  variant(
    'option-3-nested-bracket/alone',
    'safe',
    `derived from ${HAGGAI}`,
    'change_pte() maps only while its own bracket is the only one',
    {
      era: 'E2',
      change_pte: { ...CHANGE_PTE_ARM64, absent: 'establish alone' },
      does: 'cow and zap',
    },
  ),
  variant(
    'no-notifier-on-collapse',
    'violation',
    'f268f6cf875f, CVE-2022-48991',
    'khugepaged takes the table of a shared-memory page away and tells nobody',
    { era: 'E5', does: 'collapse in silence' },
  ),
  variant('notifier-on-collapse', 'safe', 'f268f6cf875f', 'the fix', { era: 'E5', does: 'collapse' }),
]);
