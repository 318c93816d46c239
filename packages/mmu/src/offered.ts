/** What memory offers: the translation a full walk of a tree would cache now. */
import type { Frames } from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_PSE, _PAGE_RDONLY, _PAGE_TABLE, pte_pfn } from './entry.ts';
import { indexOf, restrict, type WalkLevel, type WalkShape } from './walk.ts';

/** No translation. */
export const NO_TRANSLATION = 0;

/** An entry as a cache tells it from others: accessed and dirty bits (arm64: RDONLY of a writable page) do not make it a different one. */
export function cacheable(entry: number): number {
  return entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_RDONLY);
}

/** True if an entry of level `depth` is a leaf. */
export function isLeaf(shape: WalkShape, depth: number, entry: number): boolean {
  return depth === shape.levels.length - 1 || (entry & _PAGE_PSE) !== 0;
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
    const entry = read(
      frames.entries.base + table * frames.entriesPerTable + indexOf(shape.levels[depth] as WalkLevel, vpn),
    );
    if ((entry & _PAGE_PRESENT) === 0) return NO_TRANSLATION;
    pointer = restrict(entry, pointer);
    if (isLeaf(shape, depth, entry)) return cacheable(pointer);
    table = pte_pfn(entry);
  }
  return NO_TRANSLATION;
}

/** Address of the leaf that a walk from `root` finds for a page, or -1. */
export function leafAddress(
  read: (address: number) => number,
  frames: Frames,
  shape: WalkShape,
  root: number,
  vpn: number,
): number {
  let table = root;
  for (let depth = 0; table >= 0 && depth < shape.levels.length; depth++) {
    const address =
      frames.entries.base + table * frames.entriesPerTable + indexOf(shape.levels[depth] as WalkLevel, vpn);
    const entry = read(address);
    if ((entry & _PAGE_PRESENT) === 0) return -1;
    if (isLeaf(shape, depth, entry)) return address;
    table = pte_pfn(entry);
  }
  return -1;
}
