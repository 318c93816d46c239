/**
 * The canonical form of a weak memory: what no future depends on is left out, so that states with the same futures are
 * one and a machine without bounds on its run has finitely many.
 *
 *  - A message is dropped when every processor must read a later one; oldest first, never from the middle.
 *  - The oldest message that is left stands at 0 if every processor has seen it.
 *  - A TLBI is dropped when there is no older descriptor that it could take away, and nobody can store one.
 *  - A view that is always joined with a larger one is 0. Views of retired processors are 0.
 *  - Positions are dense.
 *  - Where every location has one message, and no hardware looks at any, nobody can read anything old: positions and
 *    views are 0. Later stores may as well all come after what is there: before it they would only oblige more readers.
 */
import { floorOf, type Model } from './model.ts';
import {
  ALL_VIEWS,
  movePositions,
  nextOf,
  NOT_YET,
  View,
  type MemoryState,
  type Message,
  type Monitor,
  type Position,
  type ProcessorState,
} from './state.ts';

/** Brings a state into canonical form. */
export function canonicalise(model: Model, state: MemoryState): void {
  const live = state.processors.filter((p) => !p.retired);
  dropMessages(model, state, live);
  if (!model.hasWalks && isSettled(state)) {
    settle(state);
    return;
  }
  dropInvalidations(model, state, live);
  for (const p of state.processors) if (p.retired) forget(p);
  for (const p of live) {
    dropForwarded(state, p);
    dropMonitor(state, p);
  }
  for (const p of live) shrinkViews(model, state, p);
  shrinkReads(model, state, live);
  const floor = Math.min(...live.map(floorOf));
  const context = Math.min(...live.map((p) => p.views[View.context]));
  const handedOn = model.hasWalks ? context : floor;
  for (const [key, view] of state.carried) if (view <= handedOn) state.carried.delete(key);
  densify(model, state, floor, Math.min(floor, context));
  for (const [address, messages] of state.histories)
    if (!model.keepsHistory(address) && isPlain(messages)) state.histories.delete(address);
}

/** Whether every location has one message. */
function isSettled(state: MemoryState): boolean {
  for (const messages of state.histories.values()) {
    const [only] = messages;
    if (messages.length !== 1 || only === undefined || only.promise !== null) return false;
  }
  return true;
}

/** Everybody sees everything: memory is as one of words. */
function settle(state: MemoryState): void {
  for (const p of state.processors) {
    const { monitor } = p;
    const linked = monitor !== null && isNewest(state, monitor);
    forget(p);
    if (linked) p.monitor = { address: monitor.address, at: 0, seen: 0 };
  }
  state.carried.clear();
  state.histories.clear();
  state.invalidations = [];
  state.newest = 0;
}

/** Whether what a load-exclusive has read is what is there. */
function isNewest({ histories }: MemoryState, { address, at }: Monitor): boolean {
  const only = histories.get(address)?.[0];
  return (only?.at ?? 0) === at;
}

/** A single message that everybody has seen: as good as a word. */
function isPlain(messages: readonly Message[]): boolean {
  const [only] = messages;
  if (messages.length !== 1 || only === undefined || only.at !== 0 || only.readUpTo !== 0 || only.promise) return false;
  return only.uses === null || only.uses.every(({ walk, access }) => walk === 0 && access === 0);
}

function dropMessages(model: Model, state: MemoryState, live: readonly ProcessorState[]): void {
  // Beyond this nothing that has been used can matter: every later DSB is after it.
  const used = Math.min(
    ...live.map(({ views }) =>
      Math.max(views[View.reads], views[View.writes], views[View.walks], views[View.completion], views[View.barrier]),
    ),
  );
  for (const [address, messages] of state.histories) {
    if (!state.invalidations.some(({ pages }) => pages.includes(address))) shrinkUses(messages, used);
    while (messages.length > 1) {
      const [oldest, second] = messages as [Message, Message];
      if (oldest.promise || second.promise) break;
      const next = second.at;
      const dead =
        state.processors.every((p, index) => p.retired || isBehind(model, state, p, index, address, oldest, next)) &&
        (oldest.uses === null ||
          live.length === 0 ||
          oldest.uses.every((use) => use.walk <= used && use.access <= used));
      if (!dead) break;
      messages.shift();
    }
  }
}

/**
 * Uses matter to a DSB that waits for them, and to a store of a descriptor that a completed TLBI would have taken away.
 */
function shrinkUses(messages: readonly Message[], used: Position): void {
  for (const { uses } of messages)
    for (const use of uses ?? []) {
      if (use.walk <= used) use.walk = 0;
      if (use.access <= used) use.access = 0;
    }
}

/** Whether a processor can neither read a message nor be translated by it any more. */
function isBehind(
  model: Model,
  state: MemoryState,
  p: ProcessorState,
  index: number,
  address: number,
  message: Message,
  next: Position,
): boolean {
  if (Math.max(p.coherence.get(address) ?? 0, floorOf(p)) < next) return false;
  if (!model.isDescriptor(address)) return true;
  const walks = Math.max(p.views[View.context], model.translation?.ets2 === true ? p.views[View.completion] : 0);
  if (!model.isCacheable(address, message.value)) return walks >= next;
  return state.invalidations.some(
    (i) =>
      i.completed !== NOT_YET &&
      i.issued >= next &&
      i.pages.includes(address) &&
      (i.broadcast || i.processor === index) &&
      i.completed <= walks,
  );
}

function dropInvalidations(model: Model, state: MemoryState, live: readonly ProcessorState[]): void {
  state.invalidations = state.invalidations.filter((invalidation) => {
    if (live.length === 0) return false;
    const older = invalidation.pages.some((page) => {
      const messages = model.messagesOf(state, page);
      return messages.some((_, index) => nextOf(messages, index) <= invalidation.issued);
    });
    return older || !live.every((p) => floorOf(p) >= invalidation.issued);
  });
}

function forget(p: ProcessorState): void {
  for (const view of ALL_VIEWS) p.views[view] = 0;
  p.coherence.clear();
  p.forwarded.clear();
  p.values.clear();
  p.monitor = null;
}

/** What was read is no longer the newest for anybody: a store-exclusive can only fail. */
function dropMonitor(state: MemoryState, p: ProcessorState): void {
  const { monitor } = p;
  const messages = monitor && state.histories.get(monitor.address);
  if (messages && !messages.some(({ at }) => at === monitor.at)) p.monitor = null;
}

/** A store whose message has been dropped is in memory for everybody. */
function dropForwarded(state: MemoryState, p: ProcessorState): void {
  for (const [address, { at }] of p.forwarded)
    if (state.histories.get(address)?.some((message) => message.at === at) !== true) p.forwarded.delete(address);
}

function shrinkViews(model: Model, state: MemoryState, p: ProcessorState): void {
  const { views } = p;
  const floor = floorOf(p);
  const below = (view: View, bound: Position): void => {
    if (views[view] <= bound) views[view] = 0;
  };
  // An ISB of a kernel routine looks at all its reads, and not at what an acquire or a DMB has ordered.
  below(View.reads, model.hasWalks ? views[View.completion] : Math.max(views[View.completion], views[View.barrier]));
  below(View.valueReads, views[View.completion]);
  below(View.writes, views[View.completion]);
  below(View.updates, views[View.completion]);
  below(View.barrier, Math.max(views[View.completion], views[View.context]));
  below(View.storeBarrier, floor);
  below(View.release, floor);
  below(View.control, views[View.context]);
  below(View.addresses, views[View.context]);
  if (!model.hasWalks) {
    // Without translations the context matters to nobody but as a part of the floor.
    below(View.context, Math.max(views[View.barrier], views[View.completion]));
    for (const view of [View.control, View.addresses, View.walks]) below(view, floor);
  }
  for (const [address, at] of p.coherence) {
    const oldest = state.histories.get(address)?.[0]?.at ?? 0;
    if (at <= floor || at <= oldest) p.coherence.delete(address);
  }
  for (const [address, { at }] of p.forwarded) if (at <= floor) p.forwarded.delete(address);
  // Translations look at the context alone, everything else at the floor.
  const seen = model.hasWalks ? views[View.context] : floor;
  if (p.monitor && p.monitor.seen <= floor) p.monitor.seen = 0;
  for (const [slot, value] of p.values) {
    if (value.pick <= seen) p.values.delete(slot);
    else if (value.view <= seen) value.view = 0;
  }
}

/** A lower bound for later stores that all of them have anyway. */
function shrinkReads(model: Model, state: MemoryState, live: readonly ProcessorState[]): void {
  const floor = live.length === 0 ? NOT_YET : Math.min(...live.map(floorOf));
  for (const [address, messages] of state.histories) {
    const descriptor = model.isDescriptor(address);
    for (const message of messages) {
      if (live.length === 0) for (const use of message.uses ?? []) use.walk = use.access = 0;
      if ((!descriptor || live.length === 0) && message.readUpTo <= Math.max(floor, message.at)) message.readUpTo = 0;
    }
  }
}

/** Positions at which there is something, numbered from 1. */
function densify(model: Model, state: MemoryState, floor: Position, descriptorFloor: Position): void {
  const used = new Uint8Array(state.newest + 1);
  for (const [address, messages] of state.histories)
    messages.forEach(({ at }, index) => {
      if (index > 0 || at > (model.isDescriptor(address) ? descriptorFloor : floor)) used[at] = 1;
    });
  for (const { completed } of state.invalidations) if (completed !== NOT_YET) used[completed] = 1;
  const image = new Int32Array(state.newest + 1);
  let newest = 0;
  for (let position = 1; position <= state.newest; position++) {
    if (used[position] === 1) newest++;
    image[position] = newest;
  }
  if (newest === state.newest) return;
  movePositions(state, (position) => image[position] as Position);
  state.newest = newest;
}
