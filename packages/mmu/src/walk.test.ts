import { FREED_FRAME } from '@shootdown/machine';
import { geometryNamed, indexAt } from '@shootdown/page-table';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  formatEntry,
  mk_pte,
  PFN_LIMIT,
  pte_pfn,
} from './entry.ts';
import { Tree } from './memory.test-support.ts';
import { Fault, indexOf, rootPointer, tinyShape, Walker, walkShape, type WalkLevel } from './walk.ts';

const x86 = walkShape(geometryNamed('x86-64-4l'));
const x86Levels5 = walkShape(geometryNamed('x86-64-5l'));
const VPN = 0x7_ffff_7fff;
const RW = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW;
const RO = _PAGE_PRESENT | _PAGE_USER;

function walk(tree: Tree, vpn: number, write: boolean) {
  return { ...new Walker(tree.shape, tree.frames).walk(tree.memory, rootPointer(tree.root), 0, vpn, write) };
}

describe('the hardware walk', () => {
  test('reads one entry per level and sets accessed on the way, dirty only for a write', () => {
    const tree = new Tree(x86);
    const page = tree.page();
    const leaf = tree.entryAddress(VPN, 3, _PAGE_PRESENT | _PAGE_RW | _PAGE_USER);
    const tables = [0, 1, 2].map((depth) => tree.entryAddress(VPN, depth));
    tree.memory.write(leaf, mk_pte(page, RW));
    expect(walk(tree, VPN, false)).toMatchObject({
      fault: Fault.none,
      size: 0,
      references: 4,
      entry: mk_pte(page, RW | _PAGE_ACCESSED),
    });
    expect(tables.map((address) => tree.memory.read(address) & (_PAGE_ACCESSED | _PAGE_DIRTY))).toEqual([
      _PAGE_ACCESSED,
      _PAGE_ACCESSED,
      _PAGE_ACCESSED,
    ]);
    expect(tree.memory.read(leaf)).toBe(mk_pte(page, RW | _PAGE_ACCESSED));
    expect(walk(tree, VPN, true).entry).toBe(mk_pte(page, RW | _PAGE_ACCESSED | _PAGE_DIRTY));
    expect(tree.memory.read(leaf)).toBe(mk_pte(page, RW | _PAGE_ACCESSED | _PAGE_DIRTY));
  });

  test('five levels take five references', () => {
    const tree = new Tree(x86Levels5);
    const vpn = 2 ** 44 - 1;
    tree.set(vpn, mk_pte(tree.page(), RW));
    expect(walk(tree, vpn, true)).toMatchObject({ fault: Fault.none, references: 5, size: 0 });
  });

  test.each([
    ['2 MB', 2, 1, 3],
    ['1 GB', 1, 2, 2],
  ])('a %s leaf ends the walk early', (_, depth, size, references) => {
    const tree = new Tree(x86);
    tree.set(VPN, mk_pte(0x400, RW | _PAGE_PSE), depth);
    expect(walk(tree, VPN, false)).toMatchObject({ fault: Fault.none, size, references, lastTable: 0 });
  });

  test.each([0, 1, 2, 3])(
    'an entry that is not present at depth %i is a fault after %i + 1 references, and nothing is marked there',
    (depth) => {
      const tree = new Tree(x86);
      const address = tree.entryAddress(VPN, depth);
      tree.memory.write(address, mk_pte(5, _PAGE_RW | _PAGE_ACCESSED));
      expect(walk(tree, VPN, false)).toMatchObject({ fault: Fault.notPresent, references: depth + 1 });
      expect(tree.memory.read(address)).toBe(mk_pte(5, _PAGE_RW | _PAGE_ACCESSED));
    },
  );

  test('a write through a read-only leaf is a protection fault and sets no dirty bit', () => {
    const tree = new Tree(x86);
    tree.set(VPN, mk_pte(tree.page(), RO));
    expect(walk(tree, VPN, true).fault).toBe(Fault.protection);
    expect(tree.memory.read(tree.entryAddress(VPN, 3)) & _PAGE_DIRTY).toBe(0);
    expect(walk(tree, VPN, false).fault).toBe(Fault.none);
  });

  test.each([0, 1, 2])(
    'a read-only table entry at depth %i makes the whole range read-only, in what is cached too',
    (depth) => {
      const tree = new Tree(x86);
      tree.set(VPN, mk_pte(tree.page(), RW | _PAGE_DIRTY));
      const address = tree.entryAddress(VPN, depth);
      tree.memory.write(address, tree.memory.read(address) & ~_PAGE_RW);
      expect(walk(tree, VPN, true).fault).toBe(Fault.protection);
      const read = walk(tree, VPN, false);
      expect(read.fault).toBe(Fault.none);
      expect(read.entry & _PAGE_RW).toBe(0);
      expect(read.lastTable & _PAGE_RW).toBe(0);
    },
  );

  test('from a cached table pointer it reads the leaf only, with the permissions the pointer has', () => {
    const tree = new Tree(x86);
    const page = tree.page();
    tree.set(VPN, mk_pte(page, RW | _PAGE_DIRTY));
    const { lastTable } = walk(tree, VPN, true);
    const walker = new Walker(x86, tree.frames);
    expect(walker.walk(tree.memory, lastTable, 3, VPN, true)).toMatchObject({ fault: Fault.none, references: 1 });
    expect(walker.walk(tree.memory, lastTable & ~_PAGE_RW, 3, VPN, true)).toMatchObject({ fault: Fault.protection });
  });

  test('a walk through a freed table is reported, with the table', () => {
    const tree = new Tree(x86);
    tree.set(VPN, mk_pte(tree.page(), RW));
    const table = pte_pfn(tree.memory.read(tree.entryAddress(VPN, 2)));
    tree.frames.give(tree.memory, table);
    walk(tree, VPN, false);
    expect(tree.memory.failures).toEqual([
      `${FREED_FRAME}: hardware walk reads table 0x${table.toString(16)}, which is freed (was a table)`,
    ]);
  });

  test('without a tree every access faults', () => {
    const tree = new Tree(x86);
    expect(new Walker(x86, tree.frames).walk(tree.memory, rootPointer(-1), 0, VPN, false)).toMatchObject({
      fault: Fault.notPresent,
      references: 0,
    });
  });
});

describe('the shape of a tree', () => {
  const names = ['x86-64-4l', 'x86-64-5l', 'arm64-4k-48', 'arm64-4k-39', 'arm64-16k-48', 'arm64-64k-48'] as const;

  test.each(names)('%s: indexes are those of the real geometry, at every level', (name) => {
    const geometry = geometryNamed(name);
    const shape = walkShape(geometry);
    const bits = geometry.levels[0]!.shiftBits + geometry.levels[0]!.indexBits - geometry.pageShiftBits;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }), (vpn) => {
        const address = vpn << BigInt(geometry.pageShiftBits);
        const real = geometry.levels.map((level) => indexAt(geometry, level.name, address));
        expect(shape.levels.map((level) => indexOf(level, Number(vpn)))).toEqual(real);
      }),
    );
  });

  test('a tiny tree has the named levels and powers of its width', () => {
    expect(tinyShape(1, 4).levels).toEqual([{ name: 'pte', entries: 4, spanPages: 1 }]);
    expect(tinyShape(3, 2).levels.map((l: WalkLevel) => [l.name, l.spanPages])).toEqual([
      ['pgd', 4],
      ['pmd', 2],
      ['pte', 1],
    ]);
  });
});

describe('the simulated entry', () => {
  test('keeps frame and flags apart, for every frame that fits', () => {
    fc.assert(
      fc.property(fc.nat(PFN_LIMIT - 1), fc.nat(0xfff), (frame, flags) => {
        const entry = mk_pte(frame, flags);
        expect(pte_pfn(entry)).toBe(frame);
        expect(entry & 0xfff).toBe(flags);
      }),
    );
  });

  test.each([-1, PFN_LIMIT])('refuses frame %i', (frame) => {
    expect(() => mk_pte(frame, 0)).toThrow(`mmu: mk_pte: frame ${frame} outside 0 .. ${PFN_LIMIT - 1}`);
  });

  test('reads as flags', () => {
    expect(formatEntry(0)).toBe('none');
    expect(formatEntry(mk_pte(0x12, _PAGE_PRESENT | _PAGE_RW | _PAGE_GLOBAL))).toBe('0x12 P RW G');
    expect(formatEntry(mk_pte(0x12, _PAGE_TABLE))).toBe('0x12 P RW US A D');
  });
});
