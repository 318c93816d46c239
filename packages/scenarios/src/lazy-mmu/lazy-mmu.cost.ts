/**
 * What lazy MMU mode saves: sections on 512 entries with the mode paused, in the mode, and with a flush before every
 * read, on each architecture; and vmalloc() on arm64 by the number of pages, beside the published curve.
 *
 * One CPU runs the sections of the scenarios in virtual time; every row has the same cost table.
 */
import { addCpu, startCpu } from '@shootdown/cpu';
import {
  arm64Costs,
  DirectExecutor,
  Frames,
  program,
  routine,
  runVirtualTime,
  SystemBuilder,
  work,
  type EntryPointer,
  type Steps,
} from '@shootdown/machine';
import { fork_section, lazy } from '@shootdown/mm';
import { mk_pte } from '@shootdown/mmu';
import { everyRow, isOff, type Comparison, type ComparisonTable, type EachRow } from '../comparison.ts';
import { RW } from './lazy-machine.ts';

const PAGES = 512;
const CYCLES_PER_MICROSECOND = arm64Costs.hertz / 1e6;
const current = { task: 0 };
const { lazyArchs } = lazy;

/** What is measured: a section, on the entries of one table of a process or of the kernel. */
interface Case {
  readonly arch: lazy.LazyArch;
  readonly section: lazy.SectionRoutine;
  readonly kernel?: boolean;
  /** The entries are mapped to begin with. */
  readonly mapped: boolean;
  readonly pages: number;
}

/** Cycles of one case; `paused`: every update is performed at once. */
function cycles({ arch, section, kernel = false, mapped, pages }: Case, paused = false): number {
  const builder = new SystemBuilder({ memoryModel: 'sc' });
  const entries = Array.from({ length: pages }, (_, i) => mk_pte(2 + i, RW));
  const frames = new Frames(builder, {
    tables: 2,
    entriesPerTable: pages,
    pages: pages + 2,
    initialTables: [mapped ? entries : [], []],
    initialPages: pages + 2,
  });
  const cpu = addCpu(builder, 0);
  const mode = new lazy.LazyMmu(builder, {
    frames,
    cpus: [cpu],
    tasks: 1,
    arch,
    batch: arch.batchMax,
    hazards: 'ignore',
    invalidate: () => undefined,
    pageAt: (address) => (kernel ? -1 : (address - frames.entries.base) % pages),
  });
  const locks = builder.region('ptl', 2, { memory: 'strong' });
  const lock = (i: number) => ({ name: `ptl${i}`, word: locks.at(i) });
  const task = routine('task', function* (): Steps {
    if (paused) yield* lazy.lazy_mmu_mode_pause(mode, current);
    const ptes = Array.from({ length: pages }, (_, i) => frames.entry(0, i));
    yield* section({ lazy: mode, current, ptes, start: 0, ptl: lock(0), otherPtl: lock(1) });
  });
  startCpu(builder, cpu, [program(task)]);
  return runVirtualTime(new DirectExecutor(builder.build()), { costs: arm64Costs }).cycles;
}

/**
 * fix_size_alloc_test of lib/test_vmalloc.c: vmalloc(), one store, vfree(). The purge of what was unmapped is later.
 */
const vmallocs: lazy.SectionRoutine = routine('vmalloc, vfree', function* (section): Steps {
  yield* work('vma', { label: 'alloc_vmap_area()' });
  for (let i = 0; i < section.ptes.length; i++) yield* work('page_alloc');
  yield* lazy.vmap_pages_pte_range(section);
  yield* lazy.kernel_access(section.lazy, section.current, section.ptes[0] as EntryPointer, '*(char *)addr = 0');
  yield* work('vma', { label: 'free_vmap_area()' });
  yield* lazy.vunmap_pte_range(section);
  for (let i = 0; i < section.ptes.length; i++) yield* work('page_free');
});

const percent = (now: number, base: number): number => Math.round(1000 * (now / base - 1)) / 10;

/** The sections of table one, and on which table of entries they work. */
const sections = [
  { name: 'fork', section: fork_section, mapped: true, kernel: false },
  { name: 'write-protect', section: lazy.pagemap_scan_pmd_entry, mapped: true, kernel: false },
  { name: 'unmap', section: lazy.vunmap_pte_range, mapped: true, kernel: false },
  { name: 'vmap', section: lazy.vmap_pages_pte_range, mapped: false, kernel: true },
] as const;

/** What nothing is deferred of is not shown: its rows would say so three times. */
const defersThere = ({ defers }: lazy.LazyArch, kernel: boolean, mapped: boolean): boolean => {
  if (defers === 'nothing') return false;
  if (defers === 'barrier') return kernel;
  return defers === 'store' || mapped;
};

/** The comparison: what each design saves, then the curve of vmalloc(). */
export async function compareLazyMmu(each: EachRow = everyRow): Promise<Comparison> {
  const cases = Object.values(lazyArchs).flatMap((arch) =>
    sections
      .filter(({ kernel, mapped }) => defersThere(arch, kernel, mapped))
      .map((section) => ({ ...section, arch, pages: PAGES })),
  );
  const rows = await each(cases, (one) => {
    const base = cycles(one, true);
    const inMode = cycles(one);
    const flushing = cycles({ ...one, arch: { ...one.arch, flushesBeforeReads: true } });
    return {
      variant: `${one.arch.name}, ${one.name}`,
      defers: one.arch.defers,
      atOnceMicroseconds: base / CYCLES_PER_MICROSECOND,
      lazyMicroseconds: inMode / CYCLES_PER_MICROSECOND,
      lazy: percent(inMode, base),
      flushingMicroseconds: flushing / CYCLES_PER_MICROSECOND,
      flushing: percent(flushing, base),
    };
  });
  return {
    name: 'lazy-mmu',
    title: 'A section on 512 entries: every update at once, in lazy MMU mode, and with a flush before every read',
    columns: [
      { key: 'defers', heading: 'defers', unit: '' },
      { key: 'atOnceMicroseconds', heading: 'at once', unit: 'us' },
      { key: 'lazyMicroseconds', heading: 'lazy', unit: 'us' },
      { key: 'lazy', heading: 'lazy', unit: '%' },
      { key: 'flushingMicroseconds', heading: 'flushing reads', unit: 'us' },
      { key: 'flushing', heading: 'flushing reads', unit: '%' },
    ],
    rows,
    more: [await vmallocCurve(each)],
    notes: [
      'Costs are those of the arm64 table in packages/machine/src/schedule/cost.ts, the same in every row, and nothing is fitted. A batch holds what the architecture gives it (packages/mm/src/lazy/arch.ts).',
      'Xen PV: an update is a hypercall, or its part of one. powerpc hash, sparc64, s390: an invalidation and the wait for every CPU, or one wait for a batch. arm64: dsb(ishst) and isb after a store of a valid kernel entry. x86 native defers nothing.',
      'Flushing reads: ptep_get() flushes what is queued. Where stores are queued, or invalidations, there is one between any two reads, and nothing is left of the mode: it "would completely revert the very idea" (the thread). Where a section does not read through ptep_get() (unmap, write-protect but on Xen PV) it costs next to nothing.',
      'vmalloc published: cover letter of 20250217140809.1702789-1, M2 and Altra; measured with the contiguous mappings of that series as well. The shape is a fixed part and one per page, of which the barriers are 70 of 400 cycles here: 17.6 % in the limit. On an M2 they are a third, on an Altra a quarter less a little.',
      'A larger fixed part would lower the first rows only: what vmalloc() does besides its pages (a tree of areas, two kmalloc(), the calls) is two operations on areas here.',
    ],
  };
}

/** Published changes of fix_size_alloc_test, in percent: M2 and Altra. */
const CURVE = [
  { pages: 1, m2: 4.0, altra: 1.4 },
  { pages: 2, m2: -3.04, altra: -1.11 },
  { pages: 4, m2: -11.77, altra: -4.48 },
  { pages: 8, m2: -19.79, altra: -11.63 },
  { pages: 16, m2: -24.89, altra: -15.26 },
  { pages: 32, m2: -26.54, altra: -18.8 },
  { pages: 64, m2: -30.25, altra: -20.8 },
  { pages: 128, m2: -32.56, altra: -21.79 },
  { pages: 256, m2: -33.33, altra: -22.22 },
  { pages: 512, m2: -33.27, altra: -22.23 },
] as const;

/** Why ours is off, in words; empty if it is not. */
function reasonOf(pages: number, ours: number, published: { readonly m2: number; readonly altra: number }): string {
  const more = (a: number, b: number): boolean => isOff(a, b) && Math.abs(a) > Math.abs(b);
  const reasons = [
    more(published.m2, ours) && pages === 1 ? 'M2: entering and leaving the mode costs more than here' : '',
    more(published.m2, ours) && pages > 1 ? 'M2: a barrier is dearer beside an allocation' : '',
    more(ours, published.altra) ? 'Altra: a call without pages costs more beside a barrier' : '',
    more(ours, published.m2) ? 'M2: a call without pages costs more beside a barrier' : '',
    more(published.altra, ours) ? 'Altra: a barrier is dearer beside an allocation' : '',
  ];
  return reasons.filter(Boolean).join('; ');
}

async function vmallocCurve(each: EachRow): Promise<ComparisonTable> {
  const rows = await each(CURVE, ({ pages, m2, altra }) => {
    const one = { arch: lazyArchs.arm64, section: vmallocs, kernel: true, mapped: false, pages };
    const base = cycles(one, true);
    const change = percent(cycles(one), base);
    return {
      variant: `${pages}`,
      atOnceMicroseconds: base / CYCLES_PER_MICROSECOND,
      change,
      m2,
      altra,
      reason: reasonOf(pages, change, { m2, altra }),
    };
  });
  return {
    title: 'vmalloc() and vfree() on arm64, by pages: barriers at the end of the section against barriers at once',
    columns: [
      { key: 'atOnceMicroseconds', heading: 'at once', unit: 'us' },
      { key: 'change', heading: 'lazy', unit: '%, ours' },
      { key: 'm2', heading: 'lazy', unit: '%, M2' },
      { key: 'altra', heading: 'lazy', unit: '%, Altra' },
      { key: 'reason', heading: 'off by more than 2x', unit: '' },
    ],
    rows,
  };
}
