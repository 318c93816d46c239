/** What the effects of one thread order by themselves, whatever the others do: see `axioms.test-support.ts`. */
import type { Effect } from './traces.test-support.ts';

/** Per effect, a bit mask of the effects that are after it. */
export type Relation = number[];

/** What a thread orders by itself. */
export interface LocalOrder {
  readonly before: Relation;
  /** Of a TLBI: what is after its completion. Nothing if no DSB follows. */
  readonly completed: Relation;
}

/** Orders that follow from others. */
function closed(relation: Relation): Relation {
  const whole = relation.slice();
  for (let middle = 0; middle < whole.length; middle++)
    for (let first = 0; first < whole.length; first++)
      if ((((whole[first] as number) >>> middle) & 1) === 1)
        whole[first] = (whole[first] as number) | (whole[middle] as number);
  return whole;
}

/** Whether nothing is before itself. */
export function isAcyclic(relation: Relation | readonly number[]): boolean {
  return closed(relation as Relation).every((later, effect) => ((later >>> effect) & 1) === 0);
}

/** @param ets2 FEAT_ETS2 is implemented */
export function localOrder(effects: readonly Effect[], ets2: boolean): LocalOrder {
  return new Thread(effects, ets2).order();
}

type Test = (effect: Effect) => boolean;

const isAccess: Test = ({ kind }) => kind === 'R' || kind === 'W';
const isLoad: Test = ({ kind }) => kind === 'R';
const isStore: Test = ({ kind }) => kind === 'W';
const isWalk: Test = ({ kind }) => kind === 'T';
const isFault: Test = ({ kind }) => kind === 'F';
const isBarrier =
  (type: Effect['barrier'], ...kinds: Effect['kind'][]): Test =>
  ({ kind, barrier }) =>
    kinds.includes(kind) && barrier === type;
/** A DSB is a DMB, too. */
const dmb = (type: Effect['barrier']): Test => isBarrier(type, 'DMB', 'DSB');
const dsb = (type: Effect['barrier']): Test => isBarrier(type, 'DSB');
const isAcquire: Test = ({ kind, acquire }) => kind === 'R' && acquire !== 'none';
const isSync: Test = ({ kind }) => kind === 'ISB' || kind === 'F';

class Thread {
  readonly #effects: readonly Effect[];
  readonly #ets2: boolean;

  constructor(effects: readonly Effect[], ets2: boolean) {
    this.#effects = effects;
    this.#ets2 = ets2;
  }

  order(): LocalOrder {
    const isEnd: Test = (e) => isAccess(e) || isFault(e);
    const locally = closed(this.#locallyOrdered());
    const before = this.#none();
    this.#each((a, b, first, second) => {
      if ((((locally[a] as number) >>> b) & 1) === 1 && isAccess(first) && isEnd(second)) this.#add(before, a, b);
    });
    const dsbOrdered = this.#dsbOrdered();
    this.#join(before, dsbOrdered);
    this.#join(before, this.#contextOrdered(dsbOrdered));
    this.#join(before, this.#walksOrdered());
    const completed = this.#none();
    const afterwards = this.#afterSync(dsbOrdered);
    for (const [e, effect] of this.#effects.entries())
      if (effect.kind === 'TLBI') completed[e] = (dsbOrdered[e] as number) | (afterwards[e] as number);
    return { before: closed(before), completed };
  }

  /** Barriers, acquire and release, dependencies, and stores to the same location. */
  #locallyOrdered(): Relation {
    const order = this.#none();
    this.#across(
      order,
      () => true,
      dmb('full'),
      () => true,
    );
    this.#across(
      order,
      (e) => isLoad(e) || isWalk(e),
      dmb('load'),
      () => true,
    );
    this.#across(order, isStore, dmb('store'), (e) => isStore(e) || isFault(e));
    this.#each((a, b, first, second) => {
      if (!this.#isBefore(a, b)) return;
      if (isAcquire(first) || (isStore(second) && second.release)) this.#add(order, a, b);
      if (isStore(first) && first.release && second.kind === 'R' && second.acquire === 'full') this.#add(order, a, b);
      if (this.#isSameLocation(first, second) && isStore(second)) this.#add(order, a, b);
      if ((isAccess(second) || isFault(second)) && isLoad(first)) {
        if (((second.address >>> a) & 1) === 1) this.#add(order, a, b);
        if (((second.data >>> a) & 1) === 1) this.#add(order, a, b);
        if (((second.control >>> a) & 1) === 1 && isStore(second)) this.#add(order, a, b);
      }
      if (isLoad(first) && this.#addressBetween(a, b) && isStore(second)) this.#add(order, a, b);
      // A load that is given the store of its own thread is after what the store depends on.
      if (isLoad(first) && isLoad(second) && this.#forwards(a, b)) this.#add(order, a, b);
    });
    return order;
  }

  /** An access between the two, or at the second's place, whose address came from the first. */
  #addressBetween(a: number, b: number): boolean {
    return this.#effects.some((e, i) => ((e.address >>> a) & 1) === 1 && isAccess(e) && this.#isBefore(i, b));
  }

  #forwards(a: number, b: number): boolean {
    const last = this.#effects.findLastIndex(
      (e, i) => isStore(e) && this.#isBefore(i, b) && e.location === this.#effects[b]?.location,
    );
    const store = this.#effects[last];
    return store !== undefined && (((store.address | store.data) >>> a) & 1) === 1;
  }

  #dsbOrdered(): Relation {
    const order = this.#none();
    const isAfter: Test = (e) => this.#ets2 || !isWalk(e);
    this.#across(order, (e) => isAccess(e) || isWalk(e) || e.kind === 'TLBI', dsb('full'), isAfter);
    this.#across(order, isLoad, dsb('load'), isAfter);
    this.#across(order, isStore, dsb('store'), isAfter);
    return order;
  }

  /** What follows a context synchronisation that follows, by an order, what is before it. */
  #afterSync(order: Relation): Relation {
    const after = this.#none();
    this.#each((a, sync, _first, synchronisation) => {
      if (!isSync(synchronisation) || (((order[a] as number) >>> sync) & 1) === 0) return;
      for (const [b] of this.#effects.entries()) if (this.#isBefore(sync, b)) this.#add(after, a, b);
    });
    return after;
  }

  #contextOrdered(dsbOrdered: Relation): Relation {
    const order = dsbOrdered.slice();
    this.#each((a, sync, first, synchronisation) => {
      if (!isSync(synchronisation)) return;
      const controls = isLoad(first) && ((synchronisation.control >>> a) & 1) === 1;
      const addresses = isLoad(first) && this.#addressBetween(a, sync);
      const walks = isWalk(first) && first.instruction <= synchronisation.instruction;
      if (controls || addresses || walks) this.#add(order, a, sync);
    });
    return this.#afterSync(order);
  }

  #walksOrdered(): Relation {
    const order = this.#none();
    this.#each((a, b, first, second) => {
      const [sameInstruction, before] = [first.instruction === second.instruction, this.#isBefore(a, b)];
      if (isWalk(first) && sameInstruction && b > a) this.#add(order, a, b);
      if (isWalk(first) && before && isStore(second)) this.#add(order, a, b);
      if (isLoad(first) && isWalk(second) && ((second.address >>> a) & 1) === 1) this.#add(order, a, b);
      if (isLoad(first) && second.kind === 'TLBI' && (((second.address | second.control) >>> a) & 1) === 1)
        this.#add(order, a, b);
      if (this.#ets2 && isAccess(first) && before && isWalk(second) && second.uncached) this.#add(order, a, b);
    });
    return order;
  }

  #isBefore(a: number, b: number): boolean {
    return (this.#effects[a] as Effect).instruction < (this.#effects[b] as Effect).instruction;
  }

  #isSameLocation(first: Effect, second: Effect): boolean {
    const isPlace: Test = (e) => isAccess(e) || isWalk(e) || isFault(e);
    return isPlace(first) && isPlace(second) && first.location === second.location;
  }

  #none(): Relation {
    return this.#effects.map(() => 0);
  }

  #add(relation: Relation, a: number, b: number): void {
    relation[a] = (relation[a] as number) | (1 << b);
  }

  #join(relation: Relation, other: Relation): void {
    for (const [a, later] of other.entries()) relation[a] = (relation[a] as number) | later;
  }

  #each(visit: (a: number, b: number, first: Effect, second: Effect) => void): void {
    for (const [a, first] of this.#effects.entries())
      for (const [b, second] of this.#effects.entries()) if (a !== b) visit(a, b, first, second);
  }

  /** All of one kind before a barrier, before all of another kind behind it. */
  #across(order: Relation, isFirst: Test, isMiddle: Test, isSecond: Test): void {
    for (const [middle, barrier] of this.#effects.entries()) {
      if (!isMiddle(barrier)) continue;
      this.#each((a, b, first, second) => {
        if (this.#isBefore(a, middle) && this.#isBefore(middle, b) && isFirst(first) && isSecond(second))
          this.#add(order, a, b);
      });
    }
  }
}
