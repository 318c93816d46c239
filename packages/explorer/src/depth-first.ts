/**
 * Depth-first search with undo: no rows and no edges are kept, only fingerprints, so it goes where breadth-first search
 * runs out of memory. The counterexample it finds is its stack, and long.
 *
 * Terminal components (see `components.ts`) are found on the way, by Tarjan's algorithm: states are numbered in order
 * of arrival, which is the order Tarjan needs.
 */
import { entryBranch, entryChoice, scheduleEntry, type System, type TabulatedExecutor } from '@shootdown/machine';
import { Expander } from './expander.ts';
import { StateFlag } from './graph.ts';
import { Findings, PropertyChecker } from './properties.ts';
import type { Reduction } from './reduction.ts';
import { hasRunOutOfRoom } from './replay.ts';
import { NO_DEADLOCK, NO_LIVELOCK, type ProblemKind } from './result.ts';
import { Column8, doubled, FingerprintTable } from './storage.ts';

/** What is known of a state, as bits of one byte. */
const Bit = {
  /** Its component is still open. */
  open: 1,
  rest: 2,
} as const;

/** Fields of a stack frame. `mark`: journal before the step that led here. `end`: first choice not to be tried. */
const Field = {
  state: 0,
  mark: 1,
  lo: 2,
  hi: 3,
  choice: 4,
  branch: 5,
  branches: 6,
  end: 7,
  busy: 8,
  idle: 9,
  low: 10,
  leaves: 11,
  /** The choice and branch that led here. */
  byChoice: 12,
  byBranch: 13,
} as const;
const FRAME = 14;

/** One depth-first search; call {@link advance} until it returns false. */
export class DepthFirst {
  readonly findings = new Findings();
  readonly checker: PropertyChecker;
  readonly expander: Expander;
  /** `sometimes` properties that hold somewhere, with a schedule to there. */
  readonly witnesses = new Map<string, readonly number[]>();
  /** The schedule to the first violation found. */
  schedule: readonly number[] | null = null;
  transitions = 0;
  violatingTransitions = 0;
  depthMax = 0;
  /** A state was met that there was no room for. */
  full = false;
  /** Some state was at rest. */
  rested = false;
  depth = -1;
  readonly #executor: TabulatedExecutor;
  readonly #all: boolean;
  readonly #statesMax: number;
  readonly #reduction: Reduction | null;
  readonly #spontaneous: Uint8Array;
  readonly #visited = new FingerprintTable();
  readonly #bits = new Column8();
  /** States whose component is not closed yet, oldest first. */
  #open = new Int32Array(1024);
  #openCount = 0;
  #frames = new Int32Array(FRAME * 1024);
  /** `finally` properties broken in states at rest whose component is open. */
  readonly #pending = new Map<number, string[]>();

  constructor(
    system: System,
    executor: TabulatedExecutor,
    options: { readonly all: boolean; readonly statesMax?: number; readonly reduction: Reduction | null },
  ) {
    this.#executor = executor;
    this.#all = options.all;
    this.#statesMax = options.statesMax ?? Number.POSITIVE_INFINITY;
    this.#reduction = options.reduction;
    this.#spontaneous = Uint8Array.from(system.choices, (choice) => (choice.kind === 'spontaneous' ? 1 : 0));
    this.checker = new PropertyChecker(system, executor);
    this.expander = new Expander(system, executor, this.checker, null, Infinity);
    executor.reset();
    this.#reduction?.project();
    this.#visited.add(executor.store.lo, executor.store.hi);
    const said = executor.violation;
    this.#push(0, 0, 0);
    if (said) this.#found('step', said.property);
    this.#checkState();
  }

  get states(): number {
    return this.#visited.count;
  }

  /** Of all states found: two halves each, in order of arrival. */
  get fingerprints(): Int32Array {
    return this.#visited.fingerprints();
  }

  get bytes(): number {
    return this.#visited.bytes + this.#bits.bytes + this.#open.byteLength + this.#frames.byteLength;
  }

  /** Tries up to `steps` choices; false when the search is over. */
  advance(steps: number): boolean {
    const executor = this.#executor;
    for (let i = 0; i < steps; i++) {
      if (this.depth < 0 || (!this.#all && !this.findings.empty)) return false;
      const frames = this.#frames;
      const f = this.depth * FRAME;
      const choice = frames[f + Field.choice] as number;
      if (choice === frames[f + Field.end]) {
        this.#pop(f);
        continue;
      }
      const branch = frames[f + Field.branch] as number;
      const mark = executor.store.mark;
      const happened = executor.step(choice, branch);
      if (executor.branchCount > (frames[f + Field.branches] as number))
        frames[f + Field.branches] = this.expander.checkBranches(choice, executor.branchCount);
      if (branch + 1 < (frames[f + Field.branches] as number)) frames[f + Field.branch] = branch + 1;
      else {
        frames[f + Field.choice] = choice + 1;
        frames[f + Field.branch] = 0;
        frames[f + Field.branches] = 1;
      }
      if (happened) this.#arrive(f, choice, scheduleEntry(choice, branch), mark);
    }
    return true;
  }

  #arrive(f: number, choice: number, entry: number, mark: number): void {
    const frames = this.#frames;
    const { store, failed } = this.#executor;
    const kind = f + (this.#spontaneous[choice] === 1 ? Field.idle : Field.busy);
    frames[kind] = (frames[kind] as number) + 1;
    this.transitions++;
    this.expander.taken[choice] = (this.expander.taken[choice] as number) + 1;
    if (failed) {
      this.violatingTransitions++;
      this.#found('step', this.#executor.violation?.property ?? '?', entry);
      if (!this.#all) return;
    }
    this.#reduction?.project();
    if (this.states >= this.#statesMax && this.#visited.find(store.lo, store.hi) < 0) {
      this.full = true;
      // Where it leads nobody knows: no component that it can be reached from is known to be terminal.
      frames[f + Field.leaves] = 1;
      store.undo(mark, frames[f + Field.lo] as number, frames[f + Field.hi] as number);
      return;
    }
    const known = this.#visited.add(store.lo, store.hi);
    if (known < 0) {
      this.#push(~known, mark, entry);
      if (this.checker.mayHaveChanged(mark)) this.#checkState();
      return;
    }
    if ((this.#bits.get(known) & Bit.open) === 0) frames[f + Field.leaves] = 1;
    else if (known < (frames[f + Field.low] as number)) frames[f + Field.low] = known;
    store.undo(mark, frames[f + Field.lo] as number, frames[f + Field.hi] as number);
  }

  #push(state: number, mark: number, entry: number): void {
    const { store } = this.#executor;
    this.depth++;
    if (this.depth > this.depthMax) this.depthMax = this.depth;
    if ((this.depth + 1) * FRAME > this.#frames.length) this.#frames = doubled(this.#frames);
    const frames = this.#frames;
    const f = this.depth * FRAME;
    frames.fill(0, f, f + FRAME);
    frames[f + Field.state] = state;
    frames[f + Field.mark] = mark;
    frames[f + Field.lo] = store.lo;
    frames[f + Field.hi] = store.hi;
    frames[f + Field.branches] = 1;
    frames[f + Field.low] = state;
    frames[f + Field.byChoice] = entryChoice(entry);
    frames[f + Field.byBranch] = entryBranch(entry);
    const ample = this.#ample();
    frames[f + Field.choice] = Math.max(ample, 0);
    frames[f + Field.end] = ample < 0 ? this.#spontaneous.length : ample + 1;
    this.#bits.push(Bit.open);
    if (this.#openCount === this.#open.length) this.#open = doubled(this.#open);
    this.#open[this.#openCount++] = state;
  }

  /** The one choice that stands for all in the present state, or -1. */
  #ample(): number {
    if (this.#reduction === null) return -1;
    const { lo, hi } = this.#executor.store;
    for (let choice = this.#reduction.next(0); choice >= 0; choice = this.#reduction.next(choice + 1)) {
      if (this.expander.enabled(choice, lo, hi)) return choice;
    }
    return -1;
  }

  /** All choices of the top state have been tried; the executor is back in it. */
  #pop(f: number): void {
    const frames = this.#frames;
    const state = frames[f + Field.state] as number;
    if (frames[f + Field.busy] === 0) this.#quiet(f, state);
    const root = frames[f + Field.low] === state;
    if (root) this.#closeComponent(f, state);
    const mark = frames[f + Field.mark] as number;
    this.depth--;
    if (this.depth < 0) return;
    const parent = this.depth * FRAME;
    if (root) frames[parent + Field.leaves] = 1;
    else {
      frames[parent + Field.low] = Math.min(frames[parent + Field.low] as number, frames[f + Field.low] as number);
      frames[parent + Field.leaves] = (frames[parent + Field.leaves] as number) | (frames[f + Field.leaves] as number);
    }
    this.#executor.store.undo(mark, frames[parent + Field.lo] as number, frames[parent + Field.hi] as number);
  }

  #quiet(f: number, state: number): void {
    const idle = this.#frames[f + Field.idle] as number;
    const flags = this.expander.quiet(idle);
    if (flags & StateFlag.deadlock) this.#found('deadlock', NO_DEADLOCK);
    if (flags & StateFlag.rest) {
      this.rested = true;
      this.#bits.set(state, this.#bits.get(state) | Bit.rest);
    }
    if (flags & StateFlag.finallyBroken) {
      this.checker.finallyBroken(({ name }) => {
        if (idle === 0) this.#found('finally', name);
        else this.#pending.set(state, [...(this.#pending.get(state) ?? []), name]);
      });
    }
  }

  #closeComponent(f: number, root: number): void {
    const terminal = this.#frames[f + Field.leaves] === 0 && !hasRunOutOfRoom(this.#executor);
    let rests = false;
    let member: number;
    do {
      member = this.#open[--this.#openCount] as number;
      const bits = this.#bits.get(member);
      this.#bits.set(member, bits & ~Bit.open);
      rests ||= (bits & Bit.rest) !== 0;
      if (this.#pending.size > 0) this.#judge(member, terminal);
    } while (member !== root);
    const moves = (this.#frames[f + Field.busy] as number) + (this.#frames[f + Field.idle] as number) > 0;
    if (terminal && !rests && moves) this.#found('livelock', NO_LIVELOCK);
  }

  #judge(member: number, terminal: boolean): void {
    for (const property of this.#pending.get(member) ?? []) if (terminal) this.#found('finally', property);
    this.#pending.delete(member);
  }

  /** `entry`: the step out of the top state that is to blame, if it is one. */
  #found(kind: ProblemKind, property: string, entry = -1): void {
    const length = this.depth + (entry < 0 ? 0 : 1);
    this.findings.add(kind, property, length, { state: -1, entry: -1 });
    this.schedule ??= entry < 0 ? this.#path() : [...this.#path(), entry];
  }

  /** The schedule that leads to the top of the stack. */
  #path(): number[] {
    return Array.from({ length: this.depth }, (_, i) => {
      const f = (i + 1) * FRAME;
      return scheduleEntry(this.#frames[f + Field.byChoice] as number, this.#frames[f + Field.byBranch] as number);
    });
  }

  #checkState(): void {
    for (const property of this.checker.always) if (!this.checker.holds(property)) this.#found('always', property.name);
    for (const property of this.checker.sometimes) {
      if (!this.witnesses.has(property.name) && this.checker.holds(property))
        this.witnesses.set(property.name, this.#path());
    }
  }
}
