/**
 * `lazy-fork`: does fork() copy the page of an entry that it has just restored? (Gordeev, April 2025)
 *
 * copy_nonpresent_pte() restores a device-exclusive entry, and copy_pte_range() reads it again. Where the store is
 * queued, the second read sees the swap-style value, and its bits are taken for a present entry: another page. The
 * hazard is not judged here, the damage is; `shootdown hazards` judges the hazard. Meanwhile another CPU reclaims the
 * other page.
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario, Variant } from '@shootdown/explorer';
import { startCpu } from '@shootdown/cpu';
import { program } from '@shootdown/machine';
import { copy_pte_range_lazy, lazy, type ReadsAgain } from '@shootdown/mm';
import { mk_pte, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { lazyMachine, RW } from './lazy-machine.ts';
import { reclaimsShared } from './lazy-neighbours.ts';

interface Design extends Variant {
  readonly arch: lazy.LazyArch;
  readonly readsAgain?: ReadsAgain;
}

const THREAD = 'Gordeev, 14 April 2025; facts of arch/x86/xen/mmu.c';
const { lazyArchs } = lazy;

const safe = (name: lazy.LazyArchName, summary: string): Design => ({
  name,
  expected: 'safe',
  source: THREAD,
  summary,
  arch: lazyArchs[name],
});

const designs: readonly Design[] = [
  {
    name: 'xen-pv',
    expected: 'violation',
    source: THREAD,
    summary: 'the restoring store is queued in the multicall buffer, and the second read sees the old entry',
    arch: lazyArchs['xen-pv'],
  },
  safe('powerpc-hash', 'stores are immediate, only invalidations wait'),
  safe('sparc64', 'stores are immediate, only invalidations wait'),
  safe('arm64', 'stores are immediate, only barriers wait, and only those of kernel entries'),
  safe('s390', 'ptep_get() reads the cache that set_pte() has written'),
  safe('x86-native', 'nothing waits'),
  {
    name: 'xen-pv-flush-first',
    expected: 'safe',
    source: 'proposed in the thread',
    summary: 'what is queued is flushed before the second read',
    arch: lazyArchs['xen-pv'],
    readsAgain: 'flush first',
  },
  {
    name: 'xen-pv-pause',
    expected: 'safe',
    source: 'derived: lazy_mmu_mode_pause() of v7.0 has the same effect',
    summary: 'the mode is paused while the entry is restored',
    arch: lazyArchs['xen-pv'],
    readsAgain: 'pause',
  },
  {
    name: 's390-raw-pointer',
    expected: 'violation',
    source: 'the series of 2026 for s390: direct dereferences are what its sanitizer looks for',
    summary: 'the second read dereferences the entry, and does not see the cache',
    arch: lazyArchs.s390,
    readsAgain: 'dereference',
  },
];

const EXCLUSIVE_PAGE = 2;
const PLAIN_PAGE = 3;

const FRAMES = [EXCLUSIVE_PAGE, PLAIN_PAGE] as const;

/** The child of a fork maps what its parent maps. */
const SAME_PAGE = 'the child maps the page that the parent maps';
/** Copy-on-write. */
const PROTECTED = 'a page that both map is writable in neither';
const COUNTED = 'a page has a reference for each entry that maps it';

/** Lazy MMU mode: does fork() copy the page of a device-exclusive entry that it has just restored? */
export const lazyFork: Scenario<Design> & OffersC = {
  name: 'lazy-fork',
  title: 'Lazy MMU mode: does fork() copy the page of a device-exclusive entry that it has just restored?',
  seed: 'S0',
  variants: designs,
  routines: () => ({ copy_pte_range: copy_pte_range_lazy }),
  c: async () => (await import('./lazy.c.ts')).lazyOffer,
  build({ variant, memoryModel }) {
    const own = [lazy.make_device_exclusive_entry(EXCLUSIVE_PAGE), mk_pte(PLAIN_PAGE, RW)];
    const { arch, readsAgain = 'ptep_get' } = variant;
    const machine = lazyMachine({ memoryModel, arch, cpus: 2, tasks: 2, own, hazards: 'ignore' });
    const [cpu, kswapd] = machine.cpus;
    const [src_ptl, dst_ptl] = machine.ptl;
    if (!cpu || !kswapd || !src_ptl || !dst_ptl) throw new RangeError('lazy-fork: build: two CPUs and two locks');
    const copy = {
      lazy: machine.lazy,
      current: { task: 0 },
      source: machine.own,
      target: machine.other,
      dst_ptl,
      src_ptl,
      readsAgain,
    };
    startCpu(machine.builder, cpu, [program(copy_pte_range_lazy, copy)]);
    startCpu(machine.builder, kswapd, [program(reclaimsShared, machine, 1)]);
    const pairs = FRAMES.map((pfn, i) => {
      const [parent, child] = [machine.own[i]?.address ?? 0, machine.other[i]?.address ?? 0];
      return { pfn, parent, child, refcount: machine.frames.refcountAddress(pfn) };
    });
    const mapping = (entry: number, pfn: number): number => (pte_present(entry) && pte_pfn(entry) === pfn ? 1 : 0);
    const entries = (read: (address: number) => number): string =>
      pairs
        .map(
          ({ parent, child }, i) =>
            `page ${i}: parent ${lazy.formatLazyEntry(read(parent))}, child ${lazy.formatLazyEntry(read(child))}`,
        )
        .join('; ');
    machine.builder.property({
      name: SAME_PAGE,
      kind: 'finally',
      why: 'fork() shares pages: what the child reads is what the parent wrote',
      check: (read) =>
        pairs.every(
          ({ pfn, parent, child }) =>
            pte_pfn(read(parent)) === pte_pfn(read(child)) && mapping(read(parent), pfn) === mapping(read(child), pfn),
        ),
      detail: entries,
    });
    machine.builder.property({
      name: PROTECTED,
      kind: 'finally',
      why: 'who writes to a page that is shared gets a copy, in a fault',
      check: (read) =>
        pairs.every(
          ({ pfn, parent, child }) =>
            mapping(read(parent), pfn) + mapping(read(child), pfn) < 2 ||
            (!pte_write(read(parent)) && !pte_write(read(child))),
        ),
      detail: entries,
    });
    machine.builder.property({
      name: COUNTED,
      kind: 'finally',
      why: 'one too few frees it under whoever maps it, one too many never frees it',
      check: (read) =>
        pairs.every(
          ({ pfn, parent, child, refcount }) =>
            read(refcount) === mapping(read(parent), pfn) + mapping(read(child), pfn),
        ),
      detail: (read) =>
        `${pairs.map(({ pfn, refcount }) => `0x${pfn.toString(16)} has ${read(refcount)} references`).join(', ')}; ${entries(read)}`,
    });
    return machine.builder.build();
  },
};
