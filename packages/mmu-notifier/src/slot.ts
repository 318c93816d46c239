/**
 * Which pages of the primary address space a secondary table translates: entry 0 is the first page of a slot.
 *
 * Mirrors virt/kvm/kvm_main.c, v6.18, kvm_handle_hva_range() and __gfn_to_hva_memslot(), for one slot that stays once
 * it is there; a memory region of an RDMA adapter (ib_umem) comes to the same.
 */
import {
  load,
  noteMethods,
  smp_store_release,
  store,
  type Address,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import type { MmuNotifierOps, NotifierCall } from './notifier.ts';
import type { PrimaryMmu, PrimaryPage } from './secondary-mmu.ts';

/** Page numbers have up to 45 bits, words have 32. */
const LOW_WORD = 2 ** 31;

/** The slot of one secondary MMU. */
export class Slot {
  static {
    noteMethods(this);
  }

  readonly #first: readonly [low: Address, high: Address];
  readonly #pages: Address;
  /** 1 once it is there. */
  readonly there: Address;

  /** @param name of the secondary MMU */
  constructor(builder: SystemBuilder, name: string) {
    const words = builder.region(`${name}.slot`, 4);
    this.#first = [words.at(0), words.at(1)];
    this.#pages = words.at(2);
    this.there = words.at(3);
  }

  /** kvm_set_memory_region(), ib_reg_mr(): the table translates these pages from now on. */
  *set(first: number, pages: number): Steps {
    yield* store(this.#first[0], first % LOW_WORD, { label: 'slot->userspace_addr (low)' });
    yield* store(this.#first[1], Math.floor(first / LOW_WORD), { label: 'slot->userspace_addr (high)' });
    yield* store(this.#pages, pages, { label: 'slot->npages' });
    yield* smp_store_release(this.there, 1, { label: 'rcu_assign_pointer(slot)' });
  }

  /** The primary page of entry 0; -1 if there is no slot. */
  *first(): Steps<number> {
    if ((yield* load(this.there, { label: '(slot)' })) === 0) return -1;
    const low = yield* load(this.#first[0], { label: 'slot->userspace_addr (low)' });
    return low + LOW_WORD * (yield* load(this.#first[1], { label: 'slot->userspace_addr (high)' }));
  }

  /** How many pages it has. */
  *size(): Steps<number> {
    return yield* load(this.#pages, { label: 'slot->npages' });
  }

  /** Callbacks that are told of primary pages, for those that know entries. */
  ops(inner: MmuNotifierOps): MmuNotifierOps {
    const { invalidate_range_start, invalidate_range_end, invalidate_page, change_pte, release } = inner;
    const { clear_flush_young, clear_young, test_young } = inner;
    return {
      ...(invalidate_range_start && {
        invalidate_range_start: (call) => this.#within(call, 0, (own) => invalidate_range_start(own)),
      }),
      ...(invalidate_range_end && {
        invalidate_range_end: (call) => this.#within(call, undefined, (own) => invalidate_range_end(own)),
      }),
      ...(invalidate_page && {
        invalidate_page: (call) => this.#within(call, undefined, (own) => invalidate_page(own)),
      }),
      ...(change_pte && {
        change_pte: (call, pte) => this.#within(call, undefined, (own) => change_pte(own, pte)),
      }),
      ...(clear_flush_young && {
        clear_flush_young: (call) => this.#within(call, 0, (own) => clear_flush_young(own)),
      }),
      ...(clear_young && { clear_young: (call) => this.#within(call, 0, (own) => clear_young(own)) }),
      ...(test_young && { test_young: (call) => this.#within(call, 0, (own) => test_young(own)) }),
      ...(release && { release: (call) => this.#within(call, undefined, (own) => release(own)) }),
    };
  }

  /** The primary MMU, asked by the number of an entry. */
  primary(inner: PrimaryMmu): PrimaryMmu {
    return {
      lookup: (entry, write) => this.#lookup(inner, entry, write),
      release: (page) => inner.release(page),
      ...(inner.fault && { fault: inner.fault }),
    };
  }

  *#lookup(inner: PrimaryMmu, entry: number, write: boolean): Steps<PrimaryPage | null> {
    const first = yield* this.first();
    return first < 0 ? null : yield* inner.lookup(first + entry, write);
  }

  *#within<T>(call: NotifierCall, otherwise: T, body: (own: NotifierCall) => Steps<T>): Steps<T> {
    const first = yield* this.first();
    if (first < 0) return otherwise;
    const pages = yield* this.size();
    const [start, end] = [Math.max(call.start - first, 0), Math.min(call.end - first, pages)];
    return start < end ? yield* body({ ...call, start, end }) : otherwise;
  }
}
