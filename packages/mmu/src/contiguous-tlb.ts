/**
 * The TLB of exploration for arm64 tables with contiguous entries: per agent and page the set of entries that memory
 * has offered since the last invalidation took effect there (see `saturated.ts`), one level, hardware management of
 * accessed and dirty state.
 *
 * An entry with the contiguous bit may be held as one translation for its whole block: it then serves every page of
 * the block, and an invalidation of any of them removes it. It may as well be held for its own page alone
 * (*fractured*), and survives those. Of members that differ an access uses any one, never a mixture.
 *
 * Sources: Arm ARM (DDI 0487) D8.7.1 (the contiguous bit), D8.5 (FEAT_HAFDBS), D8.16 (break-before-make, TLB
 * conflicts).
 */
import {
  FREED_FRAME,
  FrameKind,
  type Frames,
  type OperationContext,
  type Region,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { BBML0, checkRule, type BreakBeforeMakeRule } from './break-before-make.ts';
import { cachedForm } from './cached-form.ts';
import { ContiguousChanges } from './contiguous-changes.ts';
import { ContiguousMembers, FRACTURED, isForOnePage, LATE, MEMBERS_MAX, NOBODY } from './contiguous-members.ts';
import { ContiguousMmu } from './contiguous-mmu.ts';
import { _PAGE_ACCESSED, _PAGE_CONT, _PAGE_PRESENT } from './entry.ts';
import type { FlushMonitor } from './flush-monitor.ts';
import type { Flush, Root } from './mmu.machine.ts';

/** Words per agent that say what is loaded: root frame plus one (0: no tree), address space. */
const WORDS_PER_AGENT = 2;
/** Somebody who translates: a CPU, or a device behind an SMMU. */
export interface Translator {
  readonly name: string;
  /**
   * Its hardware sets the access flag (FEAT_HAFDBS, SMMU HTTU). Without, an entry that is not accessed faults.
   * Default true.
   */
  readonly hardwareAccess?: boolean;
  /** Its hardware manages dirty state (DBM). Without, a store to a clean entry faults. Default true. */
  readonly hardwareDirty?: boolean;
  /**
   * A translation that has been used stays until it is invalidated, and nothing else is used for the page: the worst
   * TLB there is for whoever retries. Default false.
   */
  readonly keeps?: boolean;
  /**
   * The contiguous bit is a hint, and it does not take it: it walks to each page's own entry, holds it for that page,
   * and updates no other. Default false.
   */
  readonly ignoresContiguous?: boolean;
  /** The table it walks to begin with; default that of the TLB. */
  readonly root?: number;
  readonly asid?: number;
}

/** Options of a {@link ContiguousTlb}. */
export interface ContiguousTlbOptions {
  /** Entries of a block (CONT_PTES), a power of two. */
  readonly blockEntries: number;
  /** Table walked by who names no other, and its address space. */
  readonly root: number;
  readonly asid?: number;
  /** Default {@link BBML0}. */
  readonly rule?: BreakBeforeMakeRule;
  /** False: what the rule forbids is not reported where it is done, but by the access that meets it. Default true. */
  readonly breakBeforeMake?: boolean;
  /** Prefix of the region names. Default `tlb`. */
  readonly name?: string;
}

const CONTIGUOUS_TLB_VALUES: OptionValues<ContiguousTlbOptions> = {
  blockEntries: is.anything,
  root: is.whole(),
  asid: is.whole(),
  rule: checkRule,
  breakBeforeMake: is.flag,
  name: is.text,
};

/** The saturated TLBs of everybody who translates through tables of one level. */
export class ContiguousTlb {
  /** The MMU of each translator, as routines use it. */
  readonly mmus: readonly ContiguousMmu[];
  readonly translators: readonly Translator[];
  readonly frames: Frames;
  /** An entry in words, as the table prints its own. */
  readonly format: (entry: number) => string;
  readonly blockEntries: number;
  readonly rule: BreakBeforeMakeRule;
  /** Check that no translation is used after its flush completed, if the machine wants it. */
  monitors: readonly FlushMonitor[] = [];
  /** Told of every store that went through a translation. */
  onStore: (cx: OperationContext, frame: number) => void = () => {};
  /** True while the write that memory sees is the hardware's own. */
  hardwareUpdates = false;
  readonly #members: ContiguousMembers;
  readonly #loaded: Region;
  /** Per translator and page: the translation it sticks to. */
  readonly #kept: Region | null;
  /** Null: changes are not reported. */
  readonly #changes: ContiguousChanges | null;
  /** Members may be {@link LATE}: on `arm`. Elsewhere stores are seen when they are made. */
  readonly #weak: boolean;

  constructor(
    builder: SystemBuilder,
    translators: readonly Translator[],
    frames: Frames,
    options: ContiguousTlbOptions,
  ) {
    checkValues('mmu: contiguous TLB: new', options, CONTIGUOUS_TLB_VALUES, ['blockEntries', 'root']);
    const { blockEntries, root, asid = 1, rule = BBML0, breakBeforeMake = true, name = 'tlb' } = options;
    if (blockEntries < 2 || (blockEntries & (blockEntries - 1)) !== 0 || frames.entriesPerTable % blockEntries !== 0)
      throw new RangeError(
        `mmu: contiguous TLB: a table of ${frames.entriesPerTable} entries has no blocks of ${blockEntries} (a power of two)`,
      );
    this.frames = frames;
    this.format = (entry) => builder.layout.formatValue(frames.entries.base, entry);
    this.translators = translators;
    this.blockEntries = blockEntries;
    this.rule = rule;
    const words = builder.layout.initial();
    const held = translators.map((translator) =>
      Array.from({ length: frames.entriesPerTable }, (_, page) =>
        this.#held(words[frames.entry(translator.root ?? root, page).address] as number, translator),
      ),
    );
    const sizes = { pages: frames.entriesPerTable, blockEntries };
    this.#members = new ContiguousMembers(builder, `${name}.members`, sizes, held, this.format);
    const names = translators.map((translator) => translator.name);
    this.#changes = breakBeforeMake ? new ContiguousChanges(this.#members, { rule, names, format: this.format }) : null;
    for (const [who, members] of held.entries()) this.#changes?.refuseConflicts(who, members);
    this.#loaded = builder.region(`${name}.loaded`, translators.length * WORDS_PER_AGENT, {
      initial: translators.flatMap((t) => [(t.root ?? root) + 1, t.asid ?? asid]),
      memory: 'strong',
    });
    this.#kept = translators.some((t) => t.keeps)
      ? builder.region(`${name}.kept`, translators.length * frames.entriesPerTable, {
          format: this.format,
          memory: 'strong',
        })
      : null;
    this.#weak = builder.memoryModel === 'arm';
    builder.watch(frames.entries, (cx, address, old) => this.#changed(cx, address - frames.entries.base, old));
    builder.watch(frames.state, (cx, address) => {
      const loaded = address - frames.state.base + 1;
      for (let who = 0; who < translators.length; who++)
        if (cx.read(this.#rootAddress(who)) === loaded) this.#saturate(cx, who);
    });
    this.mmus = translators.map(
      (t, who) => new ContiguousMmu(builder, t.name, who, this, { root: t.root ?? root, asid: t.asid ?? asid }),
    );
  }

  /** Words that hold what is cached, for properties. */
  get words(): readonly number[] {
    return [this.#members.region, this.#loaded].flatMap(({ base, cells }) =>
      Array.from({ length: cells }, (_, i) => base + i),
    );
  }

  /** Frame of the table a translator walks; -1: none. */
  rootOf(read: (address: number) => number, who: number): number {
    return read(this.#rootAddress(who)) - 1;
  }

  /** First page of a page's block. */
  blockOf(page: number): number {
    return this.#members.blockOf(page);
  }

  /** Address of a page's entry in the table that a translator walks. */
  entryAddress(read: (address: number) => number, who: number, page: number): number {
    return this.frames.entries.base + this.rootOf(read, who) * this.frames.entriesPerTable + page;
  }

  /** Every translation of a page that a translator may hold, as an entry for that page. */
  translations(read: (address: number) => number, who: number, page: number): number[] {
    const found: number[] = [];
    const first = this.blockOf(page);
    let base = this.#members.at(who, first);
    for (let from = first; from < first + this.blockEntries; from++, base += MEMBERS_MAX) {
      for (let i = 0; i < MEMBERS_MAX; i++) {
        const member = read(base + i) & ~LATE;
        if (member === NOBODY) break;
        if (!isForOnePage(member)) add(found, this.appliedTo(member, page));
        else if (from === page) add(found, member & ~FRACTURED);
      }
    }
    return found;
  }

  /** True if the translator may hold a translation of the page that memory no longer offers. */
  isStale(read: (address: number) => number, who: number, page: number): boolean {
    const now = read(this.entryAddress(read, who, page));
    const offered = (now & _PAGE_PRESENT) === 0 ? NOBODY : cachedForm(now);
    return this.translations(read, who, page).some((held) => held !== offered);
  }

  /** The translation that a translator sticks to for a page; 0 if it does not. */
  keptBy(read: (address: number) => number, who: number, page: number): number {
    return this.#kept ? read(this.#kept.at(who * this.frames.entriesPerTable + page)) : NOBODY;
  }

  /** A translator that sticks to what it uses sticks to this from now on. */
  keep(cx: OperationContext, who: number, page: number, entry: number): void {
    if (this.#kept && this.translators[who]?.keeps)
      cx.write(this.#kept.at(who * this.frames.entriesPerTable + page), entry);
  }

  /** TTBR0 of a translator changes. Nothing of another address space is kept. */
  load(cx: OperationContext, who: number, event: Root): void {
    cx.write(this.#rootAddress(who), event.root + 1);
    cx.write(this.#rootAddress(who) + 1, event.asid);
    for (let page = 0; page < this.frames.entriesPerTable; page++) this.#members.replace(cx, who, page, []);
    this.#saturate(cx, who);
  }

  /** A DSB of some CPU: the walks of one translator, or of everybody (-1), see every store before it. */
  ordered(cx: OperationContext, who: number): void {
    if (!this.#weak) return;
    for (let other = 0; other < this.translators.length; other++) {
      if (who >= 0 && who !== other) continue;
      for (let page = 0; page < this.frames.entriesPerTable; page++) {
        const members = this.#members.list((address) => cx.read(address), other, page);
        if (members.some((member) => (member & LATE) !== 0))
          this.#members.replace(cx, other, page, members.map(withoutLate));
      }
    }
  }

  /**
   * An invalidation takes effect on a translator; what memory offers comes back at once, and what a walk finds that
   * comes before a store that no DSB has followed.
   */
  invalidate(cx: OperationContext, who: number, flush: Flush): void {
    if (flush.scope !== 'all' && flush.asid >= 0 && flush.asid !== cx.read(this.#rootAddress(who) + 1)) return;
    const covers = (page: number): boolean =>
      flush.scope !== 'page' || (flush.vpn <= page && page < flush.vpn + flush.pages);
    const read = (address: number): number => cx.read(address);
    const touched: number[] = [];
    for (let first = 0; first < this.frames.entriesPerTable; first += this.blockEntries) {
      const end = first + this.blockEntries;
      if (flush.scope === 'page' && (flush.vpn >= end || flush.vpn + flush.pages <= first)) continue;
      touched.push(first);
      for (let page = first; page < end; page++) {
        const left: number[] = [];
        if (this.#weak || !covers(page))
          for (const member of this.#members.list(read, who, page)) {
            if ((member & LATE) !== 0) add(left, member);
            else if (!covers(page)) add(left, (member & _PAGE_CONT) === 0 ? member : member | FRACTURED);
          }
        this.#members.replace(cx, who, page, left);
        if (covers(page)) this.keep(cx, who, page, NOBODY);
      }
    }
    // Of other blocks everything that memory offers is held still.
    for (const first of touched) this.#saturate(cx, who, first, first + this.blockEntries);
  }

  /** An entry has changed: whoever walks its table may cache it, and may have walked before. */
  #changed(cx: OperationContext, cell: number, old: number): void {
    const late = this.#weak && !this.hardwareUpdates && (old & _PAGE_PRESENT) !== 0;
    const entry = cx.read(this.frames.entries.base + cell);
    if (!late && (entry & _PAGE_PRESENT) === 0) return;
    const table = Math.floor(cell / this.frames.entriesPerTable);
    const page = cell % this.frames.entriesPerTable;
    for (const [who, translator] of this.translators.entries()) {
      if (cx.read(this.#rootAddress(who)) !== table + 1) continue;
      if (late && this.mmus[who]?.queued === false) this.#overwritten(cx, who, page, this.#held(old, translator));
      const held = this.#held(entry, translator);
      if (held !== NOBODY) this.#offer(cx, who, page, held);
    }
  }

  /** A member is {@link LATE} from now on, if it is held. */
  #overwritten(cx: OperationContext, who: number, page: number, old: number): void {
    const members = this.#members.list((address) => cx.read(address), who, page);
    if (members.includes(old)) {
      const late = members.map((member) => (member === old ? member | LATE : member));
      this.#members.replace(cx, who, page, late);
    }
  }

  /** Adds everything that memory offers a translator now of some pages. */
  #saturate(cx: OperationContext, who: number, first = 0, end = this.frames.entriesPerTable): void {
    const table = cx.read(this.#rootAddress(who)) - 1;
    if (table < 0) return;
    const state = cx.read(this.frames.state.base + table);
    if (state !== FrameKind.table) {
      if (state !== FrameKind.free)
        cx.fail(FREED_FRAME, () => `${this.#name(who)} may walk 0x${table.toString(16)}, a pte table no more`);
      return;
    }
    const base = this.frames.entries.base + table * this.frames.entriesPerTable;
    for (let page = first; page < end; page++) {
      const held = this.#held(cx.read(base + page), this.translators[who] as Translator);
      if (held !== NOBODY) this.#offer(cx, who, page, held);
    }
  }

  #offer(cx: OperationContext, who: number, page: number, entry: number): void {
    const base = this.#members.at(who, page);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const member = cx.read(base + i) & ~LATE;
      if (member === entry) return;
      if (member === NOBODY) break;
    }
    const members = this.#members.list((address) => cx.read(address), who, page);
    this.#changes?.check(cx, who, page, entry);
    // Held for the whole block it is held for the page, too.
    const rest = members.filter((member) => member !== (entry | FRACTURED));
    this.#members.replace(cx, who, page, [...rest, entry]);
  }

  /** An entry of a block as it translates one page of it. */
  appliedTo(entry: number, page: number): number {
    return this.#members.appliedTo(entry, page);
  }

  /** What a translator may hold of an entry in memory; 0 if nothing. */
  #held(entry: number, { hardwareAccess = true, ignoresContiguous = false }: Translator): number {
    if ((entry & _PAGE_PRESENT) === 0) return NOBODY;
    // An entry whose access flag is clear is cached by nobody who cannot set it.
    if (!hardwareAccess && (entry & _PAGE_ACCESSED) === 0) return NOBODY;
    return cachedForm(entry) | (ignoresContiguous && (entry & _PAGE_CONT) !== 0 ? FRACTURED : 0);
  }

  #name(who: number): string {
    return this.translators[who]?.name ?? '?';
  }

  #rootAddress(who: number): number {
    return this.#loaded.base + who * WORDS_PER_AGENT;
  }
}

function withoutLate(member: number): number {
  return member & ~LATE;
}

function add(list: number[], value: number): void {
  if (!list.includes(value)) list.push(value);
}
