/**
 * One owner's share of a breadth-first search: the states whose fingerprints it owns, and the level being expanded.
 *
 * A level goes in two halves. Expanding writes the successors down as *candidates*, told apart only within the level (a
 * small table, close to the processor). Settling then asks the table of all visited states, in one tight loop, which
 * candidates are new. The same two halves make the search parallel: candidates are settled by the shard that owns them.
 */
import { CHOICES_MAX, mix32, type Property, type System, type TabulatedExecutor } from '@shootdown/machine';
import { Expander, type Successors } from './expander.ts';
import { StateFlag, StateGraph } from './graph.ts';
import { Findings, PropertyChecker, type Goal } from './properties.ts';
import type { Reduction } from './reduction.ts';
import { NO_DEADLOCK } from './result.ts';
import { RowOrder } from './row-order.ts';
import { FingerprintTable, Frontier, Rows } from './storage.ts';

/** What a shard needs to know. */
export interface ShardOptions {
  /** Go on past violations. */
  readonly all: boolean;
  /** Compare whole states. */
  readonly exact: boolean;
  /** States to store at most; infinite: as many as there are. */
  readonly statesMax: number;
  readonly reduction: Reduction | null;
  /** Preemptions at most; infinite: not counted. */
  readonly preemptions: number;
  /** Which of how many shards this is. */
  readonly own: number;
  readonly owners: number;
}

/** A `finally` property broken in a state at rest that spontaneous steps can still leave. */
export interface PendingFinally {
  readonly property: string;
  readonly length: number;
  readonly state: number;
}

/** Candidates on their way to their owner: rows of words, and two halves of a fingerprint each. */
export interface Batch {
  readonly rows: Int32Array<ArrayBuffer>;
  readonly pairs: Int32Array<ArrayBuffer>;
}

function copyWords(from: Int32Array, fromOffset: number, to: Int32Array, toOffset: number, count: number): void {
  to.set(from.subarray(fromOffset, fromOffset + count), toOffset);
}

function ownerOf(hi: number, owners: number): number {
  return (hi >>> 0) % owners;
}

/** In place of the number of a state that was not stored. */
export const NO_ROOM = -1;
const TOUCH_BATCH = 64;
/** Words of a state. */
const COPIED_WHOLE = 24;
/** 6 MB. */
const VISITED_QUADRUPLED_BELOW = 1 << 19;
/** Words behind the state in a row when preemptions are counted: processor that moved last + 1, preemptions so far. */
const PREEMPTION_WORDS = 2;

/** A violation or witness in a state that has no number yet. */
interface Noted {
  readonly kind: 'step' | 'always' | 'sometimes';
  readonly property: string;
  readonly candidate: number;
  readonly via: Goal;
}

/** States and level of one owner. States are known to other shards as `index * owners + owner`. */
export class Shard implements Successors {
  readonly graph: StateGraph;
  readonly findings = new Findings();
  /** `sometimes` properties that hold somewhere, with the nearest states where they do. */
  readonly witnesses = new Findings();
  /** `finally` properties broken in states at rest that are not final. */
  readonly pending: PendingFinally[] = [];
  readonly checker: PropertyChecker;
  readonly expander: Expander;
  transitions = 0;
  violatingTransitions = 0;
  /** Level being expanded; -1 until the initial state is settled. */
  level = -1;
  /** A state was met that there was no room for. */
  full = false;
  /** Equal fingerprints of different states seen (exact mode). */
  collisions = 0;
  readonly #executor: TabulatedExecutor;
  readonly #options: ShardOptions;
  /** Words of a row. */
  readonly width: number;
  readonly #words: number;
  readonly #visited = new FingerprintTable(VISITED_QUADRUPLED_BELOW);
  readonly #inLevel = new FingerprintTable();
  readonly #archive: Rows | null;
  readonly #order: RowOrder | null;
  /** Rows say more than the words of the state, or are compared whole. */
  readonly #extended: boolean;
  #frontier: Frontier;
  #candidates: Frontier;
  /** Several shards: what was sent here, and which candidates were sent to whom. */
  #incoming: Frontier;
  #sent: Int32Array[] = [];
  #position = 0;
  #settledEdges = 0;
  /** Candidates on which an `always` property fails or a `sometimes` property holds. */
  #noted: Noted[] = [];
  /** The transition that is being followed. */
  #entry = -1;
  /** Per `sometimes` property: the first level that has a witness. */
  readonly #witnessed: number[];
  #last = 0;
  #used = 0;

  constructor(system: System, executor: TabulatedExecutor, options: ShardOptions) {
    this.#executor = executor;
    this.#options = options;
    this.graph = new StateGraph(system.choices.length);
    this.checker = new PropertyChecker(system, executor);
    this.#witnessed = this.checker.sometimes.map(() => Number.POSITIVE_INFINITY);
    this.expander = new Expander(system, executor, this.checker, options.reduction, options.preemptions);
    this.#words = executor.store.words.length;
    this.width = this.#words + (options.preemptions === Infinity ? 0 : PREEMPTION_WORDS);
    this.#frontier = new Frontier(this.width);
    this.#candidates = new Frontier(this.width);
    this.#incoming = new Frontier(this.width);
    this.#extended = options.exact || options.preemptions !== Infinity;
    this.#order = system.symmetric.length > 0 ? new RowOrder(system, executor.nodes.hashes) : null;
    this.#archive = options.exact ? new Rows(this.width) : null;
    executor.reset();
    this.#arriveAt(0, 0);
    if (executor.failed) this.#note('step', executor.violation?.property ?? '?', 0);
  }

  get states(): number {
    return this.graph.states;
  }

  /** The index of the state with this fingerprint, or -1. */
  find(lo: number, hi: number): number {
    return this.#visited.find(lo, hi);
  }

  /** Something wrong has been found, settled or not. */
  get hasFindings(): boolean {
    return !this.findings.empty || this.#noted.some(({ kind }) => kind !== 'sometimes');
  }

  /** States of this level that are not expanded yet. */
  get queue(): number {
    return this.#frontier.liveCount - this.#position;
  }

  /** New states among the candidates accepted: the queue of the next level. */
  get accepted(): number {
    return this.#incoming.liveCount;
  }

  /** Candidates so far, some of which may turn out to be known. */
  get candidates(): number {
    return this.#candidates.rows.count;
  }

  get bytes(): number {
    return (
      this.#visited.bytes +
      this.#inLevel.bytes +
      this.graph.bytes +
      this.#frontier.bytes +
      this.#candidates.bytes +
      this.#incoming.bytes +
      (this.#archive?.bytes ?? 0)
    );
  }

  /** Expands up to `count` states of the level; false when there are no more. */
  expandSome(count: number): boolean {
    const end = Math.min(this.#position + count, this.#frontier.liveCount);
    while (this.#position < end) this.#expand(this.#frontier.live[this.#position++] as number);
    return this.#position < this.#frontier.liveCount;
  }

  /** The executor is in a successor of the state being expanded. */
  arrive(entry: number): void {
    const { failed } = this.#executor;
    this.transitions++;
    this.#entry = entry;
    if (failed && !this.#followViolation(entry)) return;
    const candidate = this.#arriveAt(this.expander.nextLast, this.expander.nextUsed);
    this.graph.addEdge(candidate, entry, failed);
  }

  /** Notes a violating transition; true if the search goes on behind it. */
  #followViolation(entry: number): boolean {
    this.violatingTransitions++;
    const goal = { state: this.#sourceId(), entry };
    this.findings.add('step', this.#executor.violation?.property ?? '?', this.level + 1, goal);
    return this.#options.all;
  }

  /** Settles all candidates here: the whole search is one shard. Returns the number of new states. */
  settle(): number {
    const before = this.graph.states;
    this.#resolve(this.#settleAll(this.#candidates));
    [this.#frontier, this.#candidates] = [this.#candidates, this.#frontier];
    this.#startLevel();
    return this.graph.states - before;
  }

  /** Asks the table of visited states for all rows of a frontier; returns their indices. */
  #settleAll(from: Frontier): Int32Array<ArrayBuffer> {
    const { count } = from.rows;
    const indices = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      if (i % TOUCH_BATCH === 0) this.#visited.touch(from.pairs, i, Math.min(i + TOUCH_BATCH, count));
      indices[i] = this.#settleOne(from, i);
    }
    return indices;
  }

  /** The candidates, by the shard that owns them. Next come {@link accept} and {@link finishLevel}. */
  outgoing(): Batch[] {
    const { owners } = this.#options;
    const { rows, pairs } = this.#candidates;
    const counts = new Int32Array(owners);
    for (let i = 0; i < rows.count; i++) counts[ownerOf(pairs[2 * i + 1] as number, owners)]!++;
    this.#sent = Array.from(counts, (count) => new Int32Array(count));
    const batches = Array.from(counts, (count): Batch => ({
      rows: new Int32Array(count * this.width),
      pairs: new Int32Array(count * 2),
    }));
    counts.fill(0);
    for (let i = 0; i < rows.count; i++) {
      const owner = ownerOf(pairs[2 * i + 1] as number, owners);
      const at = counts[owner]!++;
      const batch = batches[owner] as Batch;
      (this.#sent[owner] as Int32Array)[at] = i;
      batch.pairs[2 * at] = pairs[2 * i] as number;
      batch.pairs[2 * at + 1] = pairs[2 * i + 1] as number;
      rows.seek(i);
      copyWords(rows.chunk, rows.offset, batch.rows, at * this.width, this.width);
    }
    return batches;
  }

  /** Settles what the shards (in order of their numbers) have sent here; returns the index of every candidate. */
  accept(batches: readonly Batch[]): Int32Array<ArrayBuffer>[] {
    const incoming = this.#incoming;
    incoming.clear();
    for (const { rows, pairs } of batches) {
      for (let i = 0; 2 * i < pairs.length; i++) {
        incoming.append(pairs[2 * i] as number, pairs[2 * i + 1] as number);
        copyWords(rows, i * this.width, incoming.rows.chunk, incoming.rows.offset, this.width);
      }
    }
    const indices = this.#settleAll(incoming);
    let first = 0;
    return batches.map(({ pairs }) => indices.slice(first, (first += pairs.length / 2)));
  }

  /** Ends the level with the indices that the owners gave this shard's candidates. */
  finishLevel(answers: readonly Int32Array[]): void {
    const ids = new Int32Array(this.#candidates.rows.count);
    answers.forEach((indices, owner) => {
      const sent = this.#sent[owner] as Int32Array;
      for (let i = 0; i < sent.length; i++)
        ids[sent[i] as number] =
          indices[i] === NO_ROOM ? NO_ROOM : (indices[i] as number) * this.#options.owners + owner;
    });
    this.#resolve(ids);
    [this.#frontier, this.#incoming] = [this.#incoming, this.#frontier];
    this.#startLevel();
  }

  /** Fingerprints of all states, by index. */
  fingerprints(): Int32Array<ArrayBuffer> {
    return this.#visited.fingerprints();
  }

  /** Replaces candidate numbers by state ids in this level's edges and notes. */
  #resolve(ids: Int32Array): void {
    const { target } = this.graph;
    for (let edge = this.#settledEdges; edge < target.length; edge++) target.set(edge, ids[target.get(edge)] as number);
    this.#settledEdges = target.length;
    for (const { kind, property, candidate, via } of this.#noted) {
      const found = kind === 'sometimes' ? this.witnesses : this.findings;
      const state = ids[candidate] as number;
      // What has been seen is found, even in a state that the bound leaves no room for.
      found.add(kind, property, this.level + 1, state === NO_ROOM ? via : { state, entry: -1, via });
    }
    this.#noted = [];
  }

  #startLevel(): void {
    this.#candidates.clear();
    this.#inLevel.forget();
    this.#position = 0;
    this.level++;
    this.graph.levelStart.push(this.graph.states - this.#frontier.liveCount);
  }

  /** Adds one candidate to the visited states; a new state is marked live in `from`. Returns its index. */
  #settleOne(from: Frontier, row: number): number {
    const lo = from.pairs[2 * row] as number;
    const hi = from.pairs[2 * row + 1] as number;
    if (this.graph.states >= this.#options.statesMax) return this.#settleKnown(from, row, lo, hi);
    const known =
      this.#archive === null
        ? this.#visited.add(lo, hi)
        : this.#visited.addIf(lo, hi, (index) => this.#sameRow(from.rows, row, this.#archive as Rows, index));
    if (known >= 0) return known;
    from.enliven(row);
    this.graph.states++;
    if (this.#archive !== null) this.#copyRow(from.rows, row, this.#archive);
    return ~known;
  }

  /** There is no room for new states: the index of a known one, or {@link NO_ROOM}. */
  #settleKnown(from: Frontier, row: number, lo: number, hi: number): number {
    const archive = this.#archive;
    const known =
      archive === null
        ? this.#visited.find(lo, hi)
        : this.#visited.findIf(lo, hi, (index) => this.#sameRow(from.rows, row, archive, index));
    if (known < 0) this.full = true;
    return known < 0 ? NO_ROOM : known;
  }

  #expand(row: number): void {
    const { store } = this.#executor;
    const { rows, pairs } = this.#frontier;
    rows.seek(row);
    const { chunk, offset } = rows;
    let lo = pairs[2 * row] as number;
    let hi = pairs[2 * row + 1] as number;
    if (this.width > this.#words) {
      this.#last = chunk[offset + this.#words] as number;
      this.#used = chunk[offset + this.#words + 1] as number;
      const salt = preemptionSalt(this.#last, this.#used);
      lo = (lo - salt) | 0;
      hi = (hi ^ salt) | 0;
    }
    store.load(chunk, offset, lo, hi);
    this.graph.beginState();
    const flags = this.expander.expand(this, this.#last, this.#used);
    if (flags === 0) return;
    this.graph.flags.set(this.graph.expanded - 1, flags);
    const id = this.#sourceId();
    if (flags & StateFlag.deadlock) this.findings.add('deadlock', NO_DEADLOCK, this.level, { state: id, entry: -1 });
    if (flags & StateFlag.finallyBroken) this.#finallyBroken(id);
  }

  /** A state at rest that spontaneous steps can still leave is judged when its terminal component is known. */
  #finallyBroken(id: number): void {
    const terminal = this.graph.edges === this.graph.firstOf(this.graph.expanded - 1);
    this.checker.finallyBroken(({ name }) => {
      if (terminal) this.findings.add('finally', name, this.level, { state: id, entry: -1 });
      else this.pending.push({ property: name, length: this.level, state: id });
    });
  }

  #sourceId(): number {
    return (this.graph.expanded - 1) * this.#options.owners + this.#options.own;
  }

  /** Writes the executor's state down as a candidate, unless the level has it already; returns its number. */
  #arriveAt(last: number, used: number): number {
    this.#options.reduction?.project();
    const { lo, hi } = this.#executor.store;
    if (this.#extended) return this.#arriveExtended(lo, hi, last, used);
    const number = this.#inLevel.add(lo, hi);
    return number >= 0 ? number : this.#newCandidate(~number, lo, hi, 0, 0);
  }

  /** The same when preemptions are counted or whole states are compared. */
  #arriveExtended(lo: number, hi: number, last: number, used: number): number {
    const salt = this.width > this.#words ? preemptionSalt(last, used) : 0;
    const low = (lo + salt) | 0;
    const high = hi ^ salt;
    const number =
      this.#archive === null
        ? this.#inLevel.add(low, high)
        : this.#inLevel.addIf(low, high, (candidate) => this.#isCandidate(candidate, last, used));
    return number >= 0 ? number : this.#newCandidate(~number, low, high, last, used);
  }

  #newCandidate(number: number, lo: number, hi: number, last: number, used: number): number {
    this.#writeCandidate(lo, hi, last, used);
    if (this.checker.mayHaveChanged(0) || this.level < 0) this.#check(number);
    return number;
  }

  #writeCandidate(lo: number, hi: number, last: number, used: number): void {
    this.#candidates.append(lo, hi);
    const { chunk, offset } = this.#candidates.rows;
    const length = this.#words;
    const { words } = this.#executor.store;
    // A whole copy takes a tenth of the time that a loop over a hundred words takes, and longer than one over a few.
    if (length >= COPIED_WHOLE) chunk.set(words, offset);
    else for (let i = 0; i < length; i++) chunk[offset + i] = words[i] as number;
    this.#order?.sort(chunk, offset);
    if (this.width === length) return;
    chunk[offset + length] = last;
    chunk[offset + length + 1] = used;
  }

  #note(kind: Noted['kind'], property: string, candidate: number): void {
    this.#noted.push({ kind, property, candidate, via: { state: this.#sourceId(), entry: this.#entry } });
  }

  #check(candidate: number): void {
    const { always, sometimes } = this.checker;
    for (let i = 0; i < always.length; i++) {
      const property = always[i] as Property;
      if (!this.checker.holds(property)) this.#note('always', property.name, candidate);
    }
    for (let i = 0; i < sometimes.length; i++) {
      const property = sometimes[i] as Property;
      if ((this.#witnessed[i] as number) <= this.level || !this.checker.holds(property)) continue;
      this.#witnessed[i] = this.level + 1;
      this.#note('sometimes', property.name, candidate);
    }
  }

  #isCandidate(candidate: number, last: number, used: number): boolean {
    const { rows } = this.#candidates;
    const { words } = this.#executor.store;
    rows.seek(candidate);
    const { chunk, offset } = rows;
    for (let i = 0; i < this.#words; i++) if (chunk[offset + i] !== words[i]) return this.#collided();
    if (this.width === this.#words) return true;
    return chunk[offset + this.#words] === last && chunk[offset + this.#words + 1] === used;
  }

  #sameRow(a: Rows, rowA: number, b: Rows, rowB: number): boolean {
    a.seek(rowA);
    b.seek(rowB);
    for (let i = 0; i < this.width; i++) if (a.chunk[a.offset + i] !== b.chunk[b.offset + i]) return this.#collided();
    return true;
  }

  #collided(): false {
    this.collisions++;
    return false;
  }

  #copyRow(from: Rows, row: number, to: Rows): void {
    from.seek(row);
    to.append();
    copyWords(from.chunk, from.offset, to.chunk, to.offset, this.width);
  }
}

/** Tells states apart that differ in who moved last or in the number of preemptions. */
function preemptionSalt(last: number, used: number): number {
  return mix32(last + used * (CHOICES_MAX + 1) + 1);
}
