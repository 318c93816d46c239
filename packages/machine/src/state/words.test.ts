import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashString } from './hash.ts';
import { ContentHashes, Layout, WordStore } from './words.ts';

const WORDS = 12;
const word = fc.oneof(fc.integer({ min: -2, max: 3 }), fc.integer());
const writes = fc.array(fc.tuple(fc.nat(WORDS - 1), word), { maxLength: 40 });

function storeWith(list: readonly (readonly [number, number])[]): WordStore {
  const store = new WordStore(new Int32Array(WORDS));
  for (const [address, value] of list) store.write(address, value);
  return store;
}

describe('WordStore', () => {
  it('undo restores the words and the fingerprint', () => {
    fc.assert(
      fc.property(writes, writes, (before, after) => {
        const store = storeWith(before);
        const { mark, lo, hi } = store;
        const words = Array.from(store.words);
        const fingerprint = store.fingerprint();
        for (const [address, value] of after) store.write(address, value);
        store.undo(mark, lo, hi);
        expect(Array.from(store.words)).toEqual(words);
        expect(store.fingerprint()).toBe(fingerprint);
        expect(store.mark).toBe(mark);
      }),
    );
  });

  it('the fingerprint kept from write to write equals one computed from scratch', () => {
    fc.assert(
      fc.property(writes, (list) => {
        const store = storeWith(list);
        expect(new WordStore(Int32Array.from(store.words)).fingerprint()).toBe(store.fingerprint());
      }),
    );
  });

  it('a fingerprint that is not kept is the same when it is asked for, interned words and a restart included', () => {
    const hashes = new ContentHashes();
    for (let id = 1; id <= 3; id++) hashes.set(id, hashString(`content ${id}`));
    const interned = fc.array(fc.tuple(fc.nat(WORDS - 1), fc.nat(3)), { maxLength: 40 });
    fc.assert(
      fc.property(interned, writes, fc.boolean(), (numbers, list, restarts) => {
        const stores = [true, false].map((keeps) => new WordStore(new Int32Array(2 * WORDS), undefined, keeps));
        for (const store of stores) {
          for (const [address, id] of numbers) store.writeInterned(WORDS + address, id, hashes);
          if (restarts) store.restart(() => new Int32Array(2 * WORDS));
          for (const [address, value] of list) store.write(address, value);
          for (const [address, id] of numbers) store.writeInterned(WORDS + address, (id * 2) % 4, hashes);
        }
        const [kept, asked] = stores.map((store) => store.fingerprint());
        expect(asked).toBe(kept);
      }),
    );
  });

  it('a value that is no 32-bit integer is refused, an unsigned one is stored as its low 32 bits', () => {
    fc.assert(
      fc.property(fc.nat(WORDS - 1), fc.oneof(fc.double(), fc.maxSafeInteger()), (address, value) => {
        const fits = Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 32;
        if (!fits) expect(() => storeWith([[address, value]])).toThrow(/^words: write: .* is no 32-bit integer/);
        else expect(storeWith([[address, value]]).read(address)).toBe(value | 0);
      }),
    );
    expect(storeWith([[0, 0xffff_ffff]]).read(0)).toBe(-1);
  });

  it('an address that is no word is refused', () => {
    const store = storeWith([]);
    for (const address of [-1, WORDS, 0.5, Number.NaN]) {
      expect(() => store.read(address)).toThrow(/is the address of no word/);
      expect(() => store.write(address, 1)).toThrow(/is the address of no word/);
    }
  });

  it('equal words have one fingerprint whatever the order of writing', () => {
    fc.assert(
      fc.property(writes, (list) => {
        const last = new Map(list);
        expect(storeWith([...last].reverse()).fingerprint()).toBe(storeWith(list).fingerprint());
      }),
    );
  });

  it('stores that differ have different fingerprints', () => {
    fc.assert(
      fc.property(writes, writes, (a, b) => {
        const [first, second] = [storeWith(a), storeWith(b)];
        fc.pre(first.words.some((value, i) => value !== second.words[i]));
        expect(first.fingerprint()).not.toBe(second.fingerprint());
      }),
    );
  });

  it('65,536 states of sixteen flags, and of eight small counters, have as many fingerprints', () => {
    for (const [words, values] of [
      [16, 2],
      [8, 4],
    ] as const) {
      const seen = new Set<string>();
      const store = new WordStore(new Int32Array(words));
      for (let state = 0; state < values ** words; state++) {
        for (let a = 0, rest = state; a < words; a++, rest = Math.floor(rest / values)) store.write(a, rest % values);
        store.commit();
        seen.add(store.fingerprint());
      }
      expect(seen.size).toBe(values ** words);
    }
  });

  it('swapping the values of two words changes the fingerprint', () => {
    expect(
      storeWith([
        [0, 1],
        [1, 2],
      ]).fingerprint(),
    ).not.toBe(
      storeWith([
        [0, 2],
        [1, 1],
      ]).fingerprint(),
    );
  });

  it('an interned word counts with its content: the numbering of the ids does not show', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(WORDS - 1), fc.nat(5)), { maxLength: 30 }),
        fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 }),
        (list, numbering) => {
          const [plain, renamed] = [new WordStore(new Int32Array(WORDS)), new WordStore(new Int32Array(WORDS))];
          const [plainHashes, renamedHashes] = [new ContentHashes(), new ContentHashes()];
          const nameOf = (id: number): number => (id === 0 ? 0 : (numbering[id - 1] as number));
          for (let id = 1; id <= 5; id++) {
            plainHashes.set(id, hashString(`content ${id}`));
            renamedHashes.set(nameOf(id), hashString(`content ${id}`));
          }
          for (const [address, id] of list) {
            plain.writeInterned(address, id, plainHashes);
            renamed.writeInterned(address, nameOf(id), renamedHashes);
          }
          expect(renamed.fingerprint()).toBe(plain.fingerprint());
        },
      ),
    );
  });

  it('an interned word that is cleared again leaves no trace', () => {
    const hashes = new ContentHashes();
    hashes.set(7, hashString('seven'));
    const store = storeWith([[3, 9]]);
    const fingerprint = store.fingerprint();
    store.writeInterned(0, 7, hashes);
    expect(store.fingerprint()).not.toBe(fingerprint);
    store.writeInterned(0, 0, hashes);
    expect(store.fingerprint()).toBe(fingerprint);
  });

  it('content hashes may be numbered beyond the first thousand', () => {
    const hashes = new ContentHashes();
    hashes.set(1, hashString('a'));
    hashes.set(5000, hashString('b'));
    expect([hashes.lo[1], hashes.hi[5000]]).toEqual([hashString('a').lo, hashString('b').hi]);
  });

  it('words that share a seed may swap their values: one fingerprint', () => {
    const shared = (address: number): number => (address === 1 ? 0 : address);
    const make = (values: readonly number[]): string => new WordStore(Int32Array.from(values), shared).fingerprint();
    expect(make([5, 6, 7])).toBe(make([6, 5, 7]));
    expect(make([5, 6, 7])).not.toBe(make([5, 7, 6]));
  });

  it('says what was written since a mark, and loads a state saved as a row', () => {
    const store = storeWith([[1, 1]]);
    const { mark } = store;
    store.write(4, 4);
    store.write(4, 4);
    store.write(2, 5);
    expect(store.writtenSince(mark)).toEqual([4, 2]);
    expect(store.journalAddress(mark)).toBe(4);
    const row = new Int32Array(2 * WORDS);
    row.set(store.words, WORDS);
    const { lo, hi } = store;
    const other = storeWith([[0, 99]]);
    other.load(row, WORDS, lo, hi);
    expect(other.fingerprint()).toBe(store.fingerprint());
    expect(other.mark).toBe(0);
  });

  it('the journal grows past its first size', () => {
    const store = new WordStore(new Int32Array(2));
    const fingerprint = store.fingerprint();
    for (let i = 1; i <= 10_000; i++) store.write(0, i);
    store.undo(0, 0, 0);
    expect([store.read(0), store.fingerprint()]).toEqual([0, fingerprint]);
  });
});

describe('Layout', () => {
  it('names words and prints them as their region says', () => {
    const layout = new Layout();
    const key = layout.region('key', 1);
    const pmd = layout.region('pmd', 4, { initial: [1, 2], format: (v) => `0x${v.toString(16)}` });
    const loadedMm = layout.region('loaded_mm', 2, { cellName: (cpu) => `per_cpu(loaded_mm, ${cpu})` });
    expect(layout.nameOf(key.at(0))).toBe('key');
    expect(layout.nameOf(loadedMm.at(1))).toBe('per_cpu(loaded_mm, 1)');
    expect(layout.nameOf(pmd.at(3))).toBe('pmd[3]');
    expect(layout.nameOf(99)).toBe('word 99');
    expect(layout.formatValue(pmd.at(0), 255)).toBe('0xff');
    expect(layout.formatValue(key.at(0), 255)).toBe('255');
    expect(Array.from(layout.initial())).toEqual([0, 1, 2, 0, 0, 0, 0]);
  });

  it.each([
    ['a name taken twice', (l: Layout) => [l.region('a', 1), l.region('a', 1)], 'layout: region: name taken twice (a)'],
    ['no cell', (l: Layout) => l.region('a', 0), 'layout: region: a wants 0 cells'],
    ['half a cell', (l: Layout) => l.region('a', 1.5), 'layout: region: a wants 1.5 cells'],
    [
      'more cells than there are',
      (l: Layout) => l.region('a', 1 << 26),
      'layout: region: a wants 67108864 cells, have 33554432',
    ],
    ['an index outside', (l: Layout) => l.region('a', 2).at(2), 'layout: at: index 2 outside a[2]'],
    ['an index that is none', (l: Layout) => l.region('a', 2).at(Number.NaN), 'layout: at: index NaN outside a[2]'],
  ])('refuses %s', (_, make, message) => {
    expect(() => make(new Layout())).toThrow(message);
  });
});
