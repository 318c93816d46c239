/** Barriers, TLBI and its completion, and views that are handed on by other means than memory. */
import type { Way } from './access.ts';
import { dependenciesOf, synchroniseContext } from './access.ts';
import { floorOf, type Model } from './model.ts';
import type { BarrierKind, Tlbi } from './requests.ts';
import { copyState, insertPosition, nextOf, NOT_YET, View, type MemoryState, type Position } from './state.ts';

/** DMB: no choice. */
export function dmb(model: Model, state: MemoryState, processor: number, type: BarrierKind): void {
  const { views } = model.processor(state, processor);
  const { under } = model;
  if (type === 'full')
    views[View.barrier] = Math.max(
      views[View.barrier],
      under('dmb-full', Math.max(views[View.reads], views[View.writes])),
    );
  else if (type === 'load')
    views[View.barrier] = Math.max(views[View.barrier], under('dmb-load', views[View.valueReads]));
  else views[View.storeBarrier] = Math.max(views[View.storeBarrier], under('dmb-store', views[View.writes]));
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
  const after = Math.max(
    views[View.control],
    views[View.completion],
    views[View.context],
    model.pickedThrough(me, address, addressPick),
    request.dependencies ? 0 : views[View.reads],
  );
  state.invalidations.push({
    processor,
    pages: request.pages,
    broadcast: request.broadcast,
    issued: model.under('tlbi-issue', after),
    completed: NOT_YET,
  });
}

/** DSB: everything before is complete; a full one also waits for the TLBIs of its processor. */
export function dsb(model: Model, state: MemoryState, processor: number, type: BarrierKind): Way[] {
  const { under } = model;
  const pending = (s: MemoryState) =>
    s.invalidations.filter((i) => i.processor === processor && i.completed === NOT_YET);
  const after = copyState(state);
  const { views } = model.processor(after, processor);
  if (type !== 'full') {
    const seen = type === 'load' ? views[View.valueReads] : views[View.writes];
    views[View.completion] = Math.max(views[View.completion], under('dsb', seen));
    return [{ state: after, result: 0 }];
  }
  const complete = Math.max(
    views[View.completion],
    under('dsb', Math.max(views[View.barrier], views[View.reads], views[View.writes], views[View.walks])),
    under('update-completion', views[View.updates]),
  );
  if (pending(state).length === 0 || under('dsb-tlbi', 1) === 0) {
    views[View.completion] = complete;
    return [{ state: after, result: 0 }];
  }
  let least = complete;
  for (const invalidation of pending(state)) {
    least = Math.max(least, invalidation.issued);
    for (const page of invalidation.pages) least = Math.max(least, lastUse(model, state, invalidation, page));
  }
  const ways: Way[] = [];
  for (let position = least + 1; position <= state.newest + 1; position++) {
    const done = copyState(state);
    insertPosition(done, position);
    for (const invalidation of pending(done)) invalidation.completed = position;
    model.processor(done, processor).views[View.completion] = position;
    ways.push({ state: done, result: 0 });
  }
  return ways;
}

/** Up to where entries that a TLBI takes away have been used, as far as it must wait for that. */
function lastUse(
  model: Model,
  state: MemoryState,
  invalidation: MemoryState['invalidations'][number],
  page: number,
): Position {
  const messages = model.messagesOf(state, page);
  let last = 0;
  messages.forEach(({ uses }, index) => {
    if (nextOf(messages, index) > invalidation.issued) return;
    uses?.forEach(({ walk, access }, user) => {
      if (!invalidation.broadcast && user !== invalidation.processor) return;
      last = Math.max(
        last,
        model.under('tlbi-walk', walk),
        user === invalidation.processor ? 0 : model.under('tlbi-access', access),
      );
    });
  });
  return last;
}

/**
 * A strong word is read: as an ordinary one with a single message, whose position is what the word hands on. Later
 * stores to it are after what its reader must have seen.
 */
export function strongRead(model: Model, state: MemoryState, processor: number, key: number, acquire: boolean): void {
  const me = model.processor(state, processor);
  const { views } = me;
  const seen = Math.max(floorOf(me), state.carried.get(key) ?? 0);
  if (seen > 0) state.carried.set(key, seen);
  views[View.reads] = Math.max(views[View.reads], seen);
  views[View.valueReads] = Math.max(views[View.valueReads], seen);
  if (acquire) views[View.barrier] = Math.max(views[View.barrier], model.under('acquire', seen));
}

/** A strong word is written, by a kernel routine. */
export function strongWrite(model: Model, state: MemoryState, processor: number, key: number, release: boolean): void {
  const me = model.processor(state, processor);
  const { views } = me;
  const { under } = model;
  const view = Math.max(
    state.carried.get(key) ?? 0,
    floorOf(me),
    views[View.storeBarrier],
    under('load-to-store', views[View.reads]),
    release ? under('release', Math.max(views[View.reads], views[View.writes])) : 0,
  );
  if (view > 0) state.carried.set(key, view);
  views[View.writes] = Math.max(views[View.writes], view);
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
  const { under } = model;
  const view =
    what === 'release'
      ? Math.max(floorOf(me), under('release', Math.max(views[View.reads], views[View.writes])))
      : Math.max(views[View.completion], views[View.context]);
  if (view > 0) state.carried.set(key, Math.max(state.carried.get(key) ?? 0, view));
}

/** The processor has seen what a key hands on. */
export function receive(
  model: Model,
  state: MemoryState,
  processor: number,
  key: number,
  as: 'acquire' | 'context',
): void {
  const view = state.carried.get(key) ?? 0;
  const { views } = model.processor(state, processor);
  if (as === 'acquire') views[View.barrier] = Math.max(views[View.barrier], model.under('acquire', view));
  else views[View.context] = Math.max(views[View.context], view);
}
