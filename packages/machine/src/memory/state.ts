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

/** The content as a string: equal for equal states. */
export function keyOf(state: MemoryState): string {
  const parts: (number | string)[] = [state.newest];
  for (const address of [...state.histories.keys()].sort(ascending)) {
    parts.push('h', address);
    for (const m of state.histories.get(address) ?? []) {
      parts.push(m.at, m.value, m.readUpTo, m.taken ? 1 : 0);
      if (m.promise) parts.push('o', m.promise.processor, m.promise.site, m.promise.hardware ? 1 : 0);
      for (const use of m.uses ?? []) parts.push(use.walk, use.access);
    }
  }
  for (const i of state.invalidations)
    parts.push('i', i.processor, i.pages.join('.'), i.broadcast ? 1 : 0, i.issued, i.completed);
  for (const p of state.processors) {
    if (p.retired) {
      parts.push('r');
      continue;
    }
    parts.push('p');
    for (const view of ALL_VIEWS) parts.push(p.views[view]);
    for (const address of [...p.coherence.keys()].sort(ascending))
      parts.push('c', address, p.coherence.get(address) ?? 0);
    for (const address of [...p.forwarded.keys()].sort(ascending)) {
      const { at, view, atomic } = p.forwarded.get(address) as Forwarded;
      parts.push('f', address, at, view, atomic);
    }
    if (p.monitor) parts.push('x', p.monitor.address, p.monitor.at, p.monitor.seen);
    for (const slot of [...p.values.keys()].sort(ascending)) {
      const { view, pick } = p.values.get(slot) as Dependency;
      parts.push('v', slot, view, pick);
    }
  }
  for (const key of [...state.carried.keys()].sort(ascending)) parts.push('m', key, state.carried.get(key) ?? 0);
  return parts.join();
}

function ascending(a: number, b: number): number {
  return a - b;
}
