/** What the routines of one folio of a file share: the folio's own words, and what its page and the disk hold. */
import {
  atomicAdd,
  BLOCKED,
  clearBits,
  defineOperation,
  load,
  operation,
  setBits,
  type Operation,
  type Property,
  type Region,
  type Steps,
  noteMethods,
} from '@shootdown/machine';
import { formatEntry, pte_dirty, pte_pfn } from '@shootdown/mmu';
import type { Kernel, Mm } from './kernel.ts';

/**
 * Built-in property: violated when data that was written through a mapping is neither on disk nor known to be dirty.
 */
export const LOST_DIRTY = 'no lost accessed/dirty bit';

/** Bit of folio->flags. */
const PG_dirty = 1;
/** References to a folio in the page cache that nobody maps, when reclaim holds one as well: __remove_mapping(). */
const PAGE_CACHE_REFERENCES = 1;

/**
 * A folio of a file in the page cache, mapped shared and writable into one mm that matters. Its data is one word: the
 * last value stored.
 */
export class FileFolio {
  static {
    noteMethods(this);
  }

  readonly kernel: Kernel;
  readonly mm: Mm;
  readonly frame: number;
  /** folio_mapcount(). */
  readonly mapcount: Region;
  readonly flags: Region;
  /** What the page holds, and what is on disk. */
  readonly data: Region;
  readonly disk: Region;
  /** 1 when reclaim has taken the folio out of the page cache. */
  readonly dropped: Region;

  /** @param mapcount page tables that map the folio to begin with; only one of them is modelled */
  constructor(kernel: Kernel, mm: Mm, frame: number, mapcount: number) {
    const { builder } = kernel;
    this.kernel = kernel;
    this.mm = mm;
    this.frame = frame;
    this.mapcount = builder.region('folio.mapcount', 1, { initial: mapcount });
    this.flags = builder.region('folio.flags', 1, {
      format: (flags) => ((flags & PG_dirty) !== 0 ? 'dirty' : 'clean'),
    });
    this.data = builder.region('page.data', 1);
    this.disk = builder.region('disk.data', 1);
    this.dropped = builder.region('folio.dropped', 1);
  }

  /** folio_mark_dirty(). */
  *folio_mark_dirty(): Steps {
    yield* setBits(this.flags.at(0), PG_dirty, { label: 'folio_mark_dirty(folio)' });
  }

  /** folio_test_clear_dirty(). */
  *folio_test_clear_dirty(): Steps<boolean> {
    return (
      ((yield* clearBits(this.flags.at(0), PG_dirty, {
        label: 'folio_test_clear_dirty(folio)',
        fact: (flags) => ((flags & PG_dirty) !== 0 ? 'was dirty' : 'was clean'),
      })) &
        PG_dirty) !==
      0
    );
  }

  /** folio_mapped(). */
  *folio_mapped(): Steps<boolean> {
    return (
      (yield* load(this.mapcount.at(0), {
        label: 'folio_mapped(folio)',
        fact: (n) => (n === 0 ? 'not mapped' : `mapcount ${n}`),
      })) !== 0
    );
  }

  /** folio_remove_rmap_pte(). */
  *folio_remove_rmap_pte(): Steps {
    yield* atomicAdd(this.mapcount.at(0), -1, { label: 'folio_remove_rmap_pte(folio)', fact: (n) => `mapcount ${n}` });
  }

  /**
   * __remove_mapping(): if the page cache has the only reference and the folio is clean, it leaves the page cache; 1 if
   * it did.
   */
  *remove_mapping(): Steps<number> {
    return yield operation(REMOVE_MAPPING, this.frame, 0, 0, this, {
      label: '__remove_mapping(folio)',
      fact: (done) => (done === 1 ? 'dropped' : 'in use or dirty'),
    });
  }

  /** The property, of every state of rest. Dropping newer data than the disk has is reported at once. */
  get nothingIsLost(): Property {
    const { kernel, mm, flags, data, disk, dropped } = this;
    const root = kernel.builder.layout.initial()[mm.pgd.at(0)] as number;
    const pte = kernel.frames.entry(root - 1, 0).address;
    return {
      name: LOST_DIRTY,
      kind: 'finally',
      why: 'what a program has stored must be on disk, or somebody must know that it is not',
      reads: [flags.base, data.base, disk.base, dropped.base, pte],
      check: (read) =>
        read(data.base) === read(disk.base) ||
        (read(dropped.base) === 0 &&
          ((read(flags.base) & PG_dirty) !== 0 || (pte_pfn(read(pte)) === this.frame && pte_dirty(read(pte))))),
      detail: (read) =>
        [
          `the page has ${read(data.base)}, the disk ${read(disk.base)}`,
          `the folio is ${(read(flags.base) & PG_dirty) !== 0 ? 'dirty' : 'clean'}${read(dropped.base) !== 0 ? ' and gone' : ''}`,
          `pte is ${formatEntry(read(pte))}`,
        ].join(', '),
    };
  }
}

/**
 * folio_ref_freeze(), the look at PG_dirty and the removal are one step: nobody else can take a reference to a frozen
 * folio. A freeze that fails orders nothing on arm64.
 */
const REMOVE_MAPPING = defineOperation({
  name: 'remove_mapping',
  cost: 'cmpxchg',
  perform(cx, op: Operation) {
    // On x86 a cmpxchg that fails waits for the store buffer, too.
    if (cx.buffered() > 0) return BLOCKED;
    const { kernel, flags, data, disk, dropped } = op.data as FileFolio;
    const refcount = kernel.frames.refcountAddress(op.a);
    if (cx.load(refcount) !== PAGE_CACHE_REFERENCES) return 0;
    if (!cx.drained()) return BLOCKED;
    if ((cx.read(flags.base) & PG_dirty) !== 0) return 0;
    if (cx.read(data.base) !== cx.read(disk.base))
      cx.fail(LOST_DIRTY, () => `the page holds ${cx.read(data.base)}, the disk has ${cx.read(disk.base)}`);
    cx.write(dropped.base, 1);
    kernel.frames.give(cx, op.a);
    return 1;
  },
});
