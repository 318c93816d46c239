/**
 * The state of a weak memory: messages in one total order, and how much of it each processor must have seen.
 *
 * A position is a place in that order; 0 is before everything. A view is a position too: whoever has it must not miss a
 * message up to there. Positions carry no meaning but their order, so a store may be put between two others, which
 * moves the later ones, and every view beyond them, up by one (see {@link insertPosition}).
 */

/** A place in the total order of messages, or how much of it must have been seen. */
export type Position = number;

/** Not completed yet: later than every position. */
export const NOT_YET = Number.POSITIVE_INFINITY;

/** How far translations by one processor have used a descriptor. */
export interface Use {
  /** Largest view of a walk that read it. */
  walk: Position;
  /** Largest view of an access (or fault) that was translated with it. */
  access: Position;
}

/** A store in memory. */
export interface Message {
  at: Position;
  value: number;
  /** Largest view with which this one was read when it should be the newest: no later store may come before that. */
  readUpTo: Position;
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
  issued: Position;
  /** Where the DSB that waits for it stands; {@link NOT_YET} before. */
  completed: Position;
}

/** The newest own store to a location, as long as own loads may be given it before it is in memory. */
export interface Forwarded {
  at: Position;
  /** What the store's address and data depend on. */
  view: Position;
  /** What the load of an atomic has seen; 0 for a plain store. */
  atomic: Position;
}

/** What a value that was loaded depends on. */
export interface Dependency {
  /** As address or data of a later access. */
  view: Position;
  /** As its control: at least `view`, and what the value was chosen by. */
  pick: Position;
}

/** The exclusive monitor. */
export interface Monitor {
  readonly address: number;
  /** The message that was read. */
  at: Position;
  /** What the load has seen. */
  seen: Position;
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
/** A position per view. */
export type Views = { [view in View]: Position };

/** How much one processor must have seen. */
export interface ProcessorState {
  /** Nothing of it depends on its views any more. */
  retired: boolean;
  readonly views: Views;
  /** Per location: the message it has read or written last. */
  readonly coherence: Map<number, Position>;
  readonly forwarded: Map<number, Forwarded>;
  /** Values that are still of use, by slot. */
  readonly values: Map<number, Dependency>;
  /** What a load-exclusive has read, for the store-exclusive that follows. */
  monitor: Monitor | null;
}

/** The whole weak memory. */
export interface MemoryState {
  /** The newest position. */
  newest: Position;
  /** Per location its messages, oldest first. A location that is not here has one message, at 0: its word. */
  readonly histories: Map<number, Message[]>;
  invalidations: Invalidation[];
  readonly processors: readonly ProcessorState[];
  /** Views that words of locks, channels and components hand on, by their key. */
  readonly carried: Map<number, Position>;
}

/** Everything is as it was set up. */
export function initialState(processors: number): MemoryState {
  return {
    newest: 0,
    histories: new Map(),
    invalidations: [],
    processors: Array.from({ length: processors }, () => ({
      retired: false,
      views: noViews(),
      coherence: new Map(),
      forwarded: new Map(),
      values: new Map(),
      monitor: null,
    })),
    carried: new Map(),
  };
}

function noViews(): Views {
  return { 0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0, 11: 0 };
}

/** A message that nobody has read. */
export function messageAt(at: Position, value: number, descriptorOf: number): Message {
  const uses = descriptorOf === 0 ? null : Array.from({ length: descriptorOf }, () => ({ walk: 0, access: 0 }));
  return { at, value, readUpTo: 0, taken: false, uses, promise: null };
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
    newest: state.newest,
    histories,
    invalidations: state.invalidations.map((invalidation) => ({ ...invalidation })),
    processors: state.processors.map((p) => ({
      retired: p.retired,
      views: { ...p.views },
      coherence: new Map(p.coherence),
      forwarded: copied(p.forwarded),
      values: copied(p.values),
      monitor: p.monitor && { ...p.monitor },
    })),
    carried: new Map(state.carried),
  };
}

function copied<T extends object>(map: ReadonlyMap<number, T>): Map<number, T> {
  const copy = new Map<number, T>();
  for (const [key, value] of map) copy.set(key, { ...value });
  return copy;
}

/** Replaces every position and view by its image. `move` must be monotone, or messages would change places. */
export function movePositions(state: MemoryState, move: (position: Position) => Position): void {
  for (const messages of state.histories.values())
    for (const message of messages) {
      message.at = move(message.at);
      message.readUpTo = move(message.readUpTo);
      for (const use of message.uses ?? []) {
        use.walk = move(use.walk);
        use.access = move(use.access);
      }
    }
  for (const invalidation of state.invalidations) {
    invalidation.issued = move(invalidation.issued);
    if (invalidation.completed !== NOT_YET) invalidation.completed = move(invalidation.completed);
  }
  for (const p of state.processors) {
    for (const view of ALL_VIEWS) p.views[view] = move(p.views[view]);
    for (const [address, at] of p.coherence) p.coherence.set(address, move(at));
    for (const forwarded of p.forwarded.values()) {
      forwarded.at = move(forwarded.at);
      forwarded.view = move(forwarded.view);
      forwarded.atomic = move(forwarded.atomic);
    }
    if (p.monitor) {
      p.monitor.at = move(p.monitor.at);
      p.monitor.seen = move(p.monitor.seen);
    }
    for (const value of p.values.values()) {
      value.view = move(value.view);
      value.pick = move(value.pick);
    }
  }
  for (const [key, view] of state.carried) state.carried.set(key, move(view));
}

/** Makes room for a message at `position`: what was there, and everything later, moves up by one. */
export function insertPosition(state: MemoryState, position: Position): void {
  if (position <= state.newest) movePositions(state, (p) => (p >= position ? p + 1 : p));
  state.newest++;
}

/** The position of the next message of the location, NOT_YET if this is its newest. */
export function nextOf(messages: readonly Message[], index: number): Position {
  return messages[index + 1]?.at ?? NOT_YET;
}

/** Numbers of the key that is being written. */
const codes: number[] = [];

function whole(value: number): void {
  codes.push(value & 0xffff, value >>> 16);
}

/** No position is that late. */
const LATEST = 0xffff;

/**
 * The content as a string, a character per number: equal for equal states, and for no others, since every list begins
 * with its length.
 */
export function keyOf(state: MemoryState): string {
  codes.length = 0;
  codes.push(state.newest, state.histories.size);
  for (const address of sortedKeys(state.histories)) keyOfHistory(address, state.histories.get(address) ?? []);
  codes.push(state.invalidations.length);
  for (const { processor, pages, broadcast, issued, completed } of state.invalidations) {
    codes.push(processor, broadcast ? 1 : 0, issued, completed === NOT_YET ? LATEST : completed, pages.length);
    for (const page of pages) whole(page);
  }
  for (const p of state.processors) {
    if (p.retired) codes.push(1);
    else keyOfProcessor(p);
  }
  codes.push(state.carried.size);
  for (const key of sortedKeys(state.carried)) {
    whole(key);
    codes.push(state.carried.get(key) ?? 0);
  }
  return String.fromCharCode(...codes);
}

function keyOfHistory(address: number, messages: readonly Message[]): void {
  whole(address);
  codes.push(messages.length);
  for (const { at, value, readUpTo, taken, promise, uses } of messages) {
    codes.push(at, readUpTo, (taken ? 1 : 0) | (promise ? 2 : 0) | (uses ? 4 : 0));
    whole(value);
    if (promise) {
      codes.push(promise.processor, promise.hardware ? 1 : 0);
      whole(promise.site);
    }
    if (uses) for (const { walk, access } of uses) codes.push(walk, access);
  }
}

function keyOfProcessor({ views, coherence, forwarded, monitor, values }: ProcessorState): void {
  codes.push(0);
  for (const view of ALL_VIEWS) codes.push(views[view]);
  codes.push(coherence.size, forwarded.size, values.size, monitor ? 1 : 0);
  for (const address of sortedKeys(coherence)) {
    whole(address);
    codes.push(coherence.get(address) ?? 0);
  }
  for (const address of sortedKeys(forwarded)) {
    const { at, view, atomic } = forwarded.get(address) as Forwarded;
    whole(address);
    codes.push(at, view, atomic);
  }
  if (monitor) {
    whole(monitor.address);
    codes.push(monitor.at, monitor.seen);
  }
  for (const slot of sortedKeys(values)) {
    const { view, pick } = values.get(slot) as Dependency;
    codes.push(slot, view, pick);
  }
}

const NO_KEYS: readonly number[] = [];

function sortedKeys(map: ReadonlyMap<number, unknown>): readonly number[] {
  return map.size === 0 ? NO_KEYS : [...map.keys()].sort(ascending);
}

function ascending(a: number, b: number): number {
  return a - b;
}
