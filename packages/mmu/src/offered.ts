/** What memory offers: the translation a full walk of a tree would cache now. */
import type { Frames } from '@shootdown/machine';
import {
  _PAGE_ACCESSED,
  _PAGE_CONT,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RDONLY,
  _PAGE_TABLE,
  PFN_SHIFT,
  pte_pfn,
} from './entry.ts';
import { indexOf, restrict, type WalkLevel, type WalkShape } from './walk.ts';

/** No translation. */
export const NO_TRANSLATION = 0;

/**
 * An entry as a cache tells it from others: accessed and dirty bits (arm64: RDONLY of a writable page) do not make it a
 * different one.
 */
export function cacheable(entry: number): number {
  return entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_RDONLY);
}

/** True if an entry of level `depth` is a leaf. */
export function isLeaf(shape: WalkShape, depth: number, entry: number): boolean {
  return depth === shape.levels.length - 1 || (entry & _PAGE_PSE) !== 0;
}

/** Address of the entry for a page in a table (a frame) of level `depth`. */
function entryAddress(frames: Frames, { levels }: WalkShape, table: number, depth: number, vpn: number): number {
  return frames.entries.base + table * frames.entriesPerTable + indexOf(levels[depth] as WalkLevel, vpn);
}

/** The leaf that a walk from `root` (a frame; negative: no tree) finds for a page, or {@link NO_TRANSLATION}. */
export function offered(
  read: (address: number) => number,
  frames: Frames,
  shape: WalkShape,
  root: number,
  vpn: number,
): number {
  let table = root;
  let pointer = _PAGE_TABLE;
  for (let depth = 0; table >= 0 && depth < shape.levels.length; depth++) {
    const entry = read(entryAddress(frames, shape, table, depth, vpn));
    if ((entry & _PAGE_PRESENT) === 0) return NO_TRANSLATION;
    pointer = restrict(entry, pointer);
    if (isLeaf(shape, depth, entry)) return cacheable(pointer);
    table = pte_pfn(entry);
  }
  return NO_TRANSLATION;
}

/**
 * A contiguous entry as it translates one page of its block: the low bits of the output address come from the page.
 * Others stay as they are.
 */
export function appliedTo(entry: number, vpn: number, blockEntries: number): number {
  if ((entry & _PAGE_CONT) === 0) return entry;
  const frame = pte_pfn(entry);
  const own = frame - (frame % blockEntries) + (vpn % blockEntries);
  return (own << PFN_SHIFT) | (entry & ((1 << PFN_SHIFT) - 1));
}

/** What walks find in the pages of one block, where entries may be contiguous. */
export interface BlockOffers {
  readonly first: number;
  /** Per page the entry that is for itself; {@link NO_TRANSLATION} where that is contiguous, or there is none. */
  readonly own: readonly number[];
  /** The contiguous ones as they translate the first page: one, unless they disagree. */
  readonly contiguous: readonly number[];
}

/** Looks at every page of the block that begins with `first`. */
export function offeredInBlock(
  read: (address: number) => number,
  frames: Frames,
  shape: WalkShape,
  root: number,
  first: number,
  blockEntries: number,
): BlockOffers {
  const own: number[] = [];
  const contiguous: number[] = [];
  for (let page = first; page < first + blockEntries; page++) {
    const entry = offered(read, frames, shape, root, page);
    // A block of one has no contiguous entries: the bit, if it is there, says nothing about other pages.
    const alone = blockEntries === 1 || (entry & _PAGE_CONT) === 0;
    own.push(alone ? entry : NO_TRANSLATION);
    if (alone) continue;
    const translation = appliedTo(entry, first, blockEntries);
    if (!contiguous.includes(translation)) contiguous.push(translation);
  }
  return { first, own, contiguous };
}

/** Calls back with each translation of a page of the block: its own entry, and every contiguous one. */
export function eachOffered(
  { first, own, contiguous }: BlockOffers,
  vpn: number,
  blockEntries: number,
  each: (translation: number) => void,
): void {
  const entry = own[vpn - first] as number;
  if (entry !== NO_TRANSLATION) each(entry);
  for (const translation of contiguous) each(appliedTo(translation, vpn, blockEntries));
}

/** The leaf that a walk from `root` finds for a page: its address and its level; null if there is none. */
export function leafAt(
  read: (address: number) => number,
  frames: Frames,
  shape: WalkShape,
  root: number,
  vpn: number,
): { readonly address: number; readonly depth: number } | null {
  let table = root;
  for (let depth = 0; table >= 0 && depth < shape.levels.length; depth++) {
    const address = entryAddress(frames, shape, table, depth, vpn);
    const entry = read(address);
    if ((entry & _PAGE_PRESENT) === 0) return null;
    if (isLeaf(shape, depth, entry)) return { address, depth };
    table = pte_pfn(entry);
  }
  return null;
}
