/**
 * Accesses through the saturated TLB with contiguous entries, and what hardware writes to tables on the way.
 *
 * Hardware that manages accessed and dirty state updates the entry that it has walked, and of a contiguous block that
 * may be any: the update is a choice. Marking a page dirty reads the entry again; a TLB that has it dirty tells
 * nobody.
 */
import {
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import { changeThatNeedsBreak, TLB_CONFLICT } from './break-before-make.ts';
import { cachedForm } from './cached-form.ts';
import type { ContiguousTlb } from './contiguous-tlb.ts';
import { _PAGE_ACCESSED, _PAGE_CONT, _PAGE_PRESENT, _PAGE_RDONLY, _PAGE_RW, pte_pfn } from './entry.ts';
import { MmuInstructions } from './instructions.ts';
import { checkPage } from './mmu.ts';
import type { Flush, Root } from './mmu.machine.ts';
import { Fault } from './walk.ts';

/**
 * What an access may come to: its fault or the entry it goes through, and the update of memory that goes with it (-1:
 * none).
 */
interface Outcome {
  readonly fault: number;
  readonly entry: number;
  readonly updates: number;
  readonly value: number;
}

type Read = (address: number) => number;

/** The MMU of one translator over the saturated TLB with contiguous entries. */
export class ContiguousMmu extends MmuInstructions {
  static {
    noteMethods(this);
  }

  /** Its number among the translators of its TLB. */
  readonly who: number;
  readonly tlb: ContiguousTlb;

  constructor(builder: SystemBuilder, name: string, who: number, tlb: ContiguousTlb, initial: Omit<Root, 'type'>) {
    super(builder, name, initial);
    this.who = who;
    this.tlb = tlb;
  }

  /** Every translation that may be held, and every entry that hardware may update, is an outcome. */
  override *access(vpn: number, write: boolean, saying?: Saying): Steps<number> {
    const label = `${write ? 'write' : 'read'} page 0x${vpn.toString(16)}`;
    return yield operation(ACCESS, vpn, write ? 1 : 0, 0, this, { label, ...saying });
  }

  /** Every way in which an access may go now. */
  outcomes(read: Read, page: number, write: boolean): Outcome[] {
    const { tlb, who } = this;
    const found: Outcome[] = [];
    const kept = tlb.keptBy(read, who, page);
    const held = tlb.translations(read, who, page);
    const usable = held.includes(kept) ? [kept] : held;
    for (const entry of usable) this.#through(read, page, entry, write, found);
    const now = read(tlb.entryAddress(read, who, page));
    // A walk comes upon what is in memory: a miss is always possible.
    const walks = kept === 0 || usable.length === 0;
    if (usable.length === 0 || (walks && (now & _PAGE_PRESENT) === 0)) found.push(faulting(Fault.notPresent));
    return found;
  }

  /** Makes an access; returns its fault. */
  perform(cx: OperationContext, page: number, write: boolean, branch: number): number {
    const { tlb, who } = this;
    const read: Read = (address) => cx.read(address);
    this.#checkConflict(cx, page);
    const { fault, entry, updates, value } = this.outcomes(read, page, write)[branch] as Outcome;
    if (updates >= 0) {
      tlb.hardwareUpdates = true;
      cx.write(updates, value);
      tlb.hardwareUpdates = false;
    }
    tlb.keep(cx, who, page, entry);
    if (fault !== Fault.none) return fault;
    checkPage(cx, tlb.frames, pte_pfn(entry));
    if (write) tlb.onStore(cx, pte_pfn(entry));
    for (const monitor of tlb.monitors) monitor.used(cx, tlb.rootOf(read, who), page, entry);
    return Fault.none;
  }

  override ordered(cx: OperationContext, everybody: boolean): void {
    this.tlb.ordered(cx, everybody ? -1 : this.who);
  }

  protected override setRoot(cx: OperationContext, event: Root): void {
    this.tlb.load(cx, this.who, event);
  }

  protected override flush(cx: OperationContext, flush: Flush): void {
    this.tlb.invalidate(cx, this.who, flush);
  }

  /** The ways an access may go through one translation. */
  #through(read: Read, page: number, entry: number, write: boolean, found: Outcome[]): void {
    const { hardwareDirty = true, hardwareAccess = true } = this.tlb.translators[this.who] ?? {};
    const clean = (entry & _PAGE_RDONLY) !== 0;
    if (write && (entry & _PAGE_RW) !== 0 && clean && hardwareDirty) {
      const dirty = entry & ~_PAGE_RDONLY;
      const before = found.length;
      for (const source of this.#sources(read, page, entry)) {
        const value = (read(source) & ~_PAGE_RDONLY) | _PAGE_ACCESSED;
        found.push({ fault: Fault.none, entry: dirty, updates: source, value });
      }
      // Memory has changed since: the walk that was to mark it finds what is there now.
      if (found.length === before) found.push(faulting(Fault.protection));
      return;
    }
    if (write && (clean || (entry & _PAGE_RW) === 0)) {
      found.push({ ...faulting(Fault.protection), entry });
      return;
    }
    found.push({ fault: Fault.none, entry, updates: -1, value: 0 });
    if (!hardwareAccess) return;
    for (const source of this.#sources(read, page, entry)) {
      const value = read(source);
      if ((value & _PAGE_ACCESSED) === 0)
        found.push({ fault: Fault.none, entry, updates: source, value: value | _PAGE_ACCESSED });
    }
  }

  /** Addresses of the entries in memory that a translation may come from, and that hardware may therefore update. */
  #sources(read: Read, page: number, entry: number): number[] {
    const { tlb, who } = this;
    const alone = (entry & _PAGE_CONT) === 0 || tlb.translators[who]?.ignoresContiguous === true;
    const first = alone ? page : tlb.blockOf(page);
    const count = alone ? 1 : tlb.blockEntries;
    const same = (other: number): boolean => ((cachedForm(other) ^ entry) & ~_PAGE_RDONLY) === 0;
    const sources: number[] = [];
    for (let at = first; at < first + count; at++) {
      const address = tlb.entryAddress(read, who, at);
      const now = read(address);
      if ((now & _PAGE_PRESENT) !== 0 && same(tlb.appliedTo(now, page))) sources.push(address);
    }
    return sources;
  }

  /** Without BBML2, or with a kind of it that may abort, two translations that conflict are one too many. */
  #checkConflict(cx: OperationContext, page: number): void {
    const { tlb, who } = this;
    const level = tlb.rule.noConflictAbort ? tlb.rule.level : (0 as const);
    // To hold a permission beside another one is no conflict, whatever an erratum asks of software.
    const strict = { ...tlb.rule, level, executableNeedsBreak: false };
    const held = tlb.translations((address) => cx.read(address), who, page);
    for (const [i, entry] of held.entries()) {
      const other = held.slice(i + 1).find((b) => conflict(entry, b, strict));
      if (other === undefined) continue;
      cx.fail(
        TLB_CONFLICT,
        () => `${this.name}: page 0x${page.toString(16)}: ${tlb.format(entry)} and ${tlb.format(other)}`,
      );
      return;
    }
  }
}

function conflict(entry: number, other: number, rule: ContiguousTlb['rule']): boolean {
  const either = [
    [entry, other],
    [other, entry],
  ] as const;
  return either.some(
    ([a, b]) => changeThatNeedsBreak({ entry: a, leaf: true }, { entry: b, leaf: true }, rule) !== null,
  );
}

function faulting(fault: number): Outcome {
  return { fault, entry: 0, updates: -1, value: 0 };
}

const ACCESS = defineOperation({
  name: 'access',
  cost: 'tlb_hit',
  user: true,
  branches(cx, op: Operation) {
    const mmu = op.data as ContiguousMmu;
    return mmu.outcomes((address) => cx.read(address), op.a, op.b === 1).length;
  },
  perform: (cx, op, branch) => (op.data as ContiguousMmu).perform(cx, op.a, op.b === 1, branch),
});
