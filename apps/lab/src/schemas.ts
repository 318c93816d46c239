/** What the documents of the command look like: JSON Schema, made from what reads or describes them here. */
import { topologySchema } from '@shootdown/topology';
import { z } from 'zod';
import { savedSchedule } from './saved-schedule.ts';

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

/** Begins after `from` steps, and is over after `to`. */
const stretch = z.looseObject({ from: count, to: count });
const choice = z.strictObject({ entry: count, column: z.int().min(-1), text, violates: z.boolean() });
/** State of an XState actor: `{ value, context }`. */
const actors = z.record(text, z.looseObject({ value: z.unknown() }));

const states = z.strictObject({
  initial: z.array(z.strictObject({ address: count, name: text, region: text, value: z.number(), text })),
  actors,
  steps: z.array(
    z.strictObject({
      enabled: z.array(choice),
      changes: z.array(
        z.strictObject({ address: count, name: text, before: z.number(), after: z.number(), textBefore: text, text }),
      ),
      /** What the routine received: the value of a read. */
      result: z.number().nullable(),
      actors,
      sent: z.array(text),
      delivered: text.nullable(),
      /** By column, outermost first; an interrupt handler above what it interrupts. */
      stacks: z.array(z.array(text)),
      /** Which call each of them is: equal numbers of two steps are one call, which goes on. */
      calls: z.array(z.array(count)),
    }),
  ),
  enabledAtEnd: z.array(choice),
  views: z.strictObject({
    frames: z.array(
      z.strictObject({
        frame: count,
        address: count,
        stretches: z.array(stretch.extend({ text, value: z.number(), isTable: z.boolean(), isFreed: z.boolean() })),
        roots: z.array(stretch.extend({ name: text })),
        entries: z.array(
          z.strictObject({
            index: count,
            address: count,
            stretches: z.array(stretch.extend({ value: z.number(), text, pointsTo: count.nullable() })),
          }),
        ),
      }),
    ),
    tlbs: z.array(
      z.strictObject({
        address: count,
        name: text,
        processor: text.nullable(),
        page: text.nullable(),
        space: text.nullable(),
        stretches: z.array(
          stretch.extend({
            state: z.enum(['none', 'cached', 'stale', 'flushed']),
            value: z.number(),
            text,
            cachedAt: count.nullable(),
            staleSince: count.nullable(),
            flushCompletedAt: count.nullable(),
          }),
        ),
      }),
    ),
    locks: z.array(
      z.strictObject({
        name: text,
        addresses: z.array(count),
        stretches: z.array(stretch.extend({ text, holders: z.array(text), waiters: z.array(text) })),
      }),
    ),
    messages: z.array(
      z.strictObject({
        channel: text,
        sentAt: count,
        fromColumn: z.int().min(-1),
        /** Null: on its way still. */
        deliveredAt: count.nullable(),
        toColumn: z.int().min(-1).nullable(),
      }),
    ),
    waits: z.array(z.strictObject({ column: count, since: count, endedAt: count, byColumn: count, goesOnAt: count })),
  }),
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
  /** Left out of long runs. */
  states: states.optional(),
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
  /** Null: the search did not go by length. */
  statesByDepth: z.array(count).nullable().optional(),
  /** Operations that the memory model makes nothing of, where they are reached. */
  notTested: z.array(z.looseObject({ operation: text, sites: count })).optional(),
  /** What lines that are reached do, and the model does not. */
  notModelled: z.array(z.strictObject({ what: text, operations: z.array(text) })).optional(),
  complete: z.boolean(),
  seconds: z.number(),
  interleavings: text.nullable(),
  schedule: text.nullable(),
  trace: trace.nullable(),
});

const percentile = z.number().nullable();
const counters = z.record(text, z.array(z.number()));

const run = z.looseObject({
  name: text,
  /** Whose the columns of counters are, in their order. */
  processors: z.array(text).optional(),
  /** Of a host. */
  vms: z.array(z.strictObject({ name: text, processors: z.array(text) })).optional(),
  end: text,
  violation: text.nullable(),
  /** After a deadlock: what each processor waits for. */
  waiting: z.array(text),
  steps: count,
  cycles: z.number(),
  nanoseconds: z.number(),
  phases: z.record(text, counters),
  total: counters,
  /** Of all processors together, by interval of virtual time. */
  series: z.looseObject({ intervalNanoseconds: z.number(), counters }),
  /** Cycles; percentiles are bounds that so much of the values does not exceed, at most twice the true ones. */
  histograms: z.record(
    text,
    z.looseObject({
      count,
      min: z.number().nullable(),
      mean: z.number().nullable(),
      max: z.number().nullable(),
      percentiles: z.strictObject({ '50': percentile, '90': percentile, '99': percentile }),
      buckets: z.array(z.strictObject({ low: z.number(), high: z.number(), count })),
    }),
  ),
  fingerprint: text,
});

/** By the name that `shootdown schema` takes. */
export const schemas = { topology: topologySchema, trace, schedule: savedSchedule, list, result, run } as const;

/** Name of a schema. */
export type SchemaName = keyof typeof schemas;

/** The JSON Schema of a document, as a user writes or reads it. */
export function jsonSchemaOf(name: SchemaName): string {
  const schema = z.toJSONSchema(schemas[name] as z.ZodType, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ title: `shootdown ${name}`, ...schema }, null, 2)}\n`;
}
