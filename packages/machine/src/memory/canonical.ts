/**
 * The canonical form of a weak memory: what no future depends on is left out, so that states with the same futures are
 * one and a machine without bounds on its run has finitely many.
 *
 *  - A message is dropped when every processor must read a later one, or will never access its location (see
 *    `Prospect`); oldest first, never from the middle. The oldest that is left is no event any more: all have seen it.
 *  - A TLBI is dropped when there is no older descriptor that it could take away, and nobody can store one.
 *  - A view says nothing that a view says with which it is always joined. Views of retired processors say nothing.
 *  - Events are numbered by location and place.
 */
import { common, has, isWithin, NO_EVENT, NOTHING, only, type Events } from './events.ts';
import { commonFloor, floorOf, shiftIndices, type Model } from './model.ts';
import { Audience, type Prospect } from './prospect.ts';
import {
  ALL_VIEWS,
  mapEvents,
  nextOf,
  seenWith,
  View,
  type MemoryState,
  type Message,
  type Plain,
  type ProcessorState,
} from './state.ts';

/**
 * Brings a state into canonical form.
 * @param prospects what each processor may still do; null: anything
 */
export function canonicalise(model: Model, state: MemoryState, prospects: readonly Prospect[] | null = null): void {
  const audience = new Audience(model, state, prospects);
  for (const [index, p] of state.processors.entries()) if (audience.isInert(index)) p.retired = true;
  const live = state.processors.filter((p) => !p.retired);
  dropMessages(model, state, live, audience);
  dropInvalidations(model, state, live);
  dropPlain(state, audience);
  number(state);
  for (const [index, p] of state.processors.entries()) {
    if (p.retired) forget(p);
    else {
      shrinkViews(model, state, index, audience);
      dropUnlooked(p, index, audience);
    }
  }
  shrinkMessages(model, state, live, audience);
  const { consumers } = audience;
  const floor = commonFloor(consumers);
  const handedOn = model.hasWalks ? common(consumers.map((p) => p.views[View.context])) : floor;
  const known = model.hasWalks ? [] : [...state.carried.keys()].map((key) => [key, audience.takersKnow(key)] as const);
  for (const [key, events] of known) state.carried.set(key, beyond(state.carried.get(key) as Events, events));
  for (const [key, view] of state.carried)
    if (isWithin(view, handedOn) || !audience.isTaken(key)) state.carried.delete(key);
  for (const [address, messages] of state.histories)
    if (!model.keepsHistory(address) && isPlain(messages)) state.histories.delete(address);
}

/** What a processor remembers of locations that it will not look at again. */
function dropUnlooked(p: ProcessorState, index: number, audience: Audience): void {
  for (const address of p.coherence.keys()) if (!audience.mayAccess(index, address)) p.coherence.delete(address);
  for (const address of p.forwarded.keys()) if (!audience.mayLook(index, address)) p.forwarded.delete(address);
}

/** A single message that everybody has seen: as good as a word. */
function isPlain(messages: readonly Message[]): boolean {
  const [oldest] = messages;
  if (messages.length !== 1 || oldest === undefined) return false;
  const { base, readUpTo, promise, uses, taken } = oldest;
  if (base !== NOTHING || readUpTo !== NOTHING || promise || taken) return false;
  return uses === null || uses.every(({ walk, access }) => walk === NOTHING && access === NOTHING);
}

function dropMessages(model: Model, state: MemoryState, live: readonly ProcessorState[], audience: Audience): void {
  // Beyond this nothing that has been used can matter: every later DSB is after it.
  const used = common(
    live.map(
      ({ views }) =>
        views[View.reads] | views[View.writes] | views[View.walks] | views[View.completion] | views[View.barrier],
    ),
  );
  for (const [address, messages] of state.histories) {
    if (!state.invalidations.some(({ pages }) => pages.includes(address))) shrinkUses(messages, used);
    while (messages.length > 1) {
      const [oldest, second] = messages as [Message, Message];
      if (oldest.promise || second.promise) break;
      const next = second.event;
      const dead =
        state.processors.every(
          (p, index) =>
            p.retired ||
            !audience.mayAccess(index, address) ||
            isBehind(model, state, index, audience, address, oldest, next),
        ) &&
        (oldest.uses === null ||
          live.length === 0 ||
          oldest.uses.every((use) => isWithin(use.walk, used) && isWithin(use.access, used)));
      if (!dead) break;
      dropOldest(state, address, messages, second);
    }
  }
}

/** The second message is the oldest now. */
function dropOldest(state: MemoryState, address: number, messages: Message[], second: Message): void {
  messages.shift();
  second.base = state.before[second.event] as Events;
  second.event = NO_EVENT;
  for (const p of state.processors) {
    if (p.coherence.get(address) === 0) p.coherence.delete(address);
    if (p.forwarded.get(address)?.index === 0) p.forwarded.delete(address);
    if (p.monitor?.address === address && p.monitor.index === 0) p.monitor = null;
    shiftIndices(p, address, 0, -1);
  }
}

/**
 * Uses matter to a DSB that waits for them, and to a store of a descriptor that a completed TLBI would have taken away.
 */
function shrinkUses(messages: readonly Message[], used: Events): void {
  for (const { uses } of messages)
    for (const use of uses ?? []) {
      if (isWithin(use.walk, used)) use.walk = NOTHING;
      if (isWithin(use.access, used)) use.access = NOTHING;
    }
}

/** Whether a processor can neither read a message nor be translated by it any more. */
function isBehind(
  model: Model,
  state: MemoryState,
  index: number,
  audience: Audience,
  address: number,
  message: Message,
  next: number,
): boolean {
  const p = model.processor(state, index);
  if ((p.coherence.get(address) ?? 0) === 0 && !has(audience.floorAt(index, address, 'accesses'), next)) return false;
  if (!model.isDescriptor(address)) return true;
  const walks = p.views[View.context] | (model.translation?.ets2 === true ? p.views[View.completion] : NOTHING);
  if (!model.isCacheable(address, message.value)) return has(walks, next);
  return state.invalidations.some(
    (i) =>
      i.completed !== NO_EVENT &&
      has(i.issued, next) &&
      i.pages.includes(address) &&
      (i.broadcast || i.processor === index) &&
      has(walks, i.completed),
  );
}

/** A TLBI is of no use any more when all descriptors that somebody may find in a TLB are known to be newer. */
function dropInvalidations(model: Model, state: MemoryState, live: readonly ProcessorState[]): void {
  state.invalidations = state.invalidations.filter(({ issued, pages }) => {
    if (live.length === 0) return false;
    const newer = pages.every((page) =>
      model
        .messagesOf(state, page)
        .every(({ event }) => event === NO_EVENT || isWithin(issued, state.before[event] as Events)),
    );
    return !newer || !live.every((p) => isWithin(issued, floorOf(p)));
  });
}

/** A plain access matters as long as somebody may come to the word who does not come after it. */
function dropPlain(state: MemoryState, audience: Audience): void {
  for (const [key, plain] of state.plain) {
    const open = (own: number, event: number, conflicts: (index: number) => boolean): boolean =>
      state.processors.some(
        (p, index) =>
          index !== own && !p.retired && conflicts(index) && !has(audience.floorAt(index, key, 'any'), event),
      );
    const touches = (index: number): boolean => audience.mayTouch(index, key);
    const overwrites = (index: number): boolean => audience.mayOverwrite(index, key);
    if (plain.written !== NO_EVENT && !open(plain.writer, plain.written, touches)) plain.written = NO_EVENT;
    for (const [reader, event] of plain.reads) if (!open(reader, event, overwrites)) plain.reads.delete(reader);
    if (plain.written === NO_EVENT && plain.reads.size === 0) state.plain.delete(key);
  }
}

/** Numbers the events that are left by location and place, then by TLBI, then by word of plain accesses. */
function number(state: MemoryState): void {
  const { before } = state;
  if (before.length === 0) return;
  const old: number[] = [];
  for (const address of [...state.histories.keys()].sort((a, b) => a - b))
    for (const { event } of state.histories.get(address) ?? []) if (event !== NO_EVENT) old.push(event);
  for (const { completed } of state.invalidations)
    if (completed !== NO_EVENT && !old.includes(completed)) old.push(completed);
  const words = [...state.plain.keys()].sort((a, b) => a - b).map((key) => state.plain.get(key) as Plain);
  for (const { written, reads } of words) {
    if (written !== NO_EVENT) old.push(written);
    for (const reader of [...reads.keys()].sort((a, b) => a - b)) old.push(reads.get(reader) as number);
  }
  if (old.length === before.length && old.every((event, i) => event === i)) return;
  const numbers = new Map(old.map((event, i) => [event, i]));
  const images = new Map<Events, Events>([[NOTHING, NOTHING]]);
  const image = (events: Events): Events => {
    let known = images.get(events);
    if (known === undefined) {
      known = NOTHING;
      for (const [event, i] of numbers) if (has(events, event)) known |= only(i);
      images.set(events, known);
    }
    return known;
  };
  for (const messages of state.histories.values())
    for (const message of messages) message.event = numbers.get(message.event) ?? NO_EVENT;
  for (const invalidation of state.invalidations)
    invalidation.completed = numbers.get(invalidation.completed) ?? NO_EVENT;
  for (const plain of words) {
    plain.written = numbers.get(plain.written) ?? NO_EVENT;
    for (const [reader, event] of plain.reads) plain.reads.set(reader, numbers.get(event) as number);
  }
  const kept = old.map((event) => before[event] as Events);
  before.length = 0;
  before.push(...kept);
  mapEvents(state, image);
}

function forget(p: ProcessorState): void {
  for (const view of ALL_VIEWS) p.views[view] = NOTHING;
  p.coherence.clear();
  p.forwarded.clear();
  p.values.clear();
  p.pointers.clear();
  p.walked.clear();
  p.monitor = null;
}

/** What is left of a view that is always joined with another. */
function beyond(view: Events, other: Events): Events {
  return view & ~other;
}

function shrinkViews(model: Model, state: MemoryState, index: number, audience: Audience): void {
  const p = model.processor(state, index);
  const { views } = p;
  const floor = floorOf(p);
  const below = (view: View, bound: Events): void => {
    views[view] = beyond(views[view], bound);
  };
  // An ISB of a kernel routine looks at all its reads, and not at what an acquire or a DMB has ordered.
  below(View.reads, model.hasWalks ? views[View.completion] : views[View.completion] | views[View.barrier]);
  // Only a DSB of loads or of stores alone completes these and not what a DMB has ordered.
  const ordered = audience.waitsInPart(index) ? views[View.completion] : floor;
  below(View.valueReads, ordered);
  below(View.writes, ordered);
  below(View.updates, views[View.completion]);
  below(View.barrier, views[View.completion] | views[View.context]);
  below(View.storeBarrier, floor);
  below(View.release, floor);
  below(View.control, views[View.context]);
  below(View.addresses, views[View.context]);
  if (!model.hasWalks) {
    // Without translations the context matters to nobody but as a part of the floor.
    below(View.context, views[View.barrier] | views[View.completion]);
    for (const view of [View.control, View.addresses, View.walks]) below(view, floor);
  }
  for (const [address, last] of p.coherence) {
    const { event } = state.histories.get(address)?.[last] ?? { event: NO_EVENT };
    if (event === NO_EVENT || has(audience.floorAt(index, address, 'accesses'), event)) p.coherence.delete(address);
  }
  for (const [address, own] of p.forwarded) {
    const message = state.histories.get(address)?.[own.index];
    const then = audience.floorAt(index, address, 'any');
    if (message === undefined || isWithin(seenWith(state, message), then)) p.forwarded.delete(address);
    else {
      own.view = beyond(own.view, then);
      own.atomic = beyond(own.atomic, then);
    }
  }
  for (const [table, view] of p.pointers) {
    const left = beyond(view, floor);
    if (left === NOTHING) p.pointers.delete(table);
    else p.pointers.set(table, left);
  }
  for (const [page, view] of p.walked) {
    // A single descriptor has no older one that a TLB could hold, and every walk is after the context.
    const left = model.messagesOf(state, page).length > 1 ? beyond(view, views[View.context]) : NOTHING;
    if (left === NOTHING) p.walked.delete(page);
    else p.walked.set(page, left);
  }
  // Translations look at the context alone, everything else at the floor.
  const seen = model.hasWalks ? views[View.context] : floor;
  if (p.monitor) p.monitor.seen = beyond(p.monitor.seen, floor);
  for (const [slot, value] of p.values) {
    value.pick = beyond(value.pick, seen);
    value.view = beyond(value.view, seen);
    if (value.pick === NOTHING) p.values.delete(slot);
  }
}

/** What everybody has seen anyway who looks at a location, or stores to it. */
function shrinkMessages(model: Model, state: MemoryState, live: readonly ProcessorState[], audience: Audience): void {
  for (const [address, messages] of state.histories) {
    const descriptor = model.isDescriptor(address);
    const [oldest] = messages;
    const known = audience.lookersKnow(address);
    const context = descriptor ? common(live.map(({ views }) => views[View.context])) : known;
    if (oldest) oldest.base = beyond(oldest.base, known & context);
    const floor = audience.storersKnow(address);
    const floorAtEnd = audience.mayGrow(address) ? floor & commonFloor(live) : floor;
    for (const [place, message] of messages.entries()) {
      if (live.length === 0) for (const use of message.uses ?? []) use.walk = use.access = NOTHING;
      const next = nextOf(messages, place);
      const storers = next === NO_EVENT ? floorAtEnd : floor;
      if (!descriptor || live.length === 0)
        message.readUpTo = beyond(message.readUpTo, storers | seenWith(state, message));
      // Nobody stores between this one and the next, so when it was read is of no matter.
      if (message.taken || (!descriptor && next !== NO_EVENT && has(floor, next))) message.readUpTo = NOTHING;
    }
  }
}
