/** What the documents of the command look like: JSON Schema, made from what reads or describes them here. */
import { topologySchema } from '@shootdown/topology';
import { z } from 'zod';
import { savedSchedule } from './schedule-file.ts';

const text = z.string();
const count = z.int().min(0);
const memoryModel = z.enum(['sc', 'tso', 'arm']);
const expected = z.enum(['safe', 'violation', 'deadlock']);

const violation = z.strictObject({ property: text, detail: text });
const message = z.looseObject({
  from: text,
  to: text,
  type: text,
  /** Null: between components of one package, within the step. */
  channel: text.nullable(),
  synchronous: z.boolean().optional(),
  level: z.literal(true).optional(),
  fromColumn: z.int(),
  toColumn: z.int(),
});

const step = z.strictObject({
  entry: count,
  kind: z.enum(['advance', 'deliver', 'drain', 'spontaneous']),
  column: z.int().min(-1),
  stack: z.array(text),
  text,
  facts: z.array(text),
  inInterrupt: z.boolean(),
  messages: z.array(message).optional(),
  ghost: z.literal(true).optional(),
  effect: z.literal(true).optional(),
  asides: z.array(z.strictObject({ column: z.int(), text })).optional(),
  violation: violation.nullable(),
  startCycles: z.number().nullable(),
  durationCycles: z.number().nullable(),
});

const trace = z.strictObject({
  $schema: text.optional(),
  format: z.literal('shootdown-trace'),
  version: z.literal(1),
  columns: z.array(z.strictObject({ name: text, routine: text })),
  steps: z.array(step),
  end: z.strictObject({ kind: z.enum(['violation', 'deadlock', 'finally', 'end']), text }).nullable(),
  rounds: z.array(text).optional(),
  fingerprint: text.regex(/^[0-9a-f]{16}$/),
  replayCommand: text.nullable(),
});

const list = z.array(
  z.looseObject({
    scenario: text,
    title: text,
    variants: z.array(z.looseObject({ name: text, expected: z.unknown(), source: text })),
  }),
);

const result = z.looseObject({
  scenario: text,
  variant: text,
  memoryModel,
  verdict: z.enum(['safe', 'violation', 'deadlock', 'bounded']),
  expected: expected.nullable(),
  agrees: z.boolean().nullable(),
  property: text.nullable(),
  kind: text.nullable(),
  /** Null where schedules were sampled. */
  states: count.nullable(),
  transitions: count.nullable(),
  depth: count.nullable(),
  complete: z.boolean(),
  seconds: z.number(),
  interleavings: text.nullable(),
  schedule: text.nullable(),
  trace: trace.nullable(),
});

/** By the name that `shootdown schema` takes. */
export const schemas = { topology: topologySchema, trace, schedule: savedSchedule, list, result } as const;

/** Name of a schema. */
export type SchemaName = keyof typeof schemas;

/** The JSON Schema of a document, as a user writes or reads it. */
export function jsonSchemaOf(name: SchemaName): string {
  const schema = z.toJSONSchema(schemas[name] as z.ZodType, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ title: `shootdown ${name}`, ...schema }, null, 2)}\n`;
}
