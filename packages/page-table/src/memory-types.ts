// The registers that give a leaf's memory attribute its meaning: IA32_PAT on x86 (Intel SDM vol. 3, 13.12), MAIR_ELx in
// arm64 stage 1 and HCR_EL2.FWB in stage 2 (Arm ARM D8, "Memory region attributes", and the description of MAIR_EL1).

import { WORD_MASK, fail, field } from './bits.ts';

/** IA32_PAT as Linux programs it: WB WC UC- UC WB WP UC- WT (arch/x86/mm/pat/memtype.c). */
export const LINUX_PAT = 0x0407_0506_0007_0106n;

/** A memory type by its manual's name, and whether accesses to it are cached, bypass the caches, or go to a device. */
export interface MemoryType {
  readonly kind: 'cached' | 'uncached' | 'device' | 'reserved';
  /** x86: UC, UC-, WC, WT, WP, WB. arm64: `Device-nGnRE`, `Normal-WB`, `Normal-oWB-iNC`, ... */
  readonly name: string;
}

const RESERVED: MemoryType = { kind: 'reserved', name: 'reserved' };

const PAT_TYPES: Readonly<Record<number, MemoryType>> = {
  0: { kind: 'uncached', name: 'UC' },
  1: { kind: 'uncached', name: 'WC' },
  4: { kind: 'cached', name: 'WT' },
  5: { kind: 'cached', name: 'WP' },
  6: { kind: 'cached', name: 'WB' },
  7: { kind: 'uncached', name: 'UC-' },
};

const DEVICE_NAMES = ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE'] as const;

const device = (type: number): MemoryType => ({ kind: 'device', name: DEVICE_NAMES[type] ?? 'reserved' });

function normal(outer: string, inner: string): MemoryType {
  const name = outer === inner ? `Normal-${outer}` : `Normal-o${outer}-i${inner}`;
  return { kind: outer === 'NC' && inner === 'NC' ? 'uncached' : 'cached', name };
}

function byteOf(operation: string, register: bigint, index: number): number {
  if (register < 0n || register > WORD_MASK) fail(operation, 'a register has 64 bits', register);
  if (!Number.isInteger(index) || index < 0 || index > 7) fail(operation, 'an index is 0 to 7', index);
  return field(register, index * 8 + 7, index * 8);
}

/** The x86 memory type of a PAT index, by the value of IA32_PAT. MTRRs are not applied. */
export const patMemoryType = (pat: bigint, index: number): MemoryType =>
  PAT_TYPES[byteOf('pat', pat, index)] ?? RESERVED;

/** Cacheability of one nibble of a MAIR byte: 00RW and 01RW are transient, and R and W are allocation hints. */
function cacheability(nibble: number): string {
  if (nibble === 0b0100) return 'NC';
  const transient = nibble < 0b1000 ? 't' : '';
  return (nibble & 0b0100) === 0 ? `WT${transient}` : `WB${transient}`;
}

/** The arm64 stage-1 memory type of an AttrIndx, by the value of MAIR_ELx. Allocation hints are dropped. */
export function mairMemoryType(mair: bigint, index: number): MemoryType {
  const attribute = byteOf('mair', mair, index);
  const outer = attribute >> 4;
  const inner = attribute & 0xf;
  if (outer === 0) return (inner & 0b0011) === 0 ? device(inner >> 2) : RESERVED;
  if (inner !== 0) return normal(cacheability(outer), cacheability(inner));
  return attribute === 0xf0 ? { kind: 'cached', name: 'Normal-WB-tagged' } : RESERVED;
}

const STAGE2_CACHEABILITY = ['', 'NC', 'WT', 'WB'] as const;

/**
 * The arm64 memory type of a stage-2 MemAttr[3:0]. Without FWB it is combined with stage 1's, the weaker winning; with
 * FWB it replaces it, or (`stage 1`) leaves it alone.
 */
export function stage2MemoryType(memAttr: number, forceWriteBack: boolean): MemoryType {
  if (!Number.isInteger(memAttr) || memAttr < 0 || memAttr > 15) return fail('stage2', 'MemAttr is 0 to 15', memAttr);
  const high = memAttr >> 2;
  const low = memAttr & 3;
  if (forceWriteBack) {
    // MemAttr[3] is RES0, or NoTagAccess with FEAT_MTE_PERM.
    if ((high & 1) === 0) return device(low);
    return (
      [RESERVED, normal('NC', 'NC'), normal('WB', 'WB'), { kind: 'cached' as const, name: 'stage 1' }][low] ?? RESERVED
    );
  }
  if (high === 0) return device(low);
  return low === 0 ? RESERVED : normal(STAGE2_CACHEABILITY[high] ?? '', STAGE2_CACHEABILITY[low] ?? '');
}
