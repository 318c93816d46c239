/** Loads, stores and atomics of the weak memory: all ways in which one may go. */
import { floorOf, type Model } from './model.ts';
import { NO_SLOT, type Access, type Dependencies } from './requests.ts';
import { has, NO_EVENT, NOTHING, isWithin, type Events } from './events.ts';
import { closed, copyState, from, nextOf, order, seenWith, View, type MemoryState, type Message } from './state.ts';
import { agreements, noteUse, walksOf, type Walked } from './walk.ts';

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
  /** Which of its location. */
  readonly index: number;
  readonly value: number;
  readonly taken: boolean;
  readonly seen: Events;
}

/** Any message of a location. */
const ANY = Number.POSITIVE_INFINITY;

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
    if (this.#request.kind !== 'store' && this.#request.dependencies) this.#model.loaders.add(this.#processor);
    if (fault !== null) this.#fault(state, fault);
    else if (this.#request.kind === 'load') this.#load(state);
    else if (this.#request.kind === 'store' && this.#request.exclusive) this.#storeExclusive(state);
    else if (this.#request.kind === 'store')
      this.#store(state, this.#request.value, this.#leastOfStore(state), ANY, NOTHING, NOTHING, (after, seen) =>
        this.#finish(after, seen, 0),
      );
    else this.#update(state);
  }

  #me(state: MemoryState) {
    return this.#model.processor(state, this.#processor);
  }

  #addressPick(state: MemoryState): Events {
    const { address, addressPick } = this.#operands;
    return this.#model.pickedThrough(this.#me(state), address, addressPick);
  }

  /** An exception: what a load in its place would be after, and context synchronisation. */
  #fault(state: MemoryState, fault: number): void {
    const me = this.#me(state);
    const { under } = this.#model;
    const view = this.#walked.view | under('fault-order', floorOf(me) | me.views[View.storeBarrier]);
    const pick = this.#addressPick(state);
    synchroniseContext(this.#model, state, this.#processor, this.#request.dependencies !== null, 'exception-entry');
    me.views[View.context] |= under('exception-entry', pick);
    this.#finish(state, view, fault);
  }

  /** What the walk has seen, if there was one. */
  #walkView(): Events {
    return this.#walked.page < 0 ? NOTHING : this.#model.under('walk-coherence', this.#walked.view);
  }

  /** What the load has seen that returned the page table of which this loads an entry. */
  #tableView(state: MemoryState): Events {
    const { table } = this.#request;
    if (table === undefined) return NOTHING;
    return this.#model.under('address-dependency', this.#me(state).pointers.get(table) ?? NOTHING);
  }

  /** What a load must have seen before it looks. */
  #leastOfLoad(state: MemoryState): Events {
    const me = this.#me(state);
    return (
      this.#model.seenThrough(me, this.#operands.address, 'address-dependency') |
      this.#walkView() |
      this.#tableView(state) |
      floorOf(me) |
      (this.#request.acquire === 'full' ? this.#model.under('release-to-acquire', me.views[View.release]) : NOTHING)
    );
  }

  #leastOfStore(state: MemoryState): Events {
    const me = this.#me(state);
    const { views } = me;
    const { under } = this.#model;
    const { data, dataPick } = this.#operands;
    return (
      (this.#request.dependencies === null ? under('load-to-store', views[View.reads]) : NOTHING) |
      under('address-dependency', this.#addressPick(state)) |
      this.#walkView() |
      under('control-to-store', views[View.control]) |
      under('address-to-store', views[View.addresses]) |
      under('walk-to-store', views[View.walks]) |
      floorOf(me) |
      views[View.storeBarrier] |
      (this.#request.release ? under('release', views[View.reads] | views[View.writes]) : NOTHING) |
      under('data-dependency', this.#model.pickedThrough(me, data, dataPick))
    );
  }

  /** Which message of the location an access may come back to. */
  #coherent(state: MemoryState): number {
    return this.#model.holds('coherence') ? (this.#me(state).coherence.get(this.#walked.output) ?? 0) : 0;
  }

  /** The messages a load may be given. */
  #readings(state: MemoryState): Reading[] {
    const me = this.#me(state);
    const address = this.#walked.output;
    const messages = this.#model.history(state, address);
    const { under } = this.#model;
    const least = this.#leastOfLoad(state);
    const coherent = this.#coherent(state);
    const forwarded = me.forwarded.get(address);
    const readings: Reading[] = [];
    messages.forEach((message, index) => {
      const { value, taken, promise } = message;
      // The own store to come is later in program order.
      if (promise?.processor === this.#processor && !promise.hardware) return;
      if (index < coherent || has(least, nextOf(messages, index))) return;
      if (this.#request.newest && index + 1 < messages.length) return;
      const own = forwarded?.index === index ? forwarded : null;
      const view = own
        ? under('forwarding', own.view | (this.#request.acquire === 'none' ? NOTHING : own.atomic))
        : seenWith(state, message);
      readings.push({ index, value, taken, seen: least | view });
    });
    return readings;
  }

  /** What a load leaves behind; returns what it has seen, with what is known of the order now. */
  #noteReading(state: MemoryState, { index, seen: known }: Reading, succeeds = true): Events {
    const me = this.#me(state);
    const { views } = me;
    const { under } = this.#model;
    const { acquire, discards, kind, unseen = false } = this.#request;
    const address = this.#walked.output;
    const messages = this.#model.history(state, address);
    const message = messages[index] as Message;
    const least = this.#leastOfLoad(state);
    message.readUpTo |= least;
    me.coherence.set(address, Math.max(me.coherence.get(address) ?? 0, index));
    // It is given this one and not the next, so that comes later.
    const next = nextOf(messages, index);
    if (next !== NO_EVENT) order(state, least, from(state, next));
    const seen = known;
    if (unseen) return seen;
    views[View.reads] |= seen;
    if (!discards) views[View.valueReads] |= seen;
    if (acquire !== 'none' && succeeds && !(kind === 'update' && discards))
      views[View.barrier] |= under('acquire', seen);
    views[View.addresses] |= this.#addressPick(state);
    return seen;
  }

  #load(state: MemoryState): void {
    const readings = this.#readings(state);
    for (const [position, reading] of readings.entries()) {
      // The state is this access's own: the last way may have it.
      const after = position + 1 < readings.length ? copyState(state) : state;
      const seen = this.#noteReading(after, reading);
      this.#keep(after, seen, seen);
      const table = this.#request.pointer?.of(reading.value) ?? -1;
      if (table >= 0) this.#me(after).pointers.set(table, seen);
      const address = this.#walked.output;
      if (this.#request.exclusive) this.#me(after).monitor = { address, index: reading.index, seen };
      this.#finish(after, seen, reading.value);
    }
  }

  /** It fails, which it may always do, or stores directly behind what the load-exclusive has read. */
  #storeExclusive(state: MemoryState): void {
    const failed = copyState(state);
    const { monitor } = this.#me(state);
    this.#me(failed).monitor = null;
    this.#finish(failed, NOTHING, 1);
    if (!monitor || monitor.address !== this.#walked.output) return;
    const before = copyState(state);
    this.#me(before).monitor = null;
    const least = this.#leastOfStore(before) | monitor.seen;
    this.#store(before, this.#request.value, least, monitor.index, NOTHING, monitor.seen, (after, seen) =>
      this.#finish(after, seen, 0),
    );
  }

  /** The loaded value's slot. */
  #keep(state: MemoryState, view: Events, pick: Events): void {
    const { into } = this.#operands;
    if (into !== NO_SLOT) this.#me(state).values.set(into, { view, pick: view | pick });
  }

  #update(state: MemoryState): void {
    const modify = this.#request.modify;
    if (!modify) return;
    const { acquire, release, unseen = false } = this.#request;
    const { under } = this.#model;
    for (const reading of this.#readings(state)) {
      const value = modify.apply(reading.value);
      if (value === null) {
        const after = copyState(state);
        const seen = this.#noteReading(after, reading, this.#request.acquiresOnFailure);
        this.#keep(after, seen, seen);
        this.#finish(after, seen, reading.value);
        continue;
      }
      if (reading.taken) continue;
      const before = copyState(state);
      const { expected, expectedPick } = this.#operands;
      // The load comes first: what it sees is taken into account below, not what was seen before it.
      const own = this.#leastOfStore(before);
      const seen = this.#noteReading(before, reading);
      const me = this.#me(before);
      const compared = modify.compares ? this.#model.seenThrough(me, expected, 'data-dependency') : NOTHING;
      const comparedPick = this.#model.pickedThrough(me, expected, expectedPick);
      const computed = modify.computes ? seen : NOTHING;
      const after = this.#model.holds('atomicity') ? reading.index : ANY;
      const atomic = unseen ? NOTHING : seen;
      this.#store(before, value, closed(before, own | seen | compared), after, computed, atomic, (stored, written) => {
        const acquired = (to: MemoryState): void => {
          if (acquire === 'none' || !release) return;
          this.#me(to).views[View.barrier] |= under('atomic-acquire-release', written);
        };
        // The value is the one it was compared with: it may be taken from there.
        if (modify.compares && !isWithin(seen, compared)) {
          const guessed = copyState(stored);
          acquired(guessed);
          this.#keep(guessed, closed(guessed, compared), closed(guessed, comparedPick | seen));
          this.#finish(guessed, written, reading.value);
        }
        acquired(stored);
        this.#keep(stored, seen, seen);
        this.#finish(stored, written, reading.value);
      });
    }
  }

  /** Puts the store everywhere it may stand. @param after the message that it must follow directly, or {@link ANY} */
  #store(
    state: MemoryState,
    value: number,
    least: Events,
    after: number,
    computed: Events,
    atomic: Events,
    done: (state: MemoryState, seen: Events) => void,
  ): void {
    const address = this.#walked.output;
    const coherent = this.#coherent(state);
    const me = this.#me(state);
    const view =
      this.#model.seenThrough(me, this.#operands.address, 'address-dependency') |
      this.#model.seenThrough(me, this.#operands.data, 'data-dependency') |
      computed;
    const pick = this.#addressPick(state);
    const { site = -1 } = this.#operands;
    this.#model.noteStore(this.#processor, { site, address, value, hardware: false });
    const promised = site < 0 ? null : this.#model.promiseOf(state, address, this.#processor, site, false);
    if (promised) {
      const { message, index } = promised;
      if (message.value !== value || index <= coherent || has(least, message.event)) return;
      if (after !== ANY && after !== index - 1) return;
      const stored = copyState(state);
      order(stored, least, from(stored, message.event));
      const messages = this.#model.history(stored, address);
      const kept = messages[index] as Message;
      kept.promise = null;
      if (after !== ANY) (messages[after] as Message).taken = true;
      const seen = seenWith(stored, kept);
      this.#noteStore(stored, index, seen, view, atomic, pick);
      done(stored, seen);
      return;
    }
    const [first, last] = after === ANY ? [coherent, ANY] : [Math.max(after, coherent), after];
    for (const place of this.#model.placesFor(state, address, least, first, last, this.#request.newest)) {
      const stored = copyState(state);
      if (after !== ANY) (this.#model.history(stored, address)[after] as Message).taken = true;
      this.#model.put(stored, address, place, value);
      const seen = seenWith(stored, this.#model.history(stored, address)[place.after + 1] as Message);
      this.#noteStore(stored, place.after + 1, seen, view, atomic, pick);
      done(stored, seen);
    }
  }

  /** What a store leaves behind. */
  #noteStore(state: MemoryState, index: number, seen: Events, view: Events, atomic: Events, pick: Events): void {
    const me = this.#me(state);
    const { views } = me;
    const address = this.#walked.output;
    me.coherence.set(address, index);
    me.forwarded.set(address, { index, view: closed(state, view), atomic: closed(state, atomic) });
    views[View.writes] |= seen;
    if (this.#request.release) views[View.release] |= seen;
    views[View.addresses] |= closed(state, pick);
  }

  /** Notes the use of the descriptor, drops values that are of no use any more, and adds the way. */
  #finish(state: MemoryState, seen: Events, result: number): void {
    const { page, output } = this.#walked;
    if (page >= 0 && !noteUse(this.#model, this.#walked, state, this.#processor, seen)) return;
    keepOnly(state, this.#me(state).values, this.#operands);
    const descriptors = [page, output].filter((address) => this.#model.isDescriptor(address));
    for (const agreed of agreements(this.#model, state, descriptors)) this.#ways.push({ state: agreed, result });
  }
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
  const by = (name: 'isb-control' | 'isb-address' | 'isb-walk' | 'isb-completion', view: Events): Events =>
    rule === 'exception-entry' ? under(rule, view) : under(name, view);
  views[View.context] |=
    by('isb-control', exact ? views[View.control] : views[View.reads]) |
    by('isb-address', views[View.addresses]) |
    by('isb-walk', views[View.walks]) |
    by('isb-completion', views[View.completion]);
}
