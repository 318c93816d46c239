/**
 * The kernel's primitives that say how much they order: `_acquire`, `_release`, `_relaxed` and the barriers that go
 * with atomics. Mirrors arch/arm64/include/asm/barrier.h, atomic_lse.h and include/linux/atomic/atomic-arch-fallback.h,
 * v6.18. On x86 (`tso`) every atomic is a full barrier and the others order nothing new.
 */
import { addTo, clearIn, setIn, swapIf, swapTo } from '../memory/modify.ts';
import { accessOf, barrier, contextSynchronisation, performAccess, performStore } from '../memory/instructions.ts';
import type { Acquire, Modify } from '../memory/requests.ts';
import type { Address } from '../state/words.ts';
import type { Saying, Steps } from './operation.ts';
import { noteSite } from './sites.ts';

/** What an atomic orders. Fully ordered ones are in `operations.ts`. */
export type AtomicOrder = 'relaxed' | 'acquire' | 'release';

/** smp_load_acquire(): what follows is after it. */
export function smp_load_acquire(address: Address, saying?: Saying): Steps<number> {
  noteSite('ordering', 'smp_load_acquire', 'acquire');
  return performAccess(accessOf({ kind: 'load', address, acquire: 'full' }), {
    label: `smp_load_acquire(${address})`,
    ...saying,
  });
}

/** smp_store_release(): it is after what precedes it. */
export function smp_store_release(address: Address, value: number, saying?: Saying): Steps {
  noteSite('ordering', 'smp_store_release', 'release');
  return performStore(accessOf({ kind: 'store', address, value, release: true }), {
    label: `smp_store_release(${address}, ${value})`,
    ...saying,
  });
}

function update(
  name: string,
  address: Address,
  modify: Modify,
  order: AtomicOrder,
  saying: Saying | undefined,
): Steps<number> {
  if (order !== 'relaxed') noteSite('ordering', `${name}_${order}`, order);
  const acquire: Acquire = order === 'acquire' ? 'full' : 'none';
  const access = accessOf({ kind: 'update', address, modify, acquire, release: order === 'release' });
  return performAccess(access, { label: `${name}_${order}(${address})`, ...saying });
}

/** An atomic whose old value nobody gets, and that orders nothing. */
function change(name: string, address: Address, modify: Modify, saying: Saying | undefined): Steps {
  const access = accessOf({ kind: 'update', address, modify, discards: true });
  return performStore(access, { label: `${name}(${address})`, ...saying });
}

/** xchg_relaxed(), xchg_acquire(), xchg_release(): the old value. */
export function xchgOrdered(order: AtomicOrder, address: Address, value: number, saying?: Saying): Steps<number> {
  return update('xchg', address, swapTo(value), order, saying);
}

/** cmpxchg_relaxed(), cmpxchg_acquire(), cmpxchg_release(): the old value. One that fails orders nothing. */
export function cmpxchgOrdered(
  order: AtomicOrder,
  address: Address,
  expected: number,
  value: number,
  saying?: Saying,
): Steps<number> {
  return update('cmpxchg', address, swapIf(expected, value), order, saying);
}

/** atomic_fetch_add_relaxed() and its relatives: the old value. */
export function atomicFetchAddOrdered(
  order: AtomicOrder,
  address: Address,
  delta: number,
  saying?: Saying,
): Steps<number> {
  return update('atomic_fetch_add', address, addTo(delta), order, saying);
}

/** set_bit(), cpumask_set_cpu(), atomic_or(): nobody gets the old value, and nothing is ordered. */
export function set_bit(address: Address, bits: number, saying?: Saying): Steps {
  return change('set_bit', address, setIn(bits), saying);
}

/** clear_bit(), atomic_andnot(). */
export function clear_bit(address: Address, bits: number, saying?: Saying): Steps {
  return change('clear_bit', address, clearIn(bits), saying);
}

/** smp_mb__before_atomic(), smp_mb__after_atomic(): a full barrier on arm64; on x86 the atomic is one. */
export function smp_mb__atomic(saying?: Saying): Steps {
  return barrier('dmb', 'full', { label: 'smp_mb__after_atomic()', ...saying });
}

/** dsb(ish): what precedes it is complete. */
export function dsb_ish(saying?: Saying): Steps {
  return barrier('dsb', 'full', saying);
}

/** dsb(ishst): stores that precede it are. */
export function dsb_ishst(saying?: Saying): Steps {
  return barrier('dsb', 'store', saying);
}

/** isb(). */
export function isb(saying?: Saying): Steps {
  return contextSynchronisation(saying);
}
