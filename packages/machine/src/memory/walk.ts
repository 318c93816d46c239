/**
 * Address translation in the weak memory: which descriptors a walk, or a TLB that has cached one, may use.
 *
 * A TLB is not a component here. What it may hold is every descriptor that memory has held since the last invalidation
 * took effect: an older message of the descriptor's location may be used as long as no rule says that the processor
 * must have seen its successor, and no completed TLBI has taken it away.
 */
import type { Model } from './model.ts';
import { MemoryFault, type Access, type Translation } from './requests.ts';
import { has, isWithin, NO_EVENT, NOTHING, type Events } from './events.ts';
import { closed, copyState, nextOf, order, from, seenWith, View, type MemoryState, type Message } from './state.ts';

/** One way an access may be translated. */
export interface Walked {
  /** The state after the walk: a copy if anything was translated. */
  readonly state: MemoryState;
  /** Address of the word, or a fault. */
  readonly output: number;
  readonly fault: number | null;
  /** The descriptor's location, or -1: nothing was translated. */
  readonly page: number;
  /** Which message of the descriptor's location was used. */
  readonly index: number;
  /** What the walk has seen. */
  readonly view: Events;
  /** No TLB holds what was used, so the walk was the newest there could be. */
  readonly fresh: boolean;
}

/** What hardware makes of a descriptor: the word, or a fault, and perhaps an update of the descriptor first. */
interface Resolved {
  readonly output: number;
  readonly fault: number | null;
  /** The descriptor as hardware leaves it; null: unchanged. */
  readonly updated: number | null;
}

/** All ways to translate an access. */
export function walksOf(model: Model, state: MemoryState, processor: number, access: Access): Walked[] {
  const me = model.processor(state, processor);
  const address = model.seenThrough(me, access.dependencies?.address ?? 0, 'address-dependency');
  if (!access.translated || !model.translation) {
    const plain = { output: access.address, fault: null, page: -1, index: 0, fresh: false };
    return [{ ...plain, state, view: address }];
  }
  const { translation } = model;
  const page = access.address;
  const messages = model.history(state, page);
  const { under } = model;
  const { views } = me;
  const least =
    address |
    under('context-to-walk', views[View.context]) |
    (translation.ets2 ? under('ets2-completion', views[View.completion]) : NOTHING);
  const walked: Walked[] = [];
  const resolutions = messages.flatMap((message, index) =>
    resolve(translation, processor, message.value, access.kind !== 'load').map((resolved) => ({
      message,
      index,
      resolved,
    })),
  );
  for (const { message, index, resolved } of resolutions) {
    const next = nextOf(messages, index);
    let view = least | seenWith(state, message);
    if (translation.ets2 && (resolved.fault === MemoryFault.translation || resolved.fault === MemoryFault.accessFlag))
      view |= under('ets2-fault', views[View.reads] | views[View.writes] | views[View.barrier]);
    const fresh = !model.isCacheable(page, message.value) || resolved.updated !== null;
    if (fresh && has(view, next) && model.holds('invalid-not-cached')) continue;
    const after = copyState(state);
    model.processor(after, processor).views[View.walks] |= view;
    const way = { output: resolved.output, fault: resolved.fault, page, index, view, fresh };
    if (resolved.updated === null) walked.push({ ...way, state: after });
    else walked.push(...updatesOf(model, after, processor, way, resolved.updated, access));
  }
  return walked;
}

/** Hardware writes the descriptor back, directly after the one it has read. */
function updatesOf(
  model: Model,
  state: MemoryState,
  processor: number,
  way: Omit<Walked, 'state'>,
  updated: number,
  access: Access,
): Walked[] {
  const me = model.processor(state, processor);
  const { under, translation } = model;
  const message = model.history(state, way.page)[way.index] as Message;
  if (message.taken) return [];
  message.readUpTo |= way.view;
  const ordered =
    model.pickedThrough(me, access.dependencies?.address ?? 0, access.dependencies?.addressPick ?? 0) |
    me.views[View.control] |
    me.views[View.addresses] |
    me.views[View.walks] |
    (access.dependencies ? NOTHING : me.views[View.reads]) |
    me.views[View.context] |
    (translation?.ets2 ? me.views[View.completion] : NOTHING);
  const least = way.view | under('update-order', ordered);
  const site = access.dependencies?.site ?? -1;
  model.noteStore(processor, { site, address: way.page, value: updated, hardware: true });
  const promised = site < 0 ? null : model.promiseOf(state, way.page, processor, site, true);
  const kept: Walked[] = [];
  if (promised?.index === way.index + 1 && promised.message.value === updated && !has(least, promised.message.event)) {
    const after = copyState(state);
    order(after, least, from(after, promised.message.event));
    const messages = model.history(after, way.page);
    (messages[way.index] as Message).taken = true;
    const performed = messages[promised.index] as Message;
    performed.promise = null;
    model.processor(after, processor).views[View.updates] |= seenWith(after, performed);
    kept.push({ ...way, state: after });
  }
  const placed = model.placesFor(state, way.page, least, way.index, way.index).map((place): Walked => {
    const after = copyState(state);
    const messages = model.history(after, way.page);
    (messages[way.index] as Message).taken = model.holds('atomicity');
    model.put(after, way.page, place, updated);
    const written = seenWith(after, messages[way.index + 1] as Message);
    model.processor(after, processor).views[View.updates] |= written;
    return { ...way, state: after, view: closed(after, way.view) };
  });
  return [...kept, ...placed];
}

/** An access without permission may have the access flag set or not: the update is no part of what faults. */
function resolve(translation: Translation, processor: number, value: number, writes: boolean): Resolved[] {
  const descriptor = translation.decode(value);
  const hardware = translation.hardware[processor];
  const { output } = descriptor;
  if (!descriptor.valid) return [{ output, fault: MemoryFault.translation, updated: null }];
  let updated: number | null = null;
  if (!descriptor.accessed) {
    if (hardware?.accessFlag !== true) return [{ output, fault: MemoryFault.accessFlag, updated }];
    updated = translation.accessed(value);
  }
  if (writes && !descriptor.writable) {
    if (hardware?.dirty !== true || !descriptor.dirtyManaged) {
      const denied = { output, fault: MemoryFault.permission, updated: null };
      return updated === null ? [denied] : [{ ...denied, updated }, denied];
    }
    updated = translation.dirtied(updated ?? value);
  }
  return [{ output, fault: null, updated }];
}

/**
 * Remembers that a descriptor has been used; false if memory held a newer one that the walk must have found. Then
 * {@link agreements} must be looked for.
 */
export function noteUse(
  model: Model,
  { page, index, view, fault, fresh }: Walked,
  state: MemoryState,
  processor: number,
  access: Events,
): boolean {
  const messages = model.history(state, page);
  const message = messages[index] as Message;
  const walk = closed(state, view);
  const { walked } = model.processor(state, processor);
  const walks = (walked.get(page) ?? NOTHING) | walk;
  walked.set(page, walks);
  const use = message.uses?.[processor];
  if (use) {
    use.walk |= walk;
    use.access |= fault === null ? access | model.under('walk-order', walks) : access;
  }
  if (!fresh) return true;
  message.readUpTo |= walk;
  const next = nextOf(messages, index);
  if (next === NO_EVENT || !model.holds('invalid-not-cached')) return true;
  if (has(walk, next)) return false;
  order(state, walk, from(state, next));
  return true;
}

/** A descriptor that was overwritten by the event `next` has been used, and a TLBI of it has completed. */
interface Completed {
  readonly issued: Events;
  readonly completed: number;
  readonly next: number;
  /** What must be before the completion, if the TLBI concerns the descriptor. */
  readonly used: Events;
}

/**
 * All ways in which the uses of descriptors agree with the TLBIs that have completed: either one was issued before the
 * descriptor was overwritten, and does not concern it, or it has waited for the use.
 */
export function agreements(model: Model, state: MemoryState, pages: readonly number[]): MemoryState[] {
  const agreed: MemoryState[] = [];
  const open = [state];
  for (let next = open.pop(); next; next = open.pop()) {
    const undecided = decide(model, next, pages);
    if (undecided === 'none') agreed.push(next);
    else if (undecided !== 'contradiction') {
      const { issued, completed, next: overwritten, used } = undecided;
      const unconcerned = copyState(next);
      order(unconcerned, issued, from(unconcerned, overwritten));
      order(next, used, from(next, completed));
      open.push(unconcerned, next);
    }
  }
  return agreed;
}

/** Orders what can be only in one order; returns what can be in two. */
function decide(model: Model, state: MemoryState, pages: readonly number[]): Completed | 'none' | 'contradiction' {
  for (let found = true; found;) {
    found = false;
    for (const pair of completedUses(model, state, pages)) {
      const { issued, completed, next, used } = pair;
      const before = (event: number): Events => state.before[event] as Events;
      if (isWithin(issued, before(next)) || isWithin(used, before(completed))) continue;
      const concerns = has(issued, next);
      const waited = !has(used, completed);
      if (concerns && !waited) return 'contradiction';
      if (!concerns && waited) return pair;
      if (concerns) order(state, used, from(state, completed));
      else order(state, issued, from(state, next));
      // Whatever was looked at before may be another now.
      found = true;
      break;
    }
  }
  return 'none';
}

function* completedUses(model: Model, state: MemoryState, pages: readonly number[]): Iterable<Completed> {
  for (const { issued, completed, broadcast, processor, pages: concerned } of state.invalidations) {
    if (completed === NO_EVENT) continue;
    for (const page of pages) {
      if (!concerned.includes(page)) continue;
      const messages = model.messagesOf(state, page);
      for (const [index, { uses }] of messages.entries()) {
        const next = nextOf(messages, index);
        if (next === NO_EVENT || !uses) continue;
        for (const [user, { walk, access }] of uses.entries()) {
          if (!broadcast && user !== processor) continue;
          const used =
            (model.holds('tlbi-walk') ? walk : NOTHING) |
            (model.holds('tlbi-access') && user !== processor ? access : NOTHING);
          if (used !== NOTHING) yield { issued, completed, next, used };
        }
      }
    }
  }
}

/** All ways to fetch an instruction: what is in memory, or what was fetched or cached before it was changed. */
export function fetchesOf(model: Model, state: MemoryState, processor: number, address: number): Fetched[] {
  const view = model.under('context-to-walk', model.processor(state, processor).views[View.context]);
  return model.history(state, address).flatMap((message, index) => {
    const after = copyState(state);
    const use = (model.history(after, address)[index] as Message).uses?.[processor];
    if (use) use.walk |= view | seenWith(state, message);
    return agreements(model, after, [address]).map((agreed) => ({ state: agreed, result: message.value }));
  });
}

/** A fetched instruction, and the state afterwards. */
interface Fetched {
  readonly state: MemoryState;
  readonly result: number;
}

/** Hardware sets the access flag of a descriptor that has it clear, whether or not anybody has asked for it. */
export function accessFlagsSet(model: Model, state: MemoryState): MemoryState[] {
  const { translation } = model;
  if (!translation) return [];
  return translation.pages.flatMap((page) =>
    model.history(state, page).flatMap((message, index) => {
      const { valid, accessed } = translation.decode(message.value);
      if (!valid || accessed || message.taken) return [];
      return model.placesFor(state, page, NOTHING, index, index).flatMap((place) => {
        const after = copyState(state);
        (model.history(after, page)[index] as Message).taken = true;
        model.put(after, page, place, translation.accessed(message.value));
        return agreements(model, after, [page]);
      });
    }),
  );
}
