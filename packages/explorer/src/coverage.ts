/** What a search has not exercised: steps that never happened, outcomes never taken, choices never enabled. */
import type { MemoryModel, NodeTable, Operation, Ordering, System, TabulatedExecutor } from '@shootdown/machine';

/** The steps of one routine. A step is a local state: the same operation after another history is another step. */
export interface RoutineCoverage {
  readonly routine: string;
  /** Steps that some run reaches. */
  readonly steps: number;
  /** Steps that some run performs. */
  readonly performed: number;
  /** Operations that some run performs, in the order in which they were first reached. */
  readonly operations: readonly string[];
  /** Operations that some run reaches and none performs: always blocked, or cut off by a bound. */
  readonly neverPerformed: readonly string[];
}

/** What was and what was not exercised. Code that no run reaches is not known, and not listed. */
export interface Coverage {
  readonly routines: readonly RoutineCoverage[];
  /** `choose` operations with the outcomes that were never taken. */
  readonly outcomesNeverTaken: readonly {
    readonly routine: string;
    readonly operation: string;
    readonly outcomes: readonly number[];
  }[];
  /** Messages, interrupts and hardware events that never happened; processors that never moved. */
  readonly choicesNeverTaken: readonly string[];
}

/** Operations that stand for an order of which the memory model in force makes nothing. */
export interface Untested {
  readonly operation: string;
  readonly ordering: Ordering;
  /** Places in the source that some run reaches. */
  readonly sites: number;
  readonly routines: readonly string[];
}

/** Something that an operation does in the kernel and not in this model. */
export interface NotModelled {
  readonly what: string;
  /** The lines that would do it. */
  readonly operations: readonly string[];
}

/** What a verdict says nothing about, and what it rests on. */
export interface Scope {
  readonly notTested: readonly Untested[];
  /** What lines that some run reaches do, and the model does not. */
  readonly notModelled: readonly NotModelled[];
  /**
   * Architectures weaker than the memory model whose instructions some run reaches: the order of their plain accesses
   * was not tested.
   */
  readonly weakerArchitectures: readonly string[];
  /**
   * On `arm`: words that everybody sees alike (locks, counts), which one processor loads plainly and another changes by
   * an atomic. That the load may be given an old value is not modelled.
   */
  readonly seenAlike: readonly string[];
  /**
   * On `arm`, of litmus tests and programs in C: stores whose processor loads something as well, as `P0: y`. That a
   * store overtakes an earlier load was not explored; `shootdown litmus` does.
   */
  readonly storesKeptBehindLoads: readonly string[];
  /** Sentences that `assertThat` was asked about in some run. */
  readonly assertionsReached: readonly string[];
  /**
   * Assertions that no run evaluates although it begins the function that they stand in: behind a condition that is
   * never true. Known of modules that the command has loaded.
   */
  readonly assertionsNeverReached: readonly string[];
  /** Tasks and interrupt handlers of which no run performs a step. */
  readonly routinesNeverBegun: readonly string[];
  /** Properties that were never looked at: `finally`, when nothing comes to rest. */
  readonly propertiesNeverEvaluated: readonly string[];
}

/** What each memory model makes nothing of; one that is not listed here takes everything at its word. */
const NO_OPS: Readonly<Partial<Record<MemoryModel, readonly Ordering[]>>> = {
  sc: ['full', 'read', 'write', 'acquire', 'release', 'dependency', 'context'],
  tso: ['read', 'write', 'acquire', 'release', 'dependency', 'context'],
};

/** Reads off what was not tested. @param rested some state was at rest */
export function scopeOf(system: System, { nodes, weak }: TabulatedExecutor, rested: boolean): Scope {
  const noOps = NO_OPS[system.memoryModel] ?? [];
  const untested = new Map<string, { ordering: Ordering; places: Set<string>; routines: Set<string> }>();
  const assertions = new Set<string>();
  const [standing, evaluated] = [new Map<string, string>(), new Set<string>()];
  for (const { kind, name, ordering, place, routine } of nodes.sites.values()) {
    if (kind === 'assertion') assertions.add(name);
    if (kind === 'stands') standing.set(`${name} ${place}`, name);
    if (kind === 'evaluated') evaluated.add(`${name} ${place}`);
    if (ordering === null || !noOps.includes(ordering)) continue;
    const known = untested.get(name) ?? { ordering, places: new Set<string>(), routines: new Set<string>() };
    known.places.add(`${routine} ${place}`);
    known.routines.add(routine);
    untested.set(name, known);
  }
  const architectures = new Set(nodes.operations.map((op) => op?.definition.architecture));
  // Reduction looks at the first operation of every handler, whether or not anything starts it.
  const begun = new Set<number>();
  for (let node = 1; node < nodes.count; node++) {
    const op = nodes.operations[node];
    if (!op || op.definition.rests === true || nodes.edgesOf(node).length > 0) begun.add(nodes.programOf(node));
  }
  return {
    notTested: [...untested]
      .map(([operation, { ordering, places, routines }]) => ({
        operation,
        ordering,
        sites: places.size,
        routines: [...routines].sort(),
      }))
      .sort((a, b) => b.sites - a.sites || (a.operation < b.operation ? -1 : 1)),
    notModelled: notModelledIn(nodes),
    seenAlike: (weak?.loadedWhileChanged ?? []).map((word) => system.layout.nameOf(word)),
    storesKeptBehindLoads: (weak?.memory.storesBesideLoads ?? [])
      .map(({ processor, address }) => `${system.processors[processor]?.name ?? '?'}: ${system.layout.nameOf(address)}`)
      .sort(),
    weakerArchitectures: noOps.length > 0 && architectures.has('arm64') ? ['arm64'] : [],
    assertionsReached: [...assertions].sort(),
    assertionsNeverReached: [
      ...new Set([...standing].filter(([site]) => !evaluated.has(site)).map(([, name]) => name)),
    ].sort(),
    routinesNeverBegun: system.programs.filter((_, index) => !begun.has(index)).map(({ name }) => name),
    propertiesNeverEvaluated: rested ? [] : system.properties.filter((p) => p.kind === 'finally').map((p) => p.name),
  };
}

function notModelledIn(nodes: NodeTable): NotModelled[] {
  const found = new Map<string, Set<string>>();
  for (const op of nodes.operations) {
    const what = op && (op.unmodelled ?? op.definition.unmodelled);
    if (!op || what === undefined || what === null) continue;
    found.set(what, (found.get(what) ?? new Set()).add(op.label ?? op.definition.name));
  }
  return [...found]
    .map(([what, operations]) => ({ what, operations: [...operations].sort() }))
    .sort((a, b) => (a.what < b.what ? -1 : 1));
}

interface Tally {
  steps: number;
  performed: number;
  readonly reached: Set<string>;
  readonly done: Set<string>;
}

/** Reads the coverage off the routine nodes that an executor has discovered. */
export function coverageOf(system: System, executor: TabulatedExecutor, taken: Float64Array): Coverage {
  const { nodes } = executor;
  const tallies = new Map<string, Tally>();
  const outcomesNeverTaken: { routine: string; operation: string; outcomes: number[] }[] = [];
  for (let node = 1; node < nodes.count; node++) {
    const op = nodes.operations[node];
    if (!op || op.definition.rests === true) continue;
    const routine = nodes.stacks[node]?.at(-1) ?? system.programs[nodes.programOf(node)]?.name ?? '?';
    const tally = tallies.get(routine) ?? {
      steps: 0,
      performed: 0,
      reached: new Set<string>(),
      done: new Set<string>(),
    };
    tallies.set(routine, tally);
    const label = op.label ?? op.definition.name;
    const edges = nodes.edgesOf(node);
    tally.steps++;
    tally.reached.add(label);
    if (edges.length === 0) continue;
    tally.performed++;
    tally.done.add(label);
    const outcomes = missingOutcomes(
      op,
      edges.map((edge) => edge.result),
    );
    if (outcomes.length > 0) outcomesNeverTaken.push({ routine, operation: label, outcomes });
  }
  return {
    routines: [...tallies]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([routine, { steps, performed, reached, done }]) => ({
        routine,
        steps,
        performed,
        operations: [...reached].filter((label) => done.has(label)),
        neverPerformed: [...reached].filter((label) => !done.has(label)).sort(),
      })),
    outcomesNeverTaken: outcomesNeverTaken.sort((a, b) =>
      `${a.routine} ${a.operation} ${a.outcomes.join()}` < `${b.routine} ${b.operation} ${b.outcomes.join()}` ? -1 : 1,
    ),
    choicesNeverTaken: system.choices.filter((_, i) => takenByAny(system, taken, i) === 0).map((choice) => choice.name),
  };
}

/** Interchangeable processors stand for one another. */
function takenByAny(system: System, taken: Float64Array, choice: number): number {
  const group = system.symmetric.find((processors) => processors.includes(choice)) ?? [choice];
  return group.reduce((sum, processor) => sum + (taken[processor] ?? 0), 0);
}

/** Outcomes of a `choose` that are missing; other operations do not say beforehand how many they have. */
function missingOutcomes(op: Operation, results: readonly number[]): number[] {
  if (op.definition.name !== 'choose') return [];
  return Array.from({ length: op.a }, (_, outcome) => outcome).filter((outcome) => !results.includes(outcome));
}
