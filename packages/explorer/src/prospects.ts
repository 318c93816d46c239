/**
 * What processors may still ask of a weak memory (`arm`), so that a search need not keep apart what nobody will look
 * at: the old value of an entry that only hardware reads from now on, the order of two stores that nobody compares.
 *
 * As with reduction, this is learnt from what has been seen, by the routine's local states, taken before a search and
 * held fixed; a search that comes across anything new is run again. A search that came across nothing new is right:
 * while no processor has asked for anything unexpected, a state and its projection have the same futures, so the first
 * unexpected request of any run is met in the search, too.
 */
import type { Asking, Processor, Prospect, Request, System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import type { Known } from './known.ts';
import { LocksBefore } from './locks-before.ts';
import type { RecordingExecutor } from './recording.ts';

/** Which set of {@link Prospect} a request belongs to. */
const KINDS = ['accesses', 'stores', 'observes', 'puts', 'takes', 'forwards', 'plainReads', 'plainWrites'] as const;
type Kind = (typeof KINDS)[number];

/** What each agent asks of the weak memory, by rows of `Accesses`. */
export class Requests {
  readonly sets: Readonly<Record<Kind, WordSets>>;
  /** Grows whenever something new is learnt. */
  learnt = 0;
  /** A word that is none: whoever has it among its takes hands its views on. */
  readonly handsOn: number;
  /** Another: whoever has it waits for a part of its accesses. */
  readonly waitsInPart: number;
  /** Words a set may have. */
  readonly words: number;
  /** Locks that a row has acquired whenever it was performed. */
  readonly acquires: WordSets;
  /** Rows that have been performed. */
  readonly #performed: WordSets;
  readonly #acquired = new Set<number>();

  constructor(words: number) {
    this.handsOn = words;
    this.waitsInPart = words + 1;
    this.words = words + 2;
    this.sets = setsOf(() => new WordSets(this.words));
    this.acquires = new WordSets(this.words);
    this.#performed = new WordSets(1);
  }

  reserve(row: number): void {
    for (const kind of KINDS) this.sets[kind].reserve(row);
    this.acquires.reserve(row);
    this.#performed.reserve(row);
  }

  /** An operation is tried. */
  begin(): void {
    this.#acquired.clear();
  }

  /** What has been tried is performed, as the step of a processor: it has acquired what it surely acquires. */
  end(row: number): void {
    if (this.#performed.add(row, 0)) {
      for (const key of this.#acquired) this.acquires.add(row, key);
      return;
    }
    if (this.acquires.isEmpty(row)) return;
    const kept = this.acquires.members(row);
    if (kept.every((key) => this.#acquired.has(key))) return;
    this.acquires.clear(row);
    for (const key of kept) if (this.#acquired.has(key)) this.acquires.add(row, key);
    this.learnt++;
  }

  /** @param own the processor of the step asks, and not another on its behalf: what it acquires counts */
  note(row: number, own: boolean, request: Request): void {
    switch (request.kind) {
      case 'load':
      case 'update':
      case 'store':
        if (!request.newest) {
          this.#add('accesses', row, request.address);
          if (request.kind !== 'load') this.#add('stores', row, request.address);
        } else {
          if (request.kind !== 'store') this.#add('observes', row, request.address);
          if (request.kind !== 'load') this.#add('puts', row, request.address);
        }
        return;
      case 'promise':
        this.#add('accesses', row, request.address);
        this.#add('stores', row, request.address);
        return;
      case 'strong-read':
      case 'strong-write':
        this.#add('takes', row, request.key);
        this.#add('takes', row, this.handsOn);
        if (own && request.kind === 'strong-read' && request.acquire) this.#acquired.add(request.key);
        return;
      case 'forward':
        this.#add('takes', row, request.key);
        this.#add('takes', row, this.handsOn);
        this.#add('forwards', row, request.key);
        return;
      case 'receive':
        this.#add('takes', row, request.key);
        return;
      case 'plain-read':
        this.#add('plainReads', row, request.key);
        return;
      case 'plain-write':
        this.#add('plainWrites', row, request.key);
        return;
      case 'publish':
        this.#add('takes', row, this.handsOn);
        return;
      case 'dsb':
        if (request.type !== 'full') this.#add('takes', row, this.waitsInPart);
        return;
      // Barriers and the like look at no location; what hardware looks at (descriptors, instructions) is kept for all.
      case 'dmb':
      case 'isb':
      case 'exception':
      case 'tlbi':
      case 'fetch':
      case 'access-flag':
      case 'retire':
      case 'forget':
        return;
      default:
        // A kind that nobody has thought of here would be left out of what is still asked for: no such build compiles.
        request satisfies never;
    }
  }

  #add(kind: Kind, row: number, word: number): void {
    if (this.sets[kind].add(row, word)) this.learnt++;
  }
}

const ASKINGS = ['accesses', 'stores', 'any'] as const satisfies readonly Asking[];

function byAsking(locked: readonly (readonly [number, readonly number[]][])[]): Prospect['locked'] {
  const [accesses, stores, any] = locked.map((words) => new Map(words));
  return { accesses: accesses ?? new Map(), stores: stores ?? new Map(), any: any ?? new Map() };
}

function setsOf(make: () => WordSets): Record<Kind, WordSets> {
  return Object.fromEntries(KINDS.map((kind) => [kind, make()])) as Record<Kind, WordSets>;
}

/** Who may still ask for what, for one search. */
export class Prospects {
  readonly #system: System;
  readonly #executor: RecordingExecutor;
  readonly #known: Known;
  readonly #requests: Requests;
  readonly #learnt: number;
  /** By rows of {@link Known}: what a processor may still ask for from a local state on. */
  readonly #later: Readonly<Record<Kind, WordSets>>;
  /** Per processor: what it is asked for whatever it does, by its interrupt handlers and by others. */
  readonly #always: Readonly<Record<Kind, WordSets>>;
  readonly #locks: Readonly<Record<Asking, LocksBefore>>;
  /** Prospects by content, and by processor and local states. */
  readonly #byContent = new Map<string, number>();
  readonly #prospects: Prospect[] = [];
  readonly #byNodes = new Map<string, number>();
  readonly #byNode = new Map<number, number>();
  /** Those of all processors as one number: by that of the processors before, and that of the next. */
  readonly #together = new Map<number, number>();
  #combinations = 1;
  /** Projected states, by combination and state. */
  readonly #projected: (Map<number, number> | undefined)[] = [];

  constructor(system: System, executor: RecordingExecutor, known: Known, requests: Requests) {
    this.#system = system;
    this.#executor = executor;
    this.#known = known;
    this.#requests = requests;
    this.#learnt = requests.learnt;
    const { words } = requests;
    const { accesses } = executor;
    requests.reserve(accesses.ofNode(known.graph.nodes, 0) + system.processors.length);
    this.#later = setsOf(() => new WordSets(words, known.rows));
    this.#always = setsOf(() => new WordSets(words, system.processors.length));
    const locksBefore = (...asked: WordSets[]): LocksBefore =>
      new LocksBefore(system, executor, known, requests, asked);
    this.#locks = {
      accesses: locksBefore(requests.sets.accesses),
      stores: locksBefore(requests.sets.stores),
      any: locksBefore(...Object.values(requests.sets)),
    };
    for (const kind of KINDS) {
      const [later, own, always] = [this.#later[kind], requests.sets[kind], this.#always[kind]];
      for (let node = 0; node < known.graph.nodes; node++)
        for (const { index } of system.processors)
          later.unite(known.rowOf(node, index), own, accesses.ofNode(node, index));
      known.close([later]);
      for (const { index } of system.processors) {
        always.unite(index, own, accesses.ofOthers(index));
        for (const root of known.handlers[index] ?? []) always.unite(index, later, known.rowOf(root, index));
      }
    }
  }

  /** True if something has been seen since that is not in here. */
  get stale(): boolean {
    return this.#requests.learnt !== this.#learnt;
  }

  /** The executor's weak memory becomes the one that stands for it. */
  project(): void {
    const { store, weak } = this.#executor;
    if (weak === null || weak.state === weak.memory.first) return;
    const combination = this.#combination(store.words);
    if (combination < 0) return;
    const memo = (this.#projected[combination] ??= new Map<number, number>());
    let projected = memo.get(weak.state);
    if (projected === undefined) {
      const prospects = this.#system.processors.map((p) => this.#prospects[this.#of(store.words, p)] as Prospect);
      memo.set(weak.state, (projected = weak.memory.projected(weak.state, prospects)));
    }
    store.writeInterned(this.#system.weakAddress, projected, weak.memory.hashes);
  }

  /** The prospects of all processors where they stand, as one number; -1: one of them stands where nobody has been. */
  #combination(words: Int32Array): number {
    let combination = 0;
    for (const p of this.#system.processors) {
      const own = this.#of(words, p);
      if (own < 0) return -1;
      const key = combination * PROSPECTS_MAX + own;
      let next = this.#together.get(key);
      if (next === undefined) this.#together.set(key, (next = this.#combinations++));
      combination = next;
    }
    return combination;
  }

  #of(words: Int32Array, p: Processor): number {
    const interrupt = p.interruptAddress < 0 ? 0 : (words[p.interruptAddress] as number);
    if (p.tasks.length === 1 && interrupt === 0) return this.#ofNode(words[p.taskBase] as number, p);
    const nodes = [interrupt];
    for (let slot = 0; slot < p.tasks.length; slot++) nodes.push(words[p.taskBase + slot] as number);
    const key = `${p.index}:${nodes.join()}`;
    let known = this.#byNodes.get(key);
    if (known === undefined) this.#byNodes.set(key, (known = this.#interned(nodes, p)));
    return known;
  }

  #ofNode(node: number, p: Processor): number {
    const key = node * this.#system.processors.length + p.index;
    let known = this.#byNode.get(key);
    if (known === undefined) this.#byNode.set(key, (known = this.#interned([node], p)));
    return known;
  }

  /** The number of what a processor at these local states may still ask for. */
  #interned(nodes: readonly number[], { index }: Processor): number {
    if (nodes.some((node) => node >= this.#known.graph.nodes)) return -1;
    const wordsOf = (kind: Kind): number[] => {
      const all = new WordSets(this.#requests.words, 1);
      all.unite(0, this.#always[kind], index);
      for (const node of nodes) all.unite(0, this.#later[kind], this.#known.rowOf(node, index));
      return all.members(0);
    };
    const content = KINDS.map(wordsOf);
    const rows = nodes.map((node) => this.#known.rowOf(node, index));
    const asked = { accesses: content[0] ?? [], stores: content[1] ?? [], any: [...new Set(content.flat())] };
    const locked = ASKINGS.map((asking) => this.#locks[asking].before(index, rows, asked[asking]));
    const key = JSON.stringify([content, locked]);
    let number = this.#byContent.get(key);
    if (number === undefined) {
      const sets = Object.fromEntries(KINDS.map((kind, i) => [kind, new Set(content[i])])) as Record<Kind, Set<number>>;
      const handsOn = sets.takes.delete(this.#requests.handsOn);
      const waitsInPart = sets.takes.delete(this.#requests.waitsInPart);
      number = this.#prospects.push({ ...sets, handsOn, waitsInPart, locked: byAsking(locked) }) - 1;
      this.#byContent.set(key, number);
    }
    return number;
  }
}

/** More different prospects than any system has local states. */
const PROSPECTS_MAX = 1 << 24;
