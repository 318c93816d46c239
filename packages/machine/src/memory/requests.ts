/** What a processor may ask of the weak memory. */

/** No slot: the value is of no use to later accesses. */
export const NO_SLOT = -1;

/**
 * Where the operands of an access came from: loads, by the slots their values were given. Sets of slots are bit masks.
 * An access without dependencies is one of a kernel routine: see the rule `load-to-store`.
 */
export interface Dependencies {
  /** Loads that the address was computed from, and loads that it was chosen by (CSEL). */
  readonly address: number;
  readonly addressPick: number;
  /** The same of the data of a store. */
  readonly data: number;
  readonly dataPick: number;
  /** The same of the value that a compare-and-swap expects. */
  readonly expected: number;
  readonly expectedPick: number;
  /** Loads that branches since the last access depended on. */
  readonly control: number;
  /** Slot for the value that is loaded, or {@link NO_SLOT}. */
  readonly into: number;
  /** Slots that are still of use after this access. */
  readonly keep: number;
  /**
   * Which access of its processor it is, if its store may overtake an earlier load (see `promise`). Default -1: it may
   * not.
   */
  readonly site?: number;
}

/** What an atomic makes of a value; null: it leaves it alone (a compare that failed). */
export interface Modify {
  /** Equal for equal functions. */
  readonly key: string;
  /** A compare-and-swap: if it succeeds, the value loaded is also known by what it was compared with. */
  readonly compares: boolean;
  /** The new value is computed from the old one. */
  readonly computes: boolean;
  apply(old: number): number | null;
}

/** Semantics of the load of an access: none, LDAPR (acquire-PC) or LDAR. */
export type Acquire = 'none' | 'pc' | 'full';

/** A load, store or atomic read-modify-write. */
export interface Access {
  readonly kind: 'load' | 'store' | 'update';
  /** The word; or, if it is translated, the word of its descriptor. */
  readonly address: number;
  readonly translated: boolean;
  /** Of a store. */
  readonly value: number;
  /** Of an update. */
  readonly modify: Modify | null;
  readonly acquire: Acquire;
  /**
   * A conditional update that fails is acquire all the same, as CASA is. Of the kernel's nobody may rely on that: they
   * are "unordered on FAILURE" (Documentation/atomic_t.txt), and one made of LDXR and STXR leaves its DMB out.
   */
  readonly acquiresOnFailure: boolean;
  readonly release: boolean;
  /** Nobody keeps the value that is loaded (a store-only atomic, LDXR to XZR): DMB LD does not order it. */
  readonly discards: boolean;
  /** LDXR or STXR. A store-exclusive returns 0 if it has stored, 1 if not, which it may always do. */
  readonly exclusive: boolean;
  /** Only the newest message is read, and a store becomes the newest: hardware, or the simulation itself. */
  readonly newest: boolean;
  /** By hardware that belongs to no processor: a store that none of them has made. */
  readonly nobodys?: boolean;
  /** Of an update by hardware of the processor: what that reads, the processor has not seen by it. */
  readonly unseen?: boolean;
  readonly dependencies: Dependencies | null;
  /** A load of an entry of this page table, whose address came from the load of the entry that leads to the table. */
  readonly table?: number;
  /** The value loaded is an entry, and may lead to a table. */
  readonly pointer?: Pointer;
}

/** What an entry of a page table leads to. */
export interface Pointer {
  /** Equal for equal functions. */
  readonly key: string;
  /** Number of the table; -1: to none. */
  of(entry: number): number;
}

/** Which accesses a barrier looks at. */
export type BarrierKind = 'full' | 'load' | 'store';

/** A TLBI of some descriptors, or an IC IVAU of some instructions, by the issuing processor or by all. */
export interface Tlbi {
  readonly kind: 'tlbi';
  readonly pages: readonly number[];
  readonly broadcast: boolean;
  /** Loads that its operand came from; null in a kernel routine. */
  readonly dependencies: Dependencies | null;
}

/** A store that a processor may perform, as one run has seen it. */
export interface StoreToCome {
  readonly site: number;
  readonly address: number;
  readonly value: number;
  /** The update of a descriptor by hardware. */
  readonly hardware: boolean;
}

/** Something a processor does with the weak memory. */
export type Request =
  | Access
  | Tlbi
  | { readonly kind: 'dmb' | 'dsb'; readonly type: BarrierKind; readonly dependencies: Dependencies | null }
  | { readonly kind: 'isb'; readonly dependencies: Dependencies | null }
  /** The instruction in a word is fetched. */
  | { readonly kind: 'fetch'; readonly address: number }
  /** An exception is taken, or returned from. */
  | { readonly kind: 'exception' }
  /** A store that the processor will perform later is in memory already: it overtakes the loads before it. */
  | ({ readonly kind: 'promise' } & StoreToCome)
  /** Hardware sets the access flag of some descriptor that has it clear. */
  | { readonly kind: 'access-flag' }
  /** The processor will never access memory again. */
  | { readonly kind: 'retire' }
  /**
   * The key (a lock word, a channel) hands on what the processor has seen: `release` everything, `completed` what a DSB
   * has completed.
   */
  | { readonly kind: 'publish'; readonly key: number; readonly what: 'release' | 'completed' }
  /**
   * The processor has seen what the key hands on: before everything later, or before what follows a context
   * synchronisation.
   */
  | { readonly kind: 'receive'; readonly key: number; readonly as: 'acquire' | 'context' }
  /** A word with one value that everybody sees is read or written. */
  | { readonly kind: 'strong-read'; readonly key: number; readonly acquire: boolean }
  | { readonly kind: 'strong-write'; readonly key: number; readonly release: boolean }
  /**
   * The same word is loaded or stored plainly, which it may only be where the access is ordered after every one that it
   * conflicts with. The result is 1 if it is not.
   */
  | { readonly kind: 'plain-read' | 'plain-write'; readonly key: number }
  /** What one key hands on, another does too. */
  | { readonly kind: 'forward'; readonly key: number; readonly to: number }
  | { readonly kind: 'forget'; readonly key: number };

/** Results of an access that faults, instead of a value. */
export const MemoryFault = {
  translation: -0x7fff_ffff,
  accessFlag: -0x7fff_fffe,
  permission: -0x7fff_fffd,
} as const;

/** True for a result that is a fault and no value. */
export function isMemoryFault(result: number): boolean {
  return result >= MemoryFault.translation && result <= MemoryFault.permission;
}

/** What hardware takes a descriptor for. */
export interface Descriptor {
  readonly valid: boolean;
  readonly accessed: boolean;
  readonly writable: boolean;
  /** Dirty bit management: hardware may make it writable. */
  readonly dirtyManaged: boolean;
  /** Address of the word it maps. */
  readonly output: number;
}

/** The translation regime of a machine: one descriptor per page, each a word. */
export interface Translation {
  /** Addresses of the descriptors that may change. */
  readonly pages: readonly number[];
  decode(value: number): Descriptor;
  /** The descriptor with its access flag set. */
  accessed(value: number): number;
  /** The descriptor made writable. */
  dirtied(value: number): number;
  /** FEAT_ETS2: walks are ordered more. */
  readonly ets2: boolean;
  /** Per processor: hardware updates of the access flag (TCR_EL1.HA) and of the dirty state (TCR_EL1.HD). */
  readonly hardware: readonly { readonly accessFlag: boolean; readonly dirty: boolean }[];
}
