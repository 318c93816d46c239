/**
 * A set-associative cache of translations in the words of the machine, with true LRU.
 *
 * An entry is three words; the ways of a set are kept in order of use, most recent first, so that equal histories of
 * use are equal states. This is the TLB of *runs*; exploration uses `saturated.ts`, and counting over traces `trace/`.
 *
 * ```
 *   word 0   vpn, low 32 bits
 *   word 1   valid 31 | global 30 | size 29:28 | tag 27:13 | vpn >> 32, 12:0
 *   word 2   the entry
 * ```
 *
 * The tag is the address space: ASID or PCID. In a cache that virtual machines share its upper bits are the VPID, and
 * nothing, not even a global entry, serves or is flushed for another VPID than its own.
 */
import type { OperationContext, Region, SystemBuilder } from '@shootdown/machine';
import type { Flush } from './mmu.machine.ts';
import type { TlbGeometry } from './trace/geometry.ts';

const WORDS_PER_ENTRY = 3;
const VALID = 1 << 31;
const GLOBAL = 1 << 30;
const SIZE_SHIFT = 28;
const ASID_SHIFT = 13;
const VPN_HIGH_MASK = (1 << ASID_SHIFT) - 1;
const TAG_BITS = SIZE_SHIFT - ASID_SHIFT;
const LOW_WORD = 0x1_0000_0000;

/** Largest address-space number a cached translation can carry. */
export const ASID_LIMIT = 1 << TAG_BITS;

/** Bits of the tag of a shared cache that are the PCID; the others are the VPID, or the thread. */
export const PCID_BITS = 7;

/** Flushes reach every VPID: what they do in a cache without VPIDs. */
export const ANY_VPID = -1;

/**
 * Page sizes by number of table levels they skip: 4 KB, 2 MB, 1 GB (with 9 index bits per level). {@link CONTIGUOUS}: a
 * block of contiguous entries of the lowest level.
 */
export type PageSize = 0 | 1 | 2 | 3;

/** arm64: the pages of a block with the contiguous bit, under one entry. */
export const CONTIGUOUS: PageSize = 3;

/** One level of cache. */
export class TlbWords {
  readonly #region: Region;
  readonly #sets: number;
  readonly #ways: number;
  readonly #pcidMask: number;
  readonly #vpidShift: number;
  /** By page size: how many of the smallest pages it covers. */
  readonly #covers: readonly number[];
  readonly #sizes: readonly PageSize[];

  /**
   * @param bitsPerLevel index bits of one table level: a page of size s covers 2^(s * bitsPerLevel) pages
   * @param pcidBits lower bits of the tag that are the address space; the others are the VPID. Default: all of them
   * @param contiguousPages pages of a contiguous block; 0: there are none
   */
  constructor(
    builder: SystemBuilder,
    name: string,
    geometry: TlbGeometry,
    bitsPerLevel: number,
    pcidBits: number = TAG_BITS,
    contiguousPages = 0,
  ) {
    this.#covers = [1, 2 ** bitsPerLevel, 4 ** bitsPerLevel, contiguousPages];
    this.#sizes = contiguousPages > 0 ? [0, 1, 2, CONTIGUOUS] : [0, 1, 2];
    this.#pcidMask = ((1 << pcidBits) - 1) << ASID_SHIFT;
    this.#vpidShift = ASID_SHIFT + pcidBits;
    this.#sets = geometry.sets;
    this.#ways = geometry.ways;
    this.#region = builder.region(name, geometry.entries * WORDS_PER_ENTRY);
  }

  /** The cached entry for a page, now the most recently used of its set; 0 if there is none. */
  lookup(cx: OperationContext, vpn: number, asid: number, size: PageSize): number {
    const page = this.#pageOf(vpn, size);
    const set = this.#baseOf(page);
    const low = page | 0;
    const high = tagHigh(page, asid, size);
    for (let way = 0; way < this.#ways; way++) {
      const at = set + way * WORDS_PER_ENTRY;
      if (cx.read(at) !== low || !this.#matches(cx.read(at + 1), high)) continue;
      const entry = cx.read(at + 2);
      if (way > 0) this.#moveToFront(cx, set, way, low, cx.read(at + 1), entry);
      return entry;
    }
    return 0;
  }

  /** Caches an entry as the most recently used of its set; the least recently used goes. */
  insert(cx: OperationContext, vpn: number, asid: number, size: PageSize, entry: number, global: boolean): void {
    const page = this.#pageOf(vpn, size);
    const set = this.#baseOf(page);
    this.#moveToFront(
      cx,
      set,
      this.#ways - 1,
      page | 0,
      tagHigh(page, asid, size) | VALID | (global ? GLOBAL : 0),
      entry,
    );
  }

  /**
   * Drops what a flush asks for. Returns the number of entries dropped.
   * @param scope default: that of the flush
   */
  flush(cx: OperationContext, flush: Flush, vpid: number = ANY_VPID, scope: Flush['scope'] = flush.scope): number {
    let dropped = 0;
    for (let set = 0; set < this.#sets; set++)
      dropped += this.#flushSet(cx, this.#region.base + set * this.#ways * WORDS_PER_ENTRY, flush, vpid, scope);
    return dropped;
  }

  /**
   * Drops all entries for one page, of any size (cheaper than {@link flush}: only the sets it can be in, and of these
   * only where an entry has its number).
   * @param flush of scope `page`
   */
  flushPage(cx: OperationContext, flush: Flush, vpid: number = ANY_VPID): number {
    let dropped = 0;
    for (const size of this.#sizes) {
      const page = this.#pageOf(flush.vpn, size);
      const set = this.#baseOf(page);
      if (this.#mayHold(cx, set, page | 0)) dropped += this.#flushSet(cx, set, flush, vpid, flush.scope);
    }
    return dropped;
  }

  /** True if a word of a set is the low word of a page: that of an entry which is not there is 0. */
  #mayHold(cx: OperationContext, set: number, low: number): boolean {
    const end = set + this.#ways * WORDS_PER_ENTRY;
    for (let at = set; at < end; at += WORDS_PER_ENTRY) if (cx.read(at) === low) return true;
    return false;
  }

  #flushSet(cx: OperationContext, set: number, flush: Flush, vpid: number, scope: Flush['scope']): number {
    let kept = 0;
    let dropped = 0;
    for (let way = 0; way < this.#ways; way++) {
      const at = set + way * WORDS_PER_ENTRY;
      const low = cx.read(at);
      const high = cx.read(at + 1);
      if ((high & VALID) === 0) break;
      if (this.#covered(low, high, flush, vpid, scope)) {
        dropped++;
        continue;
      }
      if (dropped > 0) writeEntry(cx, set + kept * WORDS_PER_ENTRY, low, high, cx.read(at + 2));
      kept++;
    }
    for (let way = kept; way < kept + dropped; way++) writeEntry(cx, set + way * WORDS_PER_ENTRY, 0, 0, 0);
    return dropped;
  }

  #covered(low: number, high: number, flush: Flush, vpid: number, scope: Flush['scope']): boolean {
    if (vpid !== ANY_VPID && (high & ~(VALID | GLOBAL | (3 << SIZE_SHIFT))) >>> this.#vpidShift !== vpid) return false;
    if ((high & GLOBAL) !== 0 && !flush.global) return false;
    if (scope === 'all' || scope === 'non-global') return true;
    const sameSpace =
      flush.asid < 0 ||
      (high & this.#pcidMask) >>> ASID_SHIFT === flush.asid ||
      ((high & GLOBAL) !== 0 && flush.global);
    if (!sameSpace || scope === 'asid') return sameSpace;
    const page = this.#pageOf(flush.vpn, ((high >>> SIZE_SHIFT) & 3) as PageSize);
    return (page | 0) === low && ((page / LOW_WORD) & VPN_HIGH_MASK) === (high & VPN_HIGH_MASK);
  }

  /** A stored tag serves a look-up if it is valid, for that page, and global or of that address space. */
  #matches(stored: number, wanted: number): boolean {
    if ((stored & VALID) === 0) return false;
    const difference = (stored ^ wanted) & ~(VALID | GLOBAL);
    return difference === 0 || ((stored & GLOBAL) !== 0 && (difference & ~this.#pcidMask) === 0);
  }

  #moveToFront(cx: OperationContext, set: number, way: number, low: number, high: number, entry: number): void {
    for (let w = way; w > 0; w--) {
      const from = set + (w - 1) * WORDS_PER_ENTRY;
      writeEntry(cx, set + w * WORDS_PER_ENTRY, cx.read(from), cx.read(from + 1), cx.read(from + 2));
    }
    writeEntry(cx, set, low, high, entry);
  }

  #pageOf(vpn: number, size: PageSize): number {
    return size === 0 ? vpn : Math.floor(vpn / (this.#covers[size] as number));
  }

  #baseOf(page: number): number {
    return this.#region.base + (page % this.#sets) * this.#ways * WORDS_PER_ENTRY;
  }
}

function tagHigh(page: number, asid: number, size: PageSize): number {
  return (Math.floor(page / LOW_WORD) & VPN_HIGH_MASK) | (asid << ASID_SHIFT) | (size << SIZE_SHIFT);
}

function writeEntry(cx: OperationContext, at: number, low: number, high: number, entry: number): void {
  cx.write(at, low);
  cx.write(at + 1, high);
  cx.write(at + 2, entry);
}
