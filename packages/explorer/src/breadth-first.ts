/**
 * Breadth-first search: level by level, so the first violation found is a shortest one. A level is always finished, so
 * that what is counted does not depend on the order within it.
 */
import type { System, TabulatedExecutor } from '@shootdown/machine';
import { Expander, type Successors } from './expander.ts';
import { StateFlag, StateGraph } from './graph.ts';
import { Findings, PropertyChecker } from './properties.ts';
import type { Reduction } from './reduction.ts';
import { NO_DEADLOCK, type StopReason } from './result.ts';
import { FingerprintTable, Rows } from './storage.ts';

/** Fingerprint halves stand behind the words of a row. */
const ROW_EXTRA = 2;

/** What a breadth-first search needs to know. */
export interface BreadthFirstOptions {
  readonly all: boolean;
  readonly maxStates: number;
  readonly maxDepth: number;
  readonly reduction: Reduction | null;
}

/** One breadth-first search; call {@link advance} until it returns true. */
export class BreadthFirst implements Successors {
  readonly graph = new StateGraph();
  readonly findings = new Findings();
  readonly expander: Expander;
  readonly checker: PropertyChecker;
  transitions = 0;
  violatingTransitions = 0;
  stopped: StopReason | null = null;
  /** Level being expanded. */
  level = 0;
  readonly #executor: TabulatedExecutor;
  readonly #options: BreadthFirstOptions;
  readonly #visited = new FingerprintTable();
  readonly #words: number;
  /** States of the level being expanded, and what this level has led to so far. */
  #rows: Rows;
  #candidates: Rows;
  readonly #candidateTable = new FingerprintTable();
  #live = new Int32Array(1024);
  #liveCount = 0;
  #position = 0;
  #source = 0;

  constructor(system: System, executor: TabulatedExecutor, options: BreadthFirstOptions) {
    this.#executor = executor;
    this.#options = options;
    this.checker = new PropertyChecker(system, executor);
    this.expander = new Expander(system, executor, this.checker, options.reduction);
    this.#words = executor.store.words.length;
    this.#rows = new Rows(this.#words + ROW_EXTRA);
    this.#candidates = new Rows(this.#words + ROW_EXTRA);
    executor.reset();
    this.#keep();
    this.#settle();
  }

  advance(states: number): boolean {
    for (let i = 0; i < states; i++) {
      if (this.#position === this.#liveCount && !this.#nextLevel()) return true;
      this.#expand();
    }
    return false;
  }

  #stop(reason: StopReason): true {
    this.stopped ??= reason;
    return true;
  }

  get states(): number {
    return this.graph.states;
  }

  get bytes(): number {
    return this.#visited.bytes + this.#candidateTable.bytes + this.graph.bytes + this.#rows.bytes + this.#candidates.bytes;
  }

  /** The executor is in a successor of the state being expanded. */
  arrive(entry: number): void {
    const executor = this.#executor;
    const { store } = executor;
    this.transitions++;
    const { failed } = executor;
    if (failed) {
      this.violatingTransitions++;
      this.findings.add('step', executor.violation?.property ?? '?', this.level + 1, this.#source, entry);
      if (!this.#options.all) return;
    }
    const known = this.#candidateTable.add(store.lo, store.hi);
    if (known >= 0) {
      this.graph.addEdge(known, entry, failed);
      return;
    }
    this.graph.addEdge(~known, entry, failed);
    this.#keep();
  }

  #expand(): void {
    const { store } = this.#executor;
    const rows = this.#rows;
    rows.seek(this.#live[this.#position++] as number);
    const { chunk, offset } = rows;
    store.load(chunk, offset, chunk[offset + this.#words] as number, chunk[offset + this.#words + 1] as number);
    this.#source = this.graph.expanded;
    this.graph.beginState();
    const flags = this.expander.expand(this);
    if (flags === 0) return;
    this.graph.flags.set(this.#source, flags);
    if (flags & StateFlag.deadlock) this.findings.add('deadlock', NO_DEADLOCK, this.level, this.#source, -1);
  }

  #settle(): void {
    const candidates = this.#candidates;
    const count = candidates.count;
    if (this.#live.length < count) this.#live = new Int32Array(count*2);
    const remap = new Int32Array(count);
    let live = 0;
    for (let i = 0; i < count; i++) {
      if ((i&63)===0) this.#visited.touch(this.#fps, i, Math.min(i+64,count));
      const known = this.#visited.add(this.#fps[2*i] as number, this.#fps[2*i+1] as number);
      if (known < 0) {
        this.#live[live++] = i;
        remap[i] = ~known;
      } else remap[i]=known;
    }
    this.#liveCount = live;
    const end = this.graph.target.length;
    for (let e = this.#edgesSettled; e < end; e++) this.graph.target.set(e, remap[this.graph.target.get(e)] as number);
    this.#edgesSettled = end;
    this.graph.states += live;
    this.#candidateTable.forget();
    [this.#rows, this.#candidates] = [this.#candidates, this.#rows];
    this.#candidates.clear();
    this.#position = 0;
  }
  #edgesSettled = 0;
  #fps = new Int32Array(4096);

  #nextLevel(): boolean {
    if (!this.#options.all && !this.findings.empty) return !this.#stop('violation');
    this.graph.levelStart.push(this.graph.states);
    this.#settle();
    if (this.#liveCount === 0) return false;
    if (this.level + 1 >= this.#options.maxDepth) return !this.#stop('max-depth');
    this.level++;
    return true;
  }

  #keep(): void {
    const { words, lo, hi } = this.#executor.store;
    const rows = this.#candidates;
    const n=rows.count;
    if (2*n>=this.#fps.length) { const f=new Int32Array(this.#fps.length*2); f.set(this.#fps); this.#fps=f; }
    this.#fps[2*n]=lo; this.#fps[2*n+1]=hi;
    rows.append();
    const { chunk, offset } = rows;
    for (let i = 0; i < words.length; i++) chunk[offset + i] = words[i] as number;
    chunk[offset + words.length] = lo;
    chunk[offset + words.length + 1] = hi;
  }
}
