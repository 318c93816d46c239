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
  FREED_FRAME,
  FrameKind,
  type Explanation,
  type Frames,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import {
  formatEntry,
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_PSE,
  pte_dirty,
  pte_pfn,
  pte_write,
} from './entry.ts';
import { BREAK_BEFORE_MAKE, brokenRule, changeThatNeedsBreak, type BreakBeforeMakeRule } from './break-before-make.ts';
import type { AccessObserver } from './flush-monitor.ts';
import { InFlight } from './in-flight.ts';
import { MemberSets } from './member-sets.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { checkPage } from './mmu.ts';
import { cacheable, isLeaf, leafAddress, NO_TRANSLATION, offered } from './offered.ts';
import { SaturatedMmu, translateOperation } from './saturated-mmu.ts';
import { Fault, indexOf, isGlobal, type WalkLevel, type WalkShape } from './walk.ts';

/** Words per CPU that say what is loaded: root frame plus one (0: no tree), address space. */
const WORDS_PER_CPU = 2;

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
   * A fault drops what is cached for its page: x86 does (SDM 4.10.4.1), arm64 and RISC-V do not. Default: as
   * `cachesInvalid` is not.
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

const SATURATED_TLB_KEYS = keysOf<SaturatedTlbOptions>()(
  'asid',
  'roots',
  'spaces',
  'faultsInvalidate',
  'cachesInvalid',
  'suspendable',
  'name',
  'dirtyBits',
  'breakBeforeMake',
);

/**
 * What an access comes to: its fault, the entry it goes through, and where memory's dirty bit must be set first (-1:
 * nowhere).
 */
interface Resolved {
  readonly write: boolean;
  readonly fault: number;
  readonly entry: number;
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
  readonly #members: MemberSets;
  /**
   * Per CPU, space and page: levels, a bit each, whose entry may be cached as not present. Null: such entries are not
   * cached.
   */
  readonly #invalid: Region | null;
  readonly #loaded: Region;
  /** Per CPU and space: the address space plus one whose entries are kept there. */
  readonly #tags: Region;
  /** Per CPU: 1 while its hardware translates nothing. Null: it always does. */
  readonly #suspended: Region | null;
  readonly #pages: readonly number[];
  readonly #spaces: number;
  /** Null where stores are in memory at once. */
  readonly #inFlight: InFlight | null;
  readonly #faultsInvalidate: boolean;
  readonly #dirtyBits: boolean;
  readonly #rule: BreakBeforeMakeRule | null;
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
    checkOptions('mmu: saturated TLB: new', options, SATURATED_TLB_KEYS);
    const {
      asid = 0,
      roots = cpuNames.map(() => root),
      spaces = 1,
      cachesInvalid = false,
      faultsInvalidate = !cachesInvalid,
      suspendable = false,
      dirtyBits = false,
      name = 'tlb',
    } = options;
    this.#dirtyBits = dirtyBits;
    this.#rule = options.breakBeforeMake ?? null;
    this.#faultsInvalidate = faultsInvalidate;
    this.#pages = pages;
    this.#spaces = spaces;
    this.#frames = frames;
    this.#shape = shape;
    const words = builder.layout.initial();
    const asids = roots.map((_, cpu) => (typeof asid === 'number' ? asid : (asid[cpu] ?? 0)));
    const perSpace = <T>(values: (root: number, asid: number) => readonly T[]): T[] =>
      roots.flatMap((from, cpu) => {
        const own = asids[cpu] as number;
        return Array.from({ length: spaces }, (_, space) => values(space === own % spaces ? from : -1, own)).flat();
      });
    const sizes = { spaces, pages: pages.length, levels: shape.levels.length };
    const first = perSpace((from) => pages.flatMap((vpn) => this.#initialMembers(words, from, vpn)));
    this.#members = new MemberSets(builder, `${name}.members`, sizes, first);
    this.#invalid = cachesInvalid
      ? builder.region(`${name}.invalid`, cpuNames.length * spaces * pages.length, {
          initial: perSpace((from) => pages.map((vpn) => this.#initialInvalid(words, from, vpn))),
          memory: 'ghost',
        })
      : null;
    this.#loaded = builder.region(`${name}.loaded`, cpuNames.length * WORDS_PER_CPU, {
      initial: roots.flatMap((from, cpu) => [from + 1, asids[cpu] as number]),
      memory: 'ghost',
    });
    this.#tags = builder.region(`${name}.tags`, cpuNames.length * spaces, {
      initial: perSpace((from, own) => [from >= 0 ? own + 1 : 0]),
      memory: 'ghost',
    });
    this.#suspended = suspendable ? builder.region(`${name}.suspended`, cpuNames.length, { memory: 'ghost' }) : null;
    this.#inFlight = builder.memoryModel === 'tso' ? new InFlight(builder, name, frames, cpuNames.length) : null;
    const saturateAll = (cx: OperationContext): void => cpuNames.forEach((_, cpu) => this.#saturate(cx, cpu));
    builder.watch(frames.entries, saturateAll);
    builder.watch(frames.state, saturateAll);
    this.mmus = cpuNames.map(
      (cpuName, cpu) =>
        new SaturatedMmu(builder, cpuName, cpu, this, { root: roots[cpu] ?? root, asid: asids[cpu] ?? 0 }),
    );
  }

  /**
   * What a tree that exists from the start offers for a page: one member per level, as far down as there are tables.
   */
  #initialMembers(words: Int32Array, root: number, vpn: number): number[] {
    let table = root;
    return this.#shape.levels.map((level, depth) => {
      const entry = table < 0 ? 0 : (words[this.#frames.entry(table, indexOf(level, vpn)).address] as number);
      const present = (entry & _PAGE_PRESENT) !== 0;
      table = present && !isLeaf(this.#shape, depth, entry) ? pte_pfn(entry) : -1;
      return present ? this.#cached(entry) : NO_TRANSLATION;
    });
  }

  /** The level at which a walk of such a tree ends without a translation, as a bit. */
  #initialInvalid(words: Int32Array, root: number, vpn: number): number {
    const members = this.#initialMembers(words, root, vpn);
    const end = members.indexOf(NO_TRANSLATION);
    const last = members[end - 1] ?? NO_TRANSLATION;
    if (root < 0 || end < 0 || (end > 0 && isLeaf(this.#shape, end - 1, last))) return 0;
    return 1 << end;
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
    return [this.#members.region, this.#loaded].flatMap(({ base, cells }) =>
      Array.from({ length: cells }, (_, i) => base + i),
    );
  }

  /** Frame of the root table that a CPU has loaded: what CR3 or TTBR0 says; -1: none. */
  root(read: (address: number) => number, cpu: number): number {
    return read(this.#rootAddress(cpu)) - 1;
  }

  /** The words of {@link root} and {@link addressSpace}. */
  get loadedWords(): readonly number[] {
    return Array.from({ length: this.#loaded.cells }, (_, i) => this.#loaded.base + i);
  }

  /** The address space that a CPU has loaded: its ASID or PCID. */
  addressSpace(read: (address: number) => number, cpu: number): number {
    return read(this.#rootAddress(cpu) + 1);
  }

  /** True if the CPU may hold a translation of the page that memory no longer offers. */
  isStale(read: (address: number) => number, cpu: number, vpn: number): boolean {
    const root = read(this.#rootAddress(cpu)) - 1;
    const now = offered(read, this.#frames, this.#shape, root, vpn);
    return this.leaves(read, cpu, this.pageNumber(vpn)).some((member) => cacheable(member) !== now);
  }

  /** The translations of a page that an access may use: those of the address space that is loaded, and global ones. */
  leaves(read: (address: number) => number, cpu: number, page: number): number[] {
    const leaves: number[] = [];
    const loaded = read(this.#rootAddress(cpu)) === 0 ? -1 : read(this.#rootAddress(cpu) + 1) % this.#spaces;
    for (let i = 0; i < this.#spaces; i++) {
      // The loaded one first.
      const space = loaded < 0 ? i : (loaded + i) % this.#spaces;
      for (let depth = 0; depth < this.#shape.levels.length; depth++)
        for (const entry of this.#members.list(read, this.#members.at(cpu, space, page, depth)))
          if (isLeaf(this.#shape, depth, entry) && (space === loaded || isGlobal(entry)) && !leaves.includes(entry))
            leaves.push(entry);
    }
    return leaves;
  }

  /**
   * How many things an access may come to: a translation that the CPU may hold each, and a fault if a walk may find
   * none. A walk that finds one comes to what a member does already.
   */
  outcomes(cx: OperationContext, cpu: number, page: number, write: boolean): number {
    const read = (address: number): number => cx.read(address);
    const held = this.leaves(read, cpu, page).length;
    if (held === 0 || !this.#mayFail(read, cpu, page)) return Math.max(1, held);
    for (let branch = 0; branch < held; branch++)
      if (this.resolve(cx, cpu, page, write, branch).fault === Fault.notPresent) return held;
    return held + 1;
  }

  /** Whether a miss may end in a fault: memory, or what is cached of it, has an entry that is not present. */
  #mayFail(read: (address: number) => number, cpu: number, page: number): boolean {
    const root = read(this.#rootAddress(cpu)) - 1;
    if (root < 0) return true;
    const space = read(this.#rootAddress(cpu) + 1) % this.#spaces;
    if (this.#invalid && read(this.#invalidAddress(this.#invalid, cpu, space, page)) !== 0) return true;
    return this.#failingLevels(read, cpu, space, page, root) !== 0;
  }

  /**
   * Levels, a bit each, at which a walk may find an entry that is not present: from the root, or from a table it may
   * have a pointer to.
   */
  #failingLevels(read: (address: number) => number, cpu: number, space: number, page: number, root: number): number {
    const vpn = this.#pages[page] as number;
    let levels = 0;
    let tables = [root];
    for (let depth = 0; tables.length > 0; depth++) {
      const index = indexOf(this.#shape.levels[depth] as WalkLevel, vpn);
      for (const table of tables) {
        const entry = read(this.#frames.entries.base + table * this.#frames.entriesPerTable + index);
        if ((entry & _PAGE_PRESENT) === 0) levels |= 1 << depth;
      }
      tables = this.#tablesBehind(read, this.#members.at(cpu, space, page, depth), depth);
    }
    return levels;
  }

  /** Frames of the tables to which members of a set point. */
  #tablesBehind(read: (address: number) => number, set: number, depth: number): number[] {
    const members = this.#members.list(read, set);
    return members.filter((entry) => !isLeaf(this.#shape, depth, entry)).map(pte_pfn);
  }

  /** Uses a translation: what stands behind it must still be a page, and its flush must not have completed. */
  use(cx: OperationContext, cpu: number, page: number, entry: number, write = false): void {
    const root = cx.read(this.#rootAddress(cpu)) - 1;
    const vpn = this.#pages[page] as number;
    cx.explain(() => this.#whyStale(cx, cpu, root, vpn, entry));
    checkPage(cx, this.#frames, pte_pfn(entry));
    for (const monitor of this.monitors) monitor.used(cx, root, vpn, entry, cpu, write);
  }

  /** What an access comes to, by one of its {@link outcomes}. Changes nothing. */
  resolve(cx: OperationContext, cpu: number, page: number, write: boolean, branch: number): Resolved {
    const entry = this.leaves((address) => cx.read(address), cpu, page)[branch] ?? NO_TRANSLATION;
    const fault = faultOf(entry, write);
    if (fault !== Fault.none || !write || !this.#dirtyBits || pte_dirty(entry))
      return { write, fault, entry, setsDirtyAt: -1 };
    const address = leafAddress(
      (word) => cx.read(word),
      this.#frames,
      this.#shape,
      cx.read(this.#rootAddress(cpu)) - 1,
      this.#pages[page] as number,
    );
    const now = address < 0 ? NO_TRANSLATION : cx.read(address);
    return { write, fault: faultOf(now, write), entry: now, setsDirtyAt: address };
  }

  /** Makes an access that {@link resolve} has looked at; returns its fault. */
  access(cx: OperationContext, cpu: number, page: number, { write, fault, entry, setsDirtyAt }: Resolved): number {
    if (fault !== Fault.none) {
      this.#faulted(cx, cpu, this.#pages[page] as number);
      return fault;
    }
    const dirty = entry | _PAGE_ACCESSED | _PAGE_DIRTY;
    if (setsDirtyAt >= 0) {
      cx.explain(() => ({ kind: 'fact', text: `hardware sets A and D: ${formatEntry(dirty)}` }));
      cx.write(setsDirtyAt, dirty);
    }
    this.use(cx, cpu, page, entry, write);
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
      const { entry } = resolved;
      if (!cx.storeBuffered(data(pte_pfn(entry)), value)) return BLOCKED;
      const space = cx.read(this.#rootAddress(cpu) + 1) % this.#spaces;
      const translation = { page, space, global: isGlobal(entry), large: (entry & _PAGE_PSE) !== 0 };
      this.#inFlight?.entered(cx, cpu, pte_pfn(entry), translation);
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
    cx.write(this.#rootAddress(cpu), event.root + 1);
    cx.write(this.#rootAddress(cpu) + 1, event.asid);
    if (event.root < 0) return;
    const space = event.asid % this.#spaces;
    const tag = this.#tags.at(cpu * this.#spaces + space);
    if (cx.read(tag) !== event.asid + 1) {
      cx.write(tag, event.asid + 1);
      this.#pages.forEach((_, page) => {
        this.#shape.levels.forEach((__, depth) =>
          this.#members.keep(
            cx,
            this.#members.at(cpu, space, page, depth),
            (entry) => isLeaf(this.#shape, depth, entry) && isGlobal(entry),
          ),
        );
        if (this.#invalid) cx.write(this.#invalidAddress(this.#invalid, cpu, space, page), 0);
      });
    }
    this.#saturate(cx, cpu);
  }

  /** A page that faulted loses what is cached for it, where faults do that. */
  #faulted(cx: OperationContext, cpu: number, vpn: number): void {
    if (!this.#faultsInvalidate) return;
    this.invalidate(cx, cpu, {
      type: 'tlb.flush',
      scope: 'page',
      vpn,
      pages: 1,
      asid: cx.read(this.#rootAddress(cpu) + 1),
      global: true,
      leafOnly: false,
      everyTable: false,
    });
  }

  /** An invalidation takes effect on a CPU; what memory offers comes back at once. */
  invalidate(cx: OperationContext, cpu: number, flush: Flush): void {
    this.#awaitStores(cx, cpu, flush);
    for (let space = 0; space < this.#spaces; space++) {
      const concerned = this.#concernsSpace(cx, cpu, space, flush);
      this.#pages.forEach((vpn, page) =>
        this.#shape.levels.forEach((level, depth) => {
          const covered = covers(flush, level, vpn);
          this.#members.keep(cx, this.#members.at(cpu, space, page, depth), (entry) => {
            if (!isLeaf(this.#shape, depth, entry))
              return !concerned || flush.leafOnly || !(covered || flush.everyTable);
            return !covered || (isGlobal(entry) ? !flush.global : !concerned);
          });
          if (covered && (concerned || flush.global)) this.#forgetInvalid(cx, cpu, space, page, depth, flush.leafOnly);
        }),
      );
    }
    this.#saturate(cx, cpu);
  }

  /** An invalidation of the last level only leaves what is cached of the levels above. */
  #forgetInvalid(
    cx: OperationContext,
    cpu: number,
    space: number,
    page: number,
    depth: number,
    leafOnly: boolean,
  ): void {
    if (!this.#invalid || (leafOnly && depth < this.#shape.levels.length - 1)) return;
    const address = this.#invalidAddress(this.#invalid, cpu, space, page);
    cx.write(address, cx.read(address) & ~(1 << depth));
  }

  #concernsSpace(cx: OperationContext, cpu: number, space: number, flush: Flush): boolean {
    const tag = cx.read(this.#tags.at(cpu * this.#spaces + space));
    return flush.asid < 0 || tag === flush.asid + 1 || flush.scope === 'all' || flush.scope === 'non-global';
  }

  /** Whoever has sent an invalidation waits for stores that used what it invalidates. */
  #awaitStores(cx: OperationContext, cpu: number, flush: Flush): void {
    const { from = cpu } = flush;
    if (from === cpu) return;
    const last = this.#shape.levels.length - 1;
    this.#inFlight?.arrived(cx, cpu, from, ({ page, space, global, large }) => {
      const level = this.#shape.levels[large ? Math.max(0, last - 1) : last] as WalkLevel;
      const concerned = global ? flush.global : this.#concernsSpace(cx, cpu, space, flush);
      return concerned && covers(flush, level, this.#pages[page] as number);
    });
  }

  /**
   * A CPU's hardware stops translating and keeps what it has, or goes on. Throws RangeError on a machine without
   * virtual CPUs.
   */
  suspend(cx: OperationContext, cpu: number, suspended: boolean): void {
    if (!this.#suspended)
      throw new RangeError(
        `mmu: suspend: the saturated TLB was not made for virtual CPUs (CPU ${cpu}): give it the option suspendable`,
      );
    cx.write(this.#suspended.at(cpu), suspended ? 1 : 0);
    this.#saturate(cx, cpu);
  }

  /** Adds everything that memory offers a CPU now, directly or through a table entry it may have cached. */
  #saturate(cx: OperationContext, cpu: number): void {
    if (this.#suspended && cx.read(this.#suspended.at(cpu)) !== 0) return;
    const root = cx.read(this.#rootAddress(cpu)) - 1;
    if (root < 0) return;
    const space = cx.read(this.#rootAddress(cpu) + 1) % this.#spaces;
    const read = (address: number): number => cx.read(address);
    this.#pages.forEach((vpn, page) => {
      let tables = [root];
      for (let depth = 0; tables.length > 0; depth++) {
        const set = this.#members.at(cpu, space, page, depth);
        for (const table of tables) this.#offer(cx, set, cpu, table, this.#shape.levels[depth] as WalkLevel, vpn);
        tables = this.#tablesBehind(read, set, depth);
      }
      if (!this.#invalid) return;
      const address = this.#invalidAddress(this.#invalid, cpu, space, page);
      const before = read(address);
      const after = before | this.#failingLevels(read, cpu, space, page, root);
      if (after !== before) cx.write(address, after);
    });
  }

  /** A frame that has never been allocated holds no table yet: the tree is still being set up. */
  #offer(cx: OperationContext, set: number, cpu: number, table: number, level: WalkLevel, vpn: number): void {
    const state = cx.read(this.#frames.state.base + table);
    if (state === FrameKind.free) return;
    if (state !== FrameKind.table) {
      cx.fail(
        FREED_FRAME,
        () => `${this.mmus[cpu]?.name ?? '?'} may walk 0x${table.toString(16)}, a ${level.name} table no more`,
      );
      return;
    }
    const entry = cx.read(this.#frames.entries.base + table * this.#frames.entriesPerTable + indexOf(level, vpn));
    if ((entry & _PAGE_PRESENT) === 0) return;
    if (this.#rule !== null) this.#checkChange(cx, this.#rule, set, cpu, level, vpn, entry);
    const cached = this.#cached(entry);
    if (!this.#members.add(cx, set, cached) || !isLeaf(this.#shape, this.#shape.levels.indexOf(level), entry)) return;
    cx.explain(() => ({
      kind: 'offers',
      key: this.#keyOf(cpu, vpn, cached),
      component: this.mmus[cpu]?.component ?? -1,
      text: `<TLB fill: page 0x${vpn.toString(16)} is ${formatEntry(cached)}>`,
    }));
  }

  /** What memory offers now must agree with everything that the CPU may hold in its place. */
  #checkChange(
    cx: OperationContext,
    rule: BreakBeforeMakeRule,
    set: number,
    cpu: number,
    level: WalkLevel,
    vpn: number,
    entry: number,
  ): void {
    const depth = this.#shape.levels.indexOf(level);
    const now = { entry, leaf: isLeaf(this.#shape, depth, entry) };
    for (const member of this.#members.list((address) => cx.read(address), set)) {
      const old = { entry: member, leaf: isLeaf(this.#shape, depth, member) };
      const what = changeThatNeedsBreak(old, now, rule);
      if (what === null) continue;
      cx.fail(BREAK_BEFORE_MAKE, () => brokenRule(this.mmus[cpu]?.name ?? '?', vpn, what, member, entry));
      return;
    }
  }

  /** An access through what memory no longer says needs an explanation: the TLB has it from before. */
  #whyStale(cx: OperationContext, cpu: number, root: number, vpn: number, entry: number): Explanation | null {
    const now = offered((address) => cx.read(address), this.#frames, this.#shape, root, vpn);
    if (cacheable(entry) === now) return null;
    return { kind: 'relies', key: this.#keyOf(cpu, vpn, this.#cached(entry)), text: `through ${formatEntry(entry)}` };
  }

  #keyOf(cpu: number, vpn: number, cached: number): string {
    return `${this.mmus[cpu]?.name ?? cpu}/${vpn}/${cached}`;
  }

  /** What is cached of an entry. */
  #cached(entry: number): number {
    return this.#dirtyBits ? entry & ~_PAGE_ACCESSED : cacheable(entry);
  }

  #rootAddress(cpu: number): number {
    return this.#loaded.base + cpu * WORDS_PER_CPU;
  }

  #invalidAddress(invalid: Region, cpu: number, space: number, page: number): number {
    return invalid.at((cpu * this.#spaces + space) * this.#pages.length + page);
  }
}

/** True if an invalidation covers what an entry of a level caches for a page. */
function covers({ scope, vpn, pages }: Flush, { spanPages }: WalkLevel, cached: number): boolean {
  if (scope !== 'page') return true;
  const unit = Math.floor(cached / spanPages);
  return Math.floor(vpn / spanPages) <= unit && unit <= Math.floor((vpn + pages - 1) / spanPages);
}

function faultOf(entry: number, write: boolean): number {
  if (entry === NO_TRANSLATION) return Fault.notPresent;
  return write && !pte_write(entry) ? Fault.protection : Fault.none;
}
