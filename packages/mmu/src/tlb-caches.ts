/**
 * What one physical CPU has cached of translations: two levels of TLB, and pointers to last-level tables.
 *
 * `tag` is the address space; where virtual machines share the CPU, VPID and PCID together ({@link nestedTag}).
 */
import type { OperationContext, SystemBuilder } from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_RW } from './entry.ts';
import type { Flush } from './mmu.machine.ts';
import { ANY_VPID, CONTIGUOUS, TlbWords, type PageSize } from './tlb-words.ts';
import { tlbGeometry, type TlbGeometry } from './trace/geometry.ts';
import { isGlobal } from './walk.ts';

/** Sizes of an MMU's caches. */
export interface MmuGeometry {
  readonly l1: TlbGeometry;
  readonly l2: TlbGeometry;
  /** Paging-structure cache: entries that point at last-level tables, fully associative. */
  readonly walkCacheEntries: number;
  /** arm64: pages of a block of contiguous entries, which take one entry of the TLBs. Default 0: none. */
  readonly contiguousPages?: number;
}

/** Skylake-like sizes: L1D 64x4, L2 1536x12, 32 page-directory entries. */
export const defaultMmuGeometry: MmuGeometry = {
  l1: tlbGeometry(64, 4),
  l2: tlbGeometry(1536, 12),
  walkCacheEntries: 32,
};

const PAGE_SIZES: readonly PageSize[] = [0, 1, 2];
const WITH_BLOCKS: readonly PageSize[] = [CONTIGUOUS, ...PAGE_SIZES];

/** The caches, as words of the machine. */
export class TlbCaches {
  /** Page size of the entry that {@link lookup} returned last. */
  size: PageSize = 0;
  readonly #l1: TlbWords;
  readonly #l2: TlbWords;
  readonly #tables: TlbWords;
  readonly #sizes: readonly PageSize[];

  /** @param pcidBits see {@link TlbWords} */
  constructor(builder: SystemBuilder, name: string, geometry: MmuGeometry, bitsPerLevel: number, pcidBits?: number) {
    const { contiguousPages = 0 } = geometry;
    this.#sizes = contiguousPages > 0 ? WITH_BLOCKS : PAGE_SIZES;
    this.#l1 = new TlbWords(builder, `${name}.l1`, geometry.l1, bitsPerLevel, pcidBits, contiguousPages);
    this.#l2 = new TlbWords(builder, `${name}.l2`, geometry.l2, bitsPerLevel, pcidBits, contiguousPages);
    this.#tables = new TlbWords(
      builder,
      `${name}.pde`,
      tlbGeometry(geometry.walkCacheEntries, geometry.walkCacheEntries),
      bitsPerLevel,
      pcidBits,
    );
  }

  /** The cached translation that serves an access, or 0; counts hits, and spends what the second level costs. */
  lookup(cx: OperationContext, vpn: number, tag: number, write: boolean): number {
    for (const size of this.#sizes) {
      const hit = this.#l1.lookup(cx, vpn, tag, size);
      if (hit === 0 || !serves(hit, write)) continue;
      cx.count('tlb_l1_hit');
      this.size = size;
      return hit;
    }
    for (const size of this.#sizes) {
      const hit = this.#l2.lookup(cx, vpn, tag, size);
      if (hit === 0 || !serves(hit, write)) continue;
      cx.count('tlb_l2_hit');
      cx.spend('tlb_l2_hit');
      this.#l1.insert(cx, vpn, tag, size, hit, isGlobal(hit));
      this.size = size;
      return hit;
    }
    return 0;
  }

  /** Caches a translation in both levels. */
  insert(cx: OperationContext, vpn: number, tag: number, size: PageSize, entry: number): void {
    this.#l1.insert(cx, vpn, tag, size, entry, isGlobal(entry));
    this.#l2.insert(cx, vpn, tag, size, entry, isGlobal(entry));
  }

  /** The cached pointer to the last-level table of a page, or 0. */
  lookupTable(cx: OperationContext, vpn: number, tag: number): number {
    return this.#tables.lookup(cx, vpn, tag, 1);
  }

  insertTable(cx: OperationContext, vpn: number, tag: number, pointer: number): void {
    this.#tables.insert(cx, vpn, tag, 1, pointer, false);
  }

  /** Drops the translations of a page, not the pointers to its table. */
  dropPage(cx: OperationContext, drop: Flush, vpid: number = ANY_VPID): void {
    this.#l1.flushPage(cx, drop, vpid);
    this.#l2.flushPage(cx, drop, vpid);
  }

  /** Drops the pointer to the last-level table of a page. */
  dropTable(cx: OperationContext, drop: Flush, vpid: number = ANY_VPID): void {
    this.#tables.flushPage(cx, drop, vpid);
  }

  /** Drops what a flush asks for; counts the translations dropped. */
  flush(cx: OperationContext, flush: Flush, vpid: number = ANY_VPID): void {
    if (flush.scope !== 'page') {
      cx.count('tlb_dropped', this.#l1.flush(cx, flush, vpid) + this.#l2.flush(cx, flush, vpid));
      this.#tables.flush(cx, flush, vpid);
      return;
    }
    for (let vpn = flush.vpn; vpn < flush.vpn + flush.pages; vpn++)
      this.#flushPage(cx, vpn === flush.vpn ? flush : { ...flush, vpn }, vpid);
    if (flush.everyTable) this.#tables.flush(cx, flush, vpid, 'asid');
  }

  #flushPage(cx: OperationContext, flush: Flush, vpid: number): void {
    cx.count('tlb_dropped', this.#l1.flushPage(cx, flush, vpid) + this.#l2.flushPage(cx, flush, vpid));
    if (!flush.everyTable && !flush.leafOnly) this.#tables.flushPage(cx, flush, vpid);
  }
}

/** The flush with which a walk begins: whatever is cached for the page did not serve. */
export function dropOfPage(vpn: number, asid: number): Flush {
  return { type: 'tlb.flush', scope: 'page', vpn, pages: 1, asid, global: true, leafOnly: true, everyTable: false };
}

/** A cached entry serves an access if it permits it; a write also needs the dirty bit to be set already. */
function serves(entry: number, write: boolean): boolean {
  return !write || (entry & (_PAGE_RW | _PAGE_DIRTY)) === (_PAGE_RW | _PAGE_DIRTY);
}
