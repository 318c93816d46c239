/**
 * What Arm says of a small litmus test, by its axioms: candidate executions are enumerated (which store each load reads
 * from, in which order stores are, which walk is before which TLBI), and one is allowed if no effect is ordered before
 * itself. Of the machine it knows nothing; with it, it shares how a test is read.
 *
 * Arm ARM (DDI 0487 M.b) B2.3 and D8: translation-intrinsically-before, locally-ordered-before, DSB-ordered-before,
 * context-synchronisation, TLBI-ordered-before, observed-by. What the effects of a thread order by themselves is in
 * `local-order.test-support.ts`.
 *
 * Loads and stores (plain, acquire, release), barriers, ISB, TLBI, dependencies, faults without a handler. No atomics,
 * exclusives, CSEL or hardware updates: such a test is refused.
 */
import type { Address } from '@shootdown/machine';
import type { FinalState } from './condition.ts';
import type { LitmusTest } from './litmus-test.ts';
import { textOf, type Observation } from './run.ts';
import { traces, type Effect, type Trace } from './traces.test-support.ts';
import type { Program, Register } from './aarch64/instructions.ts';
import type { Pte } from './aarch64/values.ts';
import { isAcyclic, localOrder, type LocalOrder, type Relation } from './local-order.test-support.ts';
import { unsupported } from './errors.ts';

/** What a test may end in, as the machine prints it. */
export interface Judgement {
  /** All final states. */
  readonly allowed: ReadonlySet<string>;
  /** Those that are reached while no store overtakes an earlier load of its processor. */
  readonly inOrder: ReadonlySet<string>;
  /** What is observed of the condition. */
  readonly observation: Observation;
}

/** A test as the judge takes it. */
export interface Judged {
  readonly test: LitmusTest;
  readonly programs: readonly Program[];
  readonly registers: readonly ReadonlyMap<Register, number>[];
  /** Descriptors that the test says something about. */
  readonly ptes: ReadonlyMap<string, Pte>;
  readonly ets2: boolean;
}

const EFFECTS_MAX = 31;
const ROUNDS_MAX = 4;

/** What has been found so far: of a final state, whether the condition's formula holds there. */
interface Found {
  readonly allowed: Map<string, boolean>;
  readonly inOrder: Set<string>;
}

/** A trace, and what it orders by itself. */
interface Ordered extends Trace {
  readonly order: LocalOrder;
}

/** Judges a test. */
export function judge({ test, programs, registers, ptes, ets2 }: Judged): Judgement {
  const initial = new Map(test.variables.map(({ name, initial: value }) => [name, value]));
  const pages = pagesOf(test);
  const values = new Map([...initial].map(([name, value]) => [name, new Set([value])]));
  let perThread: Ordered[][] = [];
  for (let round = 0, grown = true; grown; round++) {
    if (round === ROUNDS_MAX) unsupported('values without end');
    grown = false;
    perThread = programs.map((program, thread) =>
      traces(program, registers[thread] ?? new Map(), { thread, pages, ptes, values }).map((trace) => ({
        ...trace,
        order: localOrder(trace.effects, ets2),
      })),
    );
    for (const { effects } of perThread.flat())
      for (const { kind, location, value } of effects) {
        const known = values.get(location);
        if (kind !== 'W' || !known || known.has(value)) continue;
        known.add(value);
        grown = true;
      }
  }
  const found: Found = { allowed: new Map(), inOrder: new Set() };
  for (const chosen of combinations(perThread)) new Candidate(test, chosen, initial, found).judge();
  const holding = [...found.allowed.values()].filter((holds) => holds).length;
  const observation = holding === 0 ? 'Never' : holding === found.allowed.size ? 'Always' : 'Sometimes';
  return { allowed: new Set(found.allowed.keys()), inOrder: found.inOrder, observation };
}

/** The variables whose descriptors may change, in the order in which faults are numbered. */
function pagesOf(test: LitmusTest): string[] {
  const names = test.variables.map(({ name }) => name);
  const translation = test.translation?.(
    { model: 'arm', at: (name) => names.indexOf(name) as Address },
    { ets2: false },
  );
  return (translation?.pages ?? []).map((address) => /^PTE\((\w+)\)$/.exec(names[address] ?? '')?.[1] ?? '');
}

function* combinations<T>(choices: readonly (readonly T[])[]): Iterable<T[]> {
  const [first, ...rest] = choices;
  if (!first) {
    yield [];
    return;
  }
  for (const tail of combinations(rest)) for (const head of first) yield [head, ...tail];
}

/** An effect of the whole execution. */
type Global = Effect & { readonly thread: number };

/** One choice of traces: of it all candidates are looked at. */
class Candidate {
  readonly #test: LitmusTest;
  readonly #traces: readonly Ordered[];
  readonly #initial: ReadonlyMap<string, number>;
  readonly #found: Found;
  readonly #effects: Global[] = [];
  readonly #bases: number[] = [];
  /** What the threads order by themselves. */
  readonly #local: Relation = [];

  constructor(test: LitmusTest, chosen: readonly Ordered[], initial: ReadonlyMap<string, number>, found: Found) {
    this.#test = test;
    this.#traces = chosen;
    this.#initial = initial;
    this.#found = found;
    for (const [thread, { effects, order }] of chosen.entries()) {
      const base = this.#effects.length;
      this.#bases.push(base);
      for (const effect of effects) this.#effects.push({ ...effect, thread });
      for (const later of order.before) this.#local.push(later << base);
    }
    if (this.#effects.length > EFFECTS_MAX) unsupported('too many effects for the judge');
  }

  judge(): void {
    const reads = [...this.#effects.keys()].filter((e) => this.#is(e, 'R', 'T'));
    const sources = reads.map((read) => this.#sourcesOf(read));
    if (sources.some((of) => of.length === 0)) return;
    const locations = [...new Set(this.#effects.filter(({ kind }) => kind === 'W').map(({ location }) => location))];
    const orders = locations.map((location) => [...permutations(this.#writesTo(location))]);
    for (const coherence of combinations(orders)) {
      const last = new Map(locations.map((location, i) => [location, coherence[i]?.at(-1) as number]));
      const final = this.#finalState(last);
      const text = textOf(this.#test, final);
      if (this.#found.inOrder.has(text)) continue;
      const after = this.#afterIn(coherence);
      for (const from of combinations(sources)) {
        const readsFrom = new Map(reads.map((read, i) => [read, from[i] as number]));
        if (!this.#isAllowed(readsFrom, after)) continue;
        this.#found.allowed.set(text, this.#test.condition.formula.holds(final));
        if (!this.#isInOrder(readsFrom)) continue;
        this.#found.inOrder.add(text);
        break;
      }
    }
  }

  #is(effect: number, ...kinds: Effect['kind'][]): boolean {
    return kinds.includes((this.#effects[effect] as Global).kind);
  }

  #of(effect: number): Global {
    return this.#effects[effect] as Global;
  }

  #writesTo(location: string): number[] {
    return [...this.#effects.keys()].filter((e) => this.#is(e, 'W') && this.#of(e).location === location);
  }

  /** Stores that a load may read from; -1: the initial state. */
  #sourcesOf(read: number): number[] {
    const { location, value } = this.#of(read);
    const stores = this.#writesTo(location).filter((write) => this.#of(write).value === value);
    return this.#initial.get(location) === value ? [-1, ...stores] : stores;
  }

  /** Per store, those that come after it. */
  #afterIn(coherence: readonly (readonly number[])[]): Map<number, number> {
    const after = new Map<number, number>();
    for (const order of coherence)
      for (const [i, write] of order.entries())
        after.set(
          write,
          order.slice(i + 1).reduce((m, w) => m | (1 << w), 0),
        );
    return after;
  }

  /** One candidate: stores that loads read from, and what comes after each store. */
  #isAllowed(from: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): boolean {
    const overwrites = new Map(
      [...from].map(([read, write]) => [
        read,
        write < 0 ? this.#writesTo(this.#of(read).location).reduce((m, w) => m | (1 << w), 0) : (after.get(write) ?? 0),
      ]),
    );
    if (!this.#isInternallyVisible(from, after, overwrites)) return false;
    const edges = this.#local.slice();
    const add = (a: number, later: number): void => {
      edges[a] = (edges[a] as number) | later;
    };
    for (const [write, later] of after) add(write, later & ~this.#sameThread(write));
    for (const [read, write] of from) {
      const later = overwrites.get(read) as number;
      const { kind, uncached } = this.#of(read);
      const external = later & ~this.#sameThread(read);
      if (write >= 0 && (kind === 'T' || this.#of(write).thread !== this.#of(read).thread)) add(write, 1 << read);
      if (kind === 'R') add(read, external);
      else if (uncached) add(read, later);
      // An earlier load of the location is not given a store that a later one has missed.
      if (kind === 'R') for (const earlier of this.#earlierLoads(read)) add(earlier, external);
    }
    return isAcyclic(edges) && this.#agreesWithTlbis(edges, overwrites);
  }

  #sameThread(effect: number): number {
    const { thread } = this.#of(effect);
    const { effects } = this.#traces[thread] as Ordered;
    return ((1 << effects.length) - 1) << (this.#bases[thread] as number);
  }

  /** Effects of the same thread, program and location before this one. */
  #earlier(effect: number): number[] {
    const { thread, location, instruction } = this.#of(effect);
    return [...this.#effects.keys()].filter((e) => {
      const other = this.#of(e);
      return (
        other.thread === thread &&
        other.instruction < instruction &&
        other.location === location &&
        this.#is(e, 'R', 'W')
      );
    });
  }

  #earlierLoads(read: number): number[] {
    return this.#earlier(read).filter((e) => this.#is(e, 'R'));
  }

  /** Explicit accesses of one thread to one location look as if they were in program order. */
  #isInternallyVisible(
    from: ReadonlyMap<number, number>,
    after: ReadonlyMap<number, number>,
    overwrites: ReadonlyMap<number, number>,
  ): boolean {
    return [...this.#effects.keys()].every((effect) => {
      if (!this.#is(effect, 'R', 'W')) return true;
      return this.#earlier(effect).every((earlier) => {
        const overwritten = (later: ReadonlyMap<number, number>): boolean =>
          (((later.get(effect) ?? 0) >> earlier) & 1) === 1;
        if (this.#is(earlier, 'W')) return !overwritten(this.#is(effect, 'W') ? after : overwrites);
        return this.#is(effect, 'R') || from.get(earlier) !== effect;
      });
    });
  }

  /**
   * Whether each completed TLBI can be before or after each walk that it concerns. A walk before it is complete, with
   * the accesses that used it, before what follows the DSB; a walk after it uses nothing that was overwritten before
   * it.
   */
  #agreesWithTlbis(edges: readonly number[], overwrites: ReadonlyMap<number, number>): boolean {
    const ways: { readonly before: Relation; readonly after: Relation }[] = [];
    for (const tlbi of this.#effects.keys()) {
      if (!this.#is(tlbi, 'TLBI')) continue;
      const completed = this.#completedBy(tlbi);
      if (completed === 0) continue;
      for (const [walk, later] of overwrites) {
        if (!this.#is(walk, 'T') || !this.#concerns(tlbi, walk)) continue;
        const localBefore = (((edges[walk] as number) >> tlbi) & 1) === 1;
        const localAfter = (((edges[tlbi] as number) >> walk) & 1) === 1;
        const before: Relation = Array.from({ length: edges.length }, () => 0);
        const external = completed & ~this.#sameThread(walk);
        before[walk] = completed | external;
        for (const used of this.#usesOf(walk)) before[used] = (before[used] as number) | external;
        const after: Relation = Array.from({ length: edges.length }, () => 0);
        after[tlbi] = later;
        if (localBefore) ways.push({ before, after: before });
        else if (localAfter || later === 0) ways.push({ before: after, after });
        else ways.push({ before, after });
      }
    }
    return this.#someWay(edges, ways);
  }

  #someWay(
    edges: readonly number[],
    [first, ...rest]: readonly { readonly before: Relation; readonly after: Relation }[],
  ): boolean {
    if (!isAcyclic(edges)) return false;
    if (!first) return true;
    const both = first.before === first.after ? [first.before] : [first.before, first.after];
    return both.some((way) =>
      this.#someWay(
        edges.map((later, e) => later | (way[e] as number)),
        rest,
      ),
    );
  }

  /** What is after the completion of a TLBI. */
  #completedBy(tlbi: number): number {
    const { thread } = this.#of(tlbi);
    const base = this.#bases[thread] as number;
    return ((this.#traces[thread] as Ordered).order.completed[tlbi - base] as number) << base;
  }

  #concerns(tlbi: number, walk: number): boolean {
    const [{ thread, pages, broadcast }, walked] = [this.#of(tlbi), this.#of(walk)];
    return pages.includes(walked.location) && (broadcast || thread === walked.thread);
  }

  /** What uses the walk: its fault; or its access, and earlier walks of the same page. */
  #usesOf(walk: number): number[] {
    const { thread, instruction, location } = this.#of(walk);
    const same = [...this.#effects.entries()].filter(([, other]) => other.thread === thread);
    const users = same.filter(([e, other]) => other.instruction === instruction && e !== walk);
    const walks = same.filter(
      ([, { kind, ...other }]) => kind === 'T' && other.location === location && other.instruction < instruction,
    );
    const faults = users.some(([, { kind }]) => kind === 'F');
    return [...users, ...(faults ? [] : walks)].map(([e]) => e);
  }

  /** No load is given what is stored later than it, however far one follows program order and who reads from whom. */
  #isInOrder(from: ReadonlyMap<number, number>): boolean {
    const edges: Relation = this.#effects.map(({ thread, instruction }) =>
      this.#effects.reduce(
        (later, other, e) => (other.thread === thread && other.instruction > instruction ? later | (1 << e) : later),
        0,
      ),
    );
    for (const [read, write] of from) if (write >= 0) edges[write] = (edges[write] as number) | (1 << read);
    return isAcyclic(edges);
  }

  #finalState(last: ReadonlyMap<string, number>): FinalState {
    return {
      valueOf: ({ kind, name, thread }) => {
        if (kind === 'register') return this.#traces[thread]?.registers.get(name)?.word ?? 0;
        if (kind === 'fault') return this.#traces[thread]?.fault ?? 0;
        const write = last.get(name);
        return write === undefined ? (this.#initial.get(name) ?? 0) : this.#of(write).value;
      },
    };
  }
}

function* permutations(items: readonly number[]): Iterable<number[]> {
  if (items.length === 0) yield [];
  for (const first of items)
    for (const rest of permutations(items.filter((item) => item !== first))) yield [first, ...rest];
}
