// The decoded form of an entry that all formats share. A decoded entry is what the *hardware* makes of the bits; what
// Linux reads in an entry the hardware ignores (PROT_NONE) is in linux.ts, x86-pte.ts and arm64-pte.ts.

import type { LevelName } from './geometry.ts';

/**
 * What an entry permits as it stands. In a leaf: the access. In a table entry: the most that any leaf below it may
 * permit. Control registers (CR0.WP, SMEP, SMAP, EFER.NXE, PAN, EPAN, SCTLR.WXN) are not applied.
 */
export interface Permissions {
  /** x86 and arm64 stage 1 cannot forbid reads; stage 2 can. */
  readonly read: boolean;
  /** A store needs no change of the entry: x86 RW, arm64 not AP[2], stage 2 S2AP[1]. */
  readonly write: boolean;
  /**
   * User mode (EL0) may load and store. Always true in stage 2, which does not tell guest EL0 and EL1 apart for data.
   */
  readonly user: boolean;
  /** User mode may fetch instructions. arm64 permits it without `user`: an execute-only mapping. */
  readonly executeUser: boolean;
  /** Kernel mode may fetch instructions. */
  readonly executeKernel: boolean;
}

/**
 * How far coherence reaches: the SH field. `tcr`: the layout has no SH field (LPA2) and TCR_ELx.SH or VTCR_EL2.SH0
 * decides.
 */
export type Shareability = 'non' | 'reserved' | 'outer' | 'inner' | 'tcr';

/** The memory type of a leaf, before the register that gives the index its meaning is consulted. */
export type MemoryAttribute =
  /** x86: 4*PAT + 2*PCD + PWT, an index into IA32_PAT. */
  | { readonly source: 'pat'; readonly index: number }
  /** arm64 stage 1: AttrIndx[2:0], an index into MAIR_ELx. */
  | { readonly source: 'mair'; readonly index: number; readonly shareability: Shareability }
  /** arm64 stage 2: MemAttr[3:0] itself; its meaning depends on HCR_EL2.FWB. */
  | { readonly source: 'stage2'; readonly index: number; readonly shareability: Shareability };

/** An entry the hardware does not use: an access through it faults. Software may keep anything in its other bits. */
export interface InvalidEntry {
  readonly kind: 'invalid';
  readonly level: LevelName;
  /** All 64 bits. */
  readonly raw: bigint;
}

/** An entry that points to the table of the next level. */
export interface TableEntry {
  readonly kind: 'table';
  readonly level: LevelName;
  /** Physical address of the next table, in bytes. */
  readonly tableAddress: bigint;
  readonly permissions: Permissions;
  /**
   * The hardware has walked through the entry: x86 A; arm64 AF, which only FEAT_HAFT maintains. PAE pgd entries have
   * none.
   */
  readonly accessed: boolean;
  /** Every bit, in place, that the fields above do not determine: software, ignored and reserved bits. */
  readonly otherBits: bigint;
}

/** An entry that maps memory. */
export interface LeafEntry {
  readonly kind: 'leaf';
  readonly level: LevelName;
  /** Physical (stage 1 under a hypervisor: intermediate physical) address of the first byte mapped. */
  readonly outputAddress: bigint;
  readonly permissions: Permissions;
  readonly accessed: boolean;
  /**
   * Dirty as the hardware records it. x86: D. arm64: derived, `dirtyBitManagement` and writable, the kernel's
   * pte_hw_dirty(). The kernel's pte_dirty() is {@link isDirty}.
   */
  readonly dirty: boolean;
  /**
   * Dirty as Linux remembers it in a software bit: x86 `_PAGE_SAVED_DIRTY`, arm64 stage 1 `PTE_DIRTY`; never in stage
   * 2.
   */
  readonly softwareDirty: boolean;
  /**
   * arm64 DBM: the hardware may make the entry writable, and so dirty, by itself. In stage 1 it is Linux's `PTE_WRITE`.
   * Always false on x86, where D is always set by hardware and RW never.
   */
  readonly dirtyBitManagement: boolean;
  /** Valid in every address space: x86 G, arm64 stage 1 not nG. Always false in stage 2. */
  readonly global: boolean;
  /** arm64: one of an aligned group of `contiguousEntries` that a TLB may hold as one. */
  readonly contiguous: boolean;
  readonly memory: MemoryAttribute;
  /**
   * Every bit, in place, that the fields above do not determine: software, ignored and reserved bits, protection keys.
   */
  readonly otherBits: bigint;
}

/** A decoded entry. */
export type Entry = InvalidEntry | TableEntry | LeafEntry;

/** The kernel's pte_dirty(): dirty in the hardware's bits or in Linux's own. */
export const isDirty = (leaf: LeafEntry): boolean => leaf.dirty || leaf.softwareDirty;

/**
 * What a walk through both entries permits: the later one can only take away. Fold it over a walk from the root down.
 */
export function intersectPermissions(upper: Permissions, lower: Permissions): Permissions {
  return {
    read: upper.read && lower.read,
    write: upper.write && lower.write,
    user: upper.user && lower.user,
    executeUser: upper.executeUser && lower.executeUser,
    executeKernel: upper.executeKernel && lower.executeKernel,
  };
}

/**
 * Takes nothing away: the start of a fold with {@link intersectPermissions}, and what an entry without such bits
 * permits.
 */
export const ALL_PERMITTED: Permissions = {
  read: true,
  write: true,
  user: true,
  executeUser: true,
  executeKernel: true,
};
