import { checkOptions, keysOf } from '@shootdown/machine';
import { type TlbGeometry, tlbGeometry } from './geometry.ts';
import { kindBits, referenceKinds, type ReferenceTrace } from './reference-trace.ts';

/** Shapes of the levels and the page size of a counting simulation. */
export interface TlbHierarchyConfig {
  /** First-level instruction TLB: looked up by fetches. */
  readonly l1i: TlbGeometry;
  /** First-level data TLB: looked up by loads, stores and modifies. */
  readonly l1d: TlbGeometry;
  /** Unified second level: looked up, and filled, on a miss in either first level. */
  readonly l2: TlbGeometry;
  /** log2 of the page size in bytes, `pageShiftMin` to `pageShiftMax`. Default 12: 4 KB pages. */
  readonly pageShift?: number;
}

const TLB_HIERARCHY_KEYS = keysOf<TlbHierarchyConfig>()('l1i', 'l1d', 'l2', 'pageShift');

/** Look-ups of one level by outcome. */
export interface TlbLevelCounts {
  readonly hits: number;
  readonly misses: number;
}

/**
 * What `shootdown tlb` reports. `lookups` counts first-level look-ups; those of `l2` are the misses of `l1i` and `l1d`.
 */
export interface TlbCounts {
  readonly lookups: number;
  readonly l1i: TlbLevelCounts;
  readonly l1d: TlbLevelCounts;
  readonly l2: TlbLevelCounts;
}

/** 4 KB: a reference, at most `referenceBytesMax` bytes, then touches two pages at the most. */
export const pageShiftMin = 12;
/** 1 GB: page offsets and the size of a page stay small integers. */
export const pageShiftMax = 30;

const addressLowBits = 32;
const kindMask = (1 << kindBits) - 1;
/** No page has this number, so it marks an empty entry. */
const noPage = -1;

/** One level: set-associative, true LRU. A page number is an integer of up to 52 bits, held exactly in a double. */
class TlbLevel {
  readonly #ways: number;
  readonly #setMask: number;
  /** Page numbers, `ways` consecutive ones per set, most recently used first. */
  readonly #tags: Float64Array;

  constructor(geometry: TlbGeometry) {
    const { entries, ways, sets } = tlbGeometry(geometry.entries, geometry.ways);
    this.#ways = ways;
    this.#setMask = sets - 1;
    this.#tags = new Float64Array(entries).fill(noPage);
  }

  /** Looks `page` up, fills it on a miss, and makes it the most recently used of its set. Returns whether it hit. */
  lookUp(page: number): boolean {
    const tags = this.#tags;
    const first = (page & this.#setMask) * this.#ways;
    const end = first + this.#ways;
    let displaced = tags[first];
    if (displaced === page) return true;
    tags[first] = page;
    // One pass both searches and moves: every entry used later than `page` steps one place back, on a miss the last one
    // out of the set.
    for (let slot = first + 1; slot < end; slot++) {
      const tag = tags[slot];
      tags[slot] = displaced ?? noPage;
      if (tag === page) return true;
      displaced = tag;
    }
    return false;
  }
}

/**
 * Counts the hits and misses of a trace in a split first level and a unified second level. It translates nothing: every
 * page is taken to be mapped, in one address space that is never invalidated. Successive calls of `run` continue with
 * warm TLBs.
 *
 * A reference that straddles a page boundary is two look-ups; a modify is a read and then a write, two look-ups per
 * page.
 *
 * @throws {TlbGeometryError} on an impossible geometry; RangeError on a page shift out of range.
 */
export class TlbHierarchy {
  readonly #l1i: TlbLevel;
  readonly #l1d: TlbLevel;
  readonly #l2: TlbLevel;
  readonly #pageShift: number;
  #fetches = 0;
  #accesses = 0;
  #l1iMisses = 0;
  #l1dMisses = 0;
  #l2Misses = 0;

  constructor(options: TlbHierarchyConfig) {
    checkOptions('mmu: tlb hierarchy: new', options, TLB_HIERARCHY_KEYS, ['l1i', 'l1d', 'l2']);
    const { l1i, l1d, l2, pageShift = pageShiftMin } = options;
    if (!Number.isInteger(pageShift) || pageShift < pageShiftMin || pageShift > pageShiftMax) {
      throw new RangeError(`mmu: tlb hierarchy: page shift must be ${pageShiftMin} to ${pageShiftMax} (${pageShift})`);
    }
    this.#l1i = new TlbLevel(l1i);
    this.#l1d = new TlbLevel(l1d);
    this.#l2 = new TlbLevel(l2);
    this.#pageShift = pageShift;
  }

  /** Plays the whole trace. Allocates nothing per reference. */
  run(trace: ReferenceTrace): void {
    const { addressLow, addressHigh, sizeAndKind } = trace;
    const length = trace.length;
    const pageShift = this.#pageShift;
    const pageBytes = 1 << pageShift;
    const offsetMask = pageBytes - 1;
    const pagesPerHighUnit = 2 ** (addressLowBits - pageShift);
    // The page last looked up in a first level is the most recently used of its set there: another look-up hits and
    // changes nothing.
    let lastFetched = noPage;
    let lastAccessed = noPage;
    let fetches = 0;
    let accesses = 0;

    for (let index = 0; index < length; index++) {
      const low = addressLow[index] ?? 0;
      const packed = sizeAndKind[index] ?? 0;
      const kind = packed & kindMask;
      const page = (addressHigh[index] ?? 0) * pagesPerHighUnit + (low >>> pageShift);
      const straddles = (low & offsetMask) + (packed >>> kindBits) > pageBytes;

      if (kind === referenceKinds.fetch) {
        fetches++;
        if (page !== lastFetched) this.#fetch(page);
        lastFetched = page;
        if (straddles) {
          fetches++;
          this.#fetch(page + 1);
          lastFetched = page + 1;
        }
        continue;
      }

      accesses++;
      if (page !== lastAccessed) this.#access(page);
      lastAccessed = page;
      if (straddles) {
        accesses++;
        this.#access(page + 1);
        lastAccessed = page + 1;
      }
      if (kind === referenceKinds.modify) {
        accesses++;
        if (straddles) {
          accesses++;
          this.#access(page);
          this.#access(page + 1);
        }
      }
    }
    this.#fetches += fetches;
    this.#accesses += accesses;
  }

  /** Counts of everything run so far. */
  get counts(): TlbCounts {
    const l1Misses = this.#l1iMisses + this.#l1dMisses;
    return {
      lookups: this.#fetches + this.#accesses,
      l1i: { hits: this.#fetches - this.#l1iMisses, misses: this.#l1iMisses },
      l1d: { hits: this.#accesses - this.#l1dMisses, misses: this.#l1dMisses },
      l2: { hits: l1Misses - this.#l2Misses, misses: this.#l2Misses },
    };
  }

  #fetch(page: number): void {
    if (this.#l1i.lookUp(page)) return;
    this.#l1iMisses++;
    if (!this.#l2.lookUp(page)) this.#l2Misses++;
  }

  #access(page: number): void {
    if (this.#l1d.lookUp(page)) return;
    this.#l1dMisses++;
    if (!this.#l2.lookUp(page)) this.#l2Misses++;
  }
}

/**
 * Counts of `trace` in a hierarchy that starts empty.
 *
 * @throws as the constructor of `TlbHierarchy`.
 */
export function countTlb(trace: ReferenceTrace, config: TlbHierarchyConfig): TlbCounts {
  const hierarchy = new TlbHierarchy(config);
  hierarchy.run(trace);
  return hierarchy.counts;
}
