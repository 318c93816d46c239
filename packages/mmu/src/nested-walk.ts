/**
 * The two-dimensional walk: guest virtual to guest physical to host physical.
 *
 * Every entry of the guest's tables lies at a guest-physical address, so reading it takes a walk of the second stage
 * first: n guest levels over m levels of the second stage make n (m + 1) references, and the translation of the page
 * that comes out another m: (n + 1)(m + 1) - 1, which is 24 for four over four levels and 35 for five over five.
 * Bhargava et al., ASPLOS 2008; Intel SDM vol. 3C, 29.3; AMD APM vol. 2, 15.25.5.
 */
import { FREED_FRAME, FrameKind, type Frames, type OperationContext, type SystemBuilder } from '@shootdown/machine';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  NO_TABLE,
  PFN_SHIFT,
  pte_pfn,
} from './entry.ts';
import type { SecondStage } from './second-stage.ts';
import { dropOfPage } from './tlb-caches.ts';
import { TlbWords } from './tlb-words.ts';
import { tlbGeometry } from './trace/geometry.ts';
import { Fault, indexOf, restrict, SECOND_STAGE, type WalkLevel, type WalkShape } from './walk.ts';

/** Sizes of the caches for guest-physical addresses. Zero entries: none. */
export interface NestedCacheSizes {
  /** Guest frame to host frame (the nested TLB). */
  readonly nestedTlb: number;
  /** Pointers to last-level tables of the second stage. */
  readonly nestedTables: number;
}

/**
 * As many as the caches for linear addresses have page-directory entries; the sizes of real parts are not published.
 */
export const defaultNestedCacheSizes: NestedCacheSizes = { nestedTlb: 32, nestedTables: 16 };

/**
 * Guest-physical mappings that one physical CPU has cached, tagged by the root of the second stage (EP4TA) they come
 * from. INVVPID and the guest's own flushes leave them alone; INVEPT drops them (SDM vol. 3C, 29.4.3).
 */
export class NestedCaches {
  readonly #pages: TlbWords | null;
  readonly #tables: TlbWords | null;

  constructor(
    builder: SystemBuilder,
    name: string,
    { nestedTlb, nestedTables }: NestedCacheSizes,
    bitsPerLevel: number,
  ) {
    const cache = (what: string, entries: number): TlbWords | null =>
      entries === 0 ? null : new TlbWords(builder, `${name}.${what}`, tlbGeometry(entries, entries), bitsPerLevel);
    this.#pages = cache('ntlb', nestedTlb);
    this.#tables = cache('epde', nestedTables);
  }

  lookup(cx: OperationContext, gfn: number, ep4ta: number): number {
    return this.#pages?.lookup(cx, gfn, ep4ta, 0) ?? 0;
  }

  insert(cx: OperationContext, gfn: number, ep4ta: number, entry: number): void {
    this.#pages?.insert(cx, gfn, ep4ta, 0, entry, false);
  }

  lookupTable(cx: OperationContext, gfn: number, ep4ta: number): number {
    return this.#tables?.lookup(cx, gfn, ep4ta, 1) ?? 0;
  }

  insertTable(cx: OperationContext, gfn: number, ep4ta: number, pointer: number): void {
    this.#tables?.insert(cx, gfn, ep4ta, 1, pointer, false);
  }

  /** An EPT violation drops what would be used for its address (SDM vol. 3C, 29.4.3.1). */
  drop(cx: OperationContext, gfn: number, ep4ta: number): void {
    const drop = dropOfPage(gfn, ep4ta);
    this.#pages?.flushPage(cx, drop);
    this.#tables?.flushPage(cx, drop);
  }

  /** INVEPT, all contexts. */
  flush(cx: OperationContext): void {
    this.#pages?.flush(cx, EVERYTHING);
    this.#tables?.flush(cx, EVERYTHING);
  }
}

/** INVEPT type 2 and INVVPID type 2. */
export const EVERYTHING = {
  type: 'tlb.flush',
  scope: 'all',
  vpn: 0,
  pages: 1,
  asid: -1,
  global: true,
  leafOnly: false,
  everyTable: false,
} as const;

/** Outcome of a two-dimensional walk. */
export interface NestedWalked {
  /** A `Fault` of the guest, or {@link SECOND_STAGE}. */
  fault: number;
  /** For {@link SECOND_STAGE}: the guest frame without translation, and whether it was to be written. */
  gfn: number;
  gfnWrite: boolean;
  /** What may be cached: the host frame, with what both stages permit. */
  entry: number;
  /** Memory references of both stages, and of the second stage alone. */
  references: number;
  secondStageReferences: number;
  /** The guest's last-level table by its host frame, with the permissions so far; 0 if the walk ended above. */
  lastTable: number;
}

/** Where a walk begins: the root, by its guest frame, or a table that a cache knows by its host frame. */
export type WalkStart =
  | { readonly from: 'root'; readonly pointer: number }
  | { readonly from: 'table'; readonly pointer: number };

/** Walks in two dimensions; one walker per MMU, reused between walks. */
export class NestedWalker {
  readonly shape: WalkShape;
  readonly #guest: Frames;
  readonly #stage: SecondStage;
  readonly #caches: NestedCaches;
  readonly #result: NestedWalked = {
    fault: 0,
    gfn: 0,
    gfnWrite: false,
    entry: 0,
    references: 0,
    secondStageReferences: 0,
    lastTable: 0,
  };

  constructor(shape: WalkShape, guest: Frames, stage: SecondStage, caches: NestedCaches) {
    this.shape = shape;
    this.#guest = guest;
    this.#stage = stage;
    this.#caches = caches;
  }

  /** @returns an object that the next walk overwrites */
  walk(cx: OperationContext, start: WalkStart, vpn: number, write: boolean): NestedWalked {
    const result = this.#result;
    result.fault = Fault.none;
    result.gfn = 0;
    result.gfnWrite = false;
    result.entry = 0;
    result.references = 0;
    result.secondStageReferences = 0;
    result.lastTable = 0;
    const last = this.shape.levels.length - 1;
    let pointer = start.pointer;
    for (let depth = start.from === 'root' ? 0 : last; ; depth++) {
      if (pointer === NO_TABLE) return stop(result, Fault.notPresent);
      const isHostFrame = start.from === 'table' && depth === last;
      const entry = this.#readEntry(cx, pointer, isHostFrame, depth, vpn, write);
      if (entry === null) return result;
      if (depth === last || (entry & _PAGE_PSE) !== 0) return this.#finish(cx, vpn, entry, depth, write);
      pointer = restrict(entry, pointer);
    }
  }

  /** Reads a guest entry and sets its accessed and dirty bits: null if the walk ends here. */
  #readEntry(
    cx: OperationContext,
    pointer: number,
    isHostFrame: boolean,
    depth: number,
    vpn: number,
    write: boolean,
  ): number | null {
    const result = this.#result;
    const last = this.shape.levels.length - 1;
    // With accessed and dirty bits in the second stage the processor counts its reads of guest tables as writes.
    const frame = isHostFrame ? pte_pfn(pointer) : this.#translate(cx, pte_pfn(pointer), true);
    if (frame < 0) return null;
    this.#stage.host.check(cx, frame, FrameKind.page, 'hardware walk reads a guest table in');
    const gfn = this.#stage.guestFrameOf(cx, frame);
    if (gfn < 0) {
      cx.fail(
        FREED_FRAME,
        () => `hardware walk reads a guest table in host frame 0x${frame.toString(16)}, which is not this guest's`,
      );
      return stopAt(result, Fault.notPresent);
    }
    this.#guest.check(cx, gfn, FrameKind.table, 'hardware walk reads table');
    const address =
      this.#guest.entries.base +
      gfn * this.#guest.entriesPerTable +
      indexOf(this.shape.levels[depth] as WalkLevel, vpn);
    const entry = cx.read(address);
    result.references++;
    if ((entry & _PAGE_PRESENT) === 0) return stopAt(result, Fault.notPresent);
    if (write && (entry & pointer & _PAGE_RW) === 0) return stopAt(result, Fault.protection);
    const isLeaf = depth === last || (entry & _PAGE_PSE) !== 0;
    const updated = entry | _PAGE_ACCESSED | (isLeaf && write ? _PAGE_DIRTY : 0);
    if (updated !== entry) cx.write(address, updated);
    if (depth === last) result.lastTable = withFrame(pointer, frame);
    return isLeaf ? restrict(updated, pointer) : updated;
  }

  /**
   * The last m references: the page itself. A large page of the guest is cached in pieces of the second stage's size.
   */
  #finish(cx: OperationContext, vpn: number, leaf: number, depth: number, write: boolean): NestedWalked {
    const result = this.#result;
    const { spanPages } = this.shape.levels[depth] as WalkLevel;
    const frame = this.#translate(cx, pte_pfn(leaf) + (vpn % spanPages), write);
    if (frame < 0) return result;
    result.entry = withFrame(this.#writable ? leaf : leaf & ~_PAGE_RW, frame) & ~_PAGE_PSE;
    return result;
  }

  #writable = false;

  /** A guest frame to a host frame, or -1 with the violation in the result. */
  #translate(cx: OperationContext, gfn: number, write: boolean): number {
    const result = this.#result;
    const ep4ta = this.#stage.root;
    const cached = this.#caches.lookup(cx, gfn, ep4ta);
    if (cached !== 0 && (!write || (cached & (_PAGE_RW | _PAGE_DIRTY)) === (_PAGE_RW | _PAGE_DIRTY)))
      return this.#hostFrame(cached);
    const depth = this.#stage.shape.levels.length - 1;
    const table = depth > 0 ? this.#caches.lookupTable(cx, gfn, ep4ta) : 0;
    const walked = table === 0 ? this.#stage.walk(cx, gfn, write) : this.#stage.walk(cx, gfn, write, table, depth);
    result.references += walked.references;
    result.secondStageReferences += walked.references;
    if (walked.fault !== Fault.none) {
      this.#caches.drop(cx, gfn, ep4ta);
      result.fault = SECOND_STAGE;
      result.gfn = gfn;
      result.gfnWrite = write;
      return -1;
    }
    if (table === 0 && depth > 0 && walked.lastTable !== 0) this.#caches.insertTable(cx, gfn, ep4ta, walked.lastTable);
    this.#caches.insert(cx, gfn, ep4ta, walked.entry);
    return this.#hostFrame(walked.entry);
  }

  #hostFrame(entry: number): number {
    this.#writable = (entry & _PAGE_RW) !== 0;
    return pte_pfn(entry);
  }
}

const FLAGS = (1 << PFN_SHIFT) - 1;

function withFrame(entry: number, frame: number): number {
  return (frame << PFN_SHIFT) | (entry & FLAGS);
}

function stop(result: NestedWalked, fault: number): NestedWalked {
  result.fault = fault;
  return result;
}

function stopAt(result: NestedWalked, fault: number): null {
  result.fault = fault;
  return null;
}
