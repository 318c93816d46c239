/**
 * The shape of the simulated tree, and the hardware walk over it.
 *
 * The walker reads memory, never a store buffer, and sets accessed and dirty bits with atomic updates (Intel SDM vol.
 * 3A, 4.8; Arm ARM D8.5, FEAT_HAFDBS).
 */
import { FrameKind, type Frames, type OperationContext } from '@shootdown/machine';
import type { Geometry } from '@shootdown/page-table';
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  mk_pte,
  NO_TABLE,
  pte_pfn,
} from './entry.ts';
import type { PageSize } from './tlb-words.ts';

/** One level of a simulated tree. */
export interface WalkLevel {
  readonly name: string;
  /** Entries of a table. */
  readonly entries: number;
  /** Pages that one entry spans. */
  readonly spanPages: number;
}

/** A simulated tree: levels, top first. */
export interface WalkShape {
  readonly name: string;
  readonly levels: readonly WalkLevel[];
  /** Index bits of the lower levels: a page one level up covers 2^bits pages. */
  readonly bitsPerLevel: number;
}

/** The tree of an architecture. */
export function walkShape(geometry: Geometry): WalkShape {
  const levels = geometry.levels.map((l) => ({
    name: l.name,
    entries: l.entries,
    spanPages: 2 ** (l.shiftBits - geometry.pageShiftBits),
  }));
  return { name: geometry.name, levels, bitsPerLevel: geometry.levels.at(-1)?.indexBits ?? 0 };
}

/** A small tree for exploration: `depth` levels of `entries` entries each (a power of two). */
export function tinyShape(depth: number, entries: number): WalkShape {
  const names = ['pgd', 'p4d', 'pud', 'pmd', 'pte'];
  const used = depth === 1 ? ['pte'] : ['pgd', ...names.slice(names.length - depth + 1)];
  const levels = used.map((name, i) => ({ name, entries, spanPages: entries ** (depth - 1 - i) }));
  return { name: `tiny-${depth}x${entries}`, levels, bitsPerLevel: Math.log2(entries) };
}

/** Index of a page's entry in the table of a level. */
export function indexOf(level: WalkLevel, vpn: number): number {
  return Math.floor(vpn / level.spanPages) % level.entries;
}

/** Page-fault error code bits (Intel SDM vol. 3A, 4.7): 0 is no fault. */
export const Fault = { none: 0, notPresent: 1, protection: 2 } as const;

/** In place of a fault code: the second stage has no translation, which the hypervisor hears of and the guest never. */
export const SECOND_STAGE = 3;

/** Outcome of a walk. */
export interface Walked {
  fault: number;
  /** What may be cached: the leaf, writable only if every table entry on the way is. */
  entry: number;
  size: PageSize;
  /** Memory references made. */
  references: number;
  /**
   * Pointer to the last-level table with the permissions so far, for the paging-structure cache; 0 if the walk ended
   * above.
   */
  lastTable: number;
}

/** Walks simulated tables; one walker per MMU, reused between walks. */
export class Walker {
  readonly shape: WalkShape;
  readonly #frames: Frames;
  readonly #result: Walked = { fault: 0, entry: 0, size: 0, references: 0, lastTable: 0 };

  constructor(shape: WalkShape, frames: Frames) {
    this.shape = shape;
    this.#frames = frames;
  }

  /**
   * Walks from a table down to the leaf for a page.
   * @param table pointer to the table to begin with ({@link rootPointer}, or one the paging-structure cache kept)
   * @param depth its level: 0 for the root
   * @returns an object that the next walk overwrites
   */
  walk(cx: OperationContext, table: number, depth: number, vpn: number, write: boolean): Walked {
    const result = this.#result;
    const { levels } = this.shape;
    const last = levels.length - 1;
    result.fault = Fault.none;
    result.references = 0;
    result.lastTable = 0;
    let pointer = table;
    for (let d = depth; pointer !== NO_TABLE; d++) {
      const frame = pte_pfn(pointer);
      this.#frames.check(cx, frame, FrameKind.table, 'hardware walk reads table');
      const address =
        this.#frames.entries.base + frame * this.#frames.entriesPerTable + indexOf(levels[d] as WalkLevel, vpn);
      const entry = cx.read(address);
      result.references++;
      if ((entry & _PAGE_PRESENT) === 0) return stop(result, Fault.notPresent, entry);
      if (write && (entry & pointer & _PAGE_RW) === 0) return stop(result, Fault.protection, entry);
      if (d === last) result.lastTable = pointer;
      if (d < last && (entry & _PAGE_PSE) === 0) {
        if ((entry & _PAGE_ACCESSED) === 0) cx.write(address, entry | _PAGE_ACCESSED);
        pointer = restrict(entry, pointer);
        continue;
      }
      const updated = entry | _PAGE_ACCESSED | (write ? _PAGE_DIRTY : 0);
      if (updated !== entry) cx.write(address, updated);
      result.entry = restrict(updated, pointer);
      result.size = (last - d) as PageSize;
      return result;
    }
    return stop(result, Fault.notPresent, 0);
  }
}

/**
 * The pointer a walk begins with: CR3 or TTBR, which restrict nothing. A negative frame is no tree: every access
 * faults.
 */
export function rootPointer(frame: number): number {
  return frame < 0 ? NO_TABLE : mk_pte(frame, _PAGE_TABLE);
}

/** An entry as the entries above it leave it: writable only if they are (SDM vol. 3A, 4.6). */
export function restrict(entry: number, above: number): number {
  return (above & _PAGE_RW) === 0 ? entry & ~_PAGE_RW : entry;
}

function stop(result: Walked, fault: number, entry: number): Walked {
  result.fault = fault;
  result.entry = entry;
  return result;
}

/** Whether a cached entry belongs to every address space. */
export function isGlobal(entry: number): boolean {
  return (entry & _PAGE_GLOBAL) !== 0;
}
