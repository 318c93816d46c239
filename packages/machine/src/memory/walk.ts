/**
 * Address translation in the weak memory: which descriptors a walk, or a TLB that has cached one, may use.
 *
 * A TLB is not a component here. What it may hold is every descriptor that memory has held since the last invalidation
 * took effect: an older message of the descriptor's location may be used as long as no rule says that the processor
 * must have seen its successor, and no completed TLBI has taken it away.
 */
import type { Model } from './model.ts';
import { MemoryFault, type Access, type Translation } from './requests.ts';
import { has, NO_EVENT, NOTHING, type Events } from './events.ts';
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
  messages.forEach((message, index) => {
    const next = nextOf(messages, index);
    const resolved = resolve(translation, processor, message.value, access.kind !== 'load');
    let view = least | seenWith(state, message);
    if (translation.ets2 && (resolved.fault === MemoryFault.translation || resolved.fault === MemoryFault.accessFlag))
      view |= under('ets2-fault', views[View.reads] | views[View.writes] | views[View.barrier]);
    const fresh = !model.isCacheable(page, message.value) || resolved.updated !== null;
    if (fresh && has(view, next) && model.holds('invalid-not-cached')) return;
    if (next !== NO_EVENT && !mayUse(model, state, processor, page, next, view, view)) return;
    const after = copyState(state);
    model.processor(after, processor).views[View.walks] |= view;
    const way = { output: resolved.output, fault: resolved.fault, page, index, view, fresh };
    if (resolved.updated === null) walked.push({ ...way, state: after });
    else walked.push(...updatesOf(model, after, processor, way, resolved.updated, access));
  });
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
  if (
    promised?.index === way.index + 1 &&
    promised.message.value === updated &&
    !has(least, promised.message.event)
  ) {
    const after = copyState(state);
    order(after, least, from(after, promised.message.event));
    const messages = model.history(after, way.page);
    (messages[way.index] as Message).taken = true;
    const performed = messages[promised.index] as Message;
    performed.promise = null;
    model.processor(after, processor).views[View.updates] |= seenWith(after, performed);
    kept.push({ ...way, state: after });
  }
  const placed = model.placesFor(state, way.page, least, way.index, way.index).flatMap((place): Walked[] => {
    const after = copyState(state);
    const messages = model.history(after, way.page);
    (messages[way.index] as Message).taken = model.holds('atomicity');
    if (!model.put(after, way.page, place, updated)) return [];
    const written = seenWith(after, messages[way.index + 1] as Message);
    model.processor(after, processor).views[View.updates] |= written;
    return [{ ...way, state: after, view: closed(after, way.view) }];
  });
  return [...kept, ...placed];
}

function resolve(translation: Translation, processor: number, value: number, writes: boolean): Resolved {
  const descriptor = translation.decode(value);
  const hardware = translation.hardware[processor];
  const { output } = descriptor;
  if (!descriptor.valid) return { output, fault: MemoryFault.translation, updated: null };
  let updated: number | null = null;
  if (!descriptor.accessed) {
    if (hardware?.accessFlag !== true) return { output, fault: MemoryFault.accessFlag, updated };
    updated = translation.accessed(value);
  }
  if (writes && !descriptor.writable) {
    if (hardware?.dirty !== true || !descriptor.dirtyManaged) return { output, fault: MemoryFault.permission, updated };
    updated = translation.dirtied(updated ?? value);
  }
  return { output, fault: null, updated };
}

/** Whether no completed TLBI keeps a processor from using a descriptor that was overwritten by the event `next`. */
function mayUse(
  model: Model,
  state: MemoryState,
  processor: number,
  page: number,
  next: number,
  walk: Events,
  access: Events,
): boolean {
  return state.invalidations.every((invalidation) => {
    const concerns =
      invalidation.completed !== NO_EVENT &&
      has(invalidation.issued, next) &&
      (invalidation.broadcast || invalidation.processor === processor) &&
      invalidation.pages.includes(page);
    if (!concerns) return true;
    if (model.holds('tlbi-walk') && has(walk, invalidation.completed)) return false;
    return (
      !model.holds('tlbi-access') ||
      invalidation.processor === processor ||
      !has(access, invalidation.completed)
    );
  });
}

/** Remembers that a descriptor has been used; false if a completed TLBI forbids it. */
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
  const reached = fault === null ? access | model.processor(state, processor).views[View.walks] : access;
  const use = message.uses?.[processor];
  if (use) {
    use.walk |= walk;
    use.access |= reached;
  }
  if (fresh) message.readUpTo |= walk;
  const next = nextOf(messages, index);
  return next === NO_EVENT || mayUse(model, state, processor, page, next, walk, reached);
}

/** Whether all uses of a descriptor's messages so far agree with the TLBIs that have completed. */
export function usesAgree(model: Model, state: MemoryState, page: number): boolean {
  const messages = model.history(state, page);
  return messages.every((message, index) => {
    const next = nextOf(messages, index);
    if (next === NO_EVENT || !message.uses) return true;
    return message.uses.every(
      ({ walk, access }, processor) =>
        (walk === NOTHING && access === NOTHING) ||
        mayUse(model, state, processor, page, next, walk, access),
    );
  });
}

/** All ways to fetch an instruction: what is in memory, or what was fetched or cached before it was changed. */
export function fetchesOf(model: Model, state: MemoryState, processor: number, address: number): Fetched[] {
  const view = model.under('context-to-walk', model.processor(state, processor).views[View.context]);
  const messages = model.history(state, address);
  return messages.flatMap((message, index) => {
    const next = nextOf(messages, index);
    const seen = view | seenWith(state, message);
    if (next !== NO_EVENT && !mayUse(model, state, processor, address, next, seen, NOTHING)) return [];
    const after = copyState(state);
    const use = (model.history(after, address)[index] as Message).uses?.[processor];
    if (use) use.walk |= seen;
    return [{ state: after, result: message.value }];
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
        return model.put(after, page, place, translation.accessed(message.value)) ? [after] : [];
      });
    }),
  );
}
