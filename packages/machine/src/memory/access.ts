/** Loads, stores and atomics of the weak memory: all ways in which one may go. */
import { floorOf, type Model } from './model.ts';
import { NO_SLOT, type Access, type Dependencies } from './requests.ts';
import { copyState, nextOf, NOT_YET, View, type MemoryState, type Message, type Position } from './state.ts';
import { noteUse, walksOf, type Walked } from './walk.ts';

/** One way a request may go. */
export interface Way {
  readonly state: MemoryState;
  /** The value loaded, 0 for a store, or a fault. */
  readonly result: number;
}

const nothing: Dependencies = {
  address: 0,
  addressPick: 0,
  data: 0,
  dataPick: 0,
  expected: 0,
  expectedPick: 0,
  control: 0,
  into: NO_SLOT,
  keep: -1,
  site: -1,
};

/** Dependencies of an access, with those of a kernel routine standing for "none are said". */
export function dependenciesOf(request: { readonly dependencies: Dependencies | null }): Dependencies {
  return request.dependencies ?? nothing;
}

/** All ways in which an access may go. The state is left alone. */
export function access(model: Model, state: MemoryState, processor: number, request: Access): Way[] {
  const ways: Way[] = [];
  for (const walked of walksOf(model, state, processor, request))
    new AccessStep(model, processor, request, walked, ways).take();
  return ways;
}

/** A message that a load may be given, and what the processor has seen then. */
interface Reading {
  readonly at: Position;
  readonly value: number;
  readonly taken: boolean;
  readonly seen: Position;
}

/** One access after one walk. */
class AccessStep {
  readonly #model: Model;
  readonly #processor: number;
  readonly #request: Access;
  readonly #operands: Dependencies;
  readonly #walked: Walked;
  readonly #ways: Way[];

  constructor(model: Model, processor: number, request: Access, walked: Walked, ways: Way[]) {
    this.#model = model;
    this.#processor = processor;
    this.#request = request;
    this.#operands = dependenciesOf(request);
    this.#walked = walked;
    this.#ways = ways;
  }

  take(): void {
    const { state, fault } = this.#walked;
    if (fault !== null) this.#fault(state, fault);
    else if (this.#request.kind === 'load') this.#load(state);
    else if (this.#request.kind === 'store' && this.#request.exclusive) this.#storeExclusive(state);
    else if (this.#request.kind === 'store')
      this.#store(state, this.#request.value, this.#leastOfStore(state), NOT_YET, 0, 0, (after, moved, position) =>
        this.#finish(after, moved(this.#walked.at), moved(this.#walked.view), position, 0),
      );
    else this.#update(state);
  }

  #me(state: MemoryState) {
    return this.#model.processor(state, this.#processor);
  }

  #addressPick(state: MemoryState): Position {
    const { address, addressPick } = this.#operands;
    return this.#model.pickedThrough(this.#me(state), address, addressPick);
  }

  /** An exception: what a load in its place would be after, and context synchronisation. */
  #fault(state: MemoryState, fault: number): void {
    const me = this.#me(state);
    const { under } = this.#model;
    const view = Math.max(this.#walked.view, under('fault-order', Math.max(floorOf(me), me.views[View.storeBarrier])));
    const pick = this.#addressPick(state);
    synchroniseContext(this.#model, state, this.#processor, this.#request.dependencies !== null, 'exception-entry');
    me.views[View.context] = Math.max(me.views[View.context], under('exception-entry', pick));
    this.#finish(state, this.#walked.at, this.#walked.view, view, fault);
  }

  /** What a load must have seen before it looks. */
  #leastOfLoad(state: MemoryState): Position {
    const me = this.#me(state);
    const { under } = this.#model;
    return Math.max(
      this.#model.seenThrough(me, this.#operands.address, 'address-dependency'),
      this.#walked.page < 0 ? 0 : under('walk-coherence', this.#walked.view),
      floorOf(me),
      this.#request.acquire === 'full' ? under('release-to-acquire', me.views[View.release]) : 0,
    );
  }

  #leastOfStore(state: MemoryState): Position {
    const me = this.#me(state);
    const { views } = me;
    const { under } = this.#model;
    const { data, dataPick } = this.#operands;
    return Math.max(
      this.#request.dependencies === null ? under('load-to-store', views[View.reads]) : 0,
      under('address-dependency', this.#addressPick(state)),
      this.#walked.page < 0 ? 0 : under('walk-coherence', this.#walked.view),
      under('control-to-store', views[View.control]),
      under('address-to-store', views[View.addresses]),
      under('walk-to-store', views[View.walks]),
      floorOf(me),
      views[View.storeBarrier],
      this.#request.release ? under('release', Math.max(views[View.reads], views[View.writes])) : 0,
      under('data-dependency', this.#model.pickedThrough(me, data, dataPick)),
    );
  }

  /** The messages a load may be given. */
  #readings(state: MemoryState): Reading[] {
    const me = this.#me(state);
    const address = this.#walked.output;
    const messages = this.#model.history(state, address);
    const { under } = this.#model;
    const least = this.#leastOfLoad(state);
    const coherent = under('coherence', me.coherence.get(address) ?? 0);
    const forwarded = me.forwarded.get(address);
    const readings: Reading[] = [];
    messages.forEach(({ at, value, taken, promise }, index) => {
      // The own store to come is later in program order.
      if (promise?.processor === this.#processor && !promise.hardware) return;
      if (at < coherent || nextOf(messages, index) <= least) return;
      if (this.#request.newest && index + 1 < messages.length) return;
      const own = forwarded?.at === at ? forwarded : null;
      const view = own
        ? under('forwarding', Math.max(own.view, this.#request.acquire === 'none' ? 0 : own.atomic))
        : at;
      readings.push({ at, value, taken, seen: Math.max(least, view) });
    });
    return readings;
  }

  /** What a load leaves behind. */
  #noteReading(state: MemoryState, reading: Reading): void {
    const me = this.#me(state);
    const { views } = me;
    const { under } = this.#model;
    const { acquire, discards, kind } = this.#request;
    const address = this.#walked.output;
    const message = messageOf(this.#model, state, address, reading.at);
    message.readUpTo = Math.max(message.readUpTo, this.#leastOfLoad(state));
    me.coherence.set(address, Math.max(me.coherence.get(address) ?? 0, reading.at));
    const pick = this.#addressPick(state);
    views[View.reads] = Math.max(views[View.reads], reading.seen);
    if (!discards) views[View.valueReads] = Math.max(views[View.valueReads], reading.seen);
    if (acquire !== 'none' && !(kind === 'update' && discards))
      views[View.barrier] = Math.max(views[View.barrier], under('acquire', reading.seen));
    views[View.addresses] = Math.max(views[View.addresses], pick);
  }

  #load(state: MemoryState): void {
    const readings = this.#readings(state);
    for (const [index, reading] of readings.entries()) {
      // The state is this access's own: the last way may have it.
      const after = index + 1 < readings.length ? copyState(state) : state;
      this.#noteReading(after, reading);
      this.#keep(after, reading.seen, reading.seen);
      const address = this.#walked.output;
      if (this.#request.exclusive) this.#me(after).monitor = { address, at: reading.at, seen: reading.seen };
      this.#finish(after, this.#walked.at, this.#walked.view, reading.seen, reading.value);
    }
  }

  /** It fails, which it may always do, or stores directly behind what the load-exclusive has read. */
  #storeExclusive(state: MemoryState): void {
    const failed = copyState(state);
    const { monitor } = this.#me(state);
    this.#me(failed).monitor = null;
    this.#finish(failed, this.#walked.at, this.#walked.view, 0, 1);
    if (!monitor || monitor.address !== this.#walked.output) return;
    const before = copyState(state);
    this.#me(before).monitor = null;
    const least = Math.max(this.#leastOfStore(before), monitor.seen);
    this.#store(before, this.#request.value, least, monitor.at, 0, monitor.seen, (after, moved, position) =>
      this.#finish(after, moved(this.#walked.at), moved(this.#walked.view), position, 0),
    );
  }

  /** The loaded value's slot. */
  #keep(state: MemoryState, view: Position, pick: Position): void {
    const { into } = this.#operands;
    if (into !== NO_SLOT) this.#me(state).values.set(into, { view, pick: Math.max(view, pick) });
  }

  #update(state: MemoryState): void {
    const modify = this.#request.modify;
    if (!modify) return;
    const { acquire, release } = this.#request;
    const { under } = this.#model;
    for (const reading of this.#readings(state)) {
      const value = modify.apply(reading.value);
      if (value === null) {
        const after = copyState(state);
        this.#noteReading(after, reading);
        this.#keep(after, reading.seen, reading.seen);
        this.#finish(after, this.#walked.at, this.#walked.view, reading.seen, reading.value);
        continue;
      }
      if (reading.taken) continue;
      const before = copyState(state);
      const { expected, expectedPick } = this.#operands;
      const me = this.#me(state);
      const compared = modify.compares ? this.#model.seenThrough(me, expected, 'data-dependency') : 0;
      const comparedPick = this.#model.pickedThrough(me, expected, expectedPick);
      // The load comes first: what it sees is taken into account below, not what was seen before it.
      const least = Math.max(this.#leastOfStore(before), reading.seen, compared);
      this.#noteReading(before, reading);
      const computed = modify.computes ? reading.seen : 0;
      const after = under('atomicity', 1) === 1 ? reading.at : NOT_YET;
      this.#store(before, value, least, after, computed, reading.seen, (stored, moved, position) => {
        const seen = moved(reading.seen);
        const acquired = (to: MemoryState): void => {
          if (acquire === 'none' || !release) return;
          const { views } = this.#me(to);
          views[View.barrier] = Math.max(views[View.barrier], under('atomic-acquire-release', position));
        };
        // The value is the one it was compared with: it may be taken from there.
        if (modify.compares && moved(compared) < seen) {
          const guessed = copyState(stored);
          acquired(guessed);
          this.#keep(guessed, moved(compared), Math.max(moved(comparedPick), seen));
          this.#finish(guessed, moved(this.#walked.at), moved(this.#walked.view), position, reading.value);
        }
        acquired(stored);
        this.#keep(stored, seen, seen);
        this.#finish(stored, moved(this.#walked.at), moved(this.#walked.view), position, reading.value);
      });
    }
  }

  /** Puts the store everywhere it may stand. */
  #store(
    state: MemoryState,
    value: number,
    least: Position,
    after: Position,
    computed: Position,
    atomic: Position,
    done: (state: MemoryState, moved: (position: Position) => Position, position: Position) => void,
  ): void {
    const address = this.#walked.output;
    const { under } = this.#model;
    const me = this.#me(state);
    const from = Math.max(least, under('coherence', me.coherence.get(address) ?? 0));
    const view = Math.max(
      this.#model.seenThrough(me, this.#operands.address, 'address-dependency'),
      this.#model.seenThrough(me, this.#operands.data, 'data-dependency'),
      computed,
    );
    const pick = this.#addressPick(state);
    const { site = -1 } = this.#operands;
    this.#model.noteStore(this.#processor, { site, address, value, hardware: false });
    const promised = site < 0 ? undefined : this.#model.promiseOf(state, address, this.#processor, site, false);
    if (promised) {
      const { message, before } = promised;
      const position = message.at;
      if (message.value !== value || position <= from || (after !== NOT_YET && before?.at !== after)) return;
      const stored = copyState(state);
      messageOf(this.#model, stored, address, position).promise = null;
      if (after !== NOT_YET) messageOf(this.#model, stored, address, after).taken = true;
      this.#noteStore(stored, position, view, atomic, pick);
      done(stored, (p) => p, position);
      return;
    }
    for (const position of this.#model.placesFor(state, address, from, after)) {
      if (this.#request.newest && position <= state.newest) continue;
      const stored = copyState(state);
      if (after !== NOT_YET) messageOf(this.#model, stored, address, after).taken = true;
      if (!this.#model.put(stored, address, position, value)) continue;
      const moved = (p: Position): Position => (p >= position ? p + 1 : p);
      this.#noteStore(stored, position, moved(view), moved(atomic), moved(pick));
      done(stored, moved, position);
    }
  }

  /** What a store leaves behind. */
  #noteStore(state: MemoryState, position: Position, view: Position, atomic: Position, pick: Position): void {
    const me = this.#me(state);
    const { views } = me;
    const address = this.#walked.output;
    me.coherence.set(address, position);
    me.forwarded.set(address, { at: position, view, atomic });
    views[View.writes] = Math.max(views[View.writes], position);
    if (this.#request.release) views[View.release] = Math.max(views[View.release], position);
    views[View.addresses] = Math.max(views[View.addresses], pick);
  }

  /** Notes the use of the descriptor, drops values that are of no use any more, and adds the way. */
  #finish(state: MemoryState, at: Position, view: Position, seen: Position, result: number): void {
    const { page } = this.#walked;
    if (page >= 0 && !noteUse(this.#model, { ...this.#walked, at, view }, state, this.#processor, seen)) return;
    keepOnly(state, this.#me(state).values, this.#operands);
    this.#ways.push({ state, result });
  }
}

function messageOf(model: Model, state: MemoryState, address: number, at: Position): Message {
  return model.history(state, address).find((message) => message.at === at) as Message;
}

/** Forgets the slots that are of no use any more. */
function keepOnly(_state: MemoryState, values: Map<number, unknown>, { keep }: Dependencies): void {
  for (const slot of values.keys()) if ((keep & (1 << slot)) === 0) values.delete(slot);
}

/** ISB, taking an exception, returning from one. */
export function synchroniseContext(
  model: Model,
  state: MemoryState,
  processor: number,
  exact: boolean,
  rule: 'isb-control' | 'exception-entry',
): void {
  const { under } = model;
  const { views } = model.processor(state, processor);
  const by = (name: 'isb-control' | 'isb-address' | 'isb-walk' | 'isb-completion', view: Position): Position =>
    rule === 'exception-entry' ? under(rule, view) : under(name, view);
  views[View.context] = Math.max(
    views[View.context],
    by('isb-control', exact ? views[View.control] : views[View.reads]),
    by('isb-address', views[View.addresses]),
    by('isb-walk', views[View.walks]),
    by('isb-completion', views[View.completion]),
  );
}
