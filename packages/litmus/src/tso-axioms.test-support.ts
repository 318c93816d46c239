/**
 * Random tests of x86, and what x86-TSO says of them by its axioms: candidate executions are enumerated, and one is
 * allowed if program order per location, and the order that all processors see, are free of circles. Of store buffers
 * it knows nothing. (Alglave, Maranget, Tautschnig, "Herding cats", TOPLAS 2014, section 4.5 and figure 21.)
 */
import type { Random } from '@shootdown/machine';

/** An instruction of a random test. */
interface Instruction {
  readonly kind: 'load' | 'store' | 'exchange' | 'mfence';
  readonly location: string;
  /** What is stored. */
  readonly value: number;
  /** Where the loaded value goes. */
  readonly register: string;
}

/** A random test, and its final states as the machine prints them. */
export interface TsoTest {
  readonly text: string;
  readonly allowed: readonly string[];
}

const LOCATIONS = ['x', 'y', 'z'];
const REGISTERS = ['rax', 'rbx', 'rcx', 'rdx', 'rsi'];
const KINDS = ['load', 'load', 'load', 'store', 'store', 'store', 'exchange', 'mfence'] as const;
const ACCESSES_MAX = 8;

/** A random test of two to four threads, and all that it may end in. */
export function tsoTest(random: Random): TsoTest {
  const threadCount = 2 + random.below(3);
  const locations = LOCATIONS.slice(0, 2 + random.below(2));
  let stored = 0;
  let accesses = 0;
  const threads = Array.from({ length: threadCount }, () => {
    const count = 1 + random.below(threadCount === 2 ? 4 : 3);
    const instructions: Instruction[] = [];
    let loads = 0;
    for (let i = 0; i < count; i++) {
      // A store before a load is what store buffers make a difference to.
      const favoured = i === 0 ? 'store' : i === count - 1 ? 'load' : null;
      const anyKind = KINDS[random.below(KINDS.length)] as Instruction['kind'];
      const kind = favoured !== null && random.below(3) > 0 ? favoured : anyKind;
      if (kind !== 'mfence' && ++accesses > ACCESSES_MAX) break;
      instructions.push({
        kind,
        location: locations[random.below(locations.length)] as string,
        value: kind === 'store' || kind === 'exchange' ? ++stored : 0,
        register: kind === 'load' || kind === 'exchange' ? (REGISTERS[loads++] as string) : '',
      });
    }
    return instructions;
  });
  const shown = threads.flatMap((instructions, thread) =>
    instructions.flatMap(({ register }) => (register === '' ? [] : [{ thread, register }])),
  );
  const columns = threads.map((instructions) => instructions.flatMap(written));
  const length = Math.max(...columns.map((lines) => lines.length));
  const rows = Array.from({ length }, (_, row) => ` ${columns.map((lines) => lines[row] ?? '').join(' | ')} ;`);
  const text = [
    'X86_64 random',
    `{ ${locations.map((location) => `${location}=0;`).join(' ')} }`,
    ` ${threads.map((_, i) => `P${i}`).join(' | ')} ;`,
    ...rows,
    `locations [${[...shown.map(({ thread, register }) => `${thread}:${register};`), ...locations.map((l) => `${l};`)].join(' ')}]`,
    '',
  ].join('\n');
  return { text, allowed: allowed(threads, shown, locations) };
}

function written({ kind, location, value, register }: Instruction): string[] {
  switch (kind) {
    case 'load':
      return [`movq (${location}),%${register}`];
    case 'store':
      return [`movq $${value},(${location})`];
    case 'exchange':
      return [`movq $${value},%${register}`, `xchgq %${register},(${location})`];
    case 'mfence':
      return ['mfence'];
  }
}

/** A load or a store; an exchange is one of each. */
interface Event {
  readonly thread: number;
  readonly at: number;
  readonly stores: boolean;
  readonly location: string;
  readonly value: number;
  readonly register: string;
  readonly locked: boolean;
}

type Edges = (readonly [number, number])[];

function allowed(
  threads: readonly (readonly Instruction[])[],
  shown: readonly { readonly thread: number; readonly register: string }[],
  locations: readonly string[],
): string[] {
  const events = threads.flatMap((instructions, thread) =>
    instructions.flatMap(({ kind, location, value, register }, at): Event[] => {
      const event = { thread, at, location, value, register, locked: kind === 'exchange' };
      if (kind === 'mfence') return [];
      const load = { ...event, stores: false };
      const store = { ...event, stores: true };
      return kind === 'load' ? [load] : kind === 'store' ? [store] : [load, store];
    }),
  );
  const fences = threads.map((instructions) => instructions.flatMap(({ kind }, at) => (kind === 'mfence' ? [at] : [])));
  const numbered = [...events.entries()];
  const storesTo = (location: string): number[] =>
    numbered.filter(([, e]) => e.stores && e.location === location).map(([i]) => i);
  const loads = numbered.filter(([, { stores }]) => !stores).map(([i]) => i);
  const inOrder: Edges = [];
  const perLocation: Edges = [];
  for (const [a, first] of numbered)
    for (const [b, second] of numbered) {
      if (first.thread !== second.thread || a >= b) continue;
      if (first.location === second.location) perLocation.push([a, b]);
      const fenced = fences[first.thread]?.some((at) => first.at < at && at < second.at) === true;
      // Only a store and a later load may change places.
      if (!first.stores || second.stores || fenced || first.locked || second.locked) inOrder.push([a, b]);
    }
  const texts = new Set<string>();
  for (const order of product(locations.map((location) => permutations(storesTo(location)))))
    for (const from of product(loads.map((load) => [-1, ...storesTo((events[load] as Event).location)]))) {
      const sourceOf = new Map(loads.map((load, i) => [load, from[i] as number]));
      const observed = observations(events, order, sourceOf);
      const { coherence, external, internal } = observed;
      if (!isAcyclic(events.length, [...perLocation, ...coherence, ...external, ...internal])) continue;
      if (!isAcyclic(events.length, [...inOrder, ...coherence, ...external])) continue;
      if (!areAtomic(events, order, sourceOf)) continue;
      const valueOf = (store: number | undefined): number =>
        store === undefined || store < 0 ? 0 : (events[store] as Event).value;
      const registers = shown.map(({ thread, register }) => {
        const load = loads.find((i) => events[i]?.thread === thread && events[i]?.register === register);
        return { name: `${thread}:${register}`, value: valueOf(sourceOf.get(load as number)) };
      });
      const words = locations.map((location, i) => ({ name: `[${location}]`, value: valueOf(order[i]?.at(-1)) }));
      texts.add([...registers, ...words].map(({ name, value }) => `${name}=${value};`).join(' '));
    }
  return [...texts].sort();
}

/** Who reads from whom and what is overwritten: within a thread, and what everybody sees. */
function observations(
  events: readonly Event[],
  order: readonly (readonly number[])[],
  sourceOf: ReadonlyMap<number, number>,
): { readonly coherence: Edges; readonly external: Edges; readonly internal: Edges } {
  const coherence: Edges = order.flatMap((stores) =>
    stores.flatMap((store, i) => stores.slice(i + 1).map((later) => [store, later] as const)),
  );
  const external: Edges = [];
  const internal: Edges = [];
  for (const [load, source] of sourceOf) {
    const stores = order.find((all) => all.some((s) => events[s]?.location === events[load]?.location)) ?? [];
    if (source >= 0) (events[source]?.thread === events[load]?.thread ? internal : external).push([source, load]);
    for (const later of stores.slice(stores.indexOf(source) + 1))
      if (later !== load + 1 || !events[load]?.locked) external.push([load, later]);
  }
  return { coherence, external, internal };
}

/** Between the load and the store of an exchange there is no other store. */
function areAtomic(
  events: readonly Event[],
  order: readonly (readonly number[])[],
  sourceOf: ReadonlyMap<number, number>,
): boolean {
  return [...sourceOf].every(([load, source]) => {
    if (events[load]?.locked !== true) return true;
    const stores = order.find((all) => all.includes(load + 1)) ?? [];
    return stores.indexOf(load + 1) === stores.indexOf(source) + 1;
  });
}

function isAcyclic(count: number, edges: Edges): boolean {
  const after = Array.from({ length: count }, () => 0);
  for (const [a, b] of edges) after[a] = (after[a] as number) | (1 << b);
  for (let middle = 0; middle < count; middle++)
    for (let a = 0; a < count; a++)
      if ((((after[a] as number) >> middle) & 1) === 1) after[a] = (after[a] as number) | (after[middle] as number);
  return after.every((later, a) => ((later >> a) & 1) === 0);
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}

function product<T>(choices: readonly (readonly T[])[]): T[][] {
  const [first, ...rest] = choices;
  if (!first) return [[]];
  const tails = product(rest);
  return first.flatMap((head) => tails.map((tail) => [head, ...tail]));
}
