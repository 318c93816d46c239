/** Runs a litmus test on the machine: every interleaving, and every way in which its memory may answer. */
import {
  BLOCKED,
  defineOperation,
  operation,
  program,
  routine,
  SystemBuilder,
  TabulatedExecutor,
  type Address,
  type MemoryModel,
  type Operation,
  type OrderingRule,
  type Region,
  type StoreToCome,
  type System,
  checkValues,
  is,
  type OptionValues,
  MEMORY_MODELS,
  wordsOf,
} from '@shootdown/machine';
import { sameObservable, type FinalState, type Observable } from './condition.ts';
import { unsupported } from './errors.ts';
import type { LitmusTest, Memory } from './litmus-test.ts';

/** How a test is run. */
export interface RunOptions {
  readonly memoryModel: MemoryModel;
  /** FEAT_ETS2 is implemented. */
  readonly ets2?: boolean;
  /** States after which a run ends without an answer. Default {@link STATES_MAX_DEFAULT}. */
  readonly statesMax?: number;
  /** Ordering rules of the machine to leave out. */
  readonly leftOut?: ReadonlySet<OrderingRule>;
  /** Whether stores may overtake earlier loads of their own processor (`arm`). Default `never`. */
  readonly promises?: 'auto' | 'never';
  /** False: the machine's weak memory is not brought into canonical form. */
  readonly canonical?: boolean;
  /** Called now and then with the number of states so far. */
  readonly onProgress?: (states: number) => void;
}

const RUN_VALUES: OptionValues<RunOptions> = {
  memoryModel: is.oneOf(MEMORY_MODELS),
  ets2: is.flag,
  statesMax: is.whole(1),
  leftOut: is.anything,
  promises: is.oneOf(wordsOf<NonNullable<RunOptions['promises']>>()('auto', 'never')),
  canonical: is.flag,
  onProgress: is.callable,
};

/** States between two calls of {@link RunOptions.onProgress}: some milliseconds. */
const PROGRESS_STATES = 1024;

/** What is observed of a condition: in no final state, in some, in all of them. */
export type Observation = 'Never' | 'Sometimes' | 'Always';

/** One final state. */
export interface Outcome {
  /** As herd prints it: `0:X1=1; [x]=2;`. */
  readonly text: string;
  /** Whether the condition's formula holds there. */
  readonly holds: boolean;
}

/** The answer to a test. */
export interface LitmusResult {
  /** Null if a bound was hit. */
  readonly observation: Observation | null;
  readonly outcomes: readonly Outcome[];
  /** States of the machine. */
  readonly states: number;
  /** What bound was hit, if any. */
  readonly bound: string | null;
  /** Things to be said that are no part of the answer. */
  readonly warnings: readonly string[];
}

/** States of a test at most. */
export const STATES_MAX_DEFAULT = 2_000_000;

/** A test as a system of the machine. */
export interface LitmusMachine {
  readonly system: System;
  /** Processors whose programs end. */
  readonly threads: number;
  /** What a state shows when all threads have ended. */
  readonly observe: (read: (address: number) => number) => FinalState;
  /** True when all threads have ended. */
  readonly ended: (read: (address: number) => number) => boolean;
}

/** Property of a system made from a test: violated where the condition of an `exists` holds. */
export const CONDITION = 'the condition of the test is not reached';

/** Where a thread leaves what it has to show: one cell per observable, then whether it has ended. */
interface Results {
  readonly region: Region;
  readonly shown: readonly Observable[];
}

const RESULT = defineOperation({
  name: 'result',
  role: 'environment',
  order: 'relaxed',
  perform(cx, op) {
    // What a thread has stored is to be in memory when it has ended.
    if (!cx.drained()) return BLOCKED;
    const { addresses, values } = op.data as { addresses: readonly Address[]; values: readonly number[] };
    addresses.forEach((address, i) => cx.write(address, values[i] as number));
    return 0;
  },
  // Nobody looks at the result before all have ended.
  footprint: () => ({ reads: [], writes: [] }),
});

/** Builds the machine that runs a test. */
export function machineOf(test: LitmusTest, options: RunOptions): LitmusMachine {
  checkValues('litmus: machineOf', options, RUN_VALUES, ['memoryModel']);
  const { memoryModel } = options;
  if (test.translation && memoryModel !== 'arm') unsupported(`page tables on ${memoryModel}: they are modelled on arm`);
  const names = test.variables.map(({ name }) => name);
  let memory: Memory | null = null;
  const builder = new SystemBuilder({
    memoryModel,
    storeBufferEntries: 8,
    weak: () => ({
      ...(test.translation &&
        memory && {
          translation: test.translation(memory, { ets2: options.ets2 ?? false }),
          translated: test.variables.map(({ name, initial }) => ({
            address: (memory as Memory).at(name),
            value: initial,
          })),
        }),
      ...(options.leftOut && { leftOut: options.leftOut }),
      canonical: options.canonical ?? true,
    }),
  });
  const words = builder.region('memory', Math.max(1, names.length), {
    initial: test.variables.map(({ initial }) => initial),
    cellName: (index) => names[index] ?? 'memory',
    format: (value) => test.show(value),
  });
  const at = (name: string): Address => words.at(names.indexOf(name));
  memory = { model: memoryModel, at };
  const results = test.threads.map((thread, index): Results => {
    const shown = observedOf(test).filter((observable) => observable.thread === index);
    return { shown, region: builder.region(`${thread.name}.result`, shown.length + 1, { memory: 'ghost' }) };
  });
  const machine = { at, memory };
  test.prepare?.(builder, memory);
  test.threads.forEach((thread, index) => {
    const { region, shown } = results[index] as Results;
    const body = routine(thread.name, function* () {
      const registers = yield* thread.start(machine.memory);
      const values = [...shown.map(({ name }) => registers[name] ?? 0), 1];
      const addresses = values.map((_, i) => region.at(i));
      const label = shown.map(({ name }, i) => `${name}=${test.show(values[i] as number)}`).join(' ');
      yield operation(RESULT, 0, 0, 0, { addresses, values }, { label: label === '' ? 'end' : `end: ${label}` });
    });
    builder.processor({ name: thread.name, tasks: [program(body)] });
  });
  for (const { name, start } of test.hardware) {
    const body = routine(name, () => start(machine.memory));
    builder.processor({ name, tasks: [program(body)] });
  }
  const ended = (read: (address: number) => number): boolean =>
    results.every(({ region, shown }) => read(region.at(shown.length)) === 1);
  const observe = (read: (address: number) => number): FinalState => ({
    valueOf(observable) {
      if (observable.kind === 'variable') return read(at(observable.name));
      const { region, shown } = results[observable.thread] as Results;
      return read(region.at(shown.findIndex((other) => sameObservable(other, observable))));
    },
  });
  const { quantifier, formula, text } = test.condition;
  if (quantifier !== 'forall')
    builder.property({
      name: CONDITION,
      kind: 'always',
      why: text,
      reads: [...test.variables.map(({ name }) => at(name)), ...results.flatMap(({ region }) => cellsOf(region))],
      check: (read) => !ended(read) || !counts(test, observe(read)) || !formula.holds(observe(read)),
    });
  return { system: builder.build(), threads: test.threads.length, observe, ended };
}

/** What a final state must say: what it shows, and what a filter looks at. */
function observedOf({ observables, filter }: LitmusTest): Observable[] {
  const hidden = filter?.observes.filter((one) => !observables.some((shown) => sameObservable(shown, one))) ?? [];
  return [...observables, ...hidden];
}

/** Whether a final state is one that the test asks about. */
function counts({ filter }: LitmusTest, final: FinalState): boolean {
  return filter === undefined || filter.formula.holds(final);
}

function cellsOf(region: Region): number[] {
  return Array.from({ length: region.cells }, (_, i) => region.at(i));
}

/**
 * Runs a test. With promises, a test whose condition is not reached is run again, each time with one of the stores in
 * memory that might overtake an earlier load of its processor, until nothing new is seen.
 */
export function runLitmus(test: LitmusTest, options: RunOptions): LitmusResult {
  const run = new Run(test, options);
  run.explore([]);
  if (options.promises === 'auto' && !run.reached) run.exploreWithPromises();
  return run.result;
}

/** A store of some processor. */
type Promised = StoreToCome & { readonly processor: number };

/** Rounds in which new stores are looked for. */
const ROUNDS_MAX = 4;

class Run {
  readonly #test: LitmusTest;
  readonly #machine: LitmusMachine;
  readonly #executor: TabulatedExecutor;
  readonly #statesMax: number;
  readonly #outcomes = new Map<string, Outcome>();
  readonly #descriptors: readonly number[];
  readonly #onProgress: ((states: number) => void) | undefined;
  #seen = new Set<string>();
  #states = 0;
  #full = false;
  #broken = false;

  constructor(test: LitmusTest, options: RunOptions) {
    this.#test = test;
    this.#machine = machineOf(test, options);
    this.#executor = new TabulatedExecutor(this.#machine.system);
    this.#statesMax = options.statesMax ?? STATES_MAX_DEFAULT;
    this.#onProgress = options.onProgress;
    this.#descriptors = test.needsBreak === null ? [] : descriptorsOf(this.#machine.system);
  }

  /** Whether the condition holds in some final state. */
  get reached(): boolean {
    return [...this.#outcomes.values()].some(({ holds }) => holds);
  }

  get result(): LitmusResult {
    const messages = this.#executor.weak?.memory.boundHit === true;
    const bound = this.#full ? `${this.#statesMax} states` : messages ? 'messages of a location' : null;
    const outcomes = [...this.#outcomes.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
    const { warnings } = this.#test;
    return {
      observation: bound === null ? observationOf(outcomes) : null,
      outcomes,
      states: this.#states,
      bound,
      warnings: this.#broken ? [...warnings, 'break-before-make expected'] : warnings,
    };
  }

  /** Every run in which these stores are in memory from the beginning. */
  explore(promises: readonly Promised[]): void {
    const { weak } = this.#executor;
    this.#executor.reset();
    for (const { processor, site, address, value, hardware } of promises) {
      this.#executor.processor = processor;
      weak?.request({ kind: 'promise', site, address, value, hardware });
    }
    this.#executor.store.commit();
    this.#seen = new Set();
    this.#visit();
  }

  exploreWithPromises(): void {
    const done = new Set<string>();
    for (let round = 0; round < ROUNDS_MAX && !this.reached; round++) {
      const stores = this.#executor.weak?.memory.storesToCome ?? [];
      const fresh = stores.filter((store) => !done.has(JSON.stringify(store)));
      if (fresh.length === 0) return;
      for (const store of fresh) {
        done.add(JSON.stringify(store));
        this.explore([store]);
      }
    }
  }

  #visit(): void {
    const { store, system } = this.#executor;
    const state = `${store.lo},${store.hi}`;
    if (this.#seen.has(state)) return;
    if (this.#states === this.#statesMax) {
      this.#full = true;
      return;
    }
    this.#seen.add(state);
    this.#states++;
    if (this.#states % PROGRESS_STATES === 0) this.#onProgress?.(this.#states);
    if (!this.#broken && this.#test.needsBreak !== null)
      this.#broken = breaksRule(this.#test, this.#executor, this.#descriptors);
    this.#note();
    // A step that has to do with no other can be taken at once, and alone.
    for (let processor = 0; processor < system.processors.length; processor++)
      if (standsAlone(this.#executor.operationOf(processor)) && this.#take(processor)) return;
    for (let choice = 0; choice < system.choices.length; choice++) this.#take(choice);
  }

  /** Takes a choice in all its ways; false if it was not enabled. */
  #take(choice: number): boolean {
    const executor = this.#executor;
    const { store } = executor;
    let branches = 1;
    let enabled = false;
    for (let branch = 0; branch < branches && !this.#full; branch++) {
      const { mark, lo, hi } = store;
      const happened = executor.step(choice, branch);
      // Before the visit, which takes other steps.
      branches = Math.max(branches, executor.branchCount);
      if (!happened) continue;
      enabled = true;
      this.#visit();
      store.undo(mark, lo, hi);
    }
    return enabled;
  }

  /** A final state, if it is one: every program has ended, and every store that is in memory has been performed. */
  #note(): void {
    const { words } = this.#executor.store;
    const read = (address: number): number => words[address] as number;
    if (!this.#machine.ended(read)) return;
    const { weak } = this.#executor;
    if (weak?.memory.hasPromises(weak.state) === true) return;
    const final = this.#machine.observe(read);
    if (!counts(this.#test, final)) return;
    const text = textOf(this.#test, final);
    if (!this.#outcomes.has(text)) this.#outcomes.set(text, { text, holds: this.#test.condition.formula.holds(final) });
  }
}

function descriptorsOf({ weak }: System): readonly number[] {
  return weak?.translation?.pages ?? [];
}

/**
 * Whether a descriptor has just been changed while it was in use. A store that is in memory before its turn stands
 * where the one before it will: only when all have been performed does the order of values say what came after what.
 */
function breaksRule(test: LitmusTest, executor: TabulatedExecutor, descriptors: readonly number[]): boolean {
  if (executor.weak?.memory.hasPromises(executor.weak.state) === true) return false;
  return descriptors.some((address) => {
    const values = executor.weak?.memory.valuesOf(executor.weak.state, address) ?? [];
    return values.some((value, i) => i > 0 && test.needsBreak?.(values[i - 1] as number, value) === true);
  });
}

/** An operation that touches no word that anybody else does. */
function standsAlone(op: Operation | null): boolean {
  const footprint = op?.definition.footprint?.(op, 0);
  return footprint !== undefined && footprint.reads.length === 0 && footprint.writes.length === 0;
}

function observationOf(outcomes: readonly Outcome[]): Observation {
  const positive = outcomes.filter(({ holds }) => holds).length;
  if (positive === 0) return 'Never';
  return positive === outcomes.length ? 'Always' : 'Sometimes';
}

/** A final state as herd prints it. */
export function textOf(test: LitmusTest, state: FinalState): string {
  return test.observables.map((observable) => `${nameOf(observable)}${shown(test, observable, state)};`).join(' ');
}

function nameOf({ kind, thread, name }: Observable): string {
  if (kind === 'variable') return `[${name}]`;
  return kind === 'register' ? `${thread}:${name}` : '';
}

function shown(test: LitmusTest, observable: Observable, state: FinalState): string {
  const value = state.valueOf(observable);
  if (observable.kind !== 'fault') return `=${test.show(value)}`;
  return test.showFault(observable.thread, value);
}

/** Whether a test's sentence is true: `exists` of some final state, `~exists` of none, `forall` of all. */
export function agreesWith(quantifier: LitmusTest['condition']['quantifier'], { outcomes }: LitmusResult): boolean {
  if (quantifier === 'forall') return outcomes.every(({ holds }) => holds);
  return outcomes.some(({ holds }) => holds) === (quantifier === 'exists');
}
