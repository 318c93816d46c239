/**
 * What must hold of contiguous blocks, whoever works on them: I1 to I4 of the contpte layer as properties of a machine.
 */
import type { OperationContext, Property, Region, SystemBuilder } from '@shootdown/machine';
import { FrameKind, ofWords } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import type { ContpteKernel, ContpteMm } from './kernel.ts';
import {
  formatPte,
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_WRITE,
  pte_advance_pfn,
  pte_cont,
  pte_dirty,
  pte_valid,
  pte_valid_cont,
} from './pte.ts';

/** I1, at every moment. */
export const DISAGREE =
  'I1: the valid entries of a block agree on the contiguous bit, on where they point and on what they are';
/** I2, whenever nobody works on the block. */
export const MISPROGRAMMED =
  'I2: a contiguous block is whole, aligned, alike, and of one folio, when its table is unlocked';
/** I3. */
export const UNLOCKED = 'I3: entries are changed under the page-table lock only';
/** I4: what a store has made dirty. */
export const LOST_DIRTY = 'I4: a page that was written to is dirty in its folio, its entry or its block, or is gone';

type Read = (address: number) => number;

const ACCESS_BITS = PTE_AF | PTE_DIRTY | PTE_RDONLY;

/** Watches a kernel, from the start. */
export class ContpteInvariants {
  /** Per frame: 1 once a store has gone through a translation. */
  readonly written: Region;
  readonly #kernel: ContpteKernel;

  constructor(builder: SystemBuilder, kernel: ContpteKernel) {
    this.#kernel = kernel;
    this.written = builder.region('page.written', kernel.frames.count, { memory: 'strong' });
    kernel.tlb.onStore = (cx, frame) => {
      if (cx.read(this.written.at(frame)) === 0) cx.write(this.written.at(frame), 1);
    };
    builder.watch(kernel.frames.entries, (cx, address) => this.#written(cx, address));
  }

  /** I1, I2 and I4; I3 is checked by every store to an entry. */
  get properties(): readonly Property[] {
    const { frames, ptl, dirty } = this.#kernel;
    const entries = wordsOf(frames.entries);
    return [
      {
        name: DISAGREE,
        kind: 'always',
        why: 'hardware may translate the whole block through any of them',
        ...ofWords(frames.entries, (words) => this.#everyBlock((mm, first) => this.#agrees(words, mm, first))),
        detail: (read) => {
          const words = entries.map(read);
          return this.#broken(read, (mm, first) => this.#agrees(words, mm, first));
        },
      },
      {
        name: MISPROGRAMMED,
        kind: 'always',
        why: 'until the contiguous bit is gone a TLB may serve the whole block, pages included that have no entry any more',
        reads: [...entries, ...wordsOf(ptl)],
        check: (read) =>
          this.#everyBlock((mm, first, index) => read(ptl.at(index)) !== 0 || this.#isProgrammed(read, mm, first)),
        detail: (read) => this.#broken(read, (mm, first) => this.#isProgrammed(read, mm, first)),
      },
      {
        name: LOST_DIRTY,
        kind: 'finally',
        why: 'what is clean may be thrown away',
        reads: [...entries, ...wordsOf(dirty), ...wordsOf(this.written), ...wordsOf(frames.state)],
        check: (read) => this.#lost(read) === null,
        detail: (read) =>
          `0x${(this.#lost(read) ?? 0).toString(16)} was written to, and neither it nor an entry is dirty`,
      },
    ];
  }

  #everyBlock(check: (mm: ContpteMm, first: number, index: number) => boolean): boolean {
    const { mms, PTRS_PER_PTE, CONT_PTES } = this.#kernel;
    return mms.every((mm, index) => {
      for (let first = 0; first < PTRS_PER_PTE; first += CONT_PTES) if (!check(mm, first, index)) return false;
      return true;
    });
  }

  /** The first block that is not as it should be, in words. */
  #broken(read: Read, check: (mm: ContpteMm, first: number) => boolean): string {
    let text = '';
    this.#everyBlock((mm, first) => {
      if (check(mm, first)) return true;
      const last = first + this.#kernel.CONT_PTES - 1;
      text = `pte[${first}] to pte[${last}] are ${this.#entries(read, mm, first).map(formatPte).join(', ')}`;
      return false;
    });
    return text;
  }

  #entries(read: Read, mm: ContpteMm, first: number): number[] {
    const base = this.#kernel.frames.entry(mm.table, first).address;
    return Array.from({ length: this.#kernel.CONT_PTES }, (_, i) => read(base + i));
  }

  #agrees(words: ArrayLike<number>, mm: ContpteMm, first: number): boolean {
    const at = mm.table * this.#kernel.frames.entriesPerTable + first;
    let folded = false;
    let differ = false;
    // The valid entry looked at last, as it would be here; 0: none yet.
    let like = 0;
    for (let i = 0; i < this.#kernel.CONT_PTES; i++) {
      const pte = words[at + i] as number;
      if (like !== 0) like = pte_advance_pfn(like, 1);
      if (pte === like || !pte_valid(pte)) continue;
      folded ||= pte_cont(pte);
      differ ||= like !== 0 && ((pte ^ like) & ~(ACCESS_BITS | PTE_WRITE)) !== 0;
      if (folded && differ) return false;
      like = pte;
    }
    return true;
  }

  #isProgrammed(read: Read, mm: ContpteMm, first: number): boolean {
    const { CONT_PTES } = this.#kernel;
    const at = this.#kernel.frames.entry(mm.table, first).address;
    const head = read(at);
    if (!pte_valid_cont(head)) {
      for (let i = 1; i < CONT_PTES; i++) if (pte_valid_cont(read(at + i))) return false;
      return true;
    }
    for (let i = 1; i < CONT_PTES; i++)
      if (((read(at + i) ^ pte_advance_pfn(head, i)) & ~ACCESS_BITS) !== 0) return false;
    const pfn = pte_pfn(head);
    return (
      mm.user !== false &&
      pfn % CONT_PTES === 0 &&
      this.#kernel.page_folio(pfn) === this.#kernel.page_folio(pfn + CONT_PTES - 1)
    );
  }

  /** A frame whose dirt is lost; null: there is none. */
  #lost(read: Read): number | null {
    const { frames, dirty } = this.#kernel;
    for (let frame = frames.tables; frame < frames.count; frame++) {
      if (read(this.written.at(frame)) === 0 || read(frames.state.at(frame)) !== FrameKind.page) continue;
      const folio = this.#kernel.page_folio(frame);
      if (read(dirty.at(folio)) === 0 && !this.#isDirty(read, frame)) return frame;
    }
    return null;
  }

  /** Whether any entry of the frame, or of the contiguous block around it, is dirty. */
  #isDirty(read: Read, frame: number): boolean {
    const { mms, CONT_PTES, PTRS_PER_PTE } = this.#kernel;
    return mms.some((mm) => {
      for (let first = 0; first < PTRS_PER_PTE; first += CONT_PTES) {
        const entries = this.#entries(read, mm, first);
        const own = entries.find((pte) => pte_valid(pte) && pte_pfn(pte) === frame);
        if (
          own !== undefined &&
          (pte_dirty(own) || (pte_cont(own) && entries.some((pte) => pte_valid_cont(pte) && pte_dirty(pte))))
        )
          return true;
      }
      return false;
    });
  }

  /** A store of the kernel's to an entry has reached memory. */
  #written(cx: OperationContext, address: number): void {
    const { frames, mms, ptl, tlb } = this.#kernel;
    if (tlb.hardwareUpdates) return;
    const cell = address - frames.entries.base;
    const index = mms.findIndex((mm) => mm.table === Math.floor(cell / frames.entriesPerTable));
    if (index < 0 || cx.read(ptl.at(index)) !== 0) return;
    cx.fail(UNLOCKED, () => `pte[${cell % frames.entriesPerTable}] becomes ${formatPte(cx.read(address))}`);
  }
}

function wordsOf({ base, cells }: Region): number[] {
  return Array.from({ length: cells }, (_, i) => base + i);
}
