/** Lines of the contpte layer and its callers that a scenario does not need, and why that is no surprise. */
import type { Survivor } from './mutants.test-support.ts';

const RETURNS = 'it tells the checker that the call has returned: earlier or never, less is asked';
/** On `sc` a walk sees a store when it is made. */
const ORDERED = [
  'contpte-fold',
  'one-folio',
  { memoryModel: 'arm', parameters: { block: 2, reader: 0, device: 0 } },
] as const;
const BOTH_WAITED_FOR = 'both are sent before either is waited for';
const OLDER =
  'what was read before is older, and as good: hardware may set a bit right after the read, too, and clears none';
const COMPARED = 'the cmpxchg compares with what is there: with an old value it fails, and the loop reads again';
const READ_AGAIN = 'contpte_ptep_get_lockless() reads the entry again';
const WHOLE = 'the range covers the block: nothing is unfolded';

/** Variants that are looked at with blocks of four; with others that takes minutes, and two show the same. */
const BLOCKS_OF_FOUR =
  /^(?:contpte-(?:fold|fork) .*|contpte-fault (?:access-flag|.*cpu-only)|contpte-mremap (?:unaligned|batched\/.*)|contpte-mprotect (?!whole$).*|contpte-reclaim batched\/at-the-end|contpte-zap (?:part|file)|break-before-make .*)$/;

/** Parameters of the machine whose lines are changed. */
export function sizeOfContpte(scenario: string, variant: string): Readonly<Record<string, number>> {
  return BLOCKS_OF_FOUR.test(`${scenario} ${variant}`) ? {} : { block: 2 };
}

export const ofContpte: readonly Survivor[] = [
  { change: '*/return*:leave-out', because: RETURNS },
  ...[
    'mprotect/change_protection*',
    'mremap/move_ptes',
    'kswapd/try_to_unmap_one',
    'madvise/zap_page_range_single',
  ].map((line) => ({ change: `${line}:swap-with-next`, because: RETURNS })),
  { change: 'mprotect/change_protection:leave-out', because: 'nothing is changed, and of what stays nothing is asked' },
  {
    change: 'contpte_convert/__flush_tlb_range:*',
    variants: 'bbml2',
    because: 'with BBML2 no TLB conflict comes of it: bbml2-no-tlbi is the variant that leaves it out',
  },
  // __flush_tlb_range().
  { change: '__flush_tlb_range/dsb:*', neededIn: ORDERED },
  { change: '__flush_tlb_range/CMD_SYNC:swap-with-next', because: 'both are waited for, in either order' },
  { change: '__flush_tlb_range/tlbi*:swap-with-next', because: BOTH_WAITED_FOR },
  { change: '__flush_tlb_range/CMD_TLBI_NH_VA:swap-with-next', because: BOTH_WAITED_FOR },
  {
    change: '__flush_tlb_range/dsb.2:leave-out',
    because: 'a TLBI of the own CPU takes effect at once here; if it came later, one more fault would be all',
  },
  // What is read under the lock, and may change under it by hardware only.
  { change: 'contpte_ptep_get/__ptep_get*:leave-out-recheck', because: OLDER },
  { change: 'contpte_ptep_set_access_flags/__ptep_get*:leave-out-recheck', because: OLDER },
  { change: '__ptep_set_access_flags/__ptep_get*:leave-out-recheck', because: COMPARED },
  {
    change: '__clear_young_dirty_ptes/cmpxchg:load-then-store',
    variants: 'clean-old-atomic',
    because: 'it is clean-old-nonatomic then, a violation of its own; here what is lost was given away',
  },
  {
    change: '__clear_full_ptes/__ptep_get_and_clear:load-then-store',
    because: 'the memory is given away, with whatever hardware says of it meanwhile',
  },
  { change: '__ptep_test_and_clear_young/__ptep_get:leave-out-recheck', because: COMPARED },
  { change: '__clear_young_dirty_ptes/__ptep_get:leave-out-recheck', because: COMPARED },
  {
    change: 'contpte_clear_young_dirty_ptes/__ptep_get*:leave-out-recheck',
    because: 'the contiguous bit changes under the lock only',
  },
  {
    change: 'contpte_ptep_clear_flush_young/__flush_tlb_range:leave-out',
    because: 'nobody waits for it either: at worst a page that is used looks old until the TLB forgets it',
  },
  // What GUP-fast reads.
  { change: 'ptep_get_lockless/__ptep_get:always-*', because: READ_AGAIN },
  {
    change: 'contpte_ptep_get_lockless/__ptep_get*:leave-out-recheck',
    because: 'its own entry has been read just before, and every entry is compared with that',
  },
  {
    change: 'contpte_ptep_get_lockless/__ptep_get*:always-0',
    because:
      'the reader begins again until the block is gone, which here it will be; while one stays that is a livelock (operations.test.ts)',
  },
  // Blocks and their parts.
  { change: '*/contpte_try_unfold_partial:*', because: WHOLE },
  {
    change: 'contpte_try_unfold_partial/__contpte_try_unfold:swap-with-next',
    because: 'the other entry is of another block, or of one that is unfolded a second time',
  },
  // fork().
  {
    change: 'copy_present_ptes/wrprotect_ptes:swap-with-next',
    because: 'the child does not run, and the parent is flushed after both',
  },
  { change: 'copy_pte_range/spin_lock:swap-with-next', because: 'nobody else knows the child' },
  { change: 'copy_pte_range/spin_unlock:swap-with-next', because: 'nobody else knows the child' },
  // mremap(), reclaim, madvise().
  {
    change: 'move_ptes/flush_tlb_range:swap-with-next',
    neededIn: ['contpte-mremap', 'batched/truncated'],
  },
  { change: 'move_ptes/set_ptes:swap-with-next', because: 'what is flushed is clear by then' },
  {
    change: 'try_to_unmap_one/flush_tlb_range:swap-with-next',
    because:
      'hardware sets no bit in an entry that is clear, and reclaim has the folio locked: nobody writes it back in between',
  },
  { change: '*/folio_mark_*:load-then-store', because: 'a word here is one flag of one folio' },
  { change: 'madvise_free_pte_range/spin_unlock:swap-with-next', because: 'the lock is held longer' },
  { change: 'ftruncate/*', because: 'who does not truncate, or keeps a reference, frees nothing' },
  ...['dirty', 'accessed'].map((bit): Survivor => ({
    change: `zap_present_ptes/folio_mark_${bit}:leave-out`,
    neededIn: ['contpte-zap', 'file'],
  })),
  { change: 'tlb_finish_mmu/put_page:swap-with-next', because: 'both are freed after the flush, in either order' },
];

const NOT_ASKED = 'what hardware sets in the old entry meanwhile is not the question here: contpte-mremap asks it';

/** The same of break-before-make. */
export const ofBreakBeforeMake: readonly Survivor[] = [
  { change: 'remap/__ptep_get_and_clear:load-then-store', because: NOT_ASKED },
  { change: 'remap/cmpxchg:load-then-store', because: NOT_ASKED },
  { change: 'remap/__set_pte:leave-out', because: 'the entry stays invalid, and accesses fault' },
  { change: 'remap/cmpxchg:leave-out', because: 'the entry stays as it is' },
  {
    change: 'remap/__flush_tlb_range:*',
    because:
      'either entry may be used until the flush: whether the old one is gone after it is asked by contpte-mprotect',
  },
  ...ofContpte,
];

/** The same of contpte-fault: the flush after a spurious fault covers for the one before. */
export const ofContpteFault: readonly Survivor[] = [
  {
    change: '__flush_tlb_range/tlbi:leave-out',
    variants: 'current',
    coveredBy: ['__flush_tlb_range/tlbi.2:leave-out'],
  },
  ...['__ptep_set_access_flags/local_flush_tlb_page', 'local_flush_tlb_page/__flush_tlb_range'].map(
    (line): Survivor => ({
      change: `${line}:leave-out`,
      variants: 'reuse',
      because:
        'the next fault finds nothing to do, and flush_tlb_fix_spurious_fault() flushes: set-access-flags-no-tlbi has neither',
    }),
  ),
  ...ofContpte,
];
