/** Sets of entries that may be held of pages with contiguous entries: one per agent and page, a few words, sorted. */
import { LimitError, type OperationContext, type Region, type SystemBuilder } from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_CONT, _PAGE_PSE, PFN_SHIFT } from './entry.ts';

/** Different entries of one page that can be held at once; more is an error of the model, reported as such. */
export const MEMBERS_MAX = 6;
/**
 * In a member: held for its own page only, although the entry has the contiguous bit. No last-level entry uses the
 * bit.
 */
export const FRACTURED = _PAGE_PSE;
/** No member. */
export const NOBODY = 0;
/**
 * In a member: no DSB has followed the store that overwrote it, so that a walk may come before that store although an
 * invalidation was sent after it. No member has the access flag, whose bit this is.
 */
export const LATE = _PAGE_ACCESSED;

/** What the sets are of. */
export interface ContiguousSizes {
  readonly pages: number;
  /** Entries of a block (CONT_PTES). */
  readonly blockEntries: number;
}

/** The sets. */
export class ContiguousMembers {
  readonly region: Region;
  readonly blockEntries: number;
  readonly #pages: number;
  /** Bits of an output address that say which page of its block an entry is for. */
  readonly #ownBits: number;

  /**
   * @param held what each agent holds of each page to begin with
   * @param format an entry in words
   */
  constructor(
    builder: SystemBuilder,
    name: string,
    { pages, blockEntries }: ContiguousSizes,
    held: readonly (readonly number[])[],
    format: (entry: number) => string,
  ) {
    this.#pages = pages;
    this.blockEntries = blockEntries;
    this.#ownBits = (blockEntries - 1) << PFN_SHIFT;
    const initial = held.flat().flatMap((member) => [member, ...Array.from({ length: MEMBERS_MAX - 1 }, () => NOBODY)]);
    this.region = builder.region(name, initial.length, {
      format: (member) => `${format(member & ~LATE)}${(member & LATE) === 0 ? '' : ' (no DSB since)'}`,
      initial,
      memory: 'strong',
    });
  }

  /** Where the set of an agent and a page is. */
  at(who: number, page: number): number {
    return this.region.base + (who * this.#pages + page) * MEMBERS_MAX;
  }

  /** The members of a set. */
  list(read: (address: number) => number, who: number, page: number): number[] {
    const base = this.at(who, page);
    const members: number[] = [];
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const member = read(base + i);
      if (member === NOBODY) break;
      members.push(member);
    }
    return members;
  }

  /** Sets are kept sorted, so that equal sets are equal states. */
  replace(cx: OperationContext, who: number, page: number, set: readonly number[]): void {
    const members = set.toSorted(ascending);
    if (members.length > MEMBERS_MAX)
      throw new LimitError(
        `mmu: contiguous TLB: more than ${MEMBERS_MAX} translations of one page: the scenario changes it too often`,
      );
    const base = this.at(who, page);
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const member = members[i] ?? NOBODY;
      if (cx.read(base + i) !== member) cx.write(base + i, member);
    }
  }

  /** First page of a page's block. */
  blockOf(page: number): number {
    return page - (page % this.blockEntries);
  }

  /** An entry of a block as it translates one page of it. */
  appliedTo(entry: number, page: number): number {
    const own = this.#ownBits;
    return (entry & _PAGE_CONT) === 0 ? entry : (entry & ~own) | ((page << PFN_SHIFT) & own);
  }

  /** A member as it translates a page that it is held for. */
  translationOf(member: number, page: number): number {
    return isForOnePage(member) ? member & ~FRACTURED : this.appliedTo(member, page);
  }
}

/** Whether a member is held for its own page, and not for its block. */
export function isForOnePage(member: number): boolean {
  return (member & (_PAGE_CONT | FRACTURED)) !== _PAGE_CONT;
}

function ascending(a: number, b: number): number {
  return a - b;
}
