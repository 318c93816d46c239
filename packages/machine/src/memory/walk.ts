/**
 * Address translation in the weak memory: which descriptors a walk, or a TLB that has cached one, may use.
 *
 * A TLB is not a component here. What it may hold is every descriptor that memory has held since the last invalidation
 * took effect: an older message of the descriptor's location may be used as long as no rule says that the processor
 * must have seen its successor, and no completed TLBI has taken it away.
 */
import type { Model } from './model.ts';
import { MemoryFault, type Access, type Translation } from './requests.ts';
import { copyState, nextOf, NOT_YET, View, type MemoryState, type Message, type Position } from './state.ts';

/** One way an access may be translated. */
export interface Walked {
  /** The state after the walk: a copy if anything was translated. */
  readonly state: MemoryState;
  /** Address of the word, or a fault. */
  readonly output: number;
  readonly fault: number | null;
  /** The descriptor's location, or -1: nothing was translated. */
  readonly page: number;
  /** Position of the descriptor used. */
  readonly at: Position;
  /** What the walk has seen. */
  readonly view: Position;
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
    const plain = { output: access.address, fault: null, page: -1, at: 0, fresh: false };
    return [{ ...plain, state, view: address }];
  }
  const { translation } = model;
  const page = access.address;
  const messages = model.history(state, page);
  const { under } = model;
  const least = Math.max(
    address,
    under('context-to-walk', me.views[View.context]),
    translation.ets2 ? under('ets2-completion', me.views[View.completion]) : 0,
  );
  const walked: Walked[] = [];
  messages.forEach((message, index) => {
    const next = nextOf(messages, index);
    const resolved = resolve(translation, processor, message.value, access.kind !== 'load');
    let view = Math.max(least, message.at);
    if (translation.ets2 && (resolved.fault === MemoryFault.translation || resolved.fault === MemoryFault.accessFlag))
      view = Math.max(
        view,
        under('ets2-fault', Math.max(me.views[View.reads], me.views[View.writes], me.views[View.barrier])),
      );
    const fresh = !model.isCacheable(page, message.value) || resolved.updated !== null;
    if (fresh && !(view < next) && under('invalid-not-cached', 1) === 1) return;
    if (next !== NOT_YET && !mayUse(model, state, processor, page, next, view, view)) return;
    const after = copyState(state);
    const mine = model.processor(after, processor);
    mine.views[View.walks] = Math.max(mine.views[View.walks], view);
    const way = { output: resolved.output, fault: resolved.fault, page, at: message.at, view, fresh };
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
  const messages = model.history(state, way.page);
  const message = messages.find(({ at }) => at === way.at) as Message;
  if (message.taken) return [];
  message.readUpTo = Math.max(message.readUpTo, way.view);
  const least = Math.max(
    way.view,
    under(
      'update-order',
      Math.max(
        model.pickedThrough(me, access.dependencies?.address ?? 0, access.dependencies?.addressPick ?? 0),
        me.views[View.control],
        me.views[View.addresses],
        me.views[View.walks],
        access.dependencies ? 0 : me.views[View.reads],
        me.views[View.context],
        translation?.ets2 ? me.views[View.completion] : 0,
      ),
    ),
  );
  const site = access.dependencies?.site ?? -1;
  model.noteStore(processor, { site, address: way.page, value: updated, hardware: true });
  const promised = site < 0 ? undefined : model.promiseOf(state, way.page, processor, site, true);
  const kept: Walked[] = [];
  if (promised && promised.before?.at === way.at && promised.message.value === updated && promised.message.at > least) {
    const after = copyState(state);
    for (const m of model.history(after, way.page)) {
      if (m.at === way.at) m.taken = true;
      if (m.at === promised.message.at) m.promise = null;
    }
    const mine = model.processor(after, processor);
    mine.views[View.updates] = Math.max(mine.views[View.updates], promised.message.at);
    kept.push({ ...way, state: after });
  }
  const placed = model.placesFor(state, way.page, least, way.at).flatMap((position): Walked[] => {
    const after = copyState(state);
    const taken = model.history(after, way.page).find(({ at }) => at === way.at) as Message;
    taken.taken = under('atomicity', 1) === 1;
    if (!model.put(after, way.page, position, updated)) return [];
    const mine = model.processor(after, processor);
    mine.views[View.updates] = Math.max(mine.views[View.updates], position);
    const moved = (p: Position): Position => (p >= position ? p + 1 : p);
    return [{ ...way, state: after, at: moved(way.at), view: moved(way.view) }];
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

/** Whether no completed TLBI keeps a processor from using a descriptor that was overwritten at `next`. */
function mayUse(
  model: Model,
  state: MemoryState,
  processor: number,
  page: number,
  next: Position,
  walk: Position,
  access: Position,
): boolean {
  const { under } = model;
  return state.invalidations.every((invalidation) => {
    const concerns =
      invalidation.completed !== NOT_YET &&
      invalidation.issued >= next &&
      (invalidation.broadcast || invalidation.processor === processor) &&
      invalidation.pages.includes(page);
    if (!concerns) return true;
    if (under('tlbi-walk', 1) === 1 && walk >= invalidation.completed) return false;
    return under('tlbi-access', 1) === 0 || invalidation.processor === processor || access < invalidation.completed;
  });
}

/** Remembers that a descriptor has been used; false if a completed TLBI forbids it. */
export function noteUse(
  model: Model,
  walked: Walked,
  state: MemoryState,
  processor: number,
  access: Position,
): boolean {
  const messages = model.history(state, walked.page);
  const index = messages.findIndex(({ at }) => at === walked.at);
  const message = messages[index] as Message;
  const me = model.processor(state, processor);
  const reached = walked.fault === null ? Math.max(access, me.views[View.walks]) : access;
  const use = message.uses?.[processor];
  if (use) {
    use.walk = Math.max(use.walk, walked.view);
    use.access = Math.max(use.access, reached);
  }
  if (walked.fresh) message.readUpTo = Math.max(message.readUpTo, walked.view);
  const next = nextOf(messages, index);
  return next === NOT_YET || mayUse(model, state, processor, walked.page, next, walked.view, reached);
}

/** Whether all uses of a descriptor's messages so far agree with the TLBIs that have completed. */
export function usesAgree(model: Model, state: MemoryState, page: number): boolean {
  const messages = model.history(state, page);
  return messages.every((message, index) => {
    const next = nextOf(messages, index);
    if (next === NOT_YET || !message.uses) return true;
    return message.uses.every(
      ({ walk, access }, processor) =>
        (walk === 0 && access === 0) || mayUse(model, state, processor, page, next, walk, access),
    );
  });
}

/** All ways to fetch an instruction: what is in memory, or what was fetched or cached before it was changed. */
export function fetchesOf(model: Model, state: MemoryState, processor: number, address: number): Fetched[] {
  const view = model.under('context-to-walk', model.processor(state, processor).views[View.context]);
  const messages = model.history(state, address);
  return messages.flatMap(({ at, value }, index) => {
    const next = nextOf(messages, index);
    const seen = Math.max(view, at);
    if (next !== NOT_YET && !mayUse(model, state, processor, address, next, seen, 0)) return [];
    const after = copyState(state);
    const use = (model.history(after, address)[index] as Message).uses?.[processor];
    if (use) use.walk = Math.max(use.walk, seen);
    return [{ state: after, result: value }];
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
    model.history(state, page).flatMap((message) => {
      const { valid, accessed } = translation.decode(message.value);
      if (!valid || accessed || message.taken) return [];
      return model.placesFor(state, page, 0, message.at).flatMap((position) => {
        const after = copyState(state);
        (model.history(after, page).find(({ at }) => at === message.at) as Message).taken = true;
        return model.put(after, page, position, translation.accessed(message.value)) ? [after] : [];
      });
    }),
  );
}
