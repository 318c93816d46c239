import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decode,
  encode,
  geometryNamed,
  hardwareSetDirty,
  linuxLeaf,
  linuxTable,
  linuxView,
  reservedBits,
  x86,
} from './index.ts';

const fourLevels = geometryNamed('x86-64-4l');
const fiveLevels = geometryNamed('x86-64-5l');
const pae = geometryNamed('x86-32-pae');

const protections = fc.constantFrom(
  x86.PAGE_NONE,
  x86.PAGE_READONLY,
  x86.PAGE_READONLY_EXEC,
  x86.PAGE_SHARED,
  x86.PAGE_SHARED_EXEC,
);
const frame = fc.bigInt({ min: 0n, max: (1n << 40n) - 1n });
/** A user pte as Linux makes one: any protection, any frame, any dirty state. */
const userPte = fc.tuple(frame, protections, fc.boolean(), fc.boolean()).map(([pfn, protection, dirty, young]) => {
  const present = (pfn << 12n) | x86.PAGE_SHARED;
  const marked = dirty ? x86.pte_mkdirty(present) : present;
  return x86.pte_modify(young ? marked : x86.pte_mkold(marked), protection);
});

describe('what the bits mean', () => {
  test('bit 7 of a pmd is PSE: a 2 MB leaf', () => {
    const entry = decode(fourLevels, 'pmd', 0x8000_0000_0020_01e3n);
    expect(entry).toMatchObject({ kind: 'leaf', outputAddress: 0x20_0000n, global: true, dirty: true, accessed: true });
    expect(entry).toMatchObject({
      permissions: { read: true, write: true, user: false, executeUser: false, executeKernel: false },
    });
  });

  test('the same pmd without PSE is a table', () => {
    expect(decode(fourLevels, 'pmd', 0x78d067n)).toMatchObject({
      kind: 'table',
      tableAddress: 0x78d000n,
      otherBits: x86._PAGE_DIRTY,
    });
  });

  test('bit 7 of a pte is PAT, bit 12 of a 2 MB leaf is PAT, and neither is address', () => {
    const small = decode(fourLevels, 'pte', 0x1000n | x86._PAGE_PRESENT | x86._PAGE_PAT | x86._PAGE_PWT);
    expect(small).toMatchObject({ outputAddress: 0x1000n, memory: { source: 'pat', index: 5 } });
    const large = decode(
      fourLevels,
      'pmd',
      0x20_0000n | x86._PAGE_PRESENT | x86._PAGE_PSE | x86._PAGE_PAT_LARGE | x86._PAGE_PCD,
    );
    expect(large).toMatchObject({ outputAddress: 0x20_0000n, memory: { source: 'pat', index: 6 } });
  });

  test('bit 7 of a pud is a 1 GB leaf', () => {
    expect(decode(fourLevels, 'pud', 0x4000_00e3n)).toMatchObject({ kind: 'leaf', outputAddress: 0x4000_0000n });
  });

  test.each([
    ['4-level pgd', fourLevels, 'pgd', x86._PAGE_PSE],
    ['5-level pgd', fiveLevels, 'pgd', x86._PAGE_PSE],
    ['5-level p4d', fiveLevels, 'p4d', x86._PAGE_PSE],
  ] as const)('bit 7 of a %s is reserved, and the entry still a table', (_name, geometry, level, bits) => {
    expect(decode(geometry, level, 0x1067n | bits).kind).toBe('table');
    expect(reservedBits(geometry, level, 0x1067n | bits)).toBe(bits);
  });

  test('address bits below a large leaf are reserved', () => {
    expect(reservedBits(fourLevels, 'pmd', 0x20_6083n)).toBe(0x6000n);
    expect(reservedBits(fourLevels, 'pte', 0x20_6003n)).toBe(0n);
  });

  test('US clear in the leaf takes execution from user mode only', () => {
    expect(decode(fourLevels, 'pte', 0x9a121n)).toMatchObject({
      permissions: { user: false, executeUser: false, executeKernel: true },
    });
  });

  test('an entry without P is invalid, whatever else it holds', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }), (half) => {
        expect(decode(fourLevels, 'pmd', half << 1n).kind).toBe('invalid');
      }),
    );
  });
});

describe('PAE', () => {
  test('a pgd entry has only P and an address: RW, US, A and NX are not there', () => {
    const entry = decode(pae, 'pgd', 0x3_5000_1001n);
    expect(entry).toEqual({
      kind: 'table',
      level: 'pgd',
      tableAddress: 0x3_5000_1000n,
      permissions: { read: true, write: true, user: true, executeUser: true, executeKernel: true },
      accessed: false,
      otherBits: 0n,
    });
    expect(encode(pae, linuxTable(pae, 'pgd', 0x3_5000_1000n))).toBe(0x3_5000_1001n);
  });

  test('bits 2:1 and 8:5 of a pgd entry must be zero', () => {
    expect(reservedBits(pae, 'pgd', 0x1000n | 0x1ffn)).toBe(0x1e6n);
  });

  test('bits 62:52 of a pte must be zero, bit 63 is NX', () => {
    expect(reservedBits(pae, 'pte', x86._PAGE_NX | (1n << 52n) | 0x1067n)).toBe(1n << 52n);
    expect(decode(pae, 'pte', x86._PAGE_NX | 0x1067n)).toMatchObject({ permissions: { executeKernel: false } });
  });

  test('a dirty read-only leaf keeps its dirt in bit 10, for want of bit 58', () => {
    const raw = encode(pae, linuxLeaf(pae, { outputAddress: 0x1000n, user: true, dirty: true }));
    expect(raw & x86._PAGE_SAVED_DIRTY_PAE).toBe(x86._PAGE_SAVED_DIRTY_PAE);
    expect(raw & x86._PAGE_DIRTY).toBe(0n);
  });
});

describe('PROT_NONE', () => {
  const protNone = x86.pte_modify(0x8000_0000_01b7_2067n, x86.PAGE_NONE);

  test('mprotect(PROT_NONE) gives the entry that Linux 7.2 had in memory: not present, address inverted, dirt saved', () => {
    expect(protNone).toBe(0x040f_ffff_fe48_d120n);
  });

  test('the hardware sees nothing in it, Linux the same page', () => {
    expect(decode(fourLevels, 'pte', protNone).kind).toBe('invalid');
    expect(x86.pte_present(protNone)).toBe(true);
    expect(x86.pte_protnone(protNone)).toBe(true);
    expect(x86.pte_pfn(protNone)).toBe(0x1b72n);
    expect(linuxView(fourLevels, 'pte', protNone)).toMatchObject({
      kind: 'leaf',
      outputAddress: 0x1b7_2000n,
      global: false,
      softwareDirty: true,
    });
  });

  test('its address bits point above any memory of less than half the physical address space', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 39n) - 1n }), (pfn) => {
        const pte = x86.pte_modify((pfn << 12n) | x86.PAGE_SHARED, x86.PAGE_NONE);
        expect((pte & x86.PTE_PFN_MASK) >> 12n).toBeGreaterThanOrEqual(1n << 39n);
      }),
    );
  });

  test('changing protections to and fro keeps the frame, the dirt and the accessed bit', () => {
    fc.assert(
      fc.property(userPte, fc.array(protections), (pte, steps) => {
        const after = steps.reduce(x86.pte_modify, pte);
        expect(x86.pte_pfn(after)).toBe(x86.pte_pfn(pte));
        expect(x86.pte_dirty(after)).toBe(x86.pte_dirty(pte));
        expect(x86.pte_young(after)).toBe(x86.pte_young(pte));
      }),
    );
  });

  test('a huge pmd keeps bits 20:12 as they are: only its own address bits are inverted', () => {
    const inverted = (~0x4020_0000n & 0x000f_ffff_ffe0_0000n) | x86._PAGE_PSE | x86._PAGE_PROTNONE;
    expect(linuxView(fourLevels, 'pmd', inverted)).toMatchObject({
      kind: 'leaf',
      outputAddress: 0x4020_0000n,
      memory: { index: 0 },
    });
  });

  test('a swap entry or an empty one is nothing to Linux', () => {
    expect(linuxView(fourLevels, 'pte', 0n)).toBeUndefined();
    expect(linuxView(fourLevels, 'pte', 0xffff_ffff_fff0_0000n)).toBeUndefined();
    expect(linuxView(fourLevels, 'pud', x86._PAGE_PROTNONE)).toBeUndefined();
  });
});

describe('dirty and writable', () => {
  test('no sequence of changes makes RW=0 with D=1, which would be a shadow stack', () => {
    const change = fc.constantFrom(
      x86.pte_wrprotect,
      x86.pte_mkwrite,
      x86.pte_mkdirty,
      x86.pte_mkclean,
      x86.pte_mkold,
      x86.pte_mkyoung,
    );
    fc.assert(
      fc.property(userPte, fc.array(change), (pte, changes) => {
        const after = changes.reduce((value, next) => next(value), pte);
        expect(!x86.pte_write(after) && (after & x86._PAGE_DIRTY) !== 0n).toBe(false);
      }),
    );
  });

  test('write-protecting a dirty page keeps it dirty, and making it writable again restores D', () => {
    const dirty = 0x1067n;
    const wrprotected = x86.pte_wrprotect(dirty);
    expect(wrprotected).toBe(0x1025n | x86._PAGE_SAVED_DIRTY);
    expect(x86.pte_dirty(wrprotected)).toBe(true);
    expect(x86.pte_mkwrite(wrprotected)).toBe(dirty);
  });

  test('mkclean clears both dirty bits', () => {
    fc.assert(
      fc.property(userPte, (pte) => {
        expect(x86.pte_dirty(x86.pte_mkclean(pte))).toBe(false);
        expect(x86.pte_dirty(x86.pte_mkdirty(pte))).toBe(true);
      }),
    );
  });

  test('the hardware sets A and D', () => {
    expect(hardwareSetDirty(fourLevels, 'pte', 0x1007n)).toBe(0x1067n);
  });
});

describe('the entries Linux installs', () => {
  test.each([
    ['user page, written', { user: true, write: true, dirty: true }, 0x8000_0000_0000_1067n],
    ['user page, read-only and executable', { user: true, execute: true }, 0x1025n],
    ['kernel page, written', { write: true, dirty: true }, 0x8000_0000_0000_1163n],
    ['kernel text', { execute: true }, 0x1121n],
  ])('%s', (_name, request, raw) => {
    expect(encode(fourLevels, linuxLeaf(fourLevels, { outputAddress: 0x1000n, ...request }))).toBe(raw);
  });

  test('tables are _PAGE_TABLE and _KERNPG_TABLE', () => {
    expect(encode(fourLevels, linuxTable(fourLevels, 'pud', 0x5000n, { user: true }))).toBe(0x5000n | x86._PAGE_TABLE);
    expect(encode(fourLevels, linuxTable(fourLevels, 'pud', 0x5000n))).toBe(0x5000n | x86._KERNPG_TABLE);
  });
});
