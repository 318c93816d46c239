/**
 * What lazy MMU mode defers, architecture by architecture: one value each. Adding an architecture is one value here.
 *
 * Sources: arch/x86/xen/mmu.c, arch/powerpc/mm/book3s64/hash_tlb.c, arch/sparc/mm/tlb.c,
 * arch/arm64/include/asm/pgtable.h, each as of v7.0 and before the commits named, and the series of 2026 for s390.
 */

import { is, wordsOf, type OptionValues } from '@shootdown/machine';

/** What is put off until the mode is left or flushed. */
export type Deferred =
  /** x86 native, KVM, Hyper-V. */
  | 'nothing'
  /** Xen PV: the store itself, in the multicall buffer of the CPU. Reads see memory. */
  | 'store'
  /** powerpc hash, sparc64: the invalidation of what the old entry mapped, in a batch of the CPU. */
  | 'flush'
  /** arm64: `dsb(ishst); isb` after a store of a valid kernel entry, a flag of the task. */
  | 'barrier'
  /** s390: the store, in a cache of the CPU that ptep_get() reads and a plain dereference does not. */
  | 'cache';

/** An architecture as lazy MMU mode sees it. */
export interface LazyArch {
  readonly name: string;
  readonly defers: Deferred;
  /** Entering disables preemption, leaving enables it. */
  readonly disablesPreemption: boolean;
  /** Who is lazy: the task, or whoever runs on a CPU whose batch is active (before the generic layer of v7.0). */
  readonly activity: 'task' | 'cpu';
  /** Sections nest by counting (v7.0); or the inner one's end is the end of all (arm64, v6.16). */
  readonly nesting: 'counts' | 'inner leave ends';
  /** An interrupt handler defers like the task that it interrupts. */
  readonly defersInInterrupts: boolean;
  /** Updates that a batch holds: TLB_BATCH_NR, PPC64_TLB_BATCH_NR, the arguments of a multicall, the cache of s390. */
  readonly batchMax: number;
  /** ptep_get() flushes first, so that no read can be a hazard. Nobody does: it is what the thread rejects. */
  readonly flushesBeforeReads?: boolean;
}

/** What may be said of one. */
export const LAZY_ARCH_VALUES: OptionValues<LazyArch> = {
  name: is.text,
  defers: is.oneOf(wordsOf<Deferred>()('nothing', 'store', 'flush', 'barrier', 'cache')),
  disablesPreemption: is.flag,
  activity: is.oneOf(wordsOf<LazyArch['activity']>()('task', 'cpu')),
  nesting: is.oneOf(wordsOf<LazyArch['nesting']>()('counts', 'inner leave ends')),
  defersInInterrupts: is.flag,
  batchMax: is.whole(1),
  flushesBeforeReads: is.flag,
};

/** What must be. */
export const LAZY_ARCH_NEEDS = [
  'name',
  'defers',
  'disablesPreemption',
  'activity',
  'nesting',
  'defersInInterrupts',
  'batchMax',
] as const;

const current = {
  activity: 'task',
  nesting: 'counts',
  defersInInterrupts: false,
  disablesPreemption: false,
  batchMax: 1,
} as const;

const values = [
  { ...current, name: 'x86-native', defers: 'nothing' },
  { ...current, name: 'xen-pv', defers: 'store', batchMax: 32 },
  { ...current, name: 'powerpc-hash', defers: 'flush', disablesPreemption: true, batchMax: 192 },
  { ...current, name: 'sparc64', defers: 'flush', disablesPreemption: true, batchMax: 192 },
  { ...current, name: 'arm64', defers: 'barrier' },
  { ...current, name: 's390', defers: 'cache', disablesPreemption: true, batchMax: 256 },
] as const satisfies readonly LazyArch[];

/** Name of an architecture. */
export type LazyArchName = (typeof values)[number]['name'];

/** The architectures as they are today. */
export const lazyArchs: Readonly<Record<LazyArchName, LazyArch>> = Object.fromEntries(
  values.map((value) => [value.name, value]),
) as Record<LazyArchName, LazyArch>;

/** Before a1d416bf9faf (v6.15): the batch is active, whoever runs on the CPU. */
export const sparc64BeforeA1d416bf9faf: LazyArch = {
  ...lazyArchs.sparc64,
  name: 'sparc64-before-a1d416bf9faf',
  disablesPreemption: false,
  activity: 'cpu',
};

/** Before b9ef323ea168 (v4.12-rc): the same of powerpc. */
export const powerpcBeforeB9ef323ea168: LazyArch = {
  ...lazyArchs['powerpc-hash'],
  name: 'powerpc-before-b9ef323ea168',
  disablesPreemption: false,
  activity: 'cpu',
};

/** v6.16: TIF_LAZY_MMU instead of counts; nested sections are tolerated. */
export const arm64V6_16: LazyArch = { ...lazyArchs.arm64, name: 'arm64-v6.16', nesting: 'inner leave ends' };

/** Before b81c688426a9 (v6.16-rc): interrupts look at the flag of the task that they interrupt. */
export const arm64BeforeB81c688426a9: LazyArch = {
  ...arm64V6_16,
  name: 'arm64-before-b81c688426a9',
  defersInInterrupts: true,
};

/** All generations of an architecture, oldest first. */
export const lazyGenerations: Readonly<Record<LazyArchName, readonly LazyArch[]>> = {
  'x86-native': [lazyArchs['x86-native']],
  'xen-pv': [lazyArchs['xen-pv']],
  'powerpc-hash': [powerpcBeforeB9ef323ea168, lazyArchs['powerpc-hash']],
  sparc64: [sparc64BeforeA1d416bf9faf, lazyArchs.sparc64],
  arm64: [arm64BeforeB81c688426a9, arm64V6_16, lazyArchs.arm64],
  s390: [lazyArchs.s390],
};
