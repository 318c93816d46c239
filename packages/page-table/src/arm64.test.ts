import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  arm64,
  decode,
  encode,
  geometryNamed,
  hardwareSetDirty,
  isDirty,
  linuxLeaf,
  linuxTable,
  linuxView,
  reservedBits,
  type LeafEntry,
} from './index.ts';

const { PTE_AF, PTE_CONT, PTE_DIRTY, PTE_NG, PTE_RDONLY, PTE_TYPE_PAGE, PTE_USER, PTE_VALID, PTE_WRITE } = arm64;
const fourK = geometryNamed('arm64-4k-48');
const fourKLpa2 = geometryNamed('arm64-4k-52');
const sixteenK = geometryNamed('arm64-16k-48');
const sixtyFourK = geometryNamed('arm64-64k-48');
const sixtyFourKLpa = geometryNamed('arm64-64k-52');
const stage2 = geometryNamed('arm64-4k-stage2-40');

const userPage = 0x20_0000_0000_1000n | PTE_TYPE_PAGE | PTE_USER | PTE_NG | PTE_AF;
const dirtyStates = fc
  .tuple(fc.boolean(), fc.boolean(), fc.boolean())
  .map(
    ([rdonly, write, dirty]) =>
      userPage | (rdonly ? PTE_RDONLY : 0n) | (write ? PTE_WRITE : 0n) | (dirty ? PTE_DIRTY : 0n),
  );
/** Writable and dirty as the table in arm64-pte.ts encodes them; RDONLY clear without WRITE is not in it. */
const linuxStates = dirtyStates.filter((pte) => arm64.pte_write(pte) || arm64.pte_rdonly(pte));

describe('the type bits', () => {
  test.each([
    ['pgd', 0b11n, 'table'],
    ['pud', 0b11n, 'table'],
    ['pmd', 0b11n, 'table'],
    ['pte', 0b11n, 'leaf'],
    ['pgd', 0b01n, 'invalid'],
    ['pud', 0b01n, 'leaf'],
    ['pmd', 0b01n, 'leaf'],
    ['pte', 0b01n, 'invalid'],
    ['pmd', 0b10n, 'invalid'],
    ['pte', 0b10n, 'invalid'],
  ] as const)('4K: a %s with type %i is %s', (level, type, kind) => {
    expect(decode(fourK, level, 0x4000_0400n | type).kind).toBe(kind);
  });

  test('16K and 64K have no level 1 blocks without 52-bit output addresses', () => {
    expect(decode(sixteenK, 'pud', 0x401n).kind).toBe('invalid');
    expect(decode(geometryNamed('arm64-16k-52'), 'pud', 0x401n).kind).toBe('leaf');
    expect(decode(sixtyFourK, 'pgd', 0x401n).kind).toBe('invalid');
    expect(decode(sixtyFourKLpa, 'pgd', 0x401n).kind).toBe('leaf');
  });

  test('level 0 has 512 GB blocks with LPA2 only', () => {
    expect(decode(fourKLpa2, 'p4d', 0x401n).kind).toBe('leaf');
    expect(decode(fourK, 'pgd', 0x401n).kind).toBe('invalid');
  });
});

describe('52-bit output addresses', () => {
  test('64K keeps PA[51:48] in bits 15:12', () => {
    const outputAddress = 0xd_4000_0001_0000n;
    const raw = encode(sixtyFourKLpa, linuxLeaf(sixtyFourKLpa, { outputAddress }));
    expect((raw >> 12n) & 0xfn).toBe(0xdn);
    expect((raw >> 48n) & 3n).toBe(0n);
    expect(decode(sixtyFourKLpa, 'pte', raw)).toMatchObject({ outputAddress, memory: { shareability: 'inner' } });
  });

  test('4K with LPA2 keeps PA[51:50] in bits 9:8, where SH was, and PA[49:48] in place', () => {
    const outputAddress = 0x9_4000_0000_1000n;
    const raw = encode(fourKLpa2, linuxLeaf(fourKLpa2, { outputAddress }));
    expect((raw >> 8n) & 3n).toBe(0b10n);
    expect((raw >> 48n) & 3n).toBe(0b01n);
    expect(decode(fourKLpa2, 'pte', raw)).toMatchObject({ outputAddress, memory: { shareability: 'tcr' } });
  });

  test('the same bits are an SH field in the 48-bit layout', () => {
    expect(decode(fourK, 'pte', 0x4000_0703n)).toMatchObject({
      outputAddress: 0x4000_0000n,
      memory: { shareability: 'inner' },
    });
    expect(decode(fourKLpa2, 'pte', 0x4000_0703n)).toMatchObject({ outputAddress: 0xc_0000_4000_0000n });
  });

  test('address bits the layout does not use are RES0, and nT of a block is not one of them', () => {
    expect(reservedBits(fourK, 'pte', 0x3_0000_0000_1703n)).toBe(0x3_0000_0000_0000n);
    expect(reservedBits(fourK, 'pmd', 0x20_1000n | (1n << 16n) | PTE_VALID)).toBe(0x1000n);
    expect(reservedBits(sixtyFourKLpa, 'pte', 0xf003n)).toBe(0n);
    expect(reservedBits(sixtyFourK, 'pte', 0xf003n)).toBe(0xf000n);
  });
});

describe('permissions', () => {
  const permissionsOf = (raw: bigint): unknown => (decode(fourK, 'pte', raw) as LeafEntry).permissions;

  test('AP[1] is user access, AP[2] takes writes away, UXN and PXN are separate', () => {
    expect(permissionsOf(PTE_TYPE_PAGE | arm64.PTE_UXN)).toEqual({
      read: true,
      write: true,
      user: false,
      executeUser: false,
      executeKernel: true,
    });
    expect(permissionsOf(PTE_TYPE_PAGE | PTE_USER | PTE_RDONLY | arm64.PTE_PXN)).toEqual({
      read: true,
      write: false,
      user: true,
      executeUser: true,
      executeKernel: false,
    });
  });

  test('an execute-only user page has neither USER nor UXN', () => {
    expect(permissionsOf(PTE_TYPE_PAGE | PTE_NG | PTE_RDONLY | arm64.PTE_PXN)).toMatchObject({
      user: false,
      executeUser: true,
    });
  });

  test('a table takes away by APTable, UXNTable and PXNTable', () => {
    const limits = arm64.TABLE_AP_RDONLY | arm64.TABLE_AP_NO_EL0 | arm64.PMD_TABLE_UXN;
    expect(decode(fourK, 'pmd', 0x1003n | limits)).toMatchObject({
      kind: 'table',
      permissions: { read: true, write: false, user: false, executeUser: false, executeKernel: true },
    });
  });

  test.each([
    [0b00n, true, true],
    [0b01n, true, false],
    [0b10n, false, false],
    [0b11n, false, true],
  ])('stage 2, XN = %i: EL0 executes %s, EL1 %s', (xn, executeUser, executeKernel) => {
    expect(decode(stage2, 'pte', 0x4003n | (xn << 53n))).toMatchObject({ permissions: { executeUser, executeKernel } });
  });

  test('stage 2 can forbid reads, and permit writes alone', () => {
    expect(decode(stage2, 'pte', PTE_TYPE_PAGE | arm64.KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W)).toMatchObject({
      permissions: { read: false, write: true },
    });
  });
});

describe('dirty and writable', () => {
  test.each([
    ['clean, read-only', true, false, false, false, false],
    ['clean, writable', true, true, false, true, false],
    ['dirty, read-only', true, false, true, false, true],
    ['dirty, writable, by hardware', false, true, false, true, true],
    ['dirty, writable, by software too', false, true, true, true, true],
  ])('%s', (_name, rdonly, write, swDirty, writable, dirty) => {
    const pte = userPage | (rdonly ? PTE_RDONLY : 0n) | (write ? PTE_WRITE : 0n) | (swDirty ? PTE_DIRTY : 0n);
    expect(arm64.pte_write(pte)).toBe(writable);
    expect(arm64.pte_dirty(pte)).toBe(dirty);
    const leaf = decode(fourK, 'pte', pte) as LeafEntry;
    expect(leaf.dirtyBitManagement).toBe(writable);
    expect(isDirty(leaf)).toBe(dirty);
  });

  test('linuxLeaf makes exactly these states', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), (write, dirty) => {
        const pte = encode(fourK, linuxLeaf(fourK, { outputAddress: 0x1000n, user: true, write, dirty }));
        expect([arm64.pte_write(pte), arm64.pte_dirty(pte), arm64.pte_rdonly(pte)]).toEqual([
          write,
          dirty,
          !(write && dirty),
        ]);
      }),
    );
  });

  test('mkclean makes clean, mkdirty makes dirty, and neither changes whether it is writable', () => {
    fc.assert(
      fc.property(dirtyStates, (pte) => {
        expect(arm64.pte_dirty(arm64.pte_mkclean(pte))).toBe(false);
        expect(arm64.pte_dirty(arm64.pte_mkdirty(pte))).toBe(true);
        expect(arm64.pte_write(arm64.pte_mkclean(pte))).toBe(arm64.pte_write(pte));
        expect(arm64.pte_write(arm64.pte_mkdirty(pte))).toBe(arm64.pte_write(pte));
      }),
    );
  });

  test('wrprotect loses no dirt, and leaves the hardware nothing to do', () => {
    fc.assert(
      fc.property(dirtyStates, (pte) => {
        const after = arm64.pte_wrprotect(pte);
        expect(arm64.pte_dirty(after)).toBe(arm64.pte_dirty(pte));
        expect(arm64.pte_write(after)).toBe(false);
        expect(hardwareSetDirty(fourK, 'pte', after)).toBe(after);
      }),
    );
  });

  test('mkwrite does not make a clean page dirty (since v6.18)', () => {
    fc.assert(
      fc.property(linuxStates, (pte) => {
        const after = arm64.pte_mkwrite_novma(pte);
        expect(arm64.pte_write(after)).toBe(true);
        expect(arm64.pte_dirty(after)).toBe(arm64.pte_dirty(pte));
      }),
    );
  });

  test('a store through a clean writable entry makes it dirty by clearing RDONLY alone', () => {
    const clean = userPage | PTE_RDONLY | PTE_WRITE;
    const stored = hardwareSetDirty(fourK, 'pte', clean);
    expect(stored).toBe(clean & ~PTE_RDONLY);
    expect(arm64.pte_hw_dirty(stored)).toBe(true);
  });

  test('in stage 2 the same store sets S2AP[1]', () => {
    const clean = 0x4000_0443n | PTE_WRITE;
    expect(hardwareSetDirty(stage2, 'pte', clean)).toBe(clean | arm64.KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W);
  });
});

describe('present and invalid', () => {
  const protNone = arm64.pte_modify(0xe8_0000_4079_6f43n, arm64.PAGE_NONE);

  test('mprotect(PROT_NONE) gives the entry that Linux 7.2 had in memory: all fields kept, VALID gone', () => {
    expect(protNone).toBe(0xe0_0000_4079_6f82n);
  });

  test('the hardware sees nothing in it, Linux the same page', () => {
    expect(decode(fourK, 'pte', protNone).kind).toBe('invalid');
    expect([arm64.pte_valid(protNone), arm64.pte_present(protNone), arm64.pte_protnone(protNone)]).toEqual([
      false,
      true,
      true,
    ]);
    expect(linuxView(fourK, 'pte', protNone)).toMatchObject({
      kind: 'leaf',
      outputAddress: 0x4079_6000n,
      softwareDirty: true,
    });
  });

  test('a pmd made invalid for a moment is present but not PROT_NONE', () => {
    const pmd = arm64.pte_mkinvalid(0xe8_0000_40a0_0f41n);
    expect([arm64.pte_present(pmd), arm64.pte_protnone(pmd)]).toEqual([true, false]);
    expect(linuxView(fourK, 'pmd', pmd)).toMatchObject({ kind: 'leaf', outputAddress: 0x40a0_0000n });
  });

  test('KVM has no such entries', () => {
    expect(linuxView(stage2, 'pte', protNone)).toBeUndefined();
    expect(linuxView(fourK, 'pte', 0n)).toBeUndefined();
  });

  test('changing protections to and fro keeps the dirt', () => {
    const protections = fc.constantFrom(
      arm64.PAGE_NONE,
      arm64.PAGE_READONLY,
      arm64.PAGE_READONLY_EXEC,
      arm64.PAGE_SHARED,
      arm64.PAGE_SHARED_EXEC,
    );
    fc.assert(
      fc.property(linuxStates, fc.array(protections), (pte, steps) => {
        expect(arm64.pte_dirty(steps.reduce(arm64.pte_modify, pte))).toBe(arm64.pte_dirty(pte));
      }),
    );
  });

  test('only valid kernel entries call for barriers when set', () => {
    expect(arm64.pte_valid_not_user(0xe8_0000_4000_0707n)).toBe(true);
    expect(arm64.pte_valid_not_user(0x20_0000_4619_2fc3n)).toBe(false);
    expect(arm64.pte_valid_not_user(0x20_0000_4619_2f03n)).toBe(false);
    expect(arm64.pte_valid_not_user(0xe8_0000_4000_0706n)).toBe(false);
  });
});

describe('the contiguous bit', () => {
  test('is a field where there are groups', () => {
    expect(decode(fourK, 'pte', 0x4000_0703n | PTE_CONT)).toMatchObject({ contiguous: true, otherBits: 0n });
    expect(arm64.pte_valid_cont(arm64.pte_mkcont(0x4000_0703n))).toBe(true);
    expect(arm64.pte_valid_cont(arm64.pte_mkcont(0x4000_0702n))).toBe(false);
    expect(arm64.pte_mknoncont(arm64.pte_mkcont(0x4000_0703n))).toBe(0x4000_0703n);
  });

  test('is just another bit where there are none', () => {
    expect(decode(fourKLpa2, 'p4d', PTE_VALID | PTE_CONT)).toMatchObject({ contiguous: false, otherBits: PTE_CONT });
  });
});

describe('the entries Linux installs', () => {
  test.each([
    ['user page, written', { user: true, write: true, dirty: true }, 0xe8_0000_0000_1f43n],
    ['user text', { user: true, execute: true }, 0x20_0000_0000_1fc3n],
    ['kernel page, written', { write: true, dirty: true }, 0xe8_0000_0000_1703n],
    [
      'user page of a contiguous group',
      { user: true, write: true, dirty: true, contiguous: true },
      0xf8_0000_0000_1f43n,
    ],
  ])('%s', (_name, request, raw) => {
    expect(encode(fourK, linuxLeaf(fourK, { outputAddress: 0x1000n, ...request }))).toBe(raw);
  });

  test('tables keep the kernel from executing user memory, and user mode from executing the kernel', () => {
    expect(encode(fourK, linuxTable(fourK, 'pgd', 0x4_1120_0000n, { user: true }))).toBe(0x0800_0004_1120_0403n);
    expect(encode(fourK, linuxTable(fourK, 'pgd', 0x4_1120_0000n))).toBe(0x1000_0004_1120_0403n);
    expect(encode(stage2, linuxTable(stage2, 'pud', 0x4124_a000n))).toBe(0x4124_a003n);
  });

  test('a stage-2 page of KVM without FWB', () => {
    expect(encode(stage2, linuxLeaf(stage2, { outputAddress: 0x1000n, write: true }))).toBe(0x40_0000_0000_17ffn);
  });
});
