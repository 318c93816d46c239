/**
 * Whether what a lockless reader returns is the state of an entry at one moment of the read: mapping and permissions
 * exactly. An accessed or dirty bit that is returned was set at some moment while that mapping was in force, and one
 * that was set in one entry of the block all the time is returned. Between the two lies what no scan can do better:
 * while reclaim clears bits behind the reader and hardware sets them before it, a block may look old that was young
 * at every moment.
 */
import {
  defineOperation,
  LimitError,
  operation,
  routine,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import type { ContpteCpu, ContpteKernel, Ptep } from './kernel.ts';
import {
  formatPte,
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  pte_advance_pfn,
  pte_dirty,
  pte_valid,
  pte_valid_cont,
  pte_young,
} from './pte.ts';

/** Built-in property of a machine with such a monitor. */
export const INCONSISTENT = 'a lockless reader returns one consistent state';

/** Different states of one entry during one read; more is an error of the model, reported as such. */
const VIEWS_MAX = 16;
/** In place of a view: there is none. No view has a frame number without VALID. */
const NO_VIEW = -1;

/** Watches one entry while it is read. */
export class LocklessMonitor {
  static {
    noteMethods(this);
  }

  readonly #kernel: ContpteKernel;
  readonly #ptep: Ptep;
  readonly #active: Region;
  readonly #views: Region;
  /**
   * Per entry of the block: what it was, with the bits that it has had all the time; 0 once it has become something
   * else.
   */
  readonly #throughout: Region;

  constructor(builder: SystemBuilder, kernel: ContpteKernel, ptep: Ptep) {
    this.#kernel = kernel;
    this.#ptep = ptep;
    this.#active = builder.region('reader.active', 1, { memory: 'strong' });
    this.#views = builder.region('reader.views', VIEWS_MAX, {
      initial: Array.from({ length: VIEWS_MAX }, () => NO_VIEW),
      memory: 'strong',
    });
    this.#throughout = builder.region('reader.throughout', kernel.CONT_PTES, { memory: 'strong' });
    builder.watch(kernel.frames.entries, (cx, address) => {
      const i = address - this.#block;
      if (cx.read(this.#active.base) === 0 || i < 0 || i >= kernel.CONT_PTES) return;
      this.#record(cx, this.#viewsOf(cx, i));
      const was = cx.read(this.#throughout.at(i));
      const pte = cx.read(address);
      const still = mappingOf(was) === mappingOf(pte) ? mappingOf(pte) | (bitsOf(was) & bitsOf(pte)) : 0;
      if (still !== was) cx.write(this.#throughout.at(i), still);
    });
  }

  /** A read begins. */
  *begin(): Steps {
    yield operation(BEGIN, 0, 0, 0, this, { label: '(read begins)' });
  }

  /** It has returned a value. */
  *end(pte: number): Steps {
    yield operation(END, pte, 0, 0, this, { label: `(returns ${formatPte(pte)})` });
  }

  began(cx: OperationContext): void {
    cx.write(this.#active.base, 1);
    for (let i = 0; i < this.#kernel.CONT_PTES; i++) {
      const pte = cx.read(this.#block + i);
      this.#record(cx, this.#viewsOf(cx, i));
      cx.write(this.#throughout.at(i), pte_valid(pte) ? mappingOf(pte) | bitsOf(pte) : 0);
    }
  }

  ended(cx: OperationContext, pte: number): void {
    const mapping = mappingOf(pte);
    const views = this.#recorded(cx).filter((view) => mappingOf(view) === mapping);
    const seen = views.reduce((bits, view) => bits | bitsOf(view), 0);
    const consistent =
      views.length > 0 && (bitsOf(pte) & ~seen) === 0 && (this.#allTheTime(cx, mapping) & ~bitsOf(pte)) === 0;
    if (!consistent)
      cx.fail(
        INCONSISTENT,
        () => `${formatPte(pte)} is returned for pte[${this.#ptep.index}], which was ${this.#said(cx)}`,
      );
    cx.write(this.#active.base, 0);
    for (let i = 0; i < VIEWS_MAX; i++) cx.write(this.#views.at(i), NO_VIEW);
    for (let i = 0; i < this.#kernel.CONT_PTES; i++) cx.write(this.#throughout.at(i), 0);
  }

  /**
   * Bits that some entry has had all the time of a mapping: the own entry, or any of the block if that is contiguous.
   */
  #allTheTime(cx: OperationContext, mapping: number): number {
    const own = this.#ptep.index % this.#kernel.CONT_PTES;
    let bits = 0;
    for (let i = 0; i < this.#kernel.CONT_PTES; i++) {
      const was = cx.read(this.#throughout.at(i));
      if (was === 0 || (i !== own && !pte_valid_cont(was))) continue;
      if (mappingOf(pte_advance_pfn(was, own - i)) === mapping) bits |= bitsOf(was);
    }
    return bits;
  }

  /** Address of the first entry of the block. */
  get #block(): number {
    const { frames, CONT_PTES } = this.#kernel;
    const { table, index } = this.#ptep;
    return frames.entry(table, index - (index % CONT_PTES)).address;
  }

  #said(cx: OperationContext): string {
    return this.#recorded(cx).map(formatPte).join(', or ');
  }

  #recorded(cx: OperationContext): number[] {
    const views: number[] = [];
    for (let i = 0; i < VIEWS_MAX && cx.read(this.#views.at(i)) !== NO_VIEW; i++)
      views.push(cx.read(this.#views.at(i)));
    return views;
  }

  #record(cx: OperationContext, now: readonly number[]): void {
    const views = this.#recorded(cx);
    const more = now.filter((view) => !views.includes(view));
    if (more.length === 0) return;
    views.push(...more);
    if (views.length > VIEWS_MAX)
      throw new LimitError(`contpte: lockless monitor: more than ${VIEWS_MAX} states of one entry during one read`);
    views.sort((a, b) => a - b);
    views.forEach((view, i) => cx.write(this.#views.at(i), view));
  }

  /**
   * What an entry of the block makes of the one that is read: that itself; and, as long as others of its contiguous
   * block are there, the mapping that it was part of.
   */
  #viewsOf(cx: OperationContext, i: number): readonly number[] {
    const own = this.#ptep.index % this.#kernel.CONT_PTES;
    const pte = cx.read(this.#block + i);
    if (pte_valid_cont(pte)) return [viewOf(pte_advance_pfn(pte, own - i))];
    return i === own ? [viewOf(pte)] : [];
  }
}

/** An entry with its bits in one place each. */
function viewOf(pte: number): number {
  return pte_valid(pte) ? mappingOf(pte) | bitsOf(pte) : pte;
}

/** Accessed and dirty. */
function bitsOf(pte: number): number {
  return pte_valid(pte) ? (pte_young(pte) ? PTE_AF : 0) | (pte_dirty(pte) ? PTE_DIRTY : 0) : 0;
}

/** An entry without accessed and dirty bits. */
function mappingOf(pte: number): number {
  return pte_valid(pte) ? (pte & ~(PTE_AF | PTE_DIRTY)) | PTE_RDONLY : pte;
}

const BEGIN = defineOperation({
  name: 'read_begin',
  role: 'environment',
  cost: 'choose',
  perform(cx, op: Operation) {
    (op.data as LocklessMonitor).began(cx);
    return 0;
  },
});

const END = defineOperation({
  name: 'read_end',
  role: 'environment',
  cost: 'choose',
  perform(cx, op: Operation) {
    (op.data as LocklessMonitor).ended(cx, op.a);
    return 0;
  },
});

/** Who reads, and which page. */
interface Reader {
  readonly reader: LocklessMonitor | null;
  readonly readerPage: number;
}

/** GUP-fast looks at one entry without the lock. */
export const gup_fast_pte_range = routine(
  'gup_fast_pte_range',
  function* ({ reader, readerPage }: Reader, cpu: ContpteCpu): Steps {
    if (!reader) return;
    yield* reader.begin();
    const pte = yield* cpu.k.ptep_get_lockless(cpu, { table: 0, index: readerPage });
    yield* reader.end(pte);
  },
);
