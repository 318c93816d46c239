/**
 * KVM of one virtual machine, as far as memory is concerned: its second stage, the words of the retry protocol, and
 * what it is made of. There is one KVM, whoever its vCPUs are: `page-fault.ts` fills entries in, `notifiers.ts` drops
 * them when the primary MMU says so, `memslots.ts` says which pages there are, `requests.ts` makes vCPUs forget.
 *
 * Mirrors virt/kvm/kvm_main.c and include/linux/kvm_host.h, v6.18: struct kvm.
 */
import { checkValues, is, ModelError, wordsOf, type OptionValues, type SystemBuilder } from '@shootdown/machine';
import {
  SecondaryMmu,
  type Lock,
  type MmuNotifierOps,
  type NotifierCall,
  type SecondaryMmuOptions,
  type SecondaryTlb,
} from '@shootdown/mmu-notifier';
import type { Memslots } from './memslots.ts';
import {
  CHANGE_PTE_VALUES,
  change_pte,
  clear_young,
  invalidate_page,
  kvm_flush_shadow_all,
  kvm_mmu_notifier_invalidate_range_end,
  kvm_mmu_notifier_invalidate_range_start,
  test_young,
  type ChangePteDesign,
} from './notifiers.ts';
import { FAULT_PROTOCOL, FAULT_PROTOCOL_VALUES, type FaultProtocol } from './page-fault.ts';

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

/** What can go wrong outside of faults. */
export type KvmMutant =
  /** invalidate_range_end() counts down before it counts the sequence. */
  | 'counts down first'
  /** Entries are removed, and what vCPUs have cached of them stays. */
  | 'no flush'
  /** invalidate_range_start() has the vCPUs flush before it removes the entries. */
  | 'flush before zap'
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

const KVM_VALUES: OptionValues<KvmOptions> = {
  frames: is.anything,
  table: is.anything,
  format: is.anything,
  lock: is.anything,
  rangeGrows: is.flag,
  tlb: is.anything,
  protocol: is.options(FAULT_PROTOCOL_VALUES, [
    'snapshot',
    'looksAtSequence',
    'looksAtInProgress',
    'check',
    'dropsLock',
    'checksEarly',
  ]),
  change_pte: is.options(CHANGE_PTE_VALUES, ['writable', 'absent', 'countsSequence']),
  rmap_lock: is.withMethods('lock', 'unlock'),
  memslots: is.anything,
  mutant: is.oneOf(
    wordsOf<KvmMutant>()(
      'counts down first',
      'no flush',
      'flush before zap',
      'flush after unlock',
      'keeps permission',
      'invalidate_page does not count',
      'no write barrier',
      'no read barrier',
    ),
  ),
};

/** One VM. */
export class Kvm extends SecondaryMmu {
  readonly tlb: SecondaryTlb;
  readonly protocol: FaultProtocol;
  readonly change_pte: ChangePteDesign | undefined;
  readonly rmap_lock: Lock | undefined;
  readonly memslots: Memslots | undefined;
  readonly mutant: KvmMutant | undefined;

  constructor(builder: SystemBuilder, name: string, options: KvmOptions) {
    checkValues(`kvm: ${name}: new`, options, KVM_VALUES, ['frames', 'table', 'format', 'lock', 'tlb']);
    super(builder, name, options);
    if (options.rmap_lock && options.change_pte)
      throw new ModelError(
        `kvm: ${name}: change_pte() takes mmu_lock, and faults that check under rmap_lock do not see it`,
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
      invalidate_range_start: (call) =>
        this.serve(call, 0, (own) => kvm_mmu_notifier_invalidate_range_start(this, own)),
      invalidate_range_end: (call) =>
        this.serve(call, undefined, (own) => kvm_mmu_notifier_invalidate_range_end(this, own)),
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
