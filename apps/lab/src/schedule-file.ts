/**
 * Schedules: what makes a run happen again.
 *
 * A saved schedule names its machine (demo, topology or scenario), the choices made, and the fingerprint they lead to. On
 * the command line the choices are written `0x12,3,0.1x2`: choice, `.branch` if not 0, `xN` if repeated.
 */
import { writeFileSync } from 'node:fs';
import { entryBranch, entryChoice, ModelError, scheduleEntry } from '@shootdown/machine';
import { z } from 'zod';

const savedSchedule = z.strictObject({
  shootdown: z.literal(1),
  /** A demo's name, or a whole topology. */
  machine: z.union([z.strictObject({ demo: z.string() }), z.strictObject({ topology: z.record(z.string(), z.unknown()) })]).optional(),
  scenario: z
    .strictObject({ name: z.string(), variant: z.string(), memoryModel: z.enum(['sc', 'tso']), parameters: z.record(z.string(), z.number()) })
    .optional(),
  schedule: z.string(),
  fingerprint: z.string().regex(/^[0-9a-f]{16}$/).optional(),
});

/** A schedule as saved. */
export type SavedSchedule = z.output<typeof savedSchedule>;

/** Reads a saved schedule. Throws ModelError. */
export function parseSavedSchedule(text: string, path: string): SavedSchedule {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw new ModelError(`schedule: ${path}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = savedSchedule.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelError(`schedule: ${path}: ${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'not a schedule'}`);
}

/** Writes a schedule file whole. */
export function saveSchedule(path: string, saved: SavedSchedule): void {
  try {
    writeFileSync(path, `${JSON.stringify(saved)}\n`);
  } catch (error) {
    throw new ModelError(`schedule: ${path}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}

/** Schedule entries in the short form. */
export function formatSchedule(schedule: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < schedule.length; ) {
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
    if (!match || Number(match[1]) > 255) throw new ModelError(`schedule: part ${i}: expected choice[.branch][xN] (${part})`);
    const entry = scheduleEntry(Number(match[1]), Number(match[2] ?? 0));
    const times = Number(match[3] ?? 1);
    if (schedule.length + times > ENTRIES_MAX) throw new ModelError(`schedule: part ${i}: more than ${ENTRIES_MAX} steps`);
    for (let n = 0; n < times; n++) schedule.push(entry);
  });
  return schedule;
}
