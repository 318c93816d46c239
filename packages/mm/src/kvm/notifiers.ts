/**
 * kvm_mmu_notifier_ops: what KVM does when the primary MMU tells it of a change.
 *
 * Mirrors virt/kvm/kvm_main.c and arch/x86/kvm/mmu, v6.18: kvm_mmu_notifier_invalidate_range_start() and _end(),
 * kvm_handle_hva_range(), kvm_unmap_gfn_range(), kvm_flush_remote_tlbs(); and as they were before,
 * kvm_mmu_notifier_change_pte() and _invalidate_page().
 */
import { is, load, routine, smp_wmb, wordsOf, type OptionValues, type Steps } from '@shootdown/machine';
import type { NotifierCall } from '@shootdown/mmu-notifier';
import type { Kvm } from './kvm.ts';

/** What change_pte() does with an entry: {@link CHANGE_PTE_X86}, {@link CHANGE_PTE_ARM64}, or less. */
export interface ChangePteDesign {
  /**
   * A new entry that is writable, and mapped: `zap` drops the mapping, `read-only` maps the new page, to be written at
   * the next fault.
   */
  readonly writable: 'zap' | 'read-only';
  /**
   * `switch` changes what is mapped already; `establish` maps what is not, too. `alone` does so inside of one bracket
   * only.
   */
  readonly absent: 'leave' | 'establish' | 'establish alone';
  /** mmu_notifier_seq++ in change_pte(): until v5.12, needed as long as no bracket surrounds it. */
  readonly countsSequence: boolean;
  /** False: without mmu_lock (a mutant). Default true. */
  readonly takesLock?: boolean;
}

/** What may be said of it. */
export const CHANGE_PTE_VALUES: OptionValues<ChangePteDesign> = {
  writable: is.oneOf(wordsOf<ChangePteDesign['writable']>()('zap', 'read-only')),
  absent: is.oneOf(wordsOf<ChangePteDesign['absent']>()('leave', 'establish', 'establish alone')),
  countsSequence: is.flag,
  takesLock: is.flag,
};

/**
 * kvm_mmu_set_spte_gfn(), arch/x86/kvm/mmu/mmu.c: a writable entry is never switched to, and what is not mapped stays
 * so.
 */
export const CHANGE_PTE_X86: ChangePteDesign = { writable: 'zap', absent: 'leave', countsSequence: true };

/**
 * kvm_set_spte_gfn(), arch/arm64/kvm/mmu.c, v6.9: the same as a translation fault that maps the page read-only, mapped
 * before or not.
 */
export const CHANGE_PTE_ARM64: ChangePteDesign = { writable: 'read-only', absent: 'establish', countsSequence: true };

/** Counts the invalidation, removes the entries, and flushes before the lock is dropped. Does not sleep. */
export const kvm_mmu_notifier_invalidate_range_start = routine(
  'kvm_mmu_notifier_invalidate_range_start',
  function* (kvm: Kvm, { start, end }: NotifierCall): Steps<number> {
    if (kvm.memslots && !(yield* kvm.memslots.begin())) return 0;
    yield* kvm.lock.lock();
    yield* kvm.begin(start, end, 'mmu_invalidate_in_progress++');
    const early = kvm.mutant === 'flush before zap';
    if (early) yield* kvm_flush_remote_tlbs(kvm);
    const flush = yield* kvm_unmap_gfn_range(kvm, start, end);
    const late = kvm.mutant === 'flush after unlock';
    if (flush && !early && !late) yield* kvm_flush_remote_tlbs(kvm);
    yield* kvm.lock.unlock();
    if (flush && late) yield* kvm_flush_remote_tlbs(kvm);
    return 0;
  },
);

/**
 * The sequence goes first: who looks at the counter first sees one of the two, whatever happens in between. The barrier
 * is for those who do not hold mmu_lock.
 */
export const kvm_mmu_notifier_invalidate_range_end = routine(
  'kvm_mmu_notifier_invalidate_range_end',
  function* (kvm: Kvm, _call: NotifierCall): Steps {
    if (!kvm.memslots || (yield* kvm.memslots.covers())) {
      yield* kvm.lock.lock();
      const swapped = kvm.mutant === 'counts down first';
      if (swapped) yield* kvm.dec_in_progress('mmu_invalidate_in_progress--');
      else yield* kvm.inc_seq('mmu_invalidate_seq++');
      if (kvm.mutant !== 'no write barrier') yield* smp_wmb();
      if (swapped) yield* kvm.inc_seq('mmu_invalidate_seq++');
      else yield* kvm.dec_in_progress('mmu_invalidate_in_progress--');
      yield* kvm.lock.unlock();
    }
    if (kvm.memslots) yield* kvm.memslots.end();
  },
);

/** No bracket, so it is begun and over at once: faults that have looked before are told by the sequence. */
export const invalidate_page = routine(
  'kvm_mmu_notifier_invalidate_page',
  function* (kvm: Kvm, { start, end }: NotifierCall): Steps {
    yield* kvm.lock.lock();
    if (kvm.mutant !== 'invalidate_page does not count') yield* kvm.inc_seq('mmu_notifier_seq++');
    if (yield* kvm_unmap_gfn_range(kvm, start, end)) yield* kvm_flush_remote_tlbs(kvm);
    yield* kvm.lock.unlock();
  },
);

/** The address space goes, and with it every entry. */
export const kvm_flush_shadow_all = routine('kvm_flush_shadow_all', function* (kvm: Kvm): Steps {
  yield* kvm.lock.lock();
  if (yield* kvm_unmap_gfn_range(kvm, 0, kvm.table.entries)) yield* kvm_flush_remote_tlbs(kvm);
  yield* kvm.lock.unlock();
});

/** kvm_set_spte_gfn(): switches an entry to the page of a new primary entry, without an exit of the guest. */
export const change_pte = routine('kvm_mmu_notifier_change_pte', function* (kvm: Kvm, gfn: number, pte: number): Steps {
  const design = kvm.change_pte as ChangePteDesign;
  const { format } = kvm;
  const { takesLock = true } = design;
  if (takesLock) yield* kvm.lock.lock();
  if (design.countsSequence) yield* kvm.inc_seq('mmu_notifier_seq++');
  const old = yield* kvm.read(gfn, `spte[${gfn}]`);
  const zaps = format.writable(pte) && design.writable === 'zap';
  const writable = kvm.mutant === 'keeps permission' && format.writable(old);
  const fresh = zaps ? 0 : format.make(format.pfn(pte), writable);
  if (format.present(old)) {
    yield* kvm.xchg(gfn, fresh, `spte[${gfn}] = ${format.format(fresh)}`);
    yield* kvm_flush_remote_tlbs(kvm);
  } else if (fresh !== 0 && (yield* mayEstablish(kvm, design))) {
    yield* kvm.xchg(gfn, fresh, `spte[${gfn}] = ${format.format(fresh)}`);
  }
  if (takesLock) yield* kvm.lock.unlock();
});

/** Whether change_pte() may map what is not mapped. */
function* mayEstablish(kvm: Kvm, { absent }: ChangePteDesign): Steps<boolean> {
  if (absent === 'leave') return false;
  return absent === 'establish' || (yield* load(kvm.in_progress, { label: 'mmu_invalidate_in_progress' })) === 1;
}

/**
 * Removes the entries of a range; true if there were any, so that the vCPUs must forget what they have cached of them.
 */
const kvm_unmap_gfn_range = routine(
  'kvm_unmap_gfn_range',
  function* (kvm: Kvm, start: number, end: number): Steps<boolean> {
    let flush = false;
    for (let gfn = start; gfn < end; gfn++) {
      if (kvm.rmap_lock) yield* kvm.rmap_lock.lock();
      if (kvm.format.present(yield* kvm.read(gfn, `spte[${gfn}]`))) {
        yield* kvm.xchg(gfn, 0, `spte[${gfn}] = none`);
        flush = true;
      }
      if (kvm.rmap_lock) yield* kvm.rmap_lock.unlock();
    }
    return flush;
  },
);

/** Every vCPU in guest mode leaves it; the others flush before they enter. */
const kvm_flush_remote_tlbs = routine('kvm_flush_remote_tlbs', function* (kvm: Kvm): Steps {
  if (kvm.mutant === 'no flush') return;
  yield* kvm.tlb.invalidate('kvm_make_all_cpus_request(KVM_REQ_TLB_FLUSH)');
  yield* kvm.tlb.sync('(vCPUs have left guest mode)');
});

export const clear_young = routine(
  'kvm_mmu_notifier_clear_young',
  function* (kvm: Kvm, { start, end }: NotifierCall, flush: boolean): Steps<number> {
    let young = 0;
    yield* kvm.lock.lock();
    for (let gfn = start; gfn < end; gfn++) {
      const spte = yield* kvm.read(gfn, `spte[${gfn}]`);
      if (!kvm.format.present(spte) || !kvm.format.young(spte)) continue;
      young = 1;
      yield* kvm.xchg(gfn, kvm.format.old(spte), `spte[${gfn}] = old`);
    }
    // A vCPU that has the translation cached marks the entry no more: clear_young() accepts that, clear_flush_young()
    // does not.
    if (flush && young !== 0) yield* kvm_flush_remote_tlbs(kvm);
    yield* kvm.lock.unlock();
    return young;
  },
);

export const test_young = routine(
  'kvm_mmu_notifier_test_young',
  function* (kvm: Kvm, { start }: NotifierCall): Steps<number> {
    yield* kvm.lock.lock();
    const spte = yield* kvm.read(start, `spte[${start}]`);
    yield* kvm.lock.unlock();
    return kvm.format.present(spte) && kvm.format.young(spte) ? 1 : 0;
  },
);
