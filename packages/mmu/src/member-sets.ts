/** Sets of entries that may be cached: one per CPU, address space, page and level, each a few words, sorted. */
import { LimitError, type OperationContext, type Region, type SystemBuilder } from '@shootdown/machine';
import { formatEntry } from './entry.ts';
import { NO_TRANSLATION } from './offered.ts';

/**
 * Different entries of one page and level that can be cached at once; more is an error of the model, reported as such.
 */
const MEMBERS_MAX = 4;

/** What the sets are of. */
export interface MemberSetSizes {
  readonly spaces: number;
  readonly pages: number;
  readonly levels: number;
}

/** What a set is of, in the words of who reads a state. */
export interface MemberSetNames {
  readonly cpus: readonly string[];
  /** Virtual page numbers, by index. */
  readonly pages: readonly number[];
}

/** The sets. */
export class MemberSets {
  readonly region: Region;
  readonly #sizes: MemberSetSizes;

  /** @param first the first member of each set, in the order of {@link at}; {@link NO_TRANSLATION} for an empty one */
  constructor(
    builder: SystemBuilder,
    name: string,
    sizes: MemberSetSizes,
    first: readonly number[],
    names: MemberSetNames,
  ) {
    this.#sizes = sizes;
    const none = Array.from({ length: MEMBERS_MAX - 1 }, () => NO_TRANSLATION);
    const initial = first.flatMap((entry) => [entry, ...none]);
    this.region = builder.region(name, initial.length, {
      format: formatEntry,
      initial,
      memory: 'ghost',
      cellName: (index) => this.#nameOf(name, index, names),
    });
  }

  /** `tlb(CPU1, page 0x0, space 1)`; levels are counted from the root, and further members from 2. */
  #nameOf(region: string, index: number, { cpus, pages }: MemberSetNames): string {
    const { spaces, levels } = this.#sizes;
    const set = Math.floor(index / MEMBERS_MAX);
    const place = Math.floor(set / levels);
    const space = Math.floor(place / pages.length);
    const page = pages[place % pages.length] ?? 0;
    const words = [cpus[Math.floor(space / spaces)] ?? '', `page 0x${page.toString(16)}`];
    if (spaces > 1) words.push(`space ${space % spaces}`);
    if (levels > 1) words.push(`level ${set % levels}`);
    const member = index % MEMBERS_MAX;
    return `${region.replace(/\.members$/, '')}(${words.join(', ')})${member === 0 ? '' : `.${member + 1}`}`;
  }

  /** Where a set is. */
  at(cpu: number, space: number, page: number, depth: number): number {
    const { spaces, pages, levels } = this.#sizes;
    return this.region.base + (((cpu * spaces + space) * pages + page) * levels + depth) * MEMBERS_MAX;
  }

  /** The members of a set. */
  list(read: (address: number) => number, set: number): number[] {
    const members: number[] = [];
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const entry = read(set + i);
      if (entry === NO_TRANSLATION) break;
      members.push(entry);
    }
    return members;
  }

  /** Sets are kept sorted, so that equal sets are equal states. False: it was there. */
  add(cx: OperationContext, set: number, value: number): boolean {
    let count = 0;
    let at = -1;
    for (; count < MEMBERS_MAX; count++) {
      const member = cx.read(set + count);
      if (member === value) return false;
      if (member === NO_TRANSLATION) break;
      if (member > value && at < 0) at = count;
    }
    if (count === MEMBERS_MAX)
      throw new LimitError(
        `mmu: saturated TLB: more than ${MEMBERS_MAX} translations of one page: the scenario changes it too often`,
      );
    if (at < 0) at = count;
    for (let i = count; i > at; i--) cx.write(set + i, cx.read(set + i - 1));
    cx.write(set + at, value);
    return true;
  }

  /** Drops all members that are not kept. */
  keep(cx: OperationContext, set: number, keeps: (entry: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < MEMBERS_MAX; i++) {
      const entry = cx.read(set + i);
      if (entry === NO_TRANSLATION) break;
      if (keeps(entry)) cx.write(set + kept++, entry);
    }
    for (let i = kept; i < MEMBERS_MAX; i++) cx.write(set + i, NO_TRANSLATION);
  }
}
