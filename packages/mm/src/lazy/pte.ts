/**
 * Changing entries on a machine that has lazy MMU mode: set_pte(), ptep_get() and their relatives, each one access,
 * which the architecture may put off. The names are the kernel's; what differs per architecture is in {@link
 * LazyArch.defers}.
 */
import {
  defineOperation,
  operation,
  type EntryPointer,
  type OperationContext,
  type Saying,
  type Steps,
  type WeakContext,
  noted,
} from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_RW, pte_present } from '@shootdown/mmu';
import { spin_unlock, type Spinlock } from '@shootdown/sync';
import type { Current, LazyMmu } from './lazy-mmu.ts';
import { arch_flush_lazy_mmu_mode } from './mode.ts';
import { formatLazyEntry } from './swap-entries.ts';

interface Subject {
  readonly lazy: LazyMmu;
  readonly current: Current;
  readonly ptep: EntryPointer;
}

const KERNEL = -1;

/** Violated by an access to a kernel address that nobody has mapped, or whose mapping has got lost. */
export const KERNEL_FAULT = 'no kernel access without an entry';

/** What becomes of a new value. `old`: what the entry was in memory. `memory`: on a weakly ordered machine. */
function update(
  cx: OperationContext,
  { lazy, current, ptep }: Subject,
  old: number,
  value: number,
  memory?: WeakContext,
): void {
  const { defers } = lazy.arch;
  const active = lazy.isActive(cx, current);
  if (active && (defers === 'store' || defers === 'cache')) {
    lazy.checkOwner(cx, current, 'queues an update');
    lazy.enqueue(cx, ptep.address, value);
    return;
  }
  if (defers === 'flush' && pte_present(old) && active) {
    lazy.checkOwner(cx, current, 'batches a flush');
    lazy.enqueue(cx, lazy.pageAt(ptep.address), 0);
  }
  if (memory) memory.store(ptep.address, value);
  else cx.write(ptep.address, value);
  if (defers === 'flush' && pte_present(old) && !active) {
    lazy.invalidate(cx, lazy.pageAt(ptep.address), 1);
    lazy.spendOn(cx, 1, true);
  }
  // Each store is a hypercall of its own; of s390, IPTE invalidates an entry that was valid.
  if (defers === 'store' || (defers === 'cache' && pte_present(old))) lazy.spendOn(cx, 1, true);
  if (defers === 'barrier' && pte_present(value) && lazy.pageAt(ptep.address) === KERNEL) {
    if (active) lazy.deferBarrier(cx, current, ptep.address);
    else {
      lazy.performBarriers(cx);
      if (memory) lazy.orderEntries(memory);
    }
  }
}

const SET = defineOperation({
  name: 'set_pte',
  cost: 'store',
  perform(cx, op) {
    const subject = op.data as Subject;
    update(cx, subject, cx.read(subject.ptep.address), op.b);
    return 0;
  },
  // What the entry was matters to those that defer a flush, and none of them is weakly ordered here.
  weak(cx, memory, op) {
    update(cx, op.data as Subject, 0, op.b, memory);
    return 0;
  },
});

const GET = defineOperation({
  name: 'ptep_get',
  role: 'read',
  cost: 'load',
  perform(cx, op) {
    const { lazy, ptep } = op.data as Subject;
    const queued = lazy.arch.defers === 'flush' ? undefined : lazy.queuedValue(cx, ptep.address);
    if (queued === undefined) return cx.read(ptep.address);
    if (lazy.arch.defers === 'cache') return queued;
    const now = cx.read(ptep.address);
    lazy.hazard(cx, 'H1', () => `${formatLazyEntry(now)} is read while ${formatLazyEntry(queued)} is queued`);
    return now;
  },
});

/** `*ptep`: memory, whatever is cached. */
const DEREFERENCE = defineOperation({
  name: '*ptep',
  role: 'read',
  cost: 'load',
  perform(cx, op) {
    const { lazy, ptep } = op.data as Subject;
    const { defers } = lazy.arch;
    const queued = defers === 'cache' || defers === 'store' ? lazy.queuedValue(cx, ptep.address) : undefined;
    const now = cx.read(ptep.address);
    if (queued !== undefined)
      lazy.hazard(cx, defers === 'cache' ? 'H11' : 'H1', () => {
        const how = defers === 'cache' ? 'cached' : 'queued';
        return `${formatLazyEntry(now)} is dereferenced while ${formatLazyEntry(queued)} is ${how}`;
      });
    return now;
  },
});

const XCHG = defineOperation({
  name: 'ptep_get_and_clear',
  cost: 'xchg',
  perform(cx, op) {
    const subject = op.data as Subject;
    const { lazy, ptep } = subject;
    if (lazy.arch.defers === 'cache' && lazy.isActive(cx, subject.current)) {
      const value = lazy.queuedValue(cx, ptep.address) ?? cx.read(ptep.address);
      update(cx, subject, value, op.b);
      return value;
    }
    const queued = lazy.arch.defers === 'store' ? lazy.queuedValue(cx, ptep.address) : undefined;
    if (queued !== undefined)
      lazy.hazard(cx, 'H10', () => `an exchange passes ${formatLazyEntry(queued)}, which is queued before it`);
    const old = cx.read(ptep.address);
    // Xen PV traps the exchange and performs it at once: it is never queued.
    if (lazy.arch.defers === 'store') {
      cx.write(ptep.address, op.b);
      lazy.spendOn(cx, 1, true);
    } else update(cx, subject, old, op.b);
    return old;
  },
});

/** Clears the bits `b` of an entry, whatever hardware sets meanwhile. */
function clearing(name: string) {
  return defineOperation({
    name,
    cost: 'cmpxchg',
    perform(cx, op) {
      const subject = op.data as Subject;
      const { lazy, ptep } = subject;
      const queued = lazy.arch.defers === 'store' ? lazy.queuedValue(cx, ptep.address) : undefined;
      if (queued !== undefined)
        lazy.hazard(cx, 'H10', () => `${name}() passes ${formatLazyEntry(queued)}, which is queued before it`);
      const cached = lazy.arch.defers === 'cache' ? lazy.queuedValue(cx, ptep.address) : undefined;
      const old = cached ?? cx.read(ptep.address);
      if (lazy.arch.defers === 'store') {
        cx.write(ptep.address, old & ~op.b);
        lazy.spendOn(cx, 1, true);
      } else update(cx, subject, old, old & ~op.b);
      return old;
    },
  });
}

const WRPROTECT = clearing('ptep_set_wrprotect');
const TEST_AND_CLEAR_YOUNG = clearing('ptep_test_and_clear_young');

const FLUSH = defineOperation({
  name: 'flush_tlb_range',
  cost: 'invlpg',
  perform(cx, op) {
    const { lazy } = op.data as Subject;
    const covers = (page: number): boolean => page >= op.a && page < op.a + op.b;
    const stores = lazy.arch.defers === 'store' || lazy.arch.defers === 'cache';
    const late = stores ? lazy.queued(cx).find(({ address }) => covers(lazy.pageAt(address))) : undefined;
    if (late)
      lazy.hazard(
        cx,
        'H2',
        () => `page 0x${op.a.toString(16)} is flushed while ${formatLazyEntry(late.value)} is queued`,
      );
    lazy.invalidate(cx, op.a, op.b);
    return 0;
  },
});

const FLUSH_BEGINS = defineOperation({
  name: '(flush begins)',
  ghost: true,
  role: 'environment',
  cost: 'rest',
  perform(cx, op) {
    const { lazy } = op.data as Subject;
    const [first] = lazy.arch.defers === 'flush' ? [] : lazy.queued(cx);
    if (first) lazy.hazard(cx, 'H2', () => `a flush begins while ${formatLazyEntry(first.value)} is queued`);
    return 0;
  },
});

const UNLOCKS = defineOperation({
  name: '(unlocks)',
  ghost: true,
  role: 'environment',
  cost: 'rest',
  perform(cx, op) {
    const { lazy, current } = op.data as Subject;
    const waiting = lazy.queued(cx).length;
    if (waiting > 0 && lazy.isActive(cx, current))
      lazy.hazard(cx, 'H3', () => `${waiting} update${waiting === 1 ? '' : 's'} of task ${current.task} still queued`);
    return 0;
  },
});

const EXPECTS = defineOperation({
  name: '(expects an immediate effect)',
  role: 'environment',
  cost: 'rest',
  perform(cx, op) {
    const { lazy, current, ptep } = op.data as Subject;
    const queued = lazy.arch.defers === 'flush' ? undefined : lazy.queuedValue(cx, ptep.address);
    const pending = lazy.barrierPending(cx, ptep.address);
    if (queued === undefined && !pending) return 0;
    const what = (): string => (pending ? 'its barriers are pending' : `${formatLazyEntry(queued ?? 0)} is queued`);
    lazy.hazard(cx, current.interrupt === true ? 'H6' : 'H5', what);
    return 0;
  },
});

const KERNEL_ACCESS = defineOperation({
  name: 'kernel_access',
  role: 'environment',
  cost: 'load',
  perform(cx, op) {
    const { lazy, current, ptep } = op.data as Subject;
    const entry = cx.read(ptep.address);
    if (lazy.barrierPending(cx, ptep.address))
      lazy.hazard(cx, 'H9', () => `${formatLazyEntry(entry)} is used before dsb(ishst); isb`);
    if (pte_present(entry)) return entry;
    const queued = lazy.arch.defers === 'flush' ? undefined : lazy.queuedValue(cx, ptep.address);
    if (queued === undefined) cx.fail(KERNEL_FAULT, () => `the entry is ${formatLazyEntry(entry)}`);
    else lazy.hazard(cx, current.interrupt === true ? 'H6' : 'H5', () => `${formatLazyEntry(queued)} is queued`);
    return entry;
  },
});

/** The value of an entry that a step returns, in words. */
function said(lazy: LazyMmu, { address }: EntryPointer, before = '') {
  return (value: number): string => before + lazy.format(address, value);
}

/** set_pte(). */
export const set_pte = noted(function* set_pte(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  value: number,
  saying?: Saying,
): Steps {
  yield operation(
    SET,
    ptep.address,
    value,
    0,
    { lazy, current, ptep },
    {
      label: 'set_pte()',
      fact: () => lazy.format(ptep.address, value),
      ...saying,
    },
  );
});

/** ptep_get(). */
export const ptep_get = noted(function* ptep_get(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  saying?: Saying,
): Steps<number> {
  const says = { label: 'ptep_get()', fact: said(lazy, ptep), ...saying };
  if (lazy.arch.flushesBeforeReads === true) yield* arch_flush_lazy_mmu_mode(lazy, current);
  return yield operation(GET, ptep.address, 0, 0, { lazy, current, ptep }, says);
});

/** `*ptep`, without ptep_get(). */
export const dereference = noted(function* dereference(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  saying?: Saying,
): Steps<number> {
  const says = { label: '*ptep', fact: said(lazy, ptep), ...saying };
  return yield operation(DEREFERENCE, ptep.address, 0, 0, { lazy, current, ptep }, says);
});

/** ptep_get_and_clear(); ptep_modify_prot_start() is the same. */
export const ptep_get_and_clear = noted(function* ptep_get_and_clear(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  saying?: Saying,
): Steps<number> {
  const says = { label: 'ptep_get_and_clear()', fact: said(lazy, ptep), ...saying };
  return yield operation(XCHG, ptep.address, 0, 0, { lazy, current, ptep }, says);
});

/**
 * ptep_modify_prot_start(). Xen PV returns the entry as it is, and preserves the bits that hardware sets when it
 * commits (xen_ptep_modify_prot_start()): until then memory offers the old entry. Elsewhere the entry is cleared.
 */
export const ptep_modify_prot_start = noted(function* ptep_modify_prot_start(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
): Steps<number> {
  const says = { label: 'ptep_modify_prot_start()' };
  return lazy.arch.defers === 'store'
    ? yield* ptep_get(lazy, current, ptep, says)
    : yield* ptep_get_and_clear(lazy, current, ptep, says);
});

/** ptep_set_wrprotect(): atomic, for hardware may be setting bits; returns the old entry. */
export const ptep_set_wrprotect = noted(function* ptep_set_wrprotect(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  saying?: Saying,
): Steps<number> {
  const says = { label: 'ptep_set_wrprotect()', fact: said(lazy, ptep, 'was '), ...saying };
  return yield operation(WRPROTECT, ptep.address, _PAGE_RW, 0, { lazy, current, ptep }, says);
});

/** ptep_test_and_clear_young(): atomic, too; returns the old entry. Nothing is flushed. */
export const ptep_test_and_clear_young = noted(function* ptep_test_and_clear_young(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
): Steps<number> {
  const says = { label: 'ptep_test_and_clear_young()', fact: said(lazy, ptep, 'was ') };
  return yield operation(TEST_AND_CLEAR_YOUNG, ptep.address, _PAGE_ACCESSED, 0, { lazy, current, ptep }, says);
});

/** flush_tlb_range(): on every CPU, in one step: what happens inside a flush is for other scenarios. */
export const flush_tlb_range = noted(function* flush_tlb_range(
  lazy: LazyMmu,
  current: Current,
  vpn: number,
  pages: number,
): Steps {
  yield operation(
    FLUSH,
    vpn,
    pages,
    0,
    { lazy, current },
    {
      label: 'flush_tlb_range()',
      fact: () => `${pages} page${pages === 1 ? '' : 's'} from 0x${vpn.toString(16)}`,
    },
  );
});

/** A flush that is made elsewhere begins. Rule H2, of whatever is queued on this CPU. */
export const flush_begins = noted(function* flush_begins(lazy: LazyMmu, current: Current): Steps {
  yield operation(FLUSH_BEGINS, 0, 0, 0, { lazy, current }, { label: '(flush begins)' });
});

/** A page-table lock is about to be dropped. Rule H3. */
export const unlocks = noted(function* unlocks(lazy: LazyMmu, current: Current): Steps {
  yield operation(UNLOCKS, 0, 0, 0, { lazy, current }, { label: '(unlocks)' });
});

/** spin_unlock() of a page-table lock. Rule H3. */
export const pte_unmap_unlock = noted(function* pte_unmap_unlock(
  lazy: LazyMmu,
  current: Current,
  lock: Spinlock,
): Steps {
  yield* unlocks(lazy, current);
  yield* spin_unlock(lock);
});

/** Code that needs the entry in force now, such as __kernel_map_pages(). Rules H5 and H6. */
export const needs_immediate_effect = noted(function* needs_immediate_effect(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  label: string,
): Steps {
  yield operation(EXPECTS, ptep.address, 0, 0, { lazy, current, ptep }, { label });
});

/** An access to a kernel address: the entry it goes through. Rule H9. */
export const kernel_access = noted(function* kernel_access(
  lazy: LazyMmu,
  current: Current,
  ptep: EntryPointer,
  label: string,
): Steps<number> {
  const says = { label, fact: said(lazy, ptep) };
  return yield operation(KERNEL_ACCESS, ptep.address, 0, 0, { lazy, current, ptep }, says);
});
