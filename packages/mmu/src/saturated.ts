/**
 * The TLB of *exploration*: per CPU, page and level, the set of entries that memory has offered since the last
 * invalidation took effect there. An access may use any leaf among them, or miss: then it walks memory, and faults if
 * that offers nothing.
 *
 * A TLB with fill and evict choices would multiply the states for nothing: whatever such a TLB (or a paging-structure
 * cache) can hold is a member of these sets, and every member can be held. The sets are deterministic, and "stale" is
 * simply "a member that memory no longer offers". Tables are followed the same way: hardware may walk through any table
 * entry it may have cached, at any time, asked to or not. So a table that is freed while a CPU may still walk it is a
 * violation at once.
 */
import {
  BLOCKED,
  type Explanation,
  type Frames,
  type OperationContext,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { formatEntry, _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PSE, pte_dirty, pte_write } from './entry.ts';
import { checkRule, type BreakBeforeMakeRule } from './break-before-make.ts';
import type { AccessObserver } from './flush-monitor.ts';
import { InFlight } from './in-flight.ts';
import { Invalidations } from './invalidations.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { checkPage } from './mmu.ts';
import { cacheable, isLeaf, NO_TRANSLATION, offered } from './offered.ts';
import { SaturatedMmu, translateOperation } from './saturated-mmu.ts';
import { Saturation, type Leaf } from './saturation.ts';
import { Fault, isGlobal, type WalkShape } from './walk.ts';

/** Options of a {@link SaturatedTlb}. */
export interface SaturatedTlbOptions {
  /** The address space that is loaded to begin with; a list: by CPU. Default 0. */
  readonly asid?: number | readonly number[];
  /**
   * Frames of the root tables that the CPUs begin with, where they differ; -1: none. Default: all begin with the same.
   */
  readonly roots?: readonly number[];
  /**
   * Address spaces whose translations are kept while another is loaded, by number modulo this. Default 1: a switch
   * forgets. Global translations outlive every switch, and are used in every address space.
   */
  readonly spaces?: number;
  /**
   * A fault drops what is cached for its page: x86 does (SDM 4.10.4.1), arm64 and RISC-V do not. Default: if neither
   * `cachesInvalid` nor `breakBeforeMake` is given, which x86 has not.
   */
  readonly faultsInvalidate?: boolean;
  /**
   * Entries that are not present may be cached: RISC-V without Svvptc does it, x86 and arm64 do not. What was not
   * mapped may fault until an invalidation ({@link MmuInstructions.sfence_vma}). Default false.
   */
  readonly cachesInvalid?: boolean;
  /** CPUs may be suspended: they are virtual. Default false. */
  readonly suspendable?: boolean;
  /** Prefix of the region names. Default `tlb`. */
  readonly name?: string;
  /**
   * A cached entry keeps its dirty bit. A write through one that has it touches no table any more; a write through one
   * that has not looks at memory again, and sets the bit there or faults. Default false: nobody sets dirty bits.
   */
  readonly dirtyBits?: boolean;
  /**
   * What software may change without break-before-make: arm64 machines check that it changes nothing else. Left out: no
   * such rule (x86).
   */
  readonly breakBeforeMake?: BreakBeforeMakeRule;
}

const SATURATED_TLB_VALUES: OptionValues<SaturatedTlbOptions> = {
  asid: (where, asid) => (Array.isArray(asid) ? is.listOf(is.whole())(where, asid) : is.whole()(where, asid)),
  roots: is.listOf(is.whole(-1)),
  spaces: is.whole(1),
  faultsInvalidate: is.flag,
  cachesInvalid: is.flag,
  suspendable: is.flag,
  name: is.text,
  dirtyBits: is.flag,
  breakBeforeMake: checkRule,
};

/**
 * What an access comes to: its fault, the entry and the frame it goes through, and where memory's dirty bit must be set
 * first (-1: nowhere).
 */
interface Resolved {
  readonly write: boolean;
  readonly fault: number;
  readonly entry: number;
  readonly frame: number;
  readonly setsDirtyAt: number;
}

/** The saturated TLBs of all CPUs of a machine, for the pages that matter. */
export class SaturatedTlb {
  static {
    noteMethods(this);
  }

  /** The MMU of each CPU, as routines use it. */
  readonly mmus: readonly SaturatedMmu[];
  /** Who sees every access that goes through: a check that no translation is used after its flush, for instance. */
  monitors: readonly AccessObserver[] = [];
  /** What they hold. */
  readonly #state: Saturation;
  readonly #pages: readonly number[];
  readonly #spaces: number;
  /** Null where stores are in memory at once. */
  readonly #inFlight: InFlight | null;
  readonly #invalidations: Invalidations;
  readonly #faultsInvalidate: boolean;
  readonly #dirtyBits: boolean;
  readonly #frames: Frames;
  readonly #shape: WalkShape;

  /**
   * @param cpuNames the CPUs that translate
   * @param root frame of the root table all CPUs begin with; -1: none, until `load_root`
   * @param pages virtual page numbers followed; accesses to others are an error
   */
  constructor(
    builder: SystemBuilder,
    cpuNames: readonly string[],
    frames: Frames,
    shape: WalkShape,
    root: number,
    pages: readonly number[],
    options: SaturatedTlbOptions = {},
  ) {
    checkValues('mmu: saturated TLB: new', options, SATURATED_TLB_VALUES);
    const {
      asid = 0,
      roots = cpuNames.map(() => root),
      spaces = 1,
      cachesInvalid = false,
      faultsInvalidate = !cachesInvalid && options.breakBeforeMake === undefined,
      suspendable = false,
      dirtyBits = false,
      name = 'tlb',
    } = options;
    this.#dirtyBits = dirtyBits;
    this.#faultsInvalidate = faultsInvalidate;
    this.#pages = pages;
    this.#spaces = spaces;
    this.#frames = frames;
    this.#shape = shape;
    const asids = roots.map((_, cpu) => (typeof asid === 'number' ? asid : (asid[cpu] ?? 0)));
    this.#state = new Saturation(builder, {
      name,
      cpuNames,
      frames,
      shape,
      pages,
      roots,
      asids,
      spaces,
      dirtyBits,
      cachesInvalid,
      suspendable,
      rule: options.breakBeforeMake ?? null,
    });
    this.#inFlight = builder.memoryModel === 'tso' ? new InFlight(builder, name, frames, cpuNames.length) : null;
    this.#invalidations = new Invalidations(this.#state, { pages, spaces, shape, inFlight: this.#inFlight });
    const saturateAll = (cx: OperationContext): void => cpuNames.forEach((_, cpu) => this.#state.saturate(cx, cpu));
    builder.watch(frames.entries, saturateAll);
    builder.watch(frames.state, saturateAll);
    this.mmus = cpuNames.map(
      (cpuName, cpu) =>
        new SaturatedMmu(builder, cpuName, cpu, this, { root: roots[cpu] ?? root, asid: asids[cpu] ?? 0 }),
    );
  }

  /** Index of the MMU actor of each CPU. */
  get components(): readonly number[] {
    return this.mmus.map((mmu) => mmu.component);
  }

  /** Translates a page with any translation the CPU may hold, or misses: the entry used, or {@link NO_TRANSLATION}. */
  *translate(cpu: number, vpn: number, saying?: Saying): Steps<number> {
    return yield translateOperation(this, cpu, vpn, saying);
  }

  /** Index of a followed page. Throws RangeError for others. */
  pageNumber(vpn: number): number {
    const page = this.#pages.indexOf(vpn);
    if (page < 0)
      throw new RangeError(
        `mmu: translate: page 0x${vpn.toString(16)} is not followed (have: ${this.#pages.map((p) => p.toString(16)).join(', ')})`,
      );
    return page;
  }

  /** The words that {@link isStale} may read, besides the frames'. */
  get words(): readonly number[] {
    return [this.#state.members.region, this.#state.loaded].flatMap(({ base, cells }) =>
      Array.from({ length: cells }, (_, i) => base + i),
    );
  }

  /** Frame of the root table that a CPU has loaded: what CR3 or TTBR0 says; -1: none. */
  root(read: (address: number) => number, cpu: number): number {
    return read(this.#state.rootAddress(cpu)) - 1;
  }

  /** The words of {@link root} and {@link addressSpace}. */
  get loadedWords(): readonly number[] {
    return Array.from({ length: this.#state.loaded.cells }, (_, i) => this.#state.loaded.base + i);
  }

  /** The address space that a CPU has loaded: its ASID or PCID. */
  addressSpace(read: (address: number) => number, cpu: number): number {
    return read(this.#state.rootAddress(cpu) + 1);
  }

  /** True if the CPU may hold a translation of the page that memory no longer offers. */
  isStale(read: (address: number) => number, cpu: number, vpn: number): boolean {
    const root = read(this.#state.rootAddress(cpu)) - 1;
    const now = offered(read, this.#frames, this.#shape, root, vpn);
    return this.leaves(read, cpu, this.pageNumber(vpn)).some((member) => cacheable(member) !== now);
  }

  /** The translations of a page that an access may use: those of the address space that is loaded, and global ones. */
  leaves(read: (address: number) => number, cpu: number, page: number): number[] {
    return this.#state.leaves(read, cpu, page).map(({ entry }) => entry);
  }

  /**
   * How many things an access may come to: a translation that the CPU may hold each, and a fault if a walk may find
   * none. A walk that finds one comes to what a member does already.
   */
  outcomes(cx: OperationContext, cpu: number, page: number, write: boolean): number {
    return this.#ways(cx, cpu, page, write, Number.POSITIVE_INFINITY).length;
  }

  /** What an access comes to, by one of its {@link outcomes}. Changes nothing. */
  resolve(cx: OperationContext, cpu: number, page: number, write: boolean, branch: number): Resolved {
    return this.#ways(cx, cpu, page, write, branch + 1)[branch] ?? nothingThere(write);
  }

  /** What an access may come to: so many of its ways at least, if there are so many. */
  #ways(cx: OperationContext, cpu: number, page: number, write: boolean, wanted: number): Resolved[] {
    const read = (address: number): number => cx.read(address);
    const vpn = this.#pages[page] as number;
    const ways: Resolved[] = [];
    let marking: Resolved | null = null;
    for (const leaf of this.#state.leaves(read, cpu, page)) {
      if (ways.length >= wanted) return ways;
      const way = this.#through(leaf, vpn, write, -1);
      const marks = this.#dirtyBits && write && way.fault === Fault.none && !pte_dirty(leaf.entry);
      ways.push(marks ? (marking ??= this.#marking(read, cpu, page)) : way);
    }
    if (ways.length >= wanted) return ways;
    // The walk that marks an entry dirty may go through any table that the CPU may have a pointer to.
    if (marking !== null)
      for (const { address, leaf } of this.#state.otherLeaves(read, cpu, page))
        ways.push(this.#through(leaf, vpn, write, address));
    const found = ways.every(({ fault }) => fault !== Fault.notPresent);
    if (found && (ways.length === 0 || this.#state.mayFail(read, cpu, page))) ways.push(nothingThere(write));
    return ways;
  }

  /** A write through an entry that is held clean: what memory has now is marked, if it may be written to. */
  #marking(read: (address: number) => number, cpu: number, page: number): Resolved {
    const found = this.#state.leafInMemory(read, cpu, page);
    if (found === null) return nothingThere(true);
    return this.#through(found.leaf, this.#pages[page] as number, true, found.address);
  }

  #through(leaf: Leaf, vpn: number, write: boolean, setsDirtyAt: number): Resolved {
    const { entry } = leaf;
    return { write, fault: faultOf(entry, write), entry, frame: this.#state.frameBehind(leaf, vpn), setsDirtyAt };
  }

  /** Uses a translation: what stands behind it must still be a page, and its flush must not have completed. */
  use(cx: OperationContext, cpu: number, page: number, { entry, frame, write }: Resolved): void {
    const root = cx.read(this.#state.rootAddress(cpu)) - 1;
    const vpn = this.#pages[page] as number;
    cx.explain(() => this.#whyStale(cx, cpu, root, vpn, entry));
    checkPage(cx, this.#frames, frame);
    for (const monitor of this.monitors) monitor.used(cx, root, vpn, entry, cpu, write);
  }

  /** An access through what memory no longer says needs an explanation: the TLB has it from before. */
  #whyStale(cx: OperationContext, cpu: number, root: number, vpn: number, entry: number): Explanation | null {
    const now = offered((address) => cx.read(address), this.#frames, this.#shape, root, vpn);
    if (cacheable(entry) === now) return null;
    return { kind: 'relies', key: this.#state.keyOf(cpu, vpn, entry), text: `through ${formatEntry(entry)}` };
  }

  /** Makes an access that {@link resolve} has looked at; returns its fault. */
  access(cx: OperationContext, cpu: number, page: number, resolved: Resolved): number {
    const { fault, entry, setsDirtyAt } = resolved;
    if (fault !== Fault.none) {
      this.#faulted(cx, cpu, this.#pages[page] as number);
      return fault;
    }
    const dirty = entry | _PAGE_ACCESSED | _PAGE_DIRTY;
    if (setsDirtyAt >= 0) {
      cx.explain(() => ({ kind: 'fact', text: `hardware sets A and D: ${formatEntry(dirty)}` }));
      cx.write(setsDirtyAt, dirty);
    }
    this.use(cx, cpu, page, resolved);
    return fault;
  }

  /**
   * A store that {@link resolve} has looked at, with its data: into the store buffer, if there is one. Returns its
   * fault, or BLOCKED while the buffer is full; the data of a store that faults goes nowhere.
   * @param data address of the word behind a page frame
   */
  store(
    cx: OperationContext,
    cpu: number,
    page: number,
    resolved: Resolved,
    data: (frame: number) => number,
    value: number,
  ): number {
    if (resolved.fault === Fault.none) {
      const { entry, frame } = resolved;
      if (!cx.storeBuffered(data(frame), value)) return BLOCKED;
      const space = cx.read(this.#state.rootAddress(cpu) + 1) % this.#spaces;
      const translation = { page, space, global: isGlobal(entry), large: (entry & _PAGE_PSE) !== 0 };
      this.#inFlight?.entered(cx, cpu, frame, translation);
    }
    return this.access(cx, cpu, page, resolved);
  }

  /** See {@link MmuInstructions.complete}. */
  accessesDone(cx: OperationContext, cpu: number): boolean {
    return this.#inFlight === null || this.#inFlight.none(cx, cpu);
  }

  /** True if stores may outlive the step that translates them. */
  get storesWait(): boolean {
    return this.#inFlight !== null;
  }

  /**
   * CR3 or TTBR0 of a CPU changes. What another address space had in the same place is forgotten, unless it is global.
   */
  load(cx: OperationContext, cpu: number, event: Root): void {
    cx.write(this.#state.rootAddress(cpu), event.root + 1);
    cx.write(this.#state.rootAddress(cpu) + 1, event.asid);
    if (event.root < 0) return;
    const space = event.asid % this.#spaces;
    const tag = this.#state.tags.at(cpu * this.#spaces + space);
    if (cx.read(tag) !== event.asid + 1) {
      cx.write(tag, event.asid + 1);
      this.#pages.forEach((_, page) => {
        this.#shape.levels.forEach((__, depth) =>
          this.#state.members.keep(
            cx,
            this.#state.members.at(cpu, space, page, depth),
            (entry) => isLeaf(this.#shape, depth, entry) && isGlobal(entry),
          ),
        );
        if (this.#state.invalid) cx.write(this.#state.invalidAddress(this.#state.invalid, cpu, space, page), 0);
      });
    }
    this.#state.saturate(cx, cpu);
  }

  /** A page that faulted loses what is cached for it, where faults do that. */
  #faulted(cx: OperationContext, cpu: number, vpn: number): void {
    if (!this.#faultsInvalidate) return;
    this.invalidate(cx, cpu, {
      type: 'tlb.flush',
      scope: 'page',
      vpn,
      pages: 1,
      asid: cx.read(this.#state.rootAddress(cpu) + 1),
      global: true,
      leafOnly: false,
      everyTable: false,
    });
  }

  /** An invalidation takes effect on a CPU; what memory offers comes back at once. */
  invalidate(cx: OperationContext, cpu: number, flush: Flush): void {
    this.#invalidations.arrive(cx, cpu, flush);
    this.#state.saturate(cx, cpu);
  }

  /**
   * A CPU's hardware stops translating and keeps what it has, or goes on. Throws RangeError on a machine without
   * virtual CPUs.
   */
  suspend(cx: OperationContext, cpu: number, suspended: boolean): void {
    if (!this.#state.suspended)
      throw new RangeError(
        `mmu: suspend: the saturated TLB was not made for virtual CPUs (CPU ${cpu}): give it the option suspendable`,
      );
    cx.write(this.#state.suspended.at(cpu), suspended ? 1 : 0);
    this.#state.saturate(cx, cpu);
  }
}

/** A walk that finds nothing. */
function nothingThere(write: boolean): Resolved {
  return { write, fault: Fault.notPresent, entry: NO_TRANSLATION, frame: -1, setsDirtyAt: -1 };
}

function faultOf(entry: number, write: boolean): number {
  if (entry === NO_TRANSLATION) return Fault.notPresent;
  return write && !pte_write(entry) ? Fault.protection : Fault.none;
}
