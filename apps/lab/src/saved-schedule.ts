/**
 * A saved schedule, as it stands in a file. Whoever only writes one does not load what checks it.
 */
import { ModelError } from '@shootdown/machine';
import { z } from 'zod';

/** What a saved schedule says. */
export const savedSchedule = z.strictObject({
  $schema: z.string().optional(),
  shootdown: z.literal(1),
  /** A demo's name, or a whole topology. */
  machine: z
    .union([z.strictObject({ demo: z.string() }), z.strictObject({ topology: z.record(z.string(), z.unknown()) })])
    .optional(),
  scenario: z
    .strictObject({
      name: z.string(),
      variant: z.string(),
      memoryModel: z.enum(['sc', 'tso', 'arm']),
      parameters: z.record(z.string(), z.number()),
      /** What `--replace` and its flags said. */
      replace: z
        .strictObject({
          path: z.string(),
          side: z.enum(['before', 'after']).optional(),
          tree: z.string().optional(),
        })
        .optional(),
      /** Lines changed. */
      mutate: z.array(z.string()).optional(),
    })
    .optional(),
  schedule: z.string(),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
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
  throw new ModelError(
    `schedule: ${path}: ${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'not a schedule'}`,
  );
}
