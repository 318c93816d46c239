import { SystemBuilder } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PlainMemory } from './memory.test-support.ts';
import type { Flush } from './mmu.machine.ts';
import { ASID_LIMIT, TlbWords, type PageSize } from './tlb-words.ts';
import { tlbGeometry } from './trace/geometry.ts';

const BITS_PER_LEVEL = 9;

interface Line {
  readonly page: number;
  readonly asid: number;
  readonly size: PageSize;
  readonly entry: number;
  readonly global: boolean;
}

/** One list per set, most recently used first: what a TLB is, without words. */
class NaiveTlb {
  readonly sets: Line[][];
  readonly ways: number;

  constructor(sets: number, ways: number) {
    this.sets = Array.from({ length: sets }, () => []);
    this.ways = ways;
  }

  lookup(vpn: number, asid: number, size: PageSize): number {
    const page = pageOf(vpn, size);
    const set = this.#set(page);
    const at = set.findIndex((line) => line.page === page && line.size === size && (line.global || line.asid === asid));
    if (at < 0) return 0;
    const [line] = set.splice(at, 1);
    set.unshift(line!);
    return line!.entry;
  }

  insert(vpn: number, asid: number, size: PageSize, entry: number, global: boolean): void {
    const page = pageOf(vpn, size);
    const set = this.#set(page);
    set.unshift({ page, asid, size, entry, global });
    set.length = Math.min(set.length, this.ways);
  }

  /** Keeps what the flush does not ask for, stated as a filter. */
  flush(flush: Flush): number {
    const before = this.lines().length;
    const dropped = (line: Line): boolean => {
      if (line.global && !flush.global) return false;
      if (flush.scope === 'all' || flush.scope === 'non-global') return true;
      const space = line.global || flush.asid < 0 || line.asid === flush.asid;
      return space && (flush.scope === 'asid' || pageOf(flush.vpn, line.size) === line.page);
    };
    this.sets.forEach((set, i) => (this.sets[i] = set.filter((line) => !dropped(line))));
    return before - this.lines().length;
  }

  lines(): Line[] {
    return this.sets.flat();
  }

  #set(page: number): Line[] {
    return this.sets[page % this.sets.length]!;
  }
}

function pageOf(vpn: number, size: PageSize): number {
  return Math.floor(vpn / 2 ** (size * BITS_PER_LEVEL));
}

function tlb(entries: number, ways: number): { words: TlbWords; cx: PlainMemory } {
  const builder = new SystemBuilder();
  const words = new TlbWords(builder, 'tlb', tlbGeometry(entries, ways), BITS_PER_LEVEL);
  return { words, cx: new PlainMemory(builder) };
}

const vpns = fc.oneof(
  fc.nat(40),
  fc.nat(5).map((n) => n * 512 + 3),
  fc.nat(3).map((n) => n * 2 ** 18),
  fc.constantFrom(0x7_ffff_7fff, 0x8_0000_0000, 2 ** 44 - 1),
);
const asids = fc.constantFrom(0, 1, 2, ASID_LIMIT - 1);
const sizes = fc.constantFrom<PageSize>(0, 1, 2);
const access = fc.record({
  kind: fc.constant('access' as const),
  vpn: vpns,
  asid: asids,
  size: sizes,
  global: fc.boolean(),
});
const flushes = fc.record({
  kind: fc.constant('flush' as const),
  scope: fc.constantFrom<Flush['scope']>('page', 'asid', 'non-global', 'all'),
  vpn: vpns,
  pages: fc.constant(1),
  asid: fc.oneof(asids, fc.constant(-1)),
  global: fc.boolean(),
});

type Cache = Pick<NaiveTlb, 'lookup' | 'insert' | 'flush'>;
type Step = typeof access | typeof flushes extends fc.Arbitrary<infer T> ? T : never;

/** Looks up, and caches on a miss; or flushes. Returns what was found or how many entries went. */
function perform(cache: Cache, step: Step, entry: number): number {
  if (step.kind === 'flush') return cache.flush({ ...step, type: 'tlb.flush', leafOnly: false, everyTable: false });
  const hit = cache.lookup(step.vpn, step.asid, step.size);
  if (hit === 0) cache.insert(step.vpn, step.asid, step.size, entry, step.global);
  return hit;
}

describe('TlbWords is a set-associative cache with true LRU', () => {
  test.each([
    [4, 4],
    [8, 2],
    [16, 4],
    [4, 1],
  ])('%i entries in %i ways agree with lists, whatever is looked up, cached and flushed', (entries, ways) => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 5, arbitrary: access }, { weight: 1, arbitrary: flushes }), { maxLength: 80 }),
        (script) => {
          const { words, cx } = tlb(entries, ways);
          const naive = new NaiveTlb(entries / ways, ways);
          const results = (cache: Cache): number[] => script.map((step, i) => perform(cache, step, i + 1));
          const cache: Cache = {
            lookup: (...of) => words.lookup(cx, ...of),
            insert: (...of) => words.insert(cx, ...of),
            flush: (flush) => words.flush(cx, flush),
          };
          expect(results(cache)).toEqual(results(naive));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('dropping one page looks only where it can be, and drops what a look at all sets would', () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 40 }), flushes, (script, step) => {
        const one = tlb(16, 2);
        const all = tlb(16, 2);
        for (const { cx, words } of [one, all])
          script.forEach((s, i) => words.insert(cx, s.vpn, s.asid, s.size, i + 1, s.global));
        const flush: Flush = { ...step, type: 'tlb.flush', scope: 'page', leafOnly: false, everyTable: false };
        expect(one.words.flushPage(one.cx, flush)).toBe(all.words.flush(all.cx, flush));
        expect(one.cx.words).toEqual(all.cx.words);
      }),
      { numRuns: 200 },
    );
  });
});

describe('TlbWords in sentences', () => {
  test('the least recently used entry goes first', () => {
    const { words, cx } = tlb(2, 2);
    words.insert(cx, 1, 0, 0, 11, false);
    words.insert(cx, 2, 0, 0, 22, false);
    expect(words.lookup(cx, 1, 0, 0)).toBe(11);
    words.insert(cx, 3, 0, 0, 33, false);
    expect([1, 2, 3].map((vpn) => words.lookup(cx, vpn, 0, 0))).toEqual([11, 0, 33]);
  });

  test('a global entry serves every address space, another only its own', () => {
    const { words, cx } = tlb(4, 4);
    words.insert(cx, 1, 7, 0, 11, true);
    words.insert(cx, 2, 7, 0, 22, false);
    expect([1, 2].map((vpn) => words.lookup(cx, vpn, 8, 0))).toEqual([11, 0]);
  });

  test('a 2 MB entry serves its 512 pages and no other, a 1 GB entry its 262,144', () => {
    const { words, cx } = tlb(4, 4);
    words.insert(cx, 512, 1, 1, 11, false);
    words.insert(cx, 2 ** 18, 1, 2, 22, false);
    expect([511, 512, 1023, 1024].map((vpn) => words.lookup(cx, vpn, 1, 1))).toEqual([0, 11, 11, 0]);
    expect([2 ** 18 - 1, 2 ** 18, 2 ** 19 - 1, 2 ** 19].map((vpn) => words.lookup(cx, vpn, 1, 2))).toEqual([
      0, 22, 22, 0,
    ]);
  });

  test('pages whose numbers agree in the low 32 bits are told apart', () => {
    const { words, cx } = tlb(4, 4);
    words.insert(cx, 5, 1, 0, 11, false);
    words.insert(cx, 5 + 2 ** 32, 1, 0, 22, false);
    expect([5, 5 + 2 ** 32].map((vpn) => words.lookup(cx, vpn, 1, 0))).toEqual([11, 22]);
  });
});
