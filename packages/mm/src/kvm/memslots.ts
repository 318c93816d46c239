/**
 * Whether the range has a memslot, while that may change: an invalidation must find the same slots at its start and at
 * its end.
 *
 * Mirrors virt/kvm/kvm_main.c, v6.18: mn_active_invalidate_count, kvm_swap_active_memslots().
 */
import {
  atomicAdd,
  BLOCKED,
  defineOperation,
  load,
  operation,
  store,
  type Address,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
} from '@shootdown/machine';

/** The memslots of a VM, as far as one range is concerned. */
export class Memslots {
  static {
    noteMethods(this);
  }

  /** 1 if a slot covers the range. */
  readonly slot: Address;
  /** Invalidations between start and end, counted under mn_invalidate_lock. */
  readonly mn_active_invalidate_count: Address;
  readonly #waits: boolean;

  /**
   * @param kvm name of the VM
   * @param waits false: slots change without waiting for invalidations (a mutant)
   */
  constructor(builder: SystemBuilder, kvm: string, options: { readonly waits?: boolean } = {}) {
    checkValues(`kvm: ${kvm}: memslots: new`, options, { waits: is.flag });
    const { waits = true } = options;
    this.slot = builder.region(`${kvm}.memslot`, 1).at(0);
    this.mn_active_invalidate_count = builder.region(`${kvm}.mn_active_invalidate_count`, 1).at(0);
    this.#waits = waits;
  }

  /** An invalidation begins: from here to {@link end} the slots stay as they are. True if the range has one. */
  *begin(): Steps<boolean> {
    yield* atomicAdd(this.mn_active_invalidate_count, 1, { label: 'mn_active_invalidate_count++' });
    return yield* this.covers();
  }

  /** Whether the range has a slot. */
  *covers(): Steps<boolean> {
    return (
      (yield* load(this.slot, { label: 'kvm_memslots(kvm)', fact: (slot) => (slot === 0 ? 'no slot' : 'slot') })) !== 0
    );
  }

  /** The invalidation has ended. */
  *end(): Steps {
    yield* atomicAdd(this.mn_active_invalidate_count, -1, { label: 'mn_active_invalidate_count--' });
  }

  /** kvm_swap_active_memslots(): the range gets a slot, once no invalidation is under way. */
  *kvm_swap_active_memslots(): Steps {
    const label = 'rcu_assign_pointer(kvm->memslots)';
    if (this.#waits) yield operation(SWAP, this.slot, this.mn_active_invalidate_count, 0, undefined, { label });
    else yield* store(this.slot, 1, { label });
  }
}

/** Under mn_invalidate_lock, so that nobody begins in between. */
const SWAP = defineOperation({
  name: 'kvm_swap_active_memslots',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained() || cx.read(op.b) !== 0) return BLOCKED;
    cx.write(op.a, 1);
    return 0;
  },
  footprint: (op) => ({ reads: [op.b], writes: [op.a] }),
});
