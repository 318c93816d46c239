/**
 * What saturated TLBs hold: the words, and how they fill.
 *
 * Whatever memory offers a CPU is in its sets at once, directly or through a table entry that it may have cached.
 */
import {
  FREED_FRAME,
  FrameKind,
  type Frames,
  type OperationContext,
  type Region,
  type SystemBuilder,
} from '@shootdown/machine';
import { BREAK_BEFORE_MAKE, brokenRule, changeThatNeedsBreak, type BreakBeforeMakeRule } from './break-before-make.ts';
import { formatEntry, _PAGE_ACCESSED, _PAGE_PRESENT, pte_pfn } from './entry.ts';
import { MemberSets } from './member-sets.ts';
import { cacheable, isLeaf, leafAt, NO_TRANSLATION } from './offered.ts';
import { indexOf, isGlobal, type WalkLevel, type WalkShape } from './walk.ts';

/** Words per CPU that say what is loaded: root frame plus one (0: no tree), address space. */
const WORDS_PER_CPU = 2;

/** A leaf, and the level it is of. */
export interface Leaf {
  readonly entry: number;
  readonly depth: number;
}

/** A leaf where it stands in memory. */
interface LeafInMemory {
  readonly address: number;
  readonly leaf: Leaf;
}

/** Whose TLBs these are, and of what: see `SaturatedTlbOptions`. */
export interface SaturationOptions {
  readonly name: string;
  readonly cpuNames: readonly string[];
  readonly frames: Frames;
  readonly shape: WalkShape;
  /** Virtual page numbers followed. */
  readonly pages: readonly number[];
  /** By CPU: the frame of the root table it begins with (-1: none), and the address space. */
  readonly roots: readonly number[];
  readonly asids: readonly number[];
  readonly spaces: number;
  readonly dirtyBits: boolean;
  readonly cachesInvalid: boolean;
  readonly suspendable: boolean;
  readonly rule: BreakBeforeMakeRule | null;
}

/** The sets of all CPUs, and what they have loaded. */
export class Saturation {
  readonly members: MemberSets;
  /**
   * Per CPU, space and page: levels, a bit each, whose entry may be cached as not present. Null: such entries are not
   * cached.
   */
  readonly invalid: Region | null;
  readonly loaded: Region;
  /** Per CPU and space: the address space plus one whose entries are kept there. */
  readonly tags: Region;
  /** Per CPU: 1 while its hardware translates nothing. Null: it always does. */
  readonly suspended: Region | null;
  readonly #of: SaturationOptions;

  constructor(builder: SystemBuilder, options: SaturationOptions) {
    this.#of = options;
    const { name, cpuNames, roots, asids, spaces, pages, shape, cachesInvalid, suspendable } = options;
    const words = builder.layout.initial();
    const perSpace = <T>(values: (root: number, asid: number) => readonly T[]): T[] =>
      roots.flatMap((from, cpu) => {
        const own = asids[cpu] as number;
        return Array.from({ length: spaces }, (_, space) => values(space === own % spaces ? from : -1, own)).flat();
      });
    const sizes = { spaces, pages: pages.length, levels: shape.levels.length };
    const first = perSpace((from) => pages.flatMap((vpn) => this.#initialMembers(words, from, vpn)));
    this.members = new MemberSets(builder, `${name}.members`, sizes, first, { cpus: cpuNames, pages });
    this.invalid = cachesInvalid
      ? builder.region(`${name}.invalid`, cpuNames.length * spaces * pages.length, {
          initial: perSpace((from) => pages.map((vpn) => this.#initialInvalid(words, from, vpn))),
          memory: 'ghost',
        })
      : null;
    this.loaded = builder.region(`${name}.loaded`, cpuNames.length * WORDS_PER_CPU, {
      initial: roots.flatMap((from, cpu) => [from + 1, asids[cpu] as number]),
      memory: 'ghost',
    });
    this.tags = builder.region(`${name}.tags`, cpuNames.length * spaces, {
      initial: perSpace((from, own) => [from >= 0 ? own + 1 : 0]),
      memory: 'ghost',
    });
    this.suspended = suspendable ? builder.region(`${name}.suspended`, cpuNames.length, { memory: 'ghost' }) : null;
  }

  /** Adds everything that memory offers a CPU now, directly or through a table entry it may have cached. */
  saturate(cx: OperationContext, cpu: number): void {
    if (this.suspended && cx.read(this.suspended.at(cpu)) !== 0) return;
    const root = cx.read(this.rootAddress(cpu)) - 1;
    if (root < 0) return;
    const space = cx.read(this.rootAddress(cpu) + 1) % this.#of.spaces;
    const read = (address: number): number => cx.read(address);
    this.#of.pages.forEach((vpn, page) => {
      let tables = [root];
      for (let depth = 0; tables.length > 0; depth++) {
        const set = this.members.at(cpu, space, page, depth);
        for (const table of tables) this.#offer(cx, set, cpu, table, this.#of.shape.levels[depth] as WalkLevel, vpn);
        tables = this.#tablesBehind(read, set, depth);
      }
      if (!this.invalid) return;
      const address = this.invalidAddress(this.invalid, cpu, space, page);
      const before = read(address);
      const after = before | this.#failingLevels(read, cpu, space, page, root);
      if (after !== before) cx.write(address, after);
    });
  }

  /** Whether a miss may end in a fault: memory, or what is cached of it, has an entry that is not present. */
  mayFail(read: (address: number) => number, cpu: number, page: number): boolean {
    const root = read(this.rootAddress(cpu)) - 1;
    if (root < 0) return true;
    const space = read(this.rootAddress(cpu) + 1) % this.#of.spaces;
    if (this.invalid && read(this.invalidAddress(this.invalid, cpu, space, page)) !== 0) return true;
    return this.#failingLevels(read, cpu, space, page, root) !== 0;
  }

  /** The translations of a page that an access may use: those of the address space that is loaded, and global ones. */
  leaves(read: (address: number) => number, cpu: number, page: number): Leaf[] {
    const { spaces, shape } = this.#of;
    const leaves: Leaf[] = [];
    const loaded = read(this.rootAddress(cpu)) === 0 ? -1 : read(this.rootAddress(cpu) + 1) % spaces;
    for (let i = 0; i < spaces; i++) {
      // The loaded one first.
      const space = loaded < 0 ? i : (loaded + i) % spaces;
      for (let depth = 0; depth < shape.levels.length; depth++)
        for (const entry of this.members.list(read, this.members.at(cpu, space, page, depth))) {
          if (!isLeaf(shape, depth, entry) || (space !== loaded && !isGlobal(entry))) continue;
          if (!leaves.some((leaf) => leaf.entry === entry && leaf.depth === depth)) leaves.push({ entry, depth });
        }
    }
    return leaves;
  }

  /** The frame that a leaf maps a page to: of a large page, the part that the page is. */
  frameBehind({ entry, depth }: Leaf, vpn: number): number {
    return pte_pfn(entry) + (vpn % (this.#of.shape.levels[depth] as WalkLevel).spanPages);
  }

  /** The leaf that memory has for a page; null: none. */
  leafInMemory(read: (address: number) => number, cpu: number, page: number): LeafInMemory | null {
    const { frames, shape, pages } = this.#of;
    const found = leafAt(read, frames, shape, read(this.rootAddress(cpu)) - 1, pages[page] as number);
    return found && { address: found.address, leaf: { entry: read(found.address), depth: found.depth } };
  }

  /** Leaves for a page in tables that memory leads to no more, and the CPU may still have a pointer to. */
  otherLeaves(read: (address: number) => number, cpu: number, page: number): LeafInMemory[] {
    const { frames, shape, pages, spaces } = this.#of;
    const now = this.leafInMemory(read, cpu, page)?.address;
    const space = read(this.rootAddress(cpu) + 1) % spaces;
    const found: LeafInMemory[] = [];
    let tables = [read(this.rootAddress(cpu)) - 1].filter((root) => root >= 0);
    for (let depth = 0; tables.length > 0; depth++) {
      const index = indexOf(shape.levels[depth] as WalkLevel, pages[page] as number);
      for (const table of tables) {
        const address = frames.entries.base + table * frames.entriesPerTable + index;
        const entry = read(address);
        if (address !== now && (entry & _PAGE_PRESENT) !== 0 && isLeaf(shape, depth, entry))
          found.push({ address, leaf: { entry, depth } });
      }
      tables = this.#tablesBehind(read, this.members.at(cpu, space, page, depth), depth);
    }
    return found;
  }

  /** The word that says which tree a CPU has loaded; the next one says which address space. */
  rootAddress(cpu: number): number {
    return this.loaded.base + cpu * WORDS_PER_CPU;
  }

  /** The word of a page in {@link invalid}. */
  invalidAddress(invalid: Region, cpu: number, space: number, page: number): number {
    return invalid.at((cpu * this.#of.spaces + space) * this.#of.pages.length + page);
  }

  /** Frames of the tables to which members of a set point. */
  #tablesBehind(read: (address: number) => number, set: number, depth: number): number[] {
    const members = this.members.list(read, set);
    return members.filter((entry) => !isLeaf(this.#of.shape, depth, entry)).map(pte_pfn);
  }

  /**
   * Levels, a bit each, at which a walk may find an entry that is not present: from the root, or from a table it may
   * have a pointer to.
   */
  #failingLevels(read: (address: number) => number, cpu: number, space: number, page: number, root: number): number {
    const vpn = this.#of.pages[page] as number;
    let levels = 0;
    let tables = [root];
    for (let depth = 0; tables.length > 0; depth++) {
      const index = indexOf(this.#of.shape.levels[depth] as WalkLevel, vpn);
      for (const table of tables) {
        const entry = read(this.#of.frames.entries.base + table * this.#of.frames.entriesPerTable + index);
        if ((entry & _PAGE_PRESENT) === 0) levels |= 1 << depth;
      }
      tables = this.#tablesBehind(read, this.members.at(cpu, space, page, depth), depth);
    }
    return levels;
  }

  /** A frame that has never been allocated holds no table yet: the tree is still being set up. */
  #offer(cx: OperationContext, set: number, cpu: number, table: number, level: WalkLevel, vpn: number): void {
    const state = cx.read(this.#of.frames.state.base + table);
    if (state === FrameKind.free) return;
    if (state !== FrameKind.table) {
      cx.fail(
        FREED_FRAME,
        () => `${this.#nameOf(cpu)} may walk 0x${table.toString(16)}, a ${level.name} table no more`,
      );
      return;
    }
    const entry = cx.read(this.#of.frames.entries.base + table * this.#of.frames.entriesPerTable + indexOf(level, vpn));
    if ((entry & _PAGE_PRESENT) === 0) return;
    if (this.#of.rule !== null) this.#checkChange(cx, this.#of.rule, set, cpu, level, vpn, entry);
    const cached = this.#cached(entry);
    const { shape } = this.#of;
    if (!this.members.add(cx, set, cached) || !isLeaf(shape, shape.levels.indexOf(level), entry)) return;
    cx.explain(() => ({
      kind: 'offers',
      key: this.keyOf(cpu, vpn, entry),
      component: this.#nameOf(cpu),
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
    const depth = this.#of.shape.levels.indexOf(level);
    const now = { entry, leaf: isLeaf(this.#of.shape, depth, entry) };
    for (const member of this.members.list((address) => cx.read(address), set)) {
      const old = { entry: member, leaf: isLeaf(this.#of.shape, depth, member) };
      const what = changeThatNeedsBreak(old, now, rule);
      if (what === null) continue;
      cx.fail(BREAK_BEFORE_MAKE, () => brokenRule(this.#nameOf(cpu), vpn, what, member, entry));
      return;
    }
  }

  /**
   * What a tree that exists from the start offers for a page: one member per level, as far down as there are tables.
   */
  #initialMembers(words: Int32Array, root: number, vpn: number): number[] {
    let table = root;
    return this.#of.shape.levels.map((level, depth) => {
      const entry = table < 0 ? 0 : (words[this.#of.frames.entry(table, indexOf(level, vpn)).address] as number);
      const present = (entry & _PAGE_PRESENT) !== 0;
      table = present && !isLeaf(this.#of.shape, depth, entry) ? pte_pfn(entry) : -1;
      return present ? this.#cached(entry) : NO_TRANSLATION;
    });
  }

  /** The level at which a walk of such a tree ends without a translation, as a bit. */
  #initialInvalid(words: Int32Array, root: number, vpn: number): number {
    const members = this.#initialMembers(words, root, vpn);
    const end = members.indexOf(NO_TRANSLATION);
    const last = members[end - 1] ?? NO_TRANSLATION;
    if (root < 0 || end < 0 || (end > 0 && isLeaf(this.#of.shape, end - 1, last))) return 0;
    return 1 << end;
  }

  /** What is cached of an entry. */
  #cached(entry: number): number {
    return this.#of.dirtyBits ? entry & ~_PAGE_ACCESSED : cacheable(entry);
  }

  /** What a CPU may have cached of a page, as explanations name it. */
  keyOf(cpu: number, vpn: number, entry: number): string {
    return `${this.#nameOf(cpu)}/${vpn}/${this.#cached(entry)}`;
  }

  #nameOf(cpu: number): string {
    return `${this.#of.cpuNames[cpu] ?? '?'}.mmu`;
  }
}
