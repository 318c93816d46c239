/**
 * Break-before-make: which changes of a valid entry need an invalid entry and a completed TLBI in between.
 *
 * Mirrors Arm ARM (DDI 0487) D8.16.1, "Using break-before-make when updating translation table entries". The rule is
 * about what TLBs and walkers may still hold, so it is asked whenever memory offers an entry to somebody who may hold
 * another one.
 */
import { is, type Frames, type SystemBuilder } from '@shootdown/machine';
import {
  _PAGE_CONT,
  _PAGE_GLOBAL,
  _PAGE_NC,
  _PAGE_NX,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  formatEntry,
  pte_pfn,
} from './entry.ts';

/** Built-in property: violated by a valid entry in memory that somebody who translates may hold another way. */
export const BREAK_BEFORE_MAKE = 'no entry is changed without break-before-make while somebody may hold the old one';

/** Built-in property: violated by an access that finds two translations which must not be held at once. */
export const TLB_CONFLICT = 'no access meets two translations that conflict';

/** What a machine lets software do without breaking first. */
export interface BreakBeforeMakeRule {
  /**
   * ID_AA64MMFR2_EL1.BBM. 2: the size of a block and the contiguous bit may be changed in place. 1 asks for the nT bit,
   * which is not modelled, so that it allows what 0 does.
   */
  readonly level: 0 | 1 | 2;
  /**
   * Level 2 without TLB conflict aborts: what Linux calls BBML2_NOABORT. An access uses one of the translations, never
   * a mixture.
   */
  readonly noConflictAbort?: boolean;
  /**
   * True if two frames hold the same: the output address of a read-only entry may be changed between them. Default:
   * never.
   */
  readonly sameContents?: (frame: number, other: number) => boolean;
  /**
   * Erratum 2645198 (Cortex-A715): a page that instructions may be fetched from needs a break before it becomes one
   * that they may not. Default false.
   */
  readonly executableNeedsBreak?: boolean;
}

/** Refuses what is no {@link BreakBeforeMakeRule}. */
export const checkRule = is.options<BreakBeforeMakeRule>(
  {
    level: is.whole(0, 2),
    noConflictAbort: is.flag,
    sameContents: is.callable,
    executableNeedsBreak: is.flag,
  },
  ['level'],
);

/** The strictest: ARMv8.0. */
export const BBML0: BreakBeforeMakeRule = { level: 0 };
/** What Linux's CPU list of BBML2_NOABORT has. */
export const BBML2_NOABORT: BreakBeforeMakeRule = { level: 2, noConflictAbort: true };

/**
 * A translation as the rule compares it: the entry for one page (a contiguous one as it applies to that page), and
 * whether it is a leaf.
 */
export interface HeldEntry {
  readonly entry: number;
  readonly leaf: boolean;
}

/**
 * What about the change from one valid entry to another needs a break, in the words of the manual; null if nothing
 * does. Permissions, accessed and dirty bits never do, but for an erratum.
 */
export function changeThatNeedsBreak(old: HeldEntry, now: HeldEntry, rule: BreakBeforeMakeRule): string | null {
  const changed = old.entry ^ now.entry;
  if (old.leaf !== now.leaf) return rule.level < 2 ? 'block size' : null;
  if (pte_pfn(old.entry) !== pte_pfn(now.entry) && !(old.leaf && interchangeable(old.entry, now.entry, rule)))
    return old.leaf ? 'output address' : 'table address';
  if (!old.leaf) return null;
  if ((changed & _PAGE_NC) !== 0) return 'memory type';
  if ((changed & _PAGE_GLOBAL) !== 0 && (now.entry & _PAGE_GLOBAL) !== 0) return 'non-global to global';
  if ((changed & _PAGE_CONT) !== 0 && rule.level < 2) return 'contiguous bit';
  if (rule.executableNeedsBreak === true && (changed & now.entry & _PAGE_NX) !== 0) return 'execute permission';
  return null;
}

/**
 * Reports entries that change in place, for machines whose TLBs hold what their hardware would hold and no more: there
 * a translation that is not held today could be. That an entry was invalid in between, but not invalidated, it does not
 * see.
 * @param firstTable the first of the tables that this is asked of
 */
export function reportChangesInPlace(
  builder: SystemBuilder,
  frames: Frames,
  { rule = BBML0, firstTable = 0 }: { readonly rule?: BreakBeforeMakeRule; readonly firstTable?: number } = {},
): void {
  const from = frames.entries.base + firstTable * frames.entriesPerTable;
  const held = (entry: number): HeldEntry => ({
    entry,
    leaf: (entry & _PAGE_PSE) !== 0 || pte_pfn(entry) >= frames.tables,
  });
  builder.watch(frames.entries, (cx, address, old) => {
    const now = cx.read(address);
    if ((old & now & _PAGE_PRESENT) === 0 || address < from) return;
    const what = changeThatNeedsBreak(held(old), held(now), rule);
    if (what === null) return;
    const cell = address - frames.entries.base;
    const [table, index] = [Math.floor(cell / frames.entriesPerTable), cell % frames.entriesPerTable];
    cx.fail(
      BREAK_BEFORE_MAKE,
      () =>
        `${what} of entry ${index} of table 0x${table.toString(16)} changed from ${formatEntry(old)} to ${formatEntry(now)}, any TLB may hold the old one`,
    );
  });
}

/** The sentence of a violation. */
export function brokenRule(
  holder: string,
  page: number,
  what: string,
  old: number,
  now: number,
  format: (entry: number) => string = formatEntry,
): string {
  return `${what} of page 0x${page.toString(16)} changed from ${format(old)} to ${format(now)}, ${holder} may hold the old one`;
}

function interchangeable(entry: number, other: number, { sameContents }: BreakBeforeMakeRule): boolean {
  return readOnly(entry) && readOnly(other) && sameContents?.(pte_pfn(entry), pte_pfn(other)) === true;
}

/** No store goes through it, and no hardware makes one go through. */
function readOnly(entry: number): boolean {
  return (entry & _PAGE_RW) === 0;
}
