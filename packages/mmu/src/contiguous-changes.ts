/**
 * Break-before-make where TLBs may hold contiguous entries: an entry that memory offers must agree with everything that
 * is held for the pages that it translates, and for a whole block that is every page of it.
 */
import { ModelError, type OperationContext } from '@shootdown/machine';
import { BREAK_BEFORE_MAKE, brokenRule, changeThatNeedsBreak, type BreakBeforeMakeRule } from './break-before-make.ts';
import { type ContiguousMembers, isForOnePage, LATE, MEMBERS_MAX, NOBODY } from './contiguous-members.ts';
import { _PAGE_GLOBAL, PFN_SHIFT } from './entry.ts';

/** What {@link ContiguousChanges} goes by. */
export interface ContiguousRule {
  readonly rule: BreakBeforeMakeRule;
  /** What the agents are called. */
  readonly names: readonly string[];
  /** An entry in words. */
  readonly format: (entry: number) => string;
}

/** Checks what is added to the sets. */
export class ContiguousChanges {
  readonly #members: ContiguousMembers;
  readonly #of: ContiguousRule;

  constructor(members: ContiguousMembers, of: ContiguousRule) {
    this.#members = members;
    this.#of = of;
  }

  /** A new entry must agree with everything that may be held for a page that it translates. */
  check(cx: OperationContext, who: number, page: number, entry: number): void {
    const alone = isForOnePage(entry);
    if (this.#goesOn(cx, who, page, entry)) {
      if (!alone) return;
      const own = this.#members.at(who, page);
      for (let i = 0; i < MEMBERS_MAX; i++) {
        const member = cx.read(own + i) & ~LATE;
        if (member === NOBODY) return;
        if (isForOnePage(member) && this.#forbids(cx, who, page, member, entry)) return;
      }
      return;
    }
    const first = this.#members.blockOf(page);
    // Where two translations of the whole block are compared: anywhere, unless it matters which frames hold the same.
    const from = alone ? page : first;
    const to = alone || this.#of.rule.sameContents === undefined ? from + 1 : first + this.#members.blockEntries;
    let compared = NOBODY;
    let base = this.#members.at(who, first);
    for (let at = first; at < first + this.#members.blockEntries; at++, base += MEMBERS_MAX) {
      for (let i = 0; i < MEMBERS_MAX; i++) {
        const member = cx.read(base + i) & ~LATE;
        if (member === NOBODY) break;
        if (isForOnePage(member)) {
          if ((!alone || at === page) && this.#forbids(cx, who, at, member, entry)) return;
          continue;
        }
        const translation = this.#members.appliedTo(member, first);
        if (translation === compared) continue;
        compared = translation;
        for (let where = from; where < to; where++) if (this.#forbids(cx, who, where, member, entry)) return;
      }
    }
  }

  /**
   * Whether an entry says of its block what the one before it in the block says, and is held already: that was compared
   * with everything held for the whole block, and for other pages of it, or that with it. (Only where order does not
   * matter: from non-global to global is forbidden, and back is not; so with an erratum is from executable to not.)
   */
  #goesOn(cx: OperationContext, who: number, page: number, entry: number): boolean {
    const { sameContents, executableNeedsBreak = false } = this.#of.rule;
    const inOrder = executableNeedsBreak || (entry & _PAGE_GLOBAL) !== 0;
    if (page % this.#members.blockEntries === 0 || sameContents !== undefined || inOrder) return false;
    const before = entry - (1 << PFN_SHIFT);
    if (!isForOnePage(entry) && this.#members.appliedTo(before, page) !== this.#members.appliedTo(entry, page))
      return false;
    const base = this.#members.at(who, page - 1);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const member = cx.read(base + i) & ~LATE;
      if (member === before) return true;
      if (member === NOBODY) return false;
    }
    return false;
  }

  /** Whether one member must not be held for a page beside what was held. */
  #forbids(cx: OperationContext, who: number, page: number, held: number, member: number): boolean {
    const broken = this.#conflict(who, page, held, member);
    if (broken !== null) cx.fail(BREAK_BEFORE_MAKE, () => broken);
    return broken !== null;
  }

  /** What is wrong with holding a member for a page beside what was held; null: nothing. */
  #conflict(who: number, page: number, held: number, member: number): string | null {
    const { rule, names, format } = this.#of;
    const old = this.#members.translationOf(held, page);
    const now = this.#members.translationOf(member, page);
    if (old === now) return null;
    const what = changeThatNeedsBreak({ entry: old, leaf: true }, { entry: now, leaf: true }, rule);
    return what === null ? null : brokenRule(names[who] ?? '?', page, what, old, now, format);
  }

  /**
   * A table to begin with: its entries are all held at once, and nobody has compared them, as {@link #goesOn} takes for
   * granted.
   */
  refuseConflicts(who: number, members: readonly number[]): void {
    for (const [page, member] of members.entries()) {
      if (member === NOBODY) continue;
      const first = this.#members.blockOf(page);
      for (let other = first; other < first + this.#members.blockEntries; other++) {
        const held = members[other] as number;
        // For the page of `other` it is held for sure, and `member` if it is held for the block.
        if (other === page || held === NOBODY || isForOnePage(member)) continue;
        const broken = this.#conflict(who, other, held, member);
        if (broken !== null) throw new ModelError(`mmu: contiguous TLB: the table to begin with: ${broken}`);
      }
    }
  }
}
