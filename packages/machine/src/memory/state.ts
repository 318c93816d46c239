/**
 * The state of a weak memory: messages per location in order, events in a partial one (see `events.ts`), and what each
 * processor must have seen.
 */
import { has, NO_EVENT, NOTHING, only, type Events } from './events.ts';

/** How far translations by one processor have used a descriptor. */
export interface Use {
  /** Views of walks that read it. */
  walk: Events;
  /** Views of accesses (or faults) that were translated with it. */
  access: Events;
}

/** A store in memory. */
export interface Message {
  /** {@link NO_EVENT} if it is the oldest of its location. */
  event: number;
  /** Of the oldest: what is before it. Of others {@link MemoryState.before} says it. */
  base: Events;
  value: number;
  /** With what views this one was read when it should be the newest: later stores are after that. */
  readUpTo: Events;
  /** The next message of its location is the store of an atomic that read this one: nothing may come between them. */
  taken: boolean;
  /** Per processor; only of descriptors. */
  uses: Use[] | null;
  /** It is there before the store that makes it has been performed; null: it is not, or that has been. */
  promise: Promised | null;
}

/** Whose store a message promises, and which one of that processor's. */
export interface Promised {
  readonly processor: number;
  readonly site: number;
  /** The update of a descriptor by hardware, in the course of an access at that site. */
  readonly hardware: boolean;
}

/** A TLBI that has been issued. */
export interface Invalidation {
  readonly processor: number;
  /** Addresses of the descriptors that it concerns. */
  readonly pages: readonly number[];
  /** Inner Shareable: all processors; otherwise its own only. */
  readonly broadcast: boolean;
  /** What its issuer must have seen: entries overwritten up to there are invalidated. */
  issued: Events;
  /** The event of the DSB that waits for it; {@link NO_EVENT} before. */
  completed: number;
}

/** The newest own store to a location, as long as own loads may be given it before it is in memory. */
export interface Forwarded {
  /** Which message of the location it is. */
  index: number;
  /** What the store's address and data depend on. */
  view: Events;
  /** What the load of an atomic has seen; nothing for a plain store. */
  atomic: Events;
}

/** What a value that was loaded depends on. */
export interface Dependency {
  /** As address or data of a later access. */
  view: Events;
  /** As its control: at least `view`, and what the value was chosen by. */
  pick: Events;
}

/** The exclusive monitor. */
export interface Monitor {
  readonly address: number;
  /** Which message of the location was read. */
  index: number;
  /** What the load has seen. */
  seen: Events;
}

/** Which view is which. All of them only ever grow. */
export const View = {
  /** Loads. */
  reads: 0,
  /** Loads whose value is kept: those that DMB LD orders. */
  valueReads: 1,
  writes: 2,
  /** DMB, and loads with acquire semantics: every later access. */
  barrier: 3,
  /** DMB ST: later stores. */
  storeBarrier: 4,
  /** DSB: everything later. */
  completion: 5,
  /** Context synchronisation: ISB, exceptions. */
  context: 6,
  /** Stores with release semantics. */
  release: 7,
  /** Branches. */
  control: 8,
  /** Addresses of accesses so far. */
  addresses: 9,
  /** Translations. */
  walks: 10,
  /** Hardware updates of descriptors. */
  updates: 11,
} as const;
export type View = (typeof View)[keyof typeof View];
/** All of them. */
export const ALL_VIEWS: readonly View[] = Object.values(View);
/** What must have been seen, per view. */
export type Views = { [view in View]: Events };

/** How much one processor must have seen. */
export interface ProcessorState {
  /** Nothing of it depends on its views any more. */
  retired: boolean;
  readonly views: Views;
  /** Per location: which message it has read or written last. */
  readonly coherence: Map<number, number>;
  readonly forwarded: Map<number, Forwarded>;
  /** Values that are still of use, by slot. */
  readonly values: Map<number, Dependency>;
  /** Per page table: with what view the entry was loaded last that leads there. */
  readonly pointers: Map<number, Events>;
  /** Per descriptor: views of walks that have used it. */
  readonly walked: Map<number, Events>;
  /** What a load-exclusive has read, for the store-exclusive that follows. */
  monitor: Monitor | null;
}

/** Plain accesses of a word that everybody sees alike: those that not everybody is known to come after. */
export interface Plain {
  /** The event of the last store, and who made it; {@link NO_EVENT} if everybody else comes after it. */
  written: number;
  writer: number;
  /** Events of the last load of each processor since then. */
  readonly reads: Map<number, number>;
}

/** The whole weak memory. */
export interface MemoryState {
  /** Per event, what is before it. */
  readonly before: Events[];
  /** Per location its messages, oldest first. A location that is not here has one message: its word. */
  readonly histories: Map<number, Message[]>;
  invalidations: Invalidation[];
  readonly processors: ProcessorState[];
  /** Views that words of locks, channels and components hand on, by their key. */
  readonly carried: Map<number, Events>;
  /** Words of plain accesses, by their key. */
  readonly plain: Map<number, Plain>;
}

/** Everything is as it was set up. */
export function initialState(processors: number): MemoryState {
  return {
    before: [],
    histories: new Map(),
    invalidations: [],
    processors: Array.from({ length: processors }, newProcessor),
    carried: new Map(),
    plain: new Map(),
  };
}

/** A processor that has seen nothing but the beginning. */
export function newProcessor(): ProcessorState {
  return {
    retired: false,
    views: noViews(),
    coherence: new Map(),
    forwarded: new Map(),
    values: new Map(),
    pointers: new Map(),
    walked: new Map(),
    monitor: null,
  };
}

function noViews(): Views {
  return Object.fromEntries(ALL_VIEWS.map((view) => [view, NOTHING])) as Views;
}

/** A message that nobody has read. */
export function messageOf(event: number, value: number, descriptorOf: number): Message {
  const unused = (): Use => ({ walk: NOTHING, access: NOTHING });
  const uses = descriptorOf === 0 ? null : Array.from({ length: descriptorOf }, unused);
  return { event, base: NOTHING, value, readUpTo: NOTHING, taken: false, uses, promise: null };
}

/** What whoever is given a message has seen with it. */
export function seenWith(state: MemoryState, { event, base }: Message): Events {
  return event < 0 ? base : (state.before[event] as Events) | only(event);
}

/** A copy that shares nothing that may change. */
export function copyState(state: MemoryState): MemoryState {
  const histories = new Map<number, Message[]>();
  for (const [address, messages] of state.histories)
    histories.set(
      address,
      messages.map((m) => ({ ...m, uses: m.uses && m.uses.map((use) => ({ ...use })) })),
    );
  return {
    before: state.before.slice(),
    histories,
    invalidations: state.invalidations.map((invalidation) => ({ ...invalidation })),
    processors: state.processors.map((p) => ({
      retired: p.retired,
      views: { ...p.views },
      coherence: new Map(p.coherence),
      forwarded: copied(p.forwarded),
      values: copied(p.values),
      pointers: new Map(p.pointers),
      walked: new Map(p.walked),
      monitor: p.monitor && { ...p.monitor },
    })),
    carried: new Map(state.carried),
    plain: new Map([...state.plain].map(([key, plain]) => [key, { ...plain, reads: new Map(plain.reads) }])),
  };
}

function copied<T extends object>(map: ReadonlyMap<number, T>): Map<number, T> {
  const copy = new Map<number, T>();
  for (const [key, value] of map) copy.set(key, { ...value });
  return copy;
}

/** Replaces every set of events by its image. */
export function mapEvents(state: MemoryState, image: (events: Events) => Events): void {
  const { before, histories, invalidations, processors, carried } = state;
  for (let event = 0; event < before.length; event++) before[event] = image(before[event] as Events);
  for (const messages of histories.values())
    for (const message of messages) {
      message.base = image(message.base);
      message.readUpTo = image(message.readUpTo);
      for (const use of message.uses ?? []) {
        use.walk = image(use.walk);
        use.access = image(use.access);
      }
    }
  for (const invalidation of invalidations) invalidation.issued = image(invalidation.issued);
  for (const { views, forwarded, monitor, values, pointers, walked } of processors) {
    for (const [table, view] of pointers) pointers.set(table, image(view));
    for (const [page, view] of walked) walked.set(page, image(view));
    for (const view of ALL_VIEWS) views[view] = image(views[view]);
    for (const own of forwarded.values()) {
      own.view = image(own.view);
      own.atomic = image(own.atomic);
    }
    if (monitor) monitor.seen = image(monitor.seen);
    for (const value of values.values()) {
      value.view = image(value.view);
      value.pick = image(value.pick);
    }
  }
  for (const [key, view] of carried) carried.set(key, image(view));
}

/** An event and all that are after it. */
export function from({ before }: MemoryState, event: number): Events {
  let after = only(event);
  for (let other = 0; other < before.length; other++) if (has(before[other] as Events, event)) after |= only(other);
  return after;
}

/**
 * All of `events` comes before all of `later`: who has seen one of these has seen those. Neither may have anything of
 * the other before it.
 */
export function order(state: MemoryState, events: Events, later: Events): void {
  if (later === NOTHING || events === NOTHING) return;
  for (let event = 0; event < state.before.length; event++)
    if (has(later, event)) state.before[event] = (state.before[event] as Events) | events;
  mapEvents(state, (view) => ((view & later) === NOTHING ? view : view | events));
}

/** A set with all that is before its events. */
export function closed({ before }: MemoryState, events: Events): Events {
  let whole = events;
  for (let event = 0; event < before.length; event++) if (has(events, event)) whole |= before[event] as Events;
  return whole;
}

/** A new event, after those of `before` and before those of `later`, which has with an event all that are after it. */
export function addEvent(state: MemoryState, before: Events, later: Events): number {
  const event = state.before.push(before) - 1;
  order(state, before | only(event), later);
  return event;
}

/** The event of the next message of the location; {@link NO_EVENT} if this is its newest. */
export function nextOf(messages: readonly Message[], index: number): number {
  return messages[index + 1]?.event ?? NO_EVENT;
}

/** Numbers of the key that is being written. */
const codes: number[] = [];

function whole(value: number): void {
  codes.push(value & 0xffff, value >>> 16);
}

/** A number of so many bits is written as it is. */
const SHORT = 15;
const CHUNK = 16n;
const CHUNK_MASK = 0xffffn;

function set(events: Events): void {
  if (events >> BigInt(SHORT) === 0n) {
    codes.push(Number(events));
    return;
  }
  const at = codes.push(0) - 1;
  for (let left = events; left !== NOTHING; left >>= CHUNK) codes.push(Number(left & CHUNK_MASK));
  codes[at] = (1 << SHORT) | (codes.length - at);
}

/**
 * The content as a string, a character per number: equal for equal states, and for no others, since every list begins
 * with its length.
 */
export function keyOf(state: MemoryState): string {
  codes.length = 0;
  codes.push(state.before.length, state.histories.size);
  for (const events of state.before) set(events);
  for (const address of sortedKeys(state.histories)) keyOfHistory(address, state.histories.get(address) ?? []);
  codes.push(state.invalidations.length);
  for (const { processor, pages, broadcast, issued, completed } of state.invalidations) {
    codes.push(processor, broadcast ? 1 : 0, completed + 1, pages.length);
    set(issued);
    for (const page of pages) whole(page);
  }
  for (const p of state.processors) {
    if (p.retired) codes.push(1);
    else keyOfProcessor(p);
  }
  codes.push(state.carried.size);
  for (const key of sortedKeys(state.carried)) {
    whole(key);
    set(state.carried.get(key) ?? NOTHING);
  }
  codes.push(state.plain.size);
  for (const key of sortedKeys(state.plain)) {
    const { written, writer, reads } = state.plain.get(key) as Plain;
    whole(key);
    codes.push(written + 1, written === NO_EVENT ? 0 : writer, reads.size);
    for (const reader of sortedKeys(reads)) codes.push(reader, reads.get(reader) as number);
  }
  return String.fromCharCode(...codes);
}

function keyOfHistory(address: number, messages: readonly Message[]): void {
  whole(address);
  codes.push(messages.length);
  for (const { event, base, value, readUpTo, taken, promise, uses } of messages) {
    codes.push(event + 1, (taken ? 1 : 0) | (promise ? 2 : 0) | (uses ? 4 : 0));
    set(base);
    set(readUpTo);
    whole(value);
    if (promise) {
      codes.push(promise.processor, promise.hardware ? 1 : 0);
      whole(promise.site);
    }
    if (uses)
      for (const { walk, access } of uses) {
        set(walk);
        set(access);
      }
  }
}

function keyOfProcessor({ views, coherence, forwarded, monitor, values, pointers, walked }: ProcessorState): void {
  codes.push(0);
  for (const view of ALL_VIEWS) set(views[view]);
  codes.push(coherence.size, forwarded.size, values.size, monitor ? 1 : 0, pointers.size, walked.size);
  for (const table of sortedKeys(pointers)) {
    codes.push(table);
    set(pointers.get(table) ?? NOTHING);
  }
  for (const page of sortedKeys(walked)) {
    whole(page);
    set(walked.get(page) ?? NOTHING);
  }
  for (const address of sortedKeys(coherence)) {
    whole(address);
    codes.push(coherence.get(address) ?? 0);
  }
  for (const address of sortedKeys(forwarded)) {
    const { index, view, atomic } = forwarded.get(address) as Forwarded;
    whole(address);
    codes.push(index);
    set(view);
    set(atomic);
  }
  if (monitor) {
    whole(monitor.address);
    codes.push(monitor.index);
    set(monitor.seen);
  }
  for (const slot of sortedKeys(values)) {
    const { view, pick } = values.get(slot) as Dependency;
    codes.push(slot);
    set(view);
    set(pick);
  }
}

const NO_KEYS: readonly number[] = [];

function sortedKeys(map: ReadonlyMap<number, unknown>): readonly number[] {
  return map.size === 0 ? NO_KEYS : [...map.keys()].sort(ascending);
}

function ascending(a: number, b: number): number {
  return a - b;
}
