// Linux's use of the formats: the entries it installs, and what it reads in entries that the hardware ignores.

import { fail, genmask, has } from './bits.ts';
import { MT_NORMAL, MT_S2_NORMAL, PTE_VALID } from './arm64.ts';
import { pte_present as arm64_pte_present } from './arm64-pte.ts';
import { decode } from './codec.ts';
import { ALL_PERMITTED, type LeafEntry, type MemoryAttribute, type Permissions, type TableEntry } from './entry.ts';
import { levelNamed, type Geometry, type Level, type LevelName } from './geometry.ts';
import { _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_PROTNONE, _PAGE_PSE } from './x86.ts';
import { protnone_mask } from './x86-pte.ts';

const isX86 = (geometry: Geometry): boolean => geometry.format === 'x86-64' || geometry.format === 'x86-32-pae';

/** What {@link linuxLeaf} is asked for; everything left out is off, except `accessed`, which is on. */
export interface LeafRequest {
  /** Default `pte`. */
  readonly level?: LevelName;
  /** Physical address of the first byte, in bytes. */
  readonly outputAddress: bigint;
  /** A user mapping; otherwise a kernel one, which is global. Meaningless in stage 2. */
  readonly user?: boolean;
  /** Linux lets it be written (pte_write()). */
  readonly write?: boolean;
  /** Executable by whom it is mapped for. */
  readonly execute?: boolean;
  readonly accessed?: boolean;
  /** pte_dirty(). Stage 2 has no dirty state without DBM, which KVM does not use. */
  readonly dirty?: boolean;
  /** Part of a Contiguous-bit group (arm64). */
  readonly contiguous?: boolean;
}

function defaultMemory(geometry: Geometry): MemoryAttribute {
  if (isX86(geometry)) return { source: 'pat', index: 0 };
  const shareability = geometry.addressLayout === 'lpa2' ? 'tcr' : 'inner';
  return geometry.format === 'arm64-stage2'
    ? { source: 'stage2', index: MT_S2_NORMAL, shareability }
    : { source: 'mair', index: MT_NORMAL, shareability };
}

/**
 * The leaf Linux (in stage 2: KVM without FWB) would install for ordinary memory. Writable and dirty become the bits
 * that the architecture's rules prescribe: on arm64 a clean writable leaf is RDONLY with WRITE; on x86 a dirty
 * read-only one has SAVED_DIRTY.
 */
export function linuxLeaf(geometry: Geometry, request: LeafRequest): LeafEntry {
  const {
    level = 'pte',
    outputAddress,
    user = false,
    write = false,
    execute = false,
    accessed = true,
    dirty = false,
    contiguous = false,
  } = request;
  const base = {
    kind: 'leaf',
    level,
    outputAddress,
    accessed,
    contiguous,
    memory: defaultMemory(geometry),
    otherBits: 0n,
  } as const;
  if (isX86(geometry)) {
    const permissions = { read: true, write, user, executeUser: user && execute, executeKernel: execute };
    return {
      ...base,
      permissions,
      dirty: dirty && write,
      softwareDirty: dirty && !write,
      dirtyBitManagement: false,
      global: !user,
    };
  }
  if (geometry.format === 'arm64-stage2') {
    if (dirty) return fail('linuxLeaf', 'a stage-2 leaf of KVM has no dirty state', geometry.name, 'leave dirty out');
    const permissions = { read: true, write, user: true, executeUser: execute, executeKernel: execute };
    return { ...base, permissions, dirty: false, softwareDirty: false, dirtyBitManagement: false, global: false };
  }
  const permissions = {
    read: true,
    write: write && dirty,
    user,
    executeUser: user && execute,
    executeKernel: !user && execute,
  };
  return {
    ...base,
    permissions,
    dirty: write && dirty,
    softwareDirty: dirty,
    dirtyBitManagement: write,
    global: !user,
  };
}

/**
 * The table entry Linux would install to point at a lower table: _PAGE_TABLE or _KERNPG_TABLE on x86, and on arm64 a
 * descriptor with the access flag set that keeps the kernel from executing user memory or user mode from executing the
 * kernel's.
 */
export function linuxTable(
  geometry: Geometry,
  level: LevelName,
  tableAddress: bigint,
  { user = false }: { readonly user?: boolean } = {},
): TableEntry {
  const base = { kind: 'table', level, tableAddress } as const;
  const unrestricted = { ...base, permissions: ALL_PERMITTED, accessed: false, otherBits: 0n };
  if (geometry.format === 'arm64-stage2' || (geometry.format === 'x86-32-pae' && level === 'pgd')) return unrestricted;
  if (isX86(geometry)) {
    const permissions: Permissions = { ...ALL_PERMITTED, user, executeUser: user };
    return { ...base, permissions, accessed: true, otherBits: _PAGE_DIRTY };
  }
  return {
    ...base,
    permissions: { ...ALL_PERMITTED, executeUser: user, executeKernel: !user },
    accessed: true,
    otherBits: 0n,
  };
}

function linuxViewX86(geometry: Geometry, level: Level, raw: bigint): bigint | undefined {
  if (has(raw, _PAGE_PRESENT)) return raw;
  // pmd_mkinvalid() keeps only PSE, so that a huge pmd being split still counts as present: pmd_present().
  const marks = level.name === 'pte' ? _PAGE_PROTNONE : level.name === 'pmd' ? _PAGE_PROTNONE | _PAGE_PSE : 0n;
  if ((raw & marks) === 0n) return undefined;
  const addressShiftBits = level.name !== 'pte' && has(raw, _PAGE_PSE) ? level.shiftBits : geometry.pageShiftBits;
  const inverted = protnone_mask(raw) & genmask(geometry.paBits - 1, addressShiftBits);
  return ((raw ^ inverted) & ~_PAGE_PROTNONE) | _PAGE_PRESENT;
}

function linuxViewArm64(geometry: Geometry, raw: bigint): bigint | undefined {
  if (has(raw, PTE_VALID)) return raw;
  return geometry.format === 'arm64-stage1' && arm64_pte_present(raw) ? raw | PTE_VALID : undefined;
}

/**
 * The table or leaf that Linux sees in an entry: as {@link decode}, but a PROT_NONE or present-invalid entry is read as
 * the leaf it would be, with its real address (x86 stores it inverted). Undefined when Linux takes it for absent:
 * p?d_present() is false, the entry being empty, a swap or a migration entry.
 */
export function linuxView(geometry: Geometry, levelName: LevelName, raw: bigint): TableEntry | LeafEntry | undefined {
  const level = levelNamed(geometry, levelName);
  const valid = isX86(geometry) ? linuxViewX86(geometry, level, raw) : linuxViewArm64(geometry, raw);
  if (valid === undefined) return undefined;
  const entry = decode(geometry, levelName, valid);
  return entry.kind === 'invalid' ? undefined : entry;
}
