/**
 * Schedule entries: a choice and one of its outcomes, packed into one number. Part of every saved schedule.
 *
 * In text the choices are written `0x12,3,0.1x2`: choice, `.branch` if not 0, `xN` if repeated.
 */
import { ModelError } from '../state/errors.ts';

/**
 * The low byte of the choice, then the branch, then the rest of the choice: entries of small systems are small numbers.
 */
const BRANCH_STRIDE = 256;
const BRANCHES_MAX = 1 << 21;
const HIGH_STRIDE = BRANCH_STRIDE * BRANCHES_MAX;

/** Choices of a system at most: whoever keeps many entries packs a choice into 15 bits. */
export const CHOICES_MAX = 0x7fff;

/** Packs a choice and a branch into the number that stands in a schedule. */
export function scheduleEntry(choice: number, branch: number): number {
  return choice < BRANCH_STRIDE
    ? choice + branch * BRANCH_STRIDE
    : (choice % BRANCH_STRIDE) + branch * BRANCH_STRIDE + Math.floor(choice / BRANCH_STRIDE) * HIGH_STRIDE;
}

/** The choice in a schedule entry. */
export function entryChoice(entry: number): number {
  const low = entry % BRANCH_STRIDE;
  return entry < HIGH_STRIDE ? low : low + Math.floor(entry / HIGH_STRIDE) * BRANCH_STRIDE;
}

/** The branch in a schedule entry. */
export function entryBranch(entry: number): number {
  return Math.floor(entry / BRANCH_STRIDE) % BRANCHES_MAX;
}

/** Schedule entries in the short form. */
export function formatSchedule(schedule: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < schedule.length;) {
    const entry = schedule[i] as number;
    let times = 1;
    while (schedule[i + times] === entry) times++;
    const branch = entryBranch(entry);
    parts.push(`${entryChoice(entry)}${branch > 0 ? `.${branch}` : ''}${times > 1 ? `x${times}` : ''}`);
    i += times;
  }
  return parts.join(',');
}

/** The beginning of a schedule. */
export interface ParsedSchedule {
  readonly entries: readonly number[];
  /** Steps that come after these. */
  readonly left: number;
}

/**
 * At most so many entries of the short form; the others are counted, not held. Throws ModelError at the first part that
 * is none.
 */
export function parseScheduleUpTo(text: string, stepsMax: number): ParsedSchedule {
  const entries: number[] = [];
  let left = 0;
  if (text === '') return { entries, left };
  text.split(',').forEach((part, i) => {
    const match = /^(\d{1,5})(?:\.(\d{1,5}))?(?:x(\d{1,8}))?$/.exec(part.trim());
    if (!match || Number(match[1]) >= CHOICES_MAX)
      throw new ModelError(`schedule: part ${i}: expected choice[.branch][xN] (${part})`);
    const entry = scheduleEntry(Number(match[1]), Number(match[2] ?? 0));
    const times = Number(match[3] ?? 1);
    const taken = Math.min(times, stepsMax - entries.length);
    for (let n = 0; n < taken; n++) entries.push(entry);
    left += times - taken;
  });
  return { entries, left };
}

const ENTRIES_MAX = 5_000_000;

/**
 * The short form as schedule entries. Throws ModelError at the first part that is none, and if they are more than five
 * million.
 */
export function parseSchedule(text: string): readonly number[] {
  const { entries, left } = parseScheduleUpTo(text, ENTRIES_MAX);
  if (left > 0) throw new ModelError(`schedule: ${entries.length + left} steps: at most ${ENTRIES_MAX}`);
  return entries;
}
