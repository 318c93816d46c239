/**
 * The TLB of *exploration*: per CPU and page, the set of translations that memory has offered since the last invalidation
 * took effect there. An access may use any member.
 *
 * A TLB with fill and evict choices would multiply the states for nothing: whatever such a TLB can hold is a member of this
 * set, and every member can be held. The set is deterministic, and "stale" is simply "a member that memory no longer
 * offers". Tables are followed the same way: an access may use any table that memory has offered for the page's range.
 */
import { defineOperation, operation, type Frames, FrameKind, type Operation, type OperationContext, type Region, type Saying, type Steps, type SystemBuilder } from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_PSE, formatEntry, pte_pfn } from './entry.ts';
import { mmuMachine, type Flush } from './mmu.machine.ts';
import { indexOf, type WalkLevel, type WalkShape } from './walk.ts';

/** Different translations of one page that can be cached at once; more is an error of the model, reported as such. */
const MEMBERS_MAX = 4;
/** What an access returns when no cached translation and no walk gives one. */
export const NO_TRANSLATION = 0;

/** The saturated TLBs of all CPUs of a machine, for the pages that matter. */
export class SaturatedTlb {
  readonly #members: Region;
  readonly #tables: Region;
  readonly #pages: readonly number[];
  readonly #roots: readonly number[];
  readonly #frames: Frames;
  readonly #shape: WalkShape;
  /** Index of the MMU actor of each CPU. */
  readonly components: readonly number[];

  /**
   * @param cpuNames the CPUs that translate
   * @param root frame of the root table, the same for all (one address space)
   * @param pages virtual page numbers followed; accesses to others are an error
   */
  constructor(builder: SystemBuilder, cpuNames: readonly string[], frames: Frames, shape: WalkShape, root: number, pages: readonly number[]) {
    this.#pages = pages;
    this.#frames = frames;
    this.#shape = shape;
    this.#roots = cpuNames.map(() => root);
    const cells = cpuNames.length * pages.length * MEMBERS_MAX;
    this.#members = builder.region('tlb.members', cells, { format: formatEntry });
    this.#tables = builder.region('tlb.tables', cells);
    builder.watch(frames.entries, (cx) => this.#saturate(cx));
    this.components = cpuNames.map((name, cpu) =>
      builder.component({
        name: `${name}.mmu`,
        machine: mmuMachine,
        effects: { 'tlb.flush': (cx, event) => this.#flush(cx, cpu, event as unknown as Flush), 'mmu.root': () => undefined },
      }),
    );
  }

  /** Translates a page with any translation the CPU may hold: the entry used, or {@link NO_TRANSLATION}. */
  *translate(cpu: number, vpn: number, saying?: Saying): Steps<number> {
    const page = this.#pages.indexOf(vpn);
    if (page < 0) throw new RangeError(`mmu: translate: page 0x${vpn.toString(16)} is not followed (have: ${this.#pages.map((p) => p.toString(16)).join(', ')})`);
    const fact = (entry: number): string => (entry === NO_TRANSLATION ? 'fault' : formatEntry(entry));
    return yield operation(TRANSLATE, cpu, page, 0, this, { label: `access page 0x${vpn.toString(16)}`, fact, ...saying });
  }

  /** True if the CPU may hold a translation of the page that memory no longer offers. */
  isStale(read: (address: number) => number, cpu: number, vpn: number): boolean {
    const page = this.#pages.indexOf(vpn);
    const base = this.#base(cpu, page);
    const offered = this.#offered(read, this.#roots[cpu] as number, vpn, 0);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const member = read(this.#members.base + base + i);
      if (member !== 0 && member !== offered) return true;
    }
    return false;
  }

  /** Number of translations an access can choose from (at least 1: a fault is one outcome when there is none). */
  outcomes(cx: OperationContext, cpu: number, page: number): number {
    return Math.max(1, this.#count(cx, this.#members.base + this.#base(cpu, page)));
  }

  /** The chosen translation. */
  member(cx: OperationContext, cpu: number, page: number, branch: number): number {
    return cx.read(this.#members.base + this.#base(cpu, page) + branch);
  }

  /** Adds everything memory offers now to every CPU's sets. Called after each write to an entry. */
  #saturate(cx: OperationContext): void {
    for (let cpu = 0; cpu < this.#roots.length; cpu++) {
      for (let page = 0; page < this.#pages.length; page++) this.#saturatePage(cx, cpu, page);
    }
  }

  #saturatePage(cx: OperationContext, cpu: number, page: number): void {
    const vpn = this.#pages[page] as number;
    const base = this.#base(cpu, page);
    const read = (address: number): number => cx.read(address);
    const table = this.#tableFor(read, this.#roots[cpu] as number, vpn);
    if (table >= 0) this.#add(cx, this.#tables.base + base, table + 1);
    const direct = this.#offered(read, this.#roots[cpu] as number, vpn, 0);
    if (direct !== NO_TRANSLATION) this.#add(cx, this.#members.base + base, direct);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const cached = cx.read(this.#tables.base + base + i) - 1;
      if (cached < 0) break;
      const entry = this.#leafIn(read, cached, vpn);
      if (entry !== NO_TRANSLATION) this.#add(cx, this.#members.base + base, entry);
    }
  }

  #flush(cx: OperationContext, cpu: number, flush: Flush): void {
    for (let page = 0; page < this.#pages.length; page++) {
      const covered = flush.scope !== 'page' || flush.vpn === this.#pages[page];
      const base = this.#base(cpu, page);
      if (covered) this.#clear(cx, this.#members.base + base);
      if (!flush.leafOnly && (covered || flush.asid >= 0)) this.#clear(cx, this.#tables.base + base);
      this.#saturatePage(cx, cpu, page);
    }
  }

  /** The leaf a full walk finds, or {@link NO_TRANSLATION}. */
  #offered(read: (address: number) => number, table: number, vpn: number, depth: number): number {
    const level = this.#shape.levels[depth] as WalkLevel;
    const entry = read(this.#frames.entries.base + table * this.#frames.entriesPerTable + indexOf(level, vpn));
    if ((entry & _PAGE_PRESENT) === 0) return NO_TRANSLATION;
    if (depth === this.#shape.levels.length - 1 || (entry & _PAGE_PSE) !== 0) return cacheable(entry);
    return this.#offered(read, pte_pfn(entry), vpn, depth + 1);
  }

  #tableFor(read: (address: number) => number, root: number, vpn: number): number {
    let table = root;
    for (const level of this.#shape.levels.slice(0, -1)) {
      const entry = read(this.#frames.entries.base + table * this.#frames.entriesPerTable + indexOf(level, vpn));
      if ((entry & _PAGE_PRESENT) === 0 || (entry & _PAGE_PSE) !== 0) return -1;
      table = pte_pfn(entry);
    }
    return table;
  }

  /** The leaf in a cached table. A table that is a table no more is still read: hardware would. */
  #leafIn(read: (address: number) => number, table: number, vpn: number): number {
    if (read(this.#frames.state.base + table) !== FrameKind.table) return NO_TRANSLATION;
    const level = this.#shape.levels.at(-1) as WalkLevel;
    const entry = read(this.#frames.entries.base + table * this.#frames.entriesPerTable + indexOf(level, vpn));
    return (entry & _PAGE_PRESENT) === 0 ? NO_TRANSLATION : cacheable(entry);
  }

  /** Sets are kept sorted, so that equal sets are equal states. */
  #add(cx: OperationContext, base: number, value: number): void {
    const count = this.#count(cx, base);
    let at = count;
    for (let i = 0; i < count; i++) {
      const member = cx.read(base + i);
      if (member === value) return;
      if (member > value && at === count) at = i;
    }
    if (count === MEMBERS_MAX) throw new RangeError(`mmu: saturated TLB: more than ${MEMBERS_MAX} translations of one page: the scenario changes it too often`);
    for (let i = count; i > at; i--) cx.write(base + i, cx.read(base + i - 1));
    cx.write(base + at, value);
  }

  #clear(cx: OperationContext, base: number): void {
    for (let i = 0; i < MEMBERS_MAX; i++) cx.write(base + i, 0);
  }

  #count(cx: OperationContext, base: number): number {
    let count = 0;
    while (count < MEMBERS_MAX && cx.read(base + count) !== 0) count++;
    return count;
  }

  #base(cpu: number, page: number): number {
    return (cpu * this.#pages.length + page) * MEMBERS_MAX;
  }
}

/** Accessed and dirty bits do not make a translation a different one. */
function cacheable(entry: number): number {
  return entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY);
}

const TRANSLATE = defineOperation({
  name: 'translate',
  cost: 'tlb_hit',
  branches: (cx, op: Operation) => (op.data as SaturatedTlb).outcomes(cx, op.a, op.b),
  perform: (cx, op, branch) => (op.data as SaturatedTlb).member(cx, op.a, op.b, branch),
});
