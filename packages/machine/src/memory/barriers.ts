/** Barriers, TLBI and its completion, and views that are handed on by other means than memory. */
import type { Way } from './access.ts';
import { dependenciesOf, synchroniseContext } from './access.ts';
import { floorOf, type Model } from './model.ts';
import type { BarrierKind, Tlbi } from './requests.ts';
import { has, NO_EVENT, NOTHING, only } from './events.ts';
import { addEvent, copyState, View, type MemoryState, type Plain } from './state.ts';
import { agreements } from './walk.ts';

/** DMB: no choice. */
export function dmb(model: Model, state: MemoryState, processor: number, type: BarrierKind): void {
  const { views } = model.processor(state, processor);
  const { under } = model;
  if (type === 'full') views[View.barrier] |= under('dmb-full', views[View.reads] | views[View.writes]);
  else if (type === 'load') views[View.barrier] |= under('dmb-load', views[View.valueReads]);
  else views[View.storeBarrier] |= under('dmb-store', views[View.writes]);
}

/** ISB. */
export function isb(model: Model, state: MemoryState, processor: number, exact: boolean): void {
  synchroniseContext(model, state, processor, exact, 'isb-control');
}

/** TLBI: takes effect with a later DSB. */
export function tlbi(model: Model, state: MemoryState, processor: number, request: Tlbi): void {
  if (request.pages.length === 0) return;
  const me = model.processor(state, processor);
  const { views } = me;
  const { address, addressPick } = dependenciesOf(request);
  const after =
    views[View.control] |
    views[View.completion] |
    views[View.context] |
    model.pickedThrough(me, address, addressPick) |
    (request.dependencies ? NOTHING : views[View.reads]);
  state.invalidations.push({
    processor,
    pages: request.pages,
    broadcast: request.broadcast,
    issued: model.under('tlbi-issue', after),
    completed: NO_EVENT,
  });
}

/** DSB: everything before is complete; a full one also waits for the TLBIs of its processor. */
export function dsb(model: Model, state: MemoryState, processor: number, type: BarrierKind): Way[] {
  const { under } = model;
  const pending = (s: MemoryState) =>
    s.invalidations.filter((i) => i.processor === processor && i.completed === NO_EVENT);
  const after = copyState(state);
  const { views } = model.processor(after, processor);
  if (type !== 'full') {
    views[View.completion] |= under('dsb', type === 'load' ? views[View.valueReads] : views[View.writes]);
    return [{ state: after, result: 0 }];
  }
  const complete =
    views[View.completion] |
    under('dsb', views[View.barrier] | views[View.reads] | views[View.writes] | views[View.walks]) |
    under('update-completion', views[View.updates]);
  if (pending(state).length === 0 || !model.holds('dsb-tlbi')) {
    views[View.completion] = complete;
    return [{ state: after, result: 0 }];
  }
  let before = complete;
  for (const { issued } of pending(state)) before |= issued;
  const event = addEvent(after, before, NOTHING);
  const pages = new Set<number>();
  for (const invalidation of pending(after)) {
    invalidation.completed = event;
    for (const page of invalidation.pages) pages.add(page);
  }
  views[View.completion] = before | only(event);
  return agreements(model, after, [...pages]).map((done) => ({ state: done, result: 0 }));
}

/**
 * A strong word is read: as an ordinary one with a single message, whose place is what the word hands on. Later stores
 * to it are after what its reader must have seen.
 */
export function strongRead(model: Model, state: MemoryState, processor: number, key: number, acquire: boolean): void {
  const me = model.processor(state, processor);
  const { views } = me;
  const seen = floorOf(me) | (state.carried.get(key) ?? NOTHING);
  if (seen !== NOTHING) state.carried.set(key, seen);
  views[View.reads] |= seen;
  views[View.valueReads] |= seen;
  if (acquire) views[View.barrier] |= model.under('acquire', seen);
}

/** A strong word is written, by a kernel routine. */
export function strongWrite(model: Model, state: MemoryState, processor: number, key: number, release: boolean): void {
  const me = model.processor(state, processor);
  const { views } = me;
  const { under } = model;
  const view =
    (state.carried.get(key) ?? NOTHING) |
    floorOf(me) |
    views[View.storeBarrier] |
    under('load-to-store', views[View.reads]) |
    (release ? under('release', views[View.reads] | views[View.writes]) : NOTHING);
  if (view !== NOTHING) state.carried.set(key, view);
  views[View.writes] |= view;
}

/**
 * A strong word is loaded or stored plainly. That everybody sees its newest value is only true if whoever looks must
 * see it: the access is to be after all that it conflicts with, in what the processor must have seen. Each access is an
 * event of its own, which is handed on as stores and loads are. Returns false if it is a data race.
 */
export function plainAccess(
  model: Model,
  state: MemoryState,
  processor: number,
  key: number,
  writes: boolean,
): boolean {
  const me = model.processor(state, processor);
  const { views } = me;
  const floor = floorOf(me);
  const known: Plain = state.plain.get(key) ?? { written: NO_EVENT, writer: NO_EVENT, reads: new Map() };
  state.plain.set(key, known);
  const follows = (other: number, event: number): boolean => other === processor || has(floor, event);
  const ordered =
    (known.written === NO_EVENT || follows(known.writer, known.written)) &&
    (!writes || [...known.reads].every(([reader, event]) => follows(reader, event)));
  const before = floor | (writes ? views[View.storeBarrier] | views[View.reads] : NOTHING);
  const event = addEvent(state, before, NOTHING);
  const seen = before | only(event);
  if (writes) {
    known.written = event;
    known.writer = processor;
    known.reads.clear();
    views[View.writes] |= seen;
  } else {
    known.reads.set(processor, event);
    views[View.reads] |= seen;
    views[View.valueReads] |= seen;
  }
  return ordered;
}

/** A channel or a component hands on what this processor has seen. */
export function publish(
  model: Model,
  state: MemoryState,
  processor: number,
  key: number,
  what: 'release' | 'completed',
): void {
  const me = model.processor(state, processor);
  const { views } = me;
  const view =
    what === 'release'
      ? floorOf(me) | model.under('release', views[View.reads] | views[View.writes])
      : views[View.completion] | views[View.context];
  if (view !== NOTHING) state.carried.set(key, (state.carried.get(key) ?? NOTHING) | view);
}

/** The processor has seen what a key hands on. */
export function receive(
  model: Model,
  state: MemoryState,
  processor: number,
  key: number,
  as: 'acquire' | 'context',
): void {
  const view = state.carried.get(key) ?? NOTHING;
  const { views } = model.processor(state, processor);
  if (as === 'acquire') views[View.barrier] |= model.under('acquire', view);
  else views[View.context] |= view;
}
