import type { TlbGeometry } from './geometry.ts';
import type { ReferenceTrace } from './reference-trace.ts';
import type { TlbCounts, TlbHierarchyConfig } from './tlb-hierarchy.ts';

// The reference that `tlb-hierarchy.ts` is tested and measured against. It says what is meant in the plainest way:
// references as objects, addresses as bigint, a set as a Map whose insertion order is the order of use. It shares no
// code with the fast one.

const defaultPageShift = 12;

class NaiveLevel {
  readonly #geometry: TlbGeometry;
  readonly #pagesOfSet = new Map<bigint, Map<bigint, true>>();
  hits = 0;
  misses = 0;

  constructor(geometry: TlbGeometry) {
    this.#geometry = geometry;
  }

  lookUp(page: bigint): boolean {
    const set = page % BigInt(this.#geometry.sets);
    const pages = this.#pagesOfSet.get(set) ?? new Map<bigint, true>();
    this.#pagesOfSet.set(set, pages);
    const hit = pages.delete(page);
    pages.set(page, true);
    if (pages.size > this.#geometry.ways) {
      const [leastRecentlyUsed] = pages.keys();
      if (leastRecentlyUsed !== undefined) pages.delete(leastRecentlyUsed);
    }
    if (hit) this.hits++;
    else this.misses++;
    return hit;
  }
}

/** Counts the same as `countTlb`, slowly. For tests and the benchmark. */
export function naiveCountTlb(trace: ReferenceTrace, config: TlbHierarchyConfig): TlbCounts {
  const pageShift = BigInt(config.pageShift ?? defaultPageShift);
  const l1i = new NaiveLevel(config.l1i);
  const l1d = new NaiveLevel(config.l1d);
  const l2 = new NaiveLevel(config.l2);

  for (let index = 0; index < trace.length; index++) {
    const { kind, address, sizeBytes } = trace.at(index);
    const firstPage = address >> pageShift;
    const lastPage = (address + BigInt(Math.max(sizeBytes, 1)) - 1n) >> pageShift;
    const level = kind === 'fetch' ? l1i : l1d;
    const passes = kind === 'modify' ? ['read', 'write'] : [kind];
    for (const _pass of passes) {
      for (let page = firstPage; page <= lastPage; page++) {
        if (!level.lookUp(page)) l2.lookUp(page);
      }
    }
  }

  return {
    lookups: l1i.hits + l1i.misses + l1d.hits + l1d.misses,
    l1i: { hits: l1i.hits, misses: l1i.misses },
    l1d: { hits: l1d.hits, misses: l1d.misses },
    l2: { hits: l2.hits, misses: l2.misses },
  };
}
