/** Seeded mutations of bytes and of JSON: what a slip of the hand, a broken copy or malice makes of good input. */
import type { Random } from '@shootdown/machine';

/** What stands in files where something else is meant. */
const STRANGE: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  0.5,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e308,
  -1e9,
  '',
  'x',
  '64x4',
  '1x1',
  '\u001b[31mred',
  'a\nb',
  '__proto__',
  'constructor',
  '{i}',
  '\ud800',
  'y'.repeat(5000),
  [],
  {},
  [[]],
  { do: 'spin' },
  { do: 'repeat', times: 1_000_000, body: [{ do: 'compute', cycles: 1000 }] },
  { do: 'exit' },
];

/** One of a list. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)] as T;
}

type Container = Record<string, unknown> | unknown[];

function containersIn(value: unknown, found: Container[] = []): Container[] {
  if (typeof value !== 'object' || value === null) return found;
  found.push(value as Container);
  for (const inner of Object.values(value)) containersIn(inner, found);
  return found;
}

/** A copy with so many changes: a value replaced, scaled, removed, doubled, moved, or one that nobody asked for. */
export function mutatedJson(random: Random, original: unknown, changes: number): unknown {
  const copy = structuredClone({ root: original });
  for (let i = 0; i < changes; i++) changeOne(random, pick(random, containersIn(copy)), copy);
  return copy.root ?? null;
}

function changeOne(random: Random, container: Container, whole: unknown): void {
  const keys = Object.keys(container);
  const key = keys.length > 0 ? pick(random, keys) : 'x';
  const held = container as Record<string, unknown>;
  const value = held[key];
  switch (random.below(7)) {
    case 0:
      held[key] = structuredClone(pick(random, STRANGE));
      return;
    case 1:
      if (typeof value === 'number') held[key] = pick(random, [value + 1, value - 1, value * 2, -value, value * 1000]);
      else if (typeof value === 'string') held[key] = mutatedBytes(random, Buffer.from(value), 1).toString('utf8');
      return;
    case 2:
      if (Array.isArray(container)) container.splice(random.below(container.length + 1), 1);
      else delete held[key];
      return;
    case 3:
      if (Array.isArray(container)) container.push(structuredClone(value));
      else held[`${key}s`] = structuredClone(value);
      return;
    case 4:
      held[key] = structuredClone(pick(random, containersIn(whole)));
      return;
    case 5:
      held[pick(random, ['host', 'hz', 'costs', 'memory', 'threads', 'schedule', 'x'])] = structuredClone(
        pick(random, STRANGE),
      );
      return;
    default:
      if (Array.isArray(container)) container.reverse();
      else held[key] = [value];
  }
}

/** A copy with so many changes: bits flipped, bytes overwritten, parts removed, doubled, cut off. */
export function mutatedBytes(random: Random, original: Uint8Array, changes: number): Buffer {
  let bytes = Buffer.from(original);
  for (let i = 0; i < changes; i++) {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + 1 + random.below(16));
    switch (random.below(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
        break;
      case 1:
        bytes.fill(random.below(256), at, end);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(pick(random, WORDS)), bytes.subarray(at)]);
        break;
      default:
        if (random.below(4) === 0) bytes = Buffer.from(bytes.subarray(0, at));
    }
  }
  return bytes;
}

const WORDS = [
  '\n',
  ',',
  '"',
  '{',
  ']',
  'x99999999',
  '0x',
  '-',
  '\u001b[2J',
  ' L 1000,8\n',
  'hello\n',
  '\0',
  '255.9999',
];
