/**
 * The TLB of *exploration*: per CPU, page and level, the set of entries that memory has offered since the last invalidation
 * took effect there. An access may use any leaf among them, or miss: then it walks memory, and faults if that offers nothing.
 *
 * A TLB with fill and evict choices would multiply the states for nothing: whatever such a TLB (or a paging-structure
 * cache) can hold is a member of these sets, and every member can be held. The sets are deterministic, and "stale" is simply
 * "a member that memory no longer offers". Tables are followed the same way: hardware may walk through any table entry
 * it may have cached, at any time, asked to or not. So a table that is freed while a CPU may still walk it is a violation at once.
 */
import {
  BLOCKED,
  defineOperation,
  FREED_FRAME,
  FrameKind,
  operation,
  type Frames,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_PSE,
  formatEntry,
  pte_dirty,
  pte_pfn,
  pte_write,
} from './entry.ts';
import type { FlushMonitor } from './flush-monitor.ts';
import { InFlight } from './in-flight.ts';
import { MmuInstructions } from './instructions.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { checkPage } from './mmu.ts';
import { cacheable, isLeaf, leafAddress, NO_TRANSLATION, offered } from './offered.ts';
import { Fault, indexOf, type WalkLevel, type WalkShape } from './walk.ts';

/** Different entries of one page and level that can be cached at once; more is an error of the model, reported as such. */
const MEMBERS_MAX = 4;
/** Words per CPU that say what is loaded: root frame plus one (0: no tree), address space. */
const WORDS_PER_CPU = 2;

/** Options of a {@link SaturatedTlb}. */
export interface SaturatedTlbOptions {
  /** The address space that is loaded to begin with. Default 0. */
  readonly asid?: number;
  /** Address spaces whose translations are kept while another is loaded, by number modulo this. Default 1: a switch forgets. */
  readonly spaces?: number;
  /** A fault drops what is cached for its page: x86 does (SDM 4.10.4.1), arm64 does not. Default true. */
  readonly faultsInvalidate?: boolean;
  /** CPUs may be suspended: they are virtual. Default false. */
  readonly suspendable?: boolean;
  /** Prefix of the region names. Default `tlb`. */
  readonly name?: string;
  /**
   * A cached entry keeps its dirty bit. A write through one that has it touches no table any more; a write through one that has
   * not looks at memory again, and sets the bit there or faults. Default false: nobody sets dirty bits.
   */
  readonly dirtyBits?: boolean;
}

/** What an access comes to: its fault, the entry it goes through, and where memory's dirty bit must be set first (-1: nowhere). */
interface Resolved {
  readonly fault: number;
  readonly entry: number;
  readonly setsDirtyAt: number;
}

/** The saturated TLBs of all CPUs of a machine, for the pages that matter. */
export class SaturatedTlb {
  /** The MMU of each CPU, as routines use it. */
  readonly mmus: readonly SaturatedMmu[];
  /** Check that no translation is used after its flush completed, if the machine wants it. */
  monitors: readonly FlushMonitor[] = [];
  readonly #members: Region;
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
    const {
      asid = 0,
      spaces = 1,
      faultsInvalidate = true,
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
    const initial = cpuNames.flatMap(() =>
      Array.from({ length: spaces }, (_, space) =>
        space === asid % spaces ? this.#initialMembers(builder, root) : this.#initialMembers(builder, -1),
      ).flat(),
    );
    this.#members = builder.region(`${name}.members`, initial.length, {
      format: formatEntry,
      initial,
      memory: 'ghost',
    });
    this.#loaded = builder.region(`${name}.loaded`, cpuNames.length * WORDS_PER_CPU, {
      initial: cpuNames.flatMap(() => [root + 1, asid]),
      memory: 'ghost',
    });
    this.#tags = builder.region(`${name}.tags`, cpuNames.length * spaces, {
      initial: cpuNames.flatMap(() =>
        Array.from({ length: spaces }, (_, space) => (root >= 0 && space === asid % spaces ? asid + 1 : 0)),
      ),
      memory: 'ghost',
    });
    this.#suspended = suspendable ? builder.region(`${name}.suspended`, cpuNames.length, { memory: 'ghost' }) : null;
    this.#inFlight = builder.memoryModel === 'tso' ? new InFlight(builder, name, frames, cpuNames.length) : null;
    const saturateAll = (cx: OperationContext): void => cpuNames.forEach((_, cpu) => this.#saturate(cx, cpu));
    builder.watch(frames.entries, saturateAll);
    builder.watch(frames.state, saturateAll);
    this.mmus = cpuNames.map((cpuName, cpu) => new SaturatedMmu(builder, cpuName, cpu, this, { root, asid }));
  }

  /** What a tree that exists from the start offers: one member per page and level, as far down as there are tables. */
  #initialMembers(builder: SystemBuilder, root: number): number[] {
    const words = builder.layout.initial();
    return this.#pages.flatMap((vpn) => {
      let table = root;
      return this.#shape.levels.flatMap((level, depth) => {
        const entry = table < 0 ? 0 : (words[this.#frames.entry(table, indexOf(level, vpn)).address] as number);
        const present = (entry & _PAGE_PRESENT) !== 0;
        table = present && !isLeaf(this.#shape, depth, entry) ? pte_pfn(entry) : -1;
        return [
          present ? this.#cached(entry) : NO_TRANSLATION,
          ...Array.from({ length: MEMBERS_MAX - 1 }, () => NO_TRANSLATION),
        ];
      });
    });
  }

  /** Index of the MMU actor of each CPU. */
  get components(): readonly number[] {
    return this.mmus.map((mmu) => mmu.component);
  }

  /** Translates a page with any translation the CPU may hold: the entry used, or {@link NO_TRANSLATION}. */
  *translate(cpu: number, vpn: number, saying?: Saying): Steps<number> {
    const fact = (entry: number): string => (entry === NO_TRANSLATION ? 'fault' : formatEntry(entry));
    return yield operation(TRANSLATE, cpu, this.pageNumber(vpn), 0, this, {
      label: `access page 0x${vpn.toString(16)}`,
      fact,
      ...saying,
    });
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
    return [this.#members, this.#loaded].flatMap(({ base, cells }) =>
      Array.from({ length: cells }, (_, i) => base + i),
    );
  }

  /** True if the CPU may hold a translation of the page that memory no longer offers. */
  isStale(read: (address: number) => number, cpu: number, vpn: number): boolean {
    const root = read(this.#rootAddress(cpu)) - 1;
    const now = offered(read, this.#frames, this.#shape, root, vpn);
    return this.leaves(read, cpu, this.pageNumber(vpn)).some((member) => cacheable(member) !== now);
  }

  /** The translations of a page that an access may use. */
  leaves(read: (address: number) => number, cpu: number, page: number): number[] {
    const leaves: number[] = [];
    if (read(this.#rootAddress(cpu)) === 0) return leaves;
    const space = read(this.#rootAddress(cpu) + 1) % this.#spaces;
    for (let depth = 0; depth < this.#shape.levels.length; depth++) {
      const base = this.#base(cpu, space, page, depth);
      for (let i = 0; i < MEMBERS_MAX; i++) {
        const entry = read(base + i);
        if (entry === NO_TRANSLATION) break;
        if (isLeaf(this.#shape, depth, entry) && !leaves.includes(entry)) leaves.push(entry);
      }
    }
    return leaves;
  }

  /**
   * How many things an access may come to: a translation that the CPU may hold each, and a fault if a walk may find none. A walk that
   * finds one comes to what a member does already.
   */
  outcomes(cx: OperationContext, cpu: number, page: number, write: boolean): number {
    const read = (address: number): number => cx.read(address);
    const held = this.leaves(read, cpu, page).length;
    if (held === 0 || !this.#walkMayFail(read, cpu, page)) return Math.max(1, held);
    for (let branch = 0; branch < held; branch++)
      if (this.resolve(cx, cpu, page, write, branch).fault === Fault.notPresent) return held;
    return held + 1;
  }

  /** Whether a walk may find an entry that is not present: from the root, or from a table that the CPU may have a pointer to. */
  #walkMayFail(read: (address: number) => number, cpu: number, page: number): boolean {
    const root = read(this.#rootAddress(cpu)) - 1;
    if (root < 0) return true;
    const space = read(this.#rootAddress(cpu) + 1) % this.#spaces;
    const vpn = this.#pages[page] as number;
    let tables = [root];
    for (let depth = 0; tables.length > 0; depth++) {
      const index = indexOf(this.#shape.levels[depth] as WalkLevel, vpn);
      for (const table of tables) {
        const entry = read(this.#frames.entries.base + table * this.#frames.entriesPerTable + index);
        if ((entry & _PAGE_PRESENT) === 0) return true;
      }
      tables = this.#tablesBehind(read, this.#base(cpu, space, page, depth), depth);
    }
    return false;
  }

  /** Frames of the tables to which members of a set point. */
  #tablesBehind(read: (address: number) => number, base: number, depth: number): number[] {
    const tables: number[] = [];
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const entry = read(base + i);
      if (entry === NO_TRANSLATION) break;
      if (!isLeaf(this.#shape, depth, entry)) tables.push(pte_pfn(entry));
    }
    return tables;
  }

  /** Uses a translation: what stands behind it must still be a page, and its flush must not have completed. */
  use(cx: OperationContext, cpu: number, page: number, entry: number): void {
    checkPage(cx, this.#frames, pte_pfn(entry));
    const root = cx.read(this.#rootAddress(cpu)) - 1;
    for (const monitor of this.monitors) monitor.used(cx, root, this.#pages[page] as number, entry);
  }

  /** What an access comes to, by one of its {@link outcomes}. Changes nothing. */
  resolve(cx: OperationContext, cpu: number, page: number, write: boolean, branch: number): Resolved {
    const entry = this.leaves((address) => cx.read(address), cpu, page)[branch] ?? NO_TRANSLATION;
    const fault = faultOf(entry, write);
    if (fault !== Fault.none || !write || !this.#dirtyBits || pte_dirty(entry))
      return { fault, entry, setsDirtyAt: -1 };
    const address = leafAddress(
      (word) => cx.read(word),
      this.#frames,
      this.#shape,
      cx.read(this.#rootAddress(cpu)) - 1,
      this.#pages[page] as number,
    );
    const now = address < 0 ? NO_TRANSLATION : cx.read(address);
    return { fault: faultOf(now, write), entry: now, setsDirtyAt: address };
  }

  /** Makes an access that {@link resolve} has looked at; returns its fault. */
  access(cx: OperationContext, cpu: number, page: number, { fault, entry, setsDirtyAt }: Resolved): number {
    if (fault !== Fault.none) {
      this.#faulted(cx, cpu, this.#pages[page] as number);
      return fault;
    }
    if (setsDirtyAt >= 0) cx.write(setsDirtyAt, entry | _PAGE_ACCESSED | _PAGE_DIRTY);
    this.use(cx, cpu, page, entry);
    return fault;
  }

  /**
   * A store that {@link resolve} has looked at, with its data: into the store buffer, if there is one. Returns its fault, or BLOCKED while
   * the buffer is full; the data of a store that faults goes nowhere.
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
      const [global, large] = [(entry & _PAGE_GLOBAL) !== 0, (entry & _PAGE_PSE) !== 0];
      this.#inFlight?.entered(cx, cpu, pte_pfn(entry), { page, space, global, large });
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

  /** CR3 or TTBR0 of a CPU changes. What another address space had in the same place is forgotten. */
  load(cx: OperationContext, cpu: number, event: Root): void {
    cx.write(this.#rootAddress(cpu), event.root + 1);
    cx.write(this.#rootAddress(cpu) + 1, event.asid);
    if (event.root < 0) return;
    const space = event.asid % this.#spaces;
    const tag = this.#tags.at(cpu * this.#spaces + space);
    if (cx.read(tag) !== event.asid + 1) {
      cx.write(tag, event.asid + 1);
      this.#pages.forEach((_, page) =>
        this.#shape.levels.forEach((__, depth) => this.#keep(cx, this.#base(cpu, space, page, depth), () => false)),
      );
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
          this.#keep(cx, this.#base(cpu, space, page, depth), (entry) => {
            if (!isLeaf(this.#shape, depth, entry))
              return !concerned || flush.leafOnly || !(covered || flush.everyTable);
            const global = (entry & _PAGE_GLOBAL) !== 0;
            return !covered || (global ? !flush.global : !concerned);
          });
        }),
      );
    }
    this.#saturate(cx, cpu);
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

  /** A CPU's hardware stops translating and keeps what it has, or goes on. Throws RangeError on a machine without virtual CPUs. */
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
    this.#pages.forEach((vpn, page) => {
      let tables = [root];
      for (let depth = 0; depth < this.#shape.levels.length; depth++) {
        const base = this.#base(cpu, space, page, depth);
        for (const table of tables) this.#offer(cx, base, cpu, table, this.#shape.levels[depth] as WalkLevel, vpn);
        tables = this.#tablesBehind((address) => cx.read(address), base, depth);
        if (tables.length === 0) return;
      }
    });
  }

  /** A frame that has never been allocated holds no table yet: the tree is still being set up. */
  #offer(cx: OperationContext, base: number, cpu: number, table: number, level: WalkLevel, vpn: number): void {
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
    if ((entry & _PAGE_PRESENT) !== 0) this.#add(cx, base, this.#cached(entry));
  }

  /** Sets are kept sorted, so that equal sets are equal states. */
  #add(cx: OperationContext, base: number, value: number): void {
    let count = 0;
    let at = -1;
    for (; count < MEMBERS_MAX; count++) {
      const member = cx.read(base + count);
      if (member === value) return;
      if (member === NO_TRANSLATION) break;
      if (member > value && at < 0) at = count;
    }
    if (count === MEMBERS_MAX)
      throw new RangeError(
        `mmu: saturated TLB: more than ${MEMBERS_MAX} translations of one page: the scenario changes it too often`,
      );
    if (at < 0) at = count;
    for (let i = count; i > at; i--) cx.write(base + i, cx.read(base + i - 1));
    cx.write(base + at, value);
  }

  #keep(cx: OperationContext, base: number, keeps: (entry: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const entry = cx.read(base + i);
      if (entry === NO_TRANSLATION) break;
      if (keeps(entry)) cx.write(base + kept++, entry);
    }
    for (let i = kept; i < MEMBERS_MAX; i++) cx.write(base + i, NO_TRANSLATION);
  }

  /** What is cached of an entry. */
  #cached(entry: number): number {
    return this.#dirtyBits ? entry & ~_PAGE_ACCESSED : cacheable(entry);
  }

  #rootAddress(cpu: number): number {
    return this.#loaded.base + cpu * WORDS_PER_CPU;
  }

  #base(cpu: number, space: number, page: number, depth: number): number {
    const set = ((cpu * this.#spaces + space) * this.#pages.length + page) * this.#shape.levels.length + depth;
    return this.#members.base + set * MEMBERS_MAX;
  }
}

/** The MMU of one CPU over the saturated TLB. */
export class SaturatedMmu extends MmuInstructions {
  readonly cpu: number;
  readonly tlb: SaturatedTlb;

  constructor(builder: SystemBuilder, cpuName: string, cpu: number, tlb: SaturatedTlb, initial: Omit<Root, 'type'>) {
    super(builder, cpuName, initial);
    this.cpu = cpu;
    this.tlb = tlb;
  }

  /** Every translation the CPU may hold is an outcome, and a fault if it may hold none and memory has none. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    const label = `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`;
    return yield operation(ACCESS, this.cpu, this.tlb.pageNumber(vpn), write ? 1 : 0, this.tlb, { label, ...saying });
  }

  /**
   * A store instruction of user code: its translation and the entry of its data into the store buffer are one step, as no interrupt
   * comes between them. Returns its fault; the data of a store that faults goes nowhere.
   * @param data address of the word behind a page frame
   */
  *store(vpn: number, data: (frame: number) => number, value: number, saying?: Saying): Steps<number> {
    const label = `store ${value} to page 0x${vpn.toString(16)}`;
    return yield operation(
      STORE,
      this.cpu,
      this.tlb.pageNumber(vpn),
      value,
      { tlb: this.tlb, data },
      { label, ...saying },
    );
  }

  protected override get sender(): { readonly from?: number } {
    return this.tlb.storesWait ? { from: this.cpu } : {};
  }

  protected override accessesDone(cx: OperationContext): boolean {
    return this.tlb.accessesDone(cx, this.cpu);
  }

  override suspend(cx: OperationContext): void {
    this.tlb.suspend(cx, this.cpu, true);
  }

  override resume(cx: OperationContext): void {
    this.tlb.suspend(cx, this.cpu, false);
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    this.tlb.load(cx, this.cpu, event);
  }

  protected override flush(cx: OperationContext, flush: Flush): void {
    this.tlb.invalidate(cx, this.cpu, flush);
  }
}

const TRANSLATE = defineOperation({
  name: 'translate',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as SaturatedTlb).outcomes(cx, op.a, op.b, false),
  perform(cx, op, branch) {
    const tlb = op.data as SaturatedTlb;
    const entry = tlb.leaves((address) => cx.read(address), op.a, op.b)[branch] ?? NO_TRANSLATION;
    if (entry !== NO_TRANSLATION) tlb.use(cx, op.a, op.b, entry);
    return entry;
  },
});

const ACCESS = defineOperation({
  name: 'access',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as SaturatedTlb).outcomes(cx, op.a, op.b, op.c === 1),
  perform(cx, op, branch) {
    const tlb = op.data as SaturatedTlb;
    return tlb.access(cx, op.a, op.b, tlb.resolve(cx, op.a, op.b, op.c === 1, branch));
  },
});

interface UserStore {
  readonly tlb: SaturatedTlb;
  readonly data: (frame: number) => number;
}

const STORE = defineOperation({
  name: 'user_store',
  role: 'environment',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as UserStore).tlb.outcomes(cx, op.a, op.b, true),
  perform(cx, op, branch) {
    const { tlb, data } = op.data as UserStore;
    return tlb.store(cx, op.a, op.b, tlb.resolve(cx, op.a, op.b, true, branch), data, op.c);
  },
});

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
