/**
 * KVM's secondary MMU: one second-stage table per VM, dropped entry by entry when the primary MMU says so.
 *
 * Mirrors virt/kvm/kvm_main.c and arch/x86/kvm/mmu/mmu.c, v6.18: kvm_mmu_notifier_invalidate_range_start() and _end(),
 * kvm_tdp_page_fault(), is_page_fault_stale(); and as they were before, kvm_mmu_notifier_change_pte() and
 * _invalidate_page().
 */
import {
  count,
  load,
  ModelError,
  point,
  routine,
  smp_rmb,
  smp_wmb,
  type Steps,
  type SystemBuilder,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import type { Memslots } from './memslots.ts';
import type { MmuNotifierOps, NotifierCall } from './notifier.ts';
import {
  SecondaryMmu,
  type Lock,
  type PrimaryMmu,
  type PrimaryPage,
  type SecondaryMmuOptions,
} from './secondary-mmu.ts';
import type { SecondaryTlb } from './secondary-tlb.ts';

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

/** v6.18, without the early check. */
export const FAULT_PROTOCOL: FaultProtocol = {
  snapshot: 'before the lookup',
  looksAtSequence: true,
  looksAtInProgress: true,
  check: 'under the lock',
  dropsLock: false,
  checksEarly: false,
};

/** What a VM is made of. */
export interface KvmOptions extends SecondaryMmuOptions {
  readonly tlb: SecondaryTlb;
  readonly protocol?: FaultProtocol;
  /** Left out: no change_pte() (v6.10). */
  readonly change_pte?: ChangePteDesign;
  /**
   * The lock of an entry's rmap chain. With it, faults check and install under that one and not under mmu_lock: Book3S
   * HV in real mode, kvmppc_do_h_enter().
   */
  readonly rmap_lock?: Lock;
  /** Left out: the slots cover everything, and stay. */
  readonly memslots?: Memslots;
  readonly mutant?: KvmMutant;
}

const KVM_KEYS = keysOf<KvmOptions>()(
  'frames',
  'table',
  'format',
  'lock',
  'rangeGrows',
  'tlb',
  'protocol',
  'change_pte',
  'rmap_lock',
  'memslots',
  'mutant',
);

/** What can go wrong outside of faults. */
export type KvmMutant =
  /** invalidate_range_end() counts down before it counts the sequence. */
  | 'counts down first'
  /** Entries are removed, and what vCPUs have cached of them stays. */
  | 'no flush'
  /** invalidate_range_start() has the vCPUs flush when mmu_lock has been dropped. */
  | 'flush after unlock'
  /** change_pte() leaves an entry as writable as it was. */
  | 'keeps permission'
  /** invalidate_page() does not count the sequence. */
  | 'invalidate_page does not count'
  /** invalidate_range_end() counts both without smp_wmb() in between. */
  | 'no write barrier'
  /** mmu_invalidate_retry() looks at both without smp_rmb() in between. */
  | 'no read barrier';

/** One VM. */
export class Kvm extends SecondaryMmu {
  readonly tlb: SecondaryTlb;
  readonly protocol: FaultProtocol;
  readonly change_pte: ChangePteDesign | undefined;
  readonly rmap_lock: Lock | undefined;
  readonly memslots: Memslots | undefined;
  readonly mutant: KvmMutant | undefined;

  constructor(builder: SystemBuilder, name: string, options: KvmOptions) {
    checkOptions(`mmu-notifier: ${name}: new`, options, KVM_KEYS, ['frames', 'table', 'format', 'lock', 'tlb']);
    super(builder, name, options);
    if (options.rmap_lock && options.change_pte)
      throw new ModelError(
        `mmu-notifier: ${name}: change_pte() takes mmu_lock, and faults that check under rmap_lock do not see it`,
      );
    this.tlb = options.tlb;
    this.protocol = options.protocol ?? FAULT_PROTOCOL;
    this.change_pte = options.change_pte;
    this.rmap_lock = options.rmap_lock;
    this.memslots = options.memslots;
    this.mutant = options.mutant;
  }

  /** kvm_mmu_notifier_ops. */
  get ops(): MmuNotifierOps {
    return {
      invalidate_range_start: (call) => this.serve(call, 0, (own) => invalidate_range_start(this, own)),
      invalidate_range_end: (call) => this.serve(call, undefined, (own) => invalidate_range_end(this, own)),
      invalidate_page: (call) => this.serve(call, undefined, (own) => invalidate_page(this, own)),
      ...(this.change_pte && {
        change_pte: (call: NotifierCall, pte: number) =>
          this.serve(call, undefined, (own) => change_pte(this, own.start, pte)),
      }),
      clear_flush_young: (call) => this.serve(call, 0, (own) => clear_young(this, own, true)),
      clear_young: (call) => this.serve(call, 0, (own) => clear_young(this, own, false)),
      test_young: (call) => this.serve(call, 0, (own) => test_young(this, own)),
      release: () => kvm_flush_shadow_all(this),
    };
  }
}

/** Counts the invalidation, removes the entries, and flushes before the lock is dropped. Does not sleep. */
const invalidate_range_start = routine(
  'kvm_mmu_notifier_invalidate_range_start',
  function* (kvm: Kvm, { start, end }: NotifierCall): Steps<number> {
    if (kvm.memslots && !(yield* kvm.memslots.begin())) return 0;
    yield* kvm.lock.lock();
    yield* kvm.begin(start, end, 'mmu_invalidate_in_progress++');
    const flush = yield* kvm_unmap_gfn_range(kvm, start, end);
    const late = kvm.mutant === 'flush after unlock';
    if (flush && !late) yield* kvm_flush_remote_tlbs(kvm);
    yield* kvm.lock.unlock();
    if (flush && late) yield* kvm_flush_remote_tlbs(kvm);
    return 0;
  },
);

/**
 * The sequence goes first: who looks at the counter first sees one of the two, whatever happens in between. The barrier
 * is for those who do not hold mmu_lock.
 */
const invalidate_range_end = routine(
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
const invalidate_page = routine(
  'kvm_mmu_notifier_invalidate_page',
  function* (kvm: Kvm, { start, end }: NotifierCall): Steps {
    yield* kvm.lock.lock();
    if (kvm.mutant !== 'invalidate_page does not count') yield* kvm.inc_seq('mmu_notifier_seq++');
    if (yield* kvm_unmap_gfn_range(kvm, start, end)) yield* kvm_flush_remote_tlbs(kvm);
    yield* kvm.lock.unlock();
  },
);

/** The address space goes, and with it every entry. */
const kvm_flush_shadow_all = routine('kvm_flush_shadow_all', function* (kvm: Kvm): Steps {
  yield* kvm.lock.lock();
  if (yield* kvm_unmap_gfn_range(kvm, 0, kvm.frames.entriesPerTable)) yield* kvm_flush_remote_tlbs(kvm);
  yield* kvm.lock.unlock();
});

/** kvm_set_spte_gfn(): switches an entry to the page of a new primary entry, without an exit of the guest. */
const change_pte = routine('kvm_mmu_notifier_change_pte', function* (kvm: Kvm, gfn: number, pte: number): Steps {
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
    if (protocol.snapshot === 'before the lookup') mmu_seq = yield* snapshot(kvm);
    if (protocol.checksEarly && (yield* mmu_invalidate_retry_gfn(kvm, gfn, mmu_seq))) return true;
    const page = yield* primary.lookup(gfn, write);
    if (!page) return false;
    if (protocol.snapshot === 'after the lookup') mmu_seq = yield* snapshot(kvm);
    yield* direct_map(kvm, primary, gfn, page, mmu_seq);
    return true;
  },
);

function* snapshot(kvm: Kvm): Steps<number> {
  const mmu_seq = yield* load(kvm.seq, { label: 'mmu_seq = mmu_invalidate_seq' });
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
    const early = protocol.check === 'before the lock' && (yield* is_page_fault_stale(kvm, gfn, mmu_seq));
    yield* lock.lock();
    const stale = early || (protocol.check === 'under the lock' && (yield* is_page_fault_stale(kvm, gfn, mmu_seq)));
    if (!stale && protocol.dropsLock) {
      yield* lock.unlock();
      yield* lock.lock();
    }
    const spte = format.make(page.pfn, page.writable);
    if (!stale) yield* kvm.xchg(gfn, spte, `spte[${gfn}] = ${format.format(spte)}`);
    yield* point(stale ? 'stale' : 'mapped');
    yield* primary.release(page);
    yield* lock.unlock();
    if (stale) yield* count('kvm: stale faults');
  },
);

/** Who holds mmu_lock looks at the range too; who holds another lock needs the barrier between the two looks. */
function is_page_fault_stale(kvm: Kvm, gfn: number, mmu_seq: number): Steps<boolean> {
  return kvm.rmap_lock ? mmu_invalidate_retry(kvm, mmu_seq) : mmu_invalidate_retry_gfn(kvm, gfn, mmu_seq);
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

const clear_young = routine(
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

const test_young = routine('kvm_mmu_notifier_test_young', function* (kvm: Kvm, { start }: NotifierCall): Steps<number> {
  yield* kvm.lock.lock();
  const spte = yield* kvm.read(start, `spte[${start}]`);
  yield* kvm.lock.unlock();
  return kvm.format.present(spte) && kvm.format.young(spte) ? 1 : 0;
});
