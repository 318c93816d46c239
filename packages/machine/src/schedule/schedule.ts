/**
 * Schedule entries: a choice and one of its outcomes, packed into one number. Part of every saved schedule.
 *
 * In text the choices are written `0x12,3,0.1x2`: choice, `.branch` if not 0, `xN` if repeated.
 */
import { ModelError } from '../state/errors.ts';

/** Choices of a system at most, plus one. */
const BRANCH_STRIDE = 256;

/** Packs a choice and a branch into the number that stands in a schedule. */
export function scheduleEntry(choice: number, branch: number): number {
  return choice + branch * BRANCH_STRIDE;
}

/** The choice in a schedule entry. */
export function entryChoice(entry: number): number {
  return entry % BRANCH_STRIDE;
}

/** The branch in a schedule entry. */
export function entryBranch(entry: number): number {
  return Math.floor(entry / BRANCH_STRIDE);
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

const ENTRIES_MAX = 50_000_000;

/** The short form as schedule entries. Throws ModelError at the first part that is none. */
export function parseSchedule(text: string): number[] {
  const schedule: number[] = [];
  if (text === '') return schedule;
  text.split(',').forEach((part, i) => {
    const match = /^(\d{1,3})(?:\.(\d{1,4}))?(?:x(\d{1,8}))?$/.exec(part.trim());
    if (!match || Number(match[1]) > 255)
      throw new ModelError(`schedule: part ${i}: expected choice[.branch][xN] (${part})`);
    const entry = scheduleEntry(Number(match[1]), Number(match[2] ?? 0));
    const times = Number(match[3] ?? 1);
    if (schedule.length + times > ENTRIES_MAX)
      throw new ModelError(`schedule: part ${i}: more than ${ENTRIES_MAX} steps`);
    for (let n = 0; n < times; n++) schedule.push(entry);
  });
  return schedule;
}
