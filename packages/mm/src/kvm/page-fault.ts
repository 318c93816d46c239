/**
 * The fault of a second stage: filling in an entry, although what it is filled in from may change meanwhile.
 *
 * Mirrors arch/x86/kvm/mmu/mmu.c and include/linux/kvm_host.h, v6.18: kvm_tdp_page_fault(), direct_page_fault(),
 * is_page_fault_stale(), mmu_invalidate_retry_gfn().
 */
import { count, is, load, point, routine, smp_rmb, wordsOf, type OptionValues, type Steps } from '@shootdown/machine';
import { fault_says, type PrimaryMmu, type PrimaryPage } from '@shootdown/mmu-notifier';
import type { Kvm } from './kvm.ts';

/** The steps that make a fault safe against invalidations; each can be left out or misplaced. */
export interface FaultProtocol {
  /** When mmu_invalidate_seq is remembered. */
  readonly snapshot: 'before the lookup' | 'after the lookup';
  readonly looksAtSequence: boolean;
  readonly looksAtInProgress: boolean;
  /** `before the lock`: the check has been made when the lock is taken. */
  readonly check: 'under the lock' | 'before the lock';
  /** The lock is dropped and taken again between check and installation. */
  readonly dropsLock: boolean;
  /** mmu_invalidate_retry_gfn_unsafe() before the lookup: spares a lookup in vain (d02c357e5bfa, 2024). */
  readonly checksEarly: boolean;
}

/** What may be said of them. */
export const FAULT_PROTOCOL_VALUES: OptionValues<FaultProtocol> = {
  snapshot: is.oneOf(wordsOf<FaultProtocol['snapshot']>()('before the lookup', 'after the lookup')),
  looksAtSequence: is.flag,
  looksAtInProgress: is.flag,
  check: is.oneOf(wordsOf<FaultProtocol['check']>()('under the lock', 'before the lock')),
  dropsLock: is.flag,
  checksEarly: is.flag,
};

/** v6.18, without the early check. */
export const FAULT_PROTOCOL: FaultProtocol = {
  snapshot: 'before the lookup',
  looksAtSequence: true,
  looksAtInProgress: true,
  check: 'under the lock',
  dropsLock: false,
  checksEarly: false,
};

/**
 * kvm_tdp_page_fault(): fills in the entry of a page, or lets the guest try again because an invalidation has come
 * between (RET_PF_RETRY). False: there is no such page.
 */
export const kvm_tdp_page_fault = routine(
  'kvm_tdp_page_fault',
  function* (kvm: Kvm, primary: PrimaryMmu, gfn: number, write: boolean): Steps<boolean> {
    const { protocol, memslots } = kvm;
    // Without a slot the access is not to memory: an exit to user space, which is somebody else's story.
    if (memslots && !(yield* memslots.covers())) return false;
    let mmu_seq = 0;
    if (protocol.snapshot === 'before the lookup') mmu_seq = yield* snapshot(kvm, primary);
    if (protocol.checksEarly && (yield* mmu_invalidate_retry_gfn(kvm, gfn, mmu_seq))) {
      yield* fault_says(primary, 'retry needed');
      yield* fault_says(primary, 'end');
      return true;
    }
    yield* fault_says(primary, 'lookup');
    const page = yield* primary.lookup(gfn, write);
    if (page && protocol.snapshot === 'after the lookup') mmu_seq = yield* snapshot(kvm, primary);
    if (page) yield* direct_map(kvm, primary, gfn, page, mmu_seq);
    yield* fault_says(primary, 'end');
    return page !== null;
  },
);

function* snapshot(kvm: Kvm, primary: PrimaryMmu): Steps<number> {
  const mmu_seq = yield* load(kvm.seq, { label: 'mmu_seq = mmu_invalidate_seq' });
  yield* fault_says(primary, 'read_begin');
  yield* smp_rmb();
  return mmu_seq;
}

/**
 * direct_page_fault(), its second half: the check and the installation belong under one hold of the lock. The page that
 * was looked up is released under it too: once it is mapped, the notifier's promise keeps it.
 */
const direct_map = routine(
  'direct_map',
  function* (kvm: Kvm, primary: PrimaryMmu, gfn: number, page: PrimaryPage, mmu_seq: number): Steps {
    const { protocol, format } = kvm;
    const lock = kvm.rmap_lock ?? kvm.lock;
    const early = protocol.check === 'before the lock' && (yield* is_page_fault_stale(kvm, primary, gfn, mmu_seq));
    yield* lock.lock();
    yield* fault_says(primary, 'lock');
    const checks = protocol.check === 'under the lock';
    const stale = early || (checks && (yield* is_page_fault_stale(kvm, primary, gfn, mmu_seq)));
    if (!stale && protocol.dropsLock) {
      yield* lock.unlock();
      yield* fault_says(primary, 'unlock');
      yield* lock.lock();
      yield* fault_says(primary, 'lock');
    }
    const spte = format.make(page.pfn, page.writable);
    if (!stale) {
      yield* kvm.xchg(gfn, spte, `spte[${gfn}] = ${format.format(spte)}`);
      yield* fault_says(primary, 'install');
    }
    yield* point(stale ? 'stale' : 'mapped');
    yield* primary.release(page);
    yield* lock.unlock();
    yield* fault_says(primary, 'unlock');
    if (stale) yield* count('kvm: stale faults');
  },
);

/** Who holds mmu_lock looks at the range too; who holds another lock needs the barrier between the two looks. */
function* is_page_fault_stale(kvm: Kvm, primary: PrimaryMmu, gfn: number, mmu_seq: number): Steps<boolean> {
  const stale = yield* kvm.rmap_lock ? mmu_invalidate_retry(kvm, mmu_seq) : mmu_invalidate_retry_gfn(kvm, gfn, mmu_seq);
  yield* fault_says(primary, stale ? 'retry needed' : 'retry not needed');
  return stale;
}

/**
 * mmu_invalidate_retry_gfn(), and mmu_invalidate_retry_gfn_unsafe(): whether the page that was looked up may have been
 * invalidated since.
 */
const mmu_invalidate_retry_gfn = routine(
  'mmu_invalidate_retry_gfn',
  function* (kvm: Kvm, gfn: number, mmu_seq: number): Steps<boolean> {
    const { looksAtInProgress, looksAtSequence } = kvm.protocol;
    if (looksAtInProgress && (yield* kvm.isUnderWay(gfn, 'mmu_invalidate_in_progress'))) return true;
    return looksAtSequence && (yield* hasChanged(kvm, mmu_seq));
  },
);

/** mmu_invalidate_retry(): the same for callers without mmu_lock, of any page. */
const mmu_invalidate_retry = routine('mmu_invalidate_retry', function* (kvm: Kvm, mmu_seq: number): Steps<boolean> {
  const { looksAtInProgress, looksAtSequence } = kvm.protocol;
  if (looksAtInProgress && (yield* kvm.isAnyUnderWay('mmu_invalidate_in_progress'))) return true;
  if (kvm.mutant !== 'no read barrier') yield* smp_rmb();
  return looksAtSequence && (yield* hasChanged(kvm, mmu_seq));
});

function* hasChanged({ seq }: Kvm, mmu_seq: number): Steps<boolean> {
  return (
    (yield* load(seq, {
      label: 'mmu_invalidate_seq',
      fact: (now) => (now === mmu_seq ? 'as before' : 'has changed'),
    })) !== mmu_seq
  );
}
