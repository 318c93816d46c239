/**
 * Whether what a lockless reader returns is the state of an entry at one moment of the read: mapping and permissions exactly, accessed
 * and dirty bits as they were at some moment while that mapping was in force.
 */
import {
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { PFN_SHIFT, pte_pfn } from '@shootdown/mmu';
import type { ContpteKernel, Ptep } from './kernel.ts';
import {
  formatPte,
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  pte_dirty,
  pte_pgprot,
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
  readonly #kernel: ContpteKernel;
  readonly #ptep: Ptep;
  readonly #active: Region;
  readonly #views: Region;

  constructor(builder: SystemBuilder, kernel: ContpteKernel, ptep: Ptep) {
    this.#kernel = kernel;
    this.#ptep = ptep;
    this.#active = builder.region('reader.active', 1);
    this.#views = builder.region('reader.views', VIEWS_MAX, {
      initial: Array.from({ length: VIEWS_MAX }, () => NO_VIEW),
    });
    builder.watch(kernel.frames.entries, (cx) => {
      if (cx.read(this.#active.base) !== 0) this.#record(cx);
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
    this.#record(cx);
  }

  ended(cx: OperationContext, pte: number): void {
    const mapping = mappingOf(pte);
    const views = this.#recorded(cx).filter((view) => mappingOf(view) === mapping);
    const some = (test: (view: number) => boolean, wanted: boolean): boolean =>
      views.some((view) => test(view) === wanted);
    const consistent = some(pte_young, pte_young(pte)) && some(pte_dirty, pte_dirty(pte));
    if (!consistent)
      cx.fail(
        INCONSISTENT,
        () => `${formatPte(pte)} is returned for pte[${this.#ptep.index}], which was ${this.#said(cx)}`,
      );
    cx.write(this.#active.base, 0);
    for (let i = 0; i < VIEWS_MAX; i++) cx.write(this.#views.at(i), NO_VIEW);
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

  #record(cx: OperationContext): void {
    const views = this.#recorded(cx);
    for (const view of this.#viewsNow(cx)) if (!views.includes(view)) views.push(view);
    if (views.length > VIEWS_MAX)
      throw new RangeError(`contpte: lockless monitor: more than ${VIEWS_MAX} states of one entry during one read`);
    views.sort((a, b) => a - b);
    views.forEach((view, i) => cx.write(this.#views.at(i), view));
  }

  /** The entry now; and, as long as others of its contiguous block are there, the mapping that it was part of. */
  #viewsNow(cx: OperationContext): number[] {
    const { frames, CONT_PTES } = this.#kernel;
    const { table, index } = this.#ptep;
    const own = cx.read(frames.entry(table, index).address);
    const first = index - (index % CONT_PTES);
    const block = Array.from({ length: CONT_PTES }, (_, i) => cx.read(frames.entry(table, first + i).address));
    const views = pte_valid_cont(own) ? [] : [own];
    for (const [i, pte] of block.entries()) {
      if (!pte_valid_cont(pte)) continue;
      const here = mappingOf(((pte_pfn(pte) + (index - first - i)) << PFN_SHIFT) | pte_pgprot(pte));
      const same = block.filter(
        (other, j) =>
          pte_valid_cont(other) &&
          mappingOf(((pte_pfn(other) + (index - first - j)) << PFN_SHIFT) | pte_pgprot(other)) === here,
      );
      views.push(here | (same.some(pte_young) ? PTE_AF : 0) | (same.some(pte_dirty) ? PTE_DIRTY : 0) | PTE_RDONLY);
    }
    return views;
  }
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
