/**
 * Reading a PAE entry without a lock, against those who clear and set it under the page-table lock.
 *
 * Mirrors include/linux/pgtable.h, ptep_get_lockless(); arch/x86/include/asm/pgtable-3level.h, v6.18; and, for the
 * counter, arch/x86/kvm/mmu/mmu.c, __get_spte_lockless() on 32-bit hosts.
 */
import {
  atomicAdd,
  checkedOnce,
  checkValues,
  is,
  load,
  point,
  retry,
  routine,
  smp_wmb,
  store,
  wordsOf,
  xchg,
  type OptionValues,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, type Cpu } from '@shootdown/cpu';
import { pte_present } from '@shootdown/mmu';
import type { FlushBackEnd } from '../arch/interrupts-only.ts';
import { pte_lock, pte_unlock, type KernelBase } from '../kernel.ts';
import { Tracepoints } from '../tracepoint.ts';
import {
  formatHigh,
  formatLow,
  formatPage,
  formatValue,
  highOf,
  lowOf,
  PaeEntry,
  pageOf,
  PaeWalkMonitor,
  type PaeValue,
} from './pae-entry.ts';

/**
 * How the entry is read. `low-high-low`: ptep_get_lockless(). `clear-counter`: the same, and again if a counter of
 * clears has moved. `cmpxchg8b`: both words at once.
 */
export type PaeReader = 'low-high-low' | 'clear-counter' | 'cmpxchg8b';

/** Where MADV_DONTNEED flushes: `after-ptl` as the kernel does, or `under-ptl` as proposed on 25 October 2022. */
export type FlushPosition = 'after-ptl' | 'under-ptl';

/** How PAE entries are dealt with. */
export interface PaeDesign {
  readonly reader: PaeReader;
  readonly flushPosition: FlushPosition;
  /** Clear low, then read and clear high (before v6.2), or both at once. */
  readonly clear: 'split' | 'cmpxchg8b';
  /** What a fault maps: a new page, or the page that the page cache has kept all the while. */
  readonly fault: 'anonymous' | 'page-cache';
  /**
   * The second look, two plain loads in the order that the compiler gives them; or none, and the value is believed at
   * once.
   */
  readonly recheck: 'none' | 'low-high' | 'high-low';
  /** GUP-fast has interrupts off; `on` is a mutant. */
  readonly irqs: 'off' | 'on';
  /** When a clear is counted: last, or as a mutant first. */
  readonly counted: 'after the clear' | 'before the clear';
}

const PAE_VALUES: OptionValues<PaeDesign> = {
  reader: is.oneOf(wordsOf<PaeReader>()('low-high-low', 'clear-counter', 'cmpxchg8b')),
  flushPosition: is.oneOf(wordsOf<FlushPosition>()('after-ptl', 'under-ptl')),
  clear: is.oneOf(wordsOf<PaeDesign['clear']>()('split', 'cmpxchg8b')),
  fault: is.oneOf(wordsOf<PaeDesign['fault']>()('anonymous', 'page-cache')),
  recheck: is.oneOf(wordsOf<PaeDesign['recheck']>()('none', 'low-high', 'high-low')),
  irqs: is.oneOf(wordsOf<PaeDesign['irqs']>()('off', 'on')),
  counted: is.oneOf(wordsOf<PaeDesign['counted']>()('after the clear', 'before the clear')),
};

const checkPae = checkedOnce((design: PaeDesign) =>
  checkValues('gup: PAE: design', design, PAE_VALUES, [
    'reader',
    'flushPosition',
    'clear',
    'fault',
    'recheck',
    'irqs',
    'counted',
  ]),
);

/** The one table: its lock is the first. */
const PTE_TABLE = 0;

/** A kernel of one entry, which no frame can hold: its lock, and the way to flush. */
export class PaeKernel implements KernelBase {
  readonly builder: SystemBuilder;
  readonly entry: PaeEntry;
  readonly ptl: Region;
  readonly tracepoints = new Tracepoints();
  readonly monitor: PaeWalkMonitor;
  readonly flush: FlushBackEnd;
  /** Clears so far. */
  readonly clear_count: Region;

  /** @param firstHigh high word of the page that is mapped at first */
  constructor(builder: SystemBuilder, flush: FlushBackEnd, firstHigh: number) {
    this.builder = builder;
    this.entry = new PaeEntry(builder, firstHigh);
    this.monitor = new PaeWalkMonitor(builder, this.entry, this.tracepoints);
    this.ptl = builder.region('ptl', 1, { memory: 'strong' });
    this.flush = flush;
    this.clear_count = builder.region('clear_count', 1);
  }
}

function* readLow({ entry }: PaeKernel): Steps<number> {
  return yield* load(entry.low, { label: 'READ_ONCE(ptep->pte_low)', fact: formatLow });
}

function* readHigh({ entry }: PaeKernel): Steps<number> {
  return yield* load(entry.high, { label: 'READ_ONCE(ptep->pte_high)', fact: formatHigh });
}

/** GUP-fast as far as one entry is concerned. */
export const gup_fast_pte = routine('gup_fast', function* (kernel: PaeKernel, cpu: Cpu, design: PaeDesign): Steps {
  const { reader, recheck, irqs } = checkPae(design);
  const { gup_fast_begin, gup_fast_end } = kernel.tracepoints;
  yield* gup_fast_begin.trace(0, 'gup_fast(addr)');
  const flags = irqs === 'off' ? yield* local_irq_save(cpu) : 0;
  const pte = yield* readers[reader](kernel);
  if (recheck === 'none' || (yield* unchanged(kernel, pte, recheck))) yield* pfn_to_page(kernel, pte);
  yield* gup_fast_end.trace(-1, 'gup_fast() returns');
  if (irqs === 'off') yield* local_irq_restore(cpu, flags);
});

/** A reference is taken to whatever the value leads to. */
function pfn_to_page({ tracepoints }: PaeKernel, value: PaeValue): Steps {
  const page = pte_present(value.low) ? pageOf(value) : -1;
  return tracepoints.pfn_to_page.trace(page, page < 0 ? 'not present' : `pfn_to_page(${formatPage(page)})`);
}

/** `ptep_get(ptep) == pte` on a 32-bit build: eight bytes are two loads. */
function* unchanged(kernel: PaeKernel, pte: PaeValue, order: 'low-high' | 'high-low'): Steps<boolean> {
  if (!pte_present(pte.low)) return true;
  const [first, second] = order === 'low-high' ? [readLow, readHigh] : [readHigh, readLow];
  const words = [yield* first(kernel), yield* second(kernel)];
  const [low, high] = order === 'low-high' ? words : words.toReversed();
  return low === pte.low && high === pte.high;
}

const ptep_get_lockless = routine('ptep_get_lockless', (kernel: PaeKernel): Steps<PaeValue> =>
  retry(function* () {
    const low = yield* readLow(kernel);
    const high = yield* readHigh(kernel);
    return (yield* readLow(kernel)) === low ? { low, high } : undefined;
  }),
);

const get_spte_lockless = routine('__get_spte_lockless', (kernel: PaeKernel): Steps<PaeValue> =>
  retry(function* () {
    const count = yield* load(kernel.clear_count.at(0), { label: 'clear_count' });
    const low = yield* readLow(kernel);
    const high = yield* readHigh(kernel);
    if ((yield* readLow(kernel)) !== low) return undefined;
    return (yield* load(kernel.clear_count.at(0), { label: 'clear_count' })) === count ? { low, high } : undefined;
  }),
);

const readers = {
  'low-high-low': ptep_get_lockless,
  'clear-counter': get_spte_lockless,
  cmpxchg8b: (kernel: PaeKernel) => kernel.entry.load64(),
} as const;

/** madvise_dontneed_single_vma(), of one page: it goes when no translation of it is left. */
export const madvise_dontneed = routine(
  'madvise_dontneed_single_vma',
  function* (kernel: PaeKernel, cpu: Cpu, design: PaeDesign): Steps {
    const { reader, flushPosition, clear, fault, counted } = checkPae(design);
    yield* pte_lock(kernel, PTE_TABLE);
    const counts = reader === 'clear-counter';
    if (counts && counted === 'before the clear') yield* count_clear(kernel);
    const old = yield* clear === 'split' ? clearSplit(kernel) : kernel.entry.xchg64();
    const page = pte_present(old.low) ? pageOf(old) : -1;
    if (counts && counted === 'after the clear' && page >= 0) yield* count_clear(kernel);
    if (page >= 0 && flushPosition === 'under-ptl') yield* kernel.flush.flush_tlb_mm_range(cpu);
    yield* point('unlock', page);
    yield* pte_unlock(kernel, PTE_TABLE);
    if (page < 0) return;
    if (flushPosition === 'after-ptl') yield* kernel.flush.flush_tlb_mm_range(cpu);
    if (fault === 'page-cache') return;
    yield* kernel.entry.free(page);
  },
);

/** count_spte_clear(): a reader that has seen the entry change must not find the counter as it was. */
function* count_clear({ clear_count }: PaeKernel): Steps {
  yield* atomicAdd(clear_count.at(0), 1, { label: 'clear_count++' });
}

/** native_ptep_get_and_clear() before v6.2: the exchange of the low word is the barrier. */
function* clearSplit({ entry }: PaeKernel): Steps<PaeValue> {
  const low = yield* xchg(entry.low, 0, { label: 'xchg(&ptep->pte_low, 0)', fact: formatLow });
  const high = yield* load(entry.high, { label: 'ptep->pte_high', fact: formatHigh });
  yield* store(entry.high, 0, { label: 'ptep->pte_high = 0' });
  return { low, high };
}

/** handle_pte_fault(): maps a page if there is none. */
export const handle_mm_fault = routine('handle_pte_fault', function* (kernel: PaeKernel, design: PaeDesign): Steps {
  const { fault } = checkPae(design);
  const { entry } = kernel;
  yield* pte_lock(kernel, PTE_TABLE);
  const present = pte_present(yield* load(entry.low, { label: 'pte_none(*ptep)', fact: formatLow }));
  yield* point(present ? 'mapped already' : 'map');
  if (!present) {
    // The kernel allocates before it takes the lock; which page it gets is anybody's guess either way.
    const page = fault === 'anonymous' ? yield* entry.alloc() : entry.first;
    const value = { low: lowOf(page), high: highOf(page) };
    yield* store(entry.high, value.high, { label: `ptep->pte_high = ${formatHigh(value.high)}` });
    yield* smp_wmb();
    yield* store(entry.low, value.low, {
      label: `ptep->pte_low = ${formatLow(value.low)}`,
      fact: () => formatValue(value),
    });
  }
  yield* point('faulted');
  yield* pte_unlock(kernel, PTE_TABLE);
});
