/**
 * How operations reach the weak memory (`arm`): which messages they read and where their stores stand is the branch of
 * the choice.
 *
 * A weak word has a history of messages. A strong word (a lock) has one value that everybody sees at once, and a view
 * that orders it with the others: an acquire joins that view, a release leaves its own there. A ghost word orders
 * nothing.
 */
import type { WeakMemory, WeakStep } from '../memory/weak-memory.ts';
import { swapTo } from '../memory/modify.ts';
import type { Access, BarrierKind, Request } from '../memory/requests.ts';
import { LimitError, ModelError } from '../state/errors.ts';
import {
  BLOCKED,
  type Operation,
  type OperationContext,
  type OperationOrder,
  type WeakContext,
} from '../routine/operation.ts';
import { WordClass, type WordStore } from '../state/words.ts';
import type { Channel, Component, System } from '../system/specs.ts';

/** What the port asks of its executor. */
export interface PortHost extends OperationContext {
  readonly system: System;
  readonly store: WordStore;
  /** Writes a word of memory and tells its watcher. */
  writeWord(address: number, value: number): void;
  /** While it is true nothing is reported: outcomes are only counted. */
  silent: boolean;
  /** Is told of accesses to words that have no history. */
  noteStrong(address: number, writes: boolean): void;
  /** Is told that an operation is tried, and that it is possible. */
  beginAttempt(): void;
  endAttempt(): void;
  /** Is told of every request. */
  noteRequest(request: Request): void;
}

/** Violated by a plain access of a word of which it is said (`memory: 'strong'`) that everybody sees it alike. */
export const DATA_RACE = 'no data race on a word that everybody sees alike';

/** More outcomes of one operation cannot be told apart in a schedule. */
const OUTCOMES_MAX = 4096;

const plain: Omit<Access, 'kind' | 'address'> = {
  translated: false,
  value: 0,
  modify: null,
  acquire: 'none',
  acquiresOnFailure: false,
  release: false,
  discards: false,
  exclusive: false,
  newest: false,
  dependencies: null,
};

const dmbs: Readonly<Record<BarrierKind, Request>> = {
  full: { kind: 'dmb', type: 'full', dependencies: null },
  load: { kind: 'dmb', type: 'load', dependencies: null },
  store: { kind: 'dmb', type: 'store', dependencies: null },
};

/** Kinds of requests, for {@link WeakPort}'s table of them. */
const Kind = {
  load: 0,
  loadPc: 1,
  loadAcquire: 2,
  store: 3,
  release: 4,
  newest: 5,
  write: 6,
  strongRead: 7,
  strongAcquire: 8,
  strongWrite: 9,
  strongRelease: 10,
  publish: 11,
  publishCompleted: 12,
  receive: 13,
  receiveContext: 14,
  forward: 15,
  forget: 16,
  replace: 17,
  plainRead: 18,
  plainWrite: 19,
  nobodys: 20,
  nobodysReplace: 21,
  effectsReplace: 22,
} as const;
const KINDS = 32;
const LOADS = { none: Kind.load, pc: Kind.loadPc, full: Kind.loadAcquire } as const;

const EXCEPTION: Request = { kind: 'exception' };
const RETIRE: Request = { kind: 'retire' };

function isWhole(access: Partial<Access>): access is Access {
  return access.dependencies !== undefined;
}

/** Effects of components and watchers say `read` and `write`, which go one way. */
function outsideOfOperation(request: Request, ways: number): string {
  const what = 'address' in request ? `a ${request.kind}` : request.kind;
  const why = ways === 0 ? 'has to wait' : `may go ${ways} ways`;
  return `weak memory: ${what} ${why}, and no operation does it: an effect or a watcher uses read() and write()`;
}

/** Performs operations on a weak memory. */
export class WeakPort implements WeakContext {
  readonly memory: WeakMemory;
  readonly #host: PortHost;
  readonly #address: number;
  readonly #classes: Uint8Array;
  /**
   * Requests by what they are, so that each is one object: the memory knows it by that. By kind and address, then by
   * value.
   */
  readonly #requests = new Map<number, Map<number, Request>>();
  /** Accesses that operations have said in part, whole. */
  readonly #accesses = new Map<string, Access>();
  /** Which way to take at each choice of the operation under way; beyond its end, the first. */
  #script: readonly number[] = [];
  /** How many ways there were. */
  #ways: number[] = [];
  #refused = false;
  #order: OperationOrder = 'relaxed';
  /** Weak words whose newest value the operation under way has read. */
  readonly #newestRead = new Set<number>();
  /**
   * Of words that everybody sees alike: bit masks of the processors that have loaded them plainly, and changed them.
   */
  readonly #loadedBy = new Map<number, number>();
  readonly #changedBy = new Map<number, number>();
  /** The word that is about to be stored to plainly, which is looked at for races. */
  #storedPlainly = -1;
  #byDefault = false;
  /** An operation is being tried: whoever else asks has no outcomes to choose among, and cannot wait. */
  #tries = false;
  /**
   * What is done is the doing of hardware that belongs to no processor: it is told nothing, and tells nothing, of its
   * own. Otherwise it is in the name of the processor of the context.
   */
  nobodys = false;
  /** Effects of components and watchers that are under way, one within the other. */
  #effects = 0;
  /** It is asked how many outcomes an operation has. */
  #asks = false;

  constructor(host: PortHost, memory: WeakMemory) {
    this.memory = memory;
    this.#host = host;
    this.#address = host.system.weakAddress;
    this.#classes = host.system.wordClasses;
  }

  /** The number of the state. */
  get state(): number {
    return this.#host.store.words[this.#address] as number;
  }

  /** Back to the first state. Nothing is left of a step in which something was thrown. */
  begin(): void {
    this.#script = [];
    this.#ways = [];
    this.#refused = false;
    this.#newestRead.clear();
    this.#storedPlainly = -1;
    this.#asks = false;
    this.#effects = 0;
    this.nobodys = false;
    this.#endOperation();
    this.#host.silent = false;
    this.#host.store.writeInterned(this.#address, this.memory.first, this.memory.hashes);
  }

  /** A step begins that is no operation of a routine: nothing is left of the one before. */
  beginStep(nobodys: boolean): void {
    this.nobodys = nobodys;
    this.#newestRead.clear();
  }

  /** What is done in an effect of a component, or by a watcher, is hardware's or the simulation's. */
  beginEffect(): void {
    this.#effects++;
  }

  endEffect(): void {
    this.#effects--;
  }

  /** Asks how many outcomes an operation has: what is read for that, nobody has seen. */
  asked(ask: () => number): number {
    this.#asks = true;
    try {
      return ask();
    } finally {
      this.#asks = false;
    }
  }

  /**
   * Performs an operation the way `branch` says. `outcomes` of the answer is how many ways there are, as far as they
   * are known to be enabled; nothing has changed when `result` is BLOCKED.
   */
  perform(op: Operation, own: number, branch: number): { readonly result: number; readonly outcomes: number } {
    if (own === 1) {
      const result = this.#attempt(op, 0, [branch]);
      if (this.#ways.length <= 1) {
        const outcomes = this.#ways[0] ?? 1;
        if (branch < outcomes) return { result, outcomes };
        this.#takeBack();
        return { result: BLOCKED, outcomes };
      }
      this.#takeBack();
    }
    const leaves = this.#leavesOf(op, own);
    const leaf = leaves[branch];
    if (!leaf) return { result: BLOCKED, outcomes: leaves.length };
    return { result: this.#attempt(op, leaf.own, leaf.script), outcomes: leaves.length };
  }

  /** How many ways an operation may go. */
  outcomesOf(op: Operation, own: number): number {
    return this.#leavesOf(op, own).length;
  }

  /** Every way to choose, found by trying. Changes nothing. */
  #leavesOf(op: Operation, own: number): { readonly own: number; readonly script: readonly number[] }[] {
    const host = this.#host;
    const leaves: { own: number; script: readonly number[] }[] = [];
    host.silent = true;
    try {
      for (let first = 0; first < own; first++) {
        const open: number[][] = [[]];
        for (let script = open.pop(); script; script = open.pop()) {
          this.#attempt(op, first, script);
          this.#takeBack();
          const ways = this.#ways;
          leaves.push({ own: first, script: ways.map((_, depth) => script[depth] ?? 0) });
          if (leaves.length > OUTCOMES_MAX)
            throw new LimitError(
              `weak memory: ${op.definition.name}: more than ${OUTCOMES_MAX} outcomes of one operation`,
            );
          for (let depth = ways.length - 1; depth >= script.length; depth--)
            for (let way = (ways[depth] as number) - 1; way > 0; way--)
              open.push([...Array.from({ length: depth }, (_, i) => script[i] ?? 0), way]);
        }
      }
    } finally {
      host.silent = false;
    }
    return leaves;
  }

  #mark = 0;
  #lo = 0;
  #hi = 0;

  #attempt(op: Operation, own: number, script: readonly number[]): number {
    const { store } = this.#host;
    this.#mark = store.mark;
    this.#lo = store.lo;
    this.#hi = store.hi;
    this.#script = script;
    this.#ways = [];
    this.#refused = false;
    this.#newestRead.clear();
    const { definition } = op;
    this.#host.beginAttempt();
    this.#byDefault = definition.order === undefined;
    this.#order = definition.order ?? 'relaxed';
    this.#tries = true;
    this.nobodys = false;
    let result: number;
    try {
      if (definition.order === 'full') this.dmb('full');
      result = definition.weak ? definition.weak(this.#host, this, op, own) : definition.perform(this.#host, op, own);
      if (this.#order === 'full' && result !== BLOCKED) this.dmb('full');
    } finally {
      this.#endOperation();
    }
    if (this.#refused) result = BLOCKED;
    if (result === BLOCKED) this.#takeBack();
    else this.#host.endAttempt();
    return result;
  }

  /** What components do between operations is hardware's doing, which says nothing of order. */
  #endOperation(): void {
    this.#order = 'relaxed';
    this.#byDefault = false;
    this.#tries = false;
  }

  #takeBack(): void {
    this.#host.store.undo(this.#mark, this.#lo, this.#hi);
  }

  /**
   * Has the weak memory do something for the processor of the step, in one of the ways it may go; returns the result.
   */
  request(request: Request): number {
    const { store } = this.#host;
    this.#host.noteRequest(request);
    const word = 'address' in request ? (store.words[request.address] as number) : 0;
    const steps = this.memory.steps(this.state, this.#host.processor, request, word);
    // One that has no room is missed, and the search says so.
    if (!this.#tries && steps.length !== 1 && (steps.length > 1 || !this.memory.boundHit))
      throw new ModelError(outsideOfOperation(request, steps.length));
    const way = this.#choose(steps.length);
    const step = steps[way];
    if (!step) {
      this.#refused = true;
      return 0;
    }
    this.#apply(step);
    return step.result;
  }

  #choose(ways: number): number {
    if (ways === 1) return 0;
    const way = this.#script[this.#ways.length] ?? 0;
    this.#ways.push(ways);
    return way;
  }

  #apply({ next, changed }: WeakStep): void {
    this.#host.store.writeInterned(this.#address, next, this.memory.hashes);
    for (let i = 0; i < changed.length; i += 2) this.#host.writeWord(changed[i] as number, changed[i + 1] as number);
  }

  /**
   * Words that everybody sees alike, that some processor loads plainly and another changes by an atomic or a release:
   * that the load may be given an old value is not modelled.
   */
  get loadedWhileChanged(): number[] {
    const words = [...this.#loadedBy].filter(([address, loaders]) => {
      const changers = this.#changedBy.get(address) ?? 0;
      const either = loaders | changers;
      return changers !== 0 && (either & (either - 1)) !== 0;
    });
    return words.map(([address]) => address).sort((a, b) => a - b);
  }

  isWeak(address: number): boolean {
    const kind = this.#classes[address];
    return kind === WordClass.weak || kind === WordClass.code;
  }

  #strongRead(address: number, acquire: boolean): void {
    if (this.#classes[address] !== WordClass.strong || this.nobodys) return;
    this.request(
      this.#remembered(acquire ? Kind.strongAcquire : Kind.strongRead, address, 0, () => ({
        kind: 'strong-read',
        key: address,
        acquire,
      })),
    );
  }

  #strongWrite(address: number, release: boolean): void {
    if (this.#classes[address] !== WordClass.strong || this.nobodys) return;
    this.request(
      this.#remembered(release ? Kind.strongRelease : Kind.strongWrite, address, 0, () => ({
        kind: 'strong-write',
        key: address,
        release,
      })),
    );
  }

  /** A load, store or atomic, plain where nothing else is said. */
  access(access: Partial<Access> & Pick<Access, 'kind' | 'address'>): number {
    const whole = isWhole(access) ? access : this.#completed(access);
    return whole.translated || this.isWeak(whole.address) ? this.request(whole) : this.#strong(whole);
  }

  #completed(access: Partial<Access> & Pick<Access, 'kind' | 'address'>): Access {
    const { kind, address, value = 0, modify = null, acquire = 'none', release = false, discards = false } = access;
    const key = `${kind}${address},${value},${acquire},${release},${discards},${modify?.key ?? ''}`;
    let known = this.#accesses.get(key);
    if (!known) this.#accesses.set(key, (known = { ...plain, ...access }));
    return known;
  }

  /**
   * A word that everybody sees alike is loaded or stored by an operation that orders nothing: fails the property
   * {@link DATA_RACE} unless the access comes after all that it conflicts with.
   */
  notePlain(address: number, writes: boolean): void {
    if (this.nobodys || this.#asks) return;
    if (this.#classes[address] !== WordClass.strong || this.#order !== 'relaxed') return;
    const kind = writes ? 'plain-write' : 'plain-read';
    if (writes) this.#storedPlainly = address;
    if (!writes) this.#noteAs(this.#loadedBy, address);
    const race = this.request(
      this.#remembered(writes ? Kind.plainWrite : Kind.plainRead, address, 0, () => ({ kind, key: address })),
    );
    if (race === 0) return;
    const { layout, processors } = this.#host.system;
    this.#host.fail(
      DATA_RACE,
      () =>
        `${processors[this.#host.processor]?.name ?? '?'} ${writes ? 'stores to' : 'loads'} ${layout.nameOf(address)}, ` +
        `which another processor has ${writes ? 'accessed' : 'stored to'}, and nothing orders the two: ` +
        `memory: 'strong' is not true of it`,
    );
  }

  #noteAs(who: Map<number, number>, address: number): void {
    who.set(address, (who.get(address) ?? 0) | (1 << (this.#host.processor & 31)));
  }

  /** Of a word that everybody sees alike: only what it hands on is a matter of order. */
  #strong({ kind, address, value, modify, acquire, acquiresOnFailure, release }: Access): number {
    const old = this.#host.store.words[address] as number;
    this.#host.noteStrong(address, kind !== 'load');
    if (kind !== 'update' && acquire === 'none' && !release) this.notePlain(address, kind === 'store');
    const after = kind === 'store' ? value : (modify?.apply(old) ?? null);
    const fails = kind === 'update' && after === null;
    if (kind !== 'store') this.#strongRead(address, acquire !== 'none' && (!fails || acquiresOnFailure));
    if (after === null) return old;
    if (kind === 'update' || release) this.#noteAs(this.#changedBy, address);
    this.#strongWrite(address, release);
    // What follows an atomic that is acquire and release is after its store, too.
    if (kind === 'update' && acquire !== 'none' && release) this.#strongRead(address, true);
    this.#host.writeWord(address, after);
    return kind === 'store' ? 0 : old;
  }

  /** A plain load. */
  load(address: number, acquire: Access['acquire'] = 'none'): number {
    if (this.#asks) return this.read(address);
    if (!this.isWeak(address)) return this.#strong({ ...plain, kind: 'load', address, acquire });
    return this.request(
      this.#remembered(LOADS[acquire], address, 0, () => ({ ...plain, kind: 'load', address, acquire })),
    );
  }

  /** A plain store. */
  store(address: number, value: number, release = false): void {
    if (!this.isWeak(address)) {
      this.#strong({ ...plain, kind: 'store', address, value, release });
      return;
    }
    this.request(
      this.#remembered(release ? Kind.release : Kind.store, address, value, () => ({
        ...plain,
        kind: 'store',
        address,
        value,
        release,
      })),
    );
  }

  dmb(type: BarrierKind): void {
    this.request(dmbs[type]);
  }

  /** A plain load of a word that has no history, whatever the operation orders otherwise: a trylock that fails. */
  look(address: number): number {
    if (this.#asks) return this.read(address);
    this.#strongRead(address, false);
    return this.#host.store.words[address] as number;
  }

  /**
   * What hardware or the simulation reads: of a weak word, its newest message. Unless it is an operation that reads, no
   * processor has seen it.
   */
  read(address: number): number {
    const { store } = this.#host;
    if (this.#asks) return store.words[address] as number;
    if (this.isWeak(address)) {
      this.#newestRead.add(address);
      if (!this.#tries || this.#effects > 0) return store.words[address] as number;
      return this.request(
        this.#remembered(Kind.newest, address, 0, () => ({ ...plain, kind: 'load', address, newest: true })),
      );
    }
    this.#strongRead(address, this.#order !== 'relaxed' && this.#order !== 'release');
    return store.words[address] as number;
  }

  /**
   * What hardware or the simulation writes: to a weak word, a message newer than all. An operation that has read the
   * word before is atomic (a dirty bit that is set in an entry): nothing comes between.
   */
  write(address: number, value: number): void {
    if (this.#newestRead.has(address)) {
      this.#replace(address, value);
      return;
    }
    if (this.nobodys && this.isWeak(address)) {
      const nobodys = (): Request => ({ ...plain, kind: 'store', address, value, newest: true, nobodys: true });
      this.request(this.#remembered(Kind.nobodys, address, value, nobodys));
      return;
    }
    if (this.isWeak(address)) {
      this.request(
        this.#remembered(Kind.write, address, value, () => ({ ...plain, kind: 'store', address, value, newest: true })),
      );
      return;
    }
    if (this.#storedPlainly !== address) this.#noteAs(this.#changedBy, address);
    this.#storedPlainly = -1;
    this.#strongWrite(address, this.#order !== 'relaxed' && this.#order !== 'acquire');
    this.#host.writeWord(address, value);
  }

  /**
   * What has been read as the newest is written, and nothing comes between. Only an operation has seen what it read.
   */
  #replace(address: number, value: number): void {
    const { nobodys } = this;
    const unseen = !this.#tries || this.#effects > 0;
    const kind = nobodys ? Kind.nobodysReplace : unseen ? Kind.effectsReplace : Kind.replace;
    this.request(
      this.#remembered(kind, address, value, () => ({
        ...plain,
        kind: 'update',
        address,
        modify: swapTo(value),
        newest: true,
        ...(nobodys && { nobodys }),
        ...(unseen && { unseen }),
      })),
    );
  }

  /** An operation that says nothing of its order and waits for the store buffer (on x86) is fully ordered. */
  drained(): void {
    if (!this.#byDefault || this.#order === 'full') return;
    this.#order = 'full';
    this.dmb('full');
  }

  /**
   * A message: hands on what the sender has completed or, from an operation with release semantics, all it has done.
   */
  publishMessage(key: number): void {
    this.publish(key, this.#order === 'relaxed' || this.#order === 'acquire' ? 'completed' : 'release');
  }

  publish(key: number, what: 'release' | 'completed'): void {
    if (this.nobodys) return;
    this.request(
      this.#remembered(what === 'release' ? Kind.publish : Kind.publishCompleted, key, 0, () => ({
        kind: 'publish',
        key,
        what,
      })),
    );
  }

  receiveFrom(component: number): void {
    const { address } = this.#host.system.components[component] as Component;
    this.receive(address, 'acquire');
  }

  handOnTo(component: number): void {
    const { address } = this.#host.system.components[component] as Component;
    this.publish(address, 'release');
  }

  receiveAcross(channel: number): void {
    this.receiveFrom((this.#host.system.channels[channel] as Channel).toComponent);
  }

  receive(key: number, as: 'acquire' | 'context'): void {
    if (this.nobodys) return;
    this.request(
      this.#remembered(as === 'acquire' ? Kind.receive : Kind.receiveContext, key, 0, () => ({
        kind: 'receive',
        key,
        as,
      })),
    );
  }

  forward(key: number, to: number): void {
    this.request(this.#remembered(Kind.forward, key, to, () => ({ kind: 'forward', key, to })));
  }

  forget(key: number): void {
    this.request(this.#remembered(Kind.forget, key, 0, () => ({ kind: 'forget', key })));
  }

  /** The processor takes an exception, or returns from one. */
  exception(): void {
    this.request(EXCEPTION);
  }

  /** The processor will never access memory again. */
  retire(): void {
    this.request(RETIRE);
  }

  /** The request of that kind for an address, a value or a second key; `make` makes it if it is the first. */
  #remembered(kind: number, address: number, value: number, make: () => Request): Request {
    const key = address * KINDS + kind;
    let known = this.#requests.get(key);
    if (!known) this.#requests.set(key, (known = new Map()));
    let request = known.get(value);
    if (!request) known.set(value, (request = make()));
    return request;
  }
}
