import { FrameKind, Frames, FREED_FRAME, SystemBuilder } from '@shootdown/machine';
import { geometryNamed } from '@shootdown/page-table';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  mk_pte,
  pte_pfn,
} from './entry.ts';
import { PlainMemory, mapGuestFrame, writeProtectGuestFrame, zapGuestFrame } from './memory.test-support.ts';
import {
  defaultNestedCacheSizes,
  NestedCaches,
  NestedWalker,
  type NestedCacheSizes,
  type NestedWalked,
} from './nested-walk.ts';
import { SecondStage } from './second-stage.ts';
import {
  Fault,
  indexOf,
  rootPointer,
  SECOND_STAGE,
  tinyShape,
  walkShape,
  type WalkLevel,
  type WalkShape,
} from './walk.ts';

const RW = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW;
const NO_CACHES: NestedCacheSizes = { nestedTlb: 0, nestedTables: 0 };
const VPN = 0x7_ffff_7fff;
const PAGE = 14;

/** A guest with one mapped page and a second stage that maps every guest frame it has. */
class Guest {
  readonly memory: PlainMemory;
  readonly frames: Frames;
  readonly host: Frames;
  readonly stage: SecondStage;
  readonly walker: NestedWalker;
  readonly caches: NestedCaches;
  readonly shape: WalkShape;
  readonly root: number;

  constructor(shape: WalkShape, second: WalkShape, sizes: NestedCacheSizes, pages = 8) {
    const builder = new SystemBuilder();
    const widest = (s: WalkShape): number => Math.max(...s.levels.map((level) => level.entries));
    this.shape = shape;
    this.frames = new Frames(builder, { tables: 12, pages, entriesPerTable: widest(shape) });
    this.host = new Frames(builder, {
      name: 'host',
      tables: 24,
      pages: 12 + pages,
      entriesPerTable: widest(second),
      initialTables: [[]],
    });
    this.stage = new SecondStage(builder, { host: this.host, shape: second, root: 0, guestFrames: 12 + pages });
    this.caches = new NestedCaches(builder, 'cpu', sizes, second.bitsPerLevel);
    this.walker = new NestedWalker(shape, this.frames, this.stage, this.caches);
    this.memory = new PlainMemory(builder);
    this.root = this.frames.take(this.memory, FrameKind.table);
  }

  /** The guest's entry for a page at a depth; tables above it are made. */
  entryAddress(vpn: number, depth = this.shape.levels.length - 1): number {
    let table = this.root;
    for (let d = 0; ; d++) {
      const { address } = this.frames.entry(table, indexOf(this.shape.levels[d] as WalkLevel, vpn));
      if (d === depth) return address;
      if (this.memory.read(address) === 0)
        this.memory.write(address, mk_pte(this.frames.take(this.memory, FrameKind.table), _PAGE_TABLE));
      table = pte_pfn(this.memory.read(address));
    }
  }

  mapAll(): this {
    for (let gfn = 0; gfn < this.stage.guestFrames; gfn++) {
      if (!mapGuestFrame(this.stage, this.memory, gfn)) throw new Error(`no host frame for gfn ${gfn}`);
    }
    return this;
  }

  walk(vpn: number, write = false): NestedWalked {
    return { ...this.walker.walk(this.memory, { from: 'root', pointer: rootPointer(this.root) }, vpn, write) };
  }
}

function guestOf(guest: 4 | 5, second: 4 | 5, sizes = NO_CACHES): Guest {
  const shape = (levels: 4 | 5): WalkShape => walkShape(geometryNamed(`x86-64-${levels}l`));
  const made = new Guest(shape(guest), shape(second), sizes);
  made.memory.write(made.entryAddress(VPN), mk_pte(PAGE, RW));
  return made.mapAll();
}

describe('the two-dimensional walk', () => {
  test.each([
    [4, 4, 24],
    [5, 5, 35],
    [4, 5, 29],
    [5, 4, 29],
  ] as const)('of %i guest levels over %i levels makes %i references without caches', (guest, second, references) => {
    const walked = guestOf(guest, second).walk(VPN);
    expect(walked).toMatchObject({ fault: Fault.none, references, secondStageReferences: references - guest });
    expect(references).toBe((guest + 1) * (second + 1) - 1);
  });

  test('with caches it makes fewer, and the second time only the references of the guest', () => {
    const guest = guestOf(4, 4, defaultNestedCacheSizes);
    const first = guest.walk(VPN);
    // The first guest frame takes a whole walk; those near it only the last level of the second stage.
    expect(first.references).toBe(4 + 4 + 4);
    expect(guest.walk(VPN)).toMatchObject({ references: 4, secondStageReferences: 0, entry: first.entry });
  });

  test('from the guest table that a cache knows by its host frame it reads one guest entry, and translates the page', () => {
    const guest = guestOf(4, 4);
    const { lastTable, entry } = guest.walk(VPN);
    expect(pte_pfn(lastTable)).toBe(
      guest.stage.hostFrameOf(guest.memory, pte_pfn(guest.memory.read(guest.entryAddress(VPN, 2)))),
    );
    expect(guest.walker.walk(guest.memory, { from: 'table', pointer: lastTable }, VPN, false)).toMatchObject({
      entry,
      references: 1 + 4,
    });
  });

  test('sets accessed and dirty bits in both stages; the guest tables count as written in the second', () => {
    const guest = guestOf(4, 4);
    guest.walk(VPN, true);
    const flagsOf = (gfn: number): number =>
      guest.stage.walk(guest.memory, gfn, false).entry & (_PAGE_ACCESSED | _PAGE_DIRTY);
    expect(guest.memory.read(guest.entryAddress(VPN)) & (_PAGE_ACCESSED | _PAGE_DIRTY)).toBe(
      _PAGE_ACCESSED | _PAGE_DIRTY,
    );
    expect([guest.root, PAGE].map(flagsOf)).toEqual([_PAGE_ACCESSED | _PAGE_DIRTY, _PAGE_ACCESSED | _PAGE_DIRTY]);
  });

  test.each([0, 1, 2, 3])(
    'a guest table at depth %i that the second stage does not map is an EPT violation for writing, not a fault',
    (depth) => {
      const guest = guestOf(4, 4);
      const table = depth === 0 ? guest.root : pte_pfn(guest.memory.read(guest.entryAddress(VPN, depth - 1)));
      guest.stage.release(guest.memory, zapGuestFrame(guest.stage, guest.memory, table));
      expect(guest.walk(VPN)).toMatchObject({ fault: SECOND_STAGE, gfn: table, gfnWrite: true });
      mapGuestFrame(guest.stage, guest.memory, table);
      expect(guest.walk(VPN).fault).toBe(Fault.none);
    },
  );

  test('a guest that does not map the page faults itself, whatever the second stage has', () => {
    const guest = guestOf(4, 4);
    guest.memory.write(guest.entryAddress(VPN), 0);
    expect(guest.walk(VPN)).toMatchObject({ fault: Fault.notPresent, references: 20 });
    guest.memory.write(guest.entryAddress(VPN), mk_pte(PAGE, RW & ~_PAGE_RW));
    expect(guest.walk(VPN, true).fault).toBe(Fault.protection);
  });

  test('a page that the second stage write-protects is cached read-only, and a write to it is a violation', () => {
    const guest = guestOf(4, 4);
    writeProtectGuestFrame(guest.stage, guest.memory, PAGE);
    expect(guest.walk(VPN).entry & _PAGE_RW).toBe(0);
    expect(guest.walk(VPN, true)).toMatchObject({ fault: SECOND_STAGE, gfn: PAGE, gfnWrite: true });
    mapGuestFrame(guest.stage, guest.memory, PAGE);
    expect(guest.walk(VPN, true).entry & _PAGE_RW).toBe(_PAGE_RW);
  });

  test('a large page of the guest is cached in pieces of the second stage', () => {
    const guest = new Guest(tinyShape(2, 4), tinyShape(3, 4), NO_CACHES, 20).mapAll();
    guest.memory.write(guest.entryAddress(5, 0), mk_pte(16, RW | _PAGE_PSE));
    for (const vpn of [4, 5, 7]) {
      const { entry, lastTable } = guest.walk(vpn);
      expect(pte_pfn(entry)).toBe(guest.stage.hostFrameOf(guest.memory, 16 + (vpn - 4)));
      expect([entry & _PAGE_PSE, lastTable]).toEqual([0, 0]);
    }
  });

  test('a guest table whose host frame was freed is reported when a cached pointer still leads there', () => {
    const guest = guestOf(4, 4);
    const { lastTable } = guest.walk(VPN);
    const gfn = pte_pfn(guest.memory.read(guest.entryAddress(VPN, 2)));
    guest.stage.release(guest.memory, zapGuestFrame(guest.stage, guest.memory, gfn));
    guest.walker.walk(guest.memory, { from: 'table', pointer: lastTable }, VPN, false);
    expect(guest.memory.failures.join()).toContain(`${FREED_FRAME}: hardware walk reads a guest table in`);
  });
});

/** The same translation as one reads it in a book: two functions, no caches, no bits set. */
function naive(
  guest: Guest,
  vpn: number,
  write: boolean,
): { fault: number; frame: number; writable: boolean; references: number } {
  let references = 0;
  const second = (gfn: number, forWrite: boolean): { frame: number; writable: boolean } | null => {
    let table = guest.stage.root;
    let writable = true;
    for (const level of guest.stage.shape.levels) {
      const entry = guest.memory.read(guest.host.entry(table, indexOf(level, gfn)).address);
      references++;
      writable &&= (entry & _PAGE_RW) !== 0;
      if ((entry & _PAGE_PRESENT) === 0 || (forWrite && !writable)) return null;
      table = pte_pfn(entry);
    }
    return { frame: table, writable };
  };
  let gfn = guest.root;
  let writable = true;
  for (const level of guest.shape.levels) {
    if (!second(gfn, true)) return { fault: SECOND_STAGE, frame: -1, writable: false, references };
    const entry = guest.memory.read(guest.frames.entry(gfn, indexOf(level, vpn)).address);
    references++;
    writable &&= (entry & _PAGE_RW) !== 0;
    if ((entry & _PAGE_PRESENT) === 0) return { fault: Fault.notPresent, frame: -1, writable: false, references };
    if (write && !writable) return { fault: Fault.protection, frame: -1, writable: false, references };
    gfn = pte_pfn(entry);
  }
  const page = second(gfn, write);
  return page
    ? { fault: Fault.none, frame: page.frame, writable: writable && page.writable, references }
    : { fault: SECOND_STAGE, frame: -1, writable: false, references };
}

describe('any tables', () => {
  const change = fc.record({
    vpn: fc.nat(15),
    gfn: fc.nat(23),
    page: fc.nat(7),
    flags: fc.constantFrom(0, RW, RW & ~_PAGE_RW, RW | _PAGE_DIRTY),
    do: fc.constantFrom('set', 'zap', 'map', 'protect'),
  });
  const access = fc.record({ vpn: fc.nat(15), write: fc.boolean() });

  const apply = (
    guest: Guest,
    { vpn, gfn, page, flags, do: what }: { vpn: number; gfn: number; page: number; flags: number; do: string },
  ): void => {
    const { stage, memory } = guest;
    if (what === 'set') memory.write(guest.entryAddress(vpn), flags === 0 ? 0 : mk_pte(12 + page, flags));
    else if (what === 'map') mapGuestFrame(stage, memory, gfn % stage.guestFrames);
    else if (what === 'protect') writeProtectGuestFrame(stage, memory, gfn % stage.guestFrames);
    else {
      const frame = zapGuestFrame(stage, memory, gfn % stage.guestFrames);
      if (frame >= 0) stage.release(memory, frame);
    }
  };

  test.each([
    ['without caches', NO_CACHES],
    ['with caches that are flushed after every change', { nestedTlb: 2, nestedTables: 1 }],
  ])('%s: walks end as the naive walk says, with as many references or fewer', (_, sizes) => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 12 }),
        fc.array(access, { minLength: 1, maxLength: 6 }),
        (changes, accesses) => {
          const guest = new Guest(tinyShape(2, 4), tinyShape(3, 4), sizes).mapAll();
          for (const one of changes) apply(guest, one);
          guest.caches.flush(guest.memory);
          for (const { vpn, write } of accesses) {
            const expected = naive(guest, vpn, write);
            const walked = guest.walk(vpn, write);
            expect(walked.fault).toBe(expected.fault);
            if (sizes === NO_CACHES) expect(walked.references).toBe(expected.references);
            else expect(walked.references).toBeLessThanOrEqual(expected.references);
            if (expected.fault !== Fault.none) continue;
            expect([pte_pfn(walked.entry), (walked.entry & _PAGE_RW) !== 0]).toEqual([
              expected.frame,
              expected.writable,
            ]);
          }
          expect(guest.memory.failures).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
