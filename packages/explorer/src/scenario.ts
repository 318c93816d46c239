/**
 * A scenario: the unit that users read, run and copy. Topology, routines, properties and variants in one object.
 *
 * A variant is one design out of the space that is compared: a kernel version, a proposed patch, a mutant. It says what
 * verdict is expected and where that expectation comes from; nothing but {@link agrees} ever looks at the expectation.
 */
import {
  checkName,
  checkNearMisses,
  checkOptions,
  checkWord,
  keysOf,
  MEMORY_MODELS,
  ModelError,
  printable,
  refuseStrays,
  replaceRoutines,
  type MemoryModel,
  type Routine,
  type System,
} from '@shootdown/machine';
import { rememberBuild } from './anew.ts';
import { checkSystem } from './checked-system.ts';
import { differenceBetween, UNSTEADY } from './verify.ts';
import { checkRoutineNames, routineNames } from './routine-names.ts';
import { unknownName } from './unknown-name.ts';
import type { Bounds, Verdict } from './result.ts';

/** A verdict that somebody expects, before the search is run. */
export type ExpectedVerdict = 'safe' | 'violation' | 'deadlock';

/** A number that shapes the system: `--set n=2`. */
export interface Parameter {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** One line: what it counts. */
  readonly meaning: string;
}

/** One design of the space a scenario compares. */
export interface Variant {
  readonly name: string;
  /**
   * One verdict per memory model; or one in a word, for `sc` and `tso`, or for `arm` if that is the `memoryModel` of
   * the variant.
   */
  readonly expected: ExpectedVerdict | Readonly<Partial<Record<MemoryModel, ExpectedVerdict>>>;
  /**
   * Verdicts on further memory models, on which it is explored only when asked. What `expected` says in one word holds
   * for `sc` and `tso`: a weaker model needs a verdict of its own.
   */
  readonly expectedOn?: Readonly<Partial<Record<MemoryModel, ExpectedVerdict>>>;
  /** Where the expectation comes from: a commit, a mail, a paper; or `derived` with the reasoning in one line. */
  readonly source: string;
  /** One line: what is different in this variant. */
  readonly summary: string;
  /** Memory model it is explored on unless another is asked for. Default `sc`. */
  readonly memoryModel?: MemoryModel;
  /** Parameters that this variant stands for; `--set` may not contradict them. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** Routines that this design has in place of those of the same name: it is the kernel with a patch. */
  readonly replace?: KernelRoutines;
}

/** Routines by their kernel identifier, whatever their arguments. */
export type KernelRoutines = Readonly<Record<string, Routine<never[]>>>;

/** What a scenario is asked to build: one of its own variants `V`, with a value for each of its parameters `P`. */
export interface BuildRequest<V extends Variant = Variant, P extends string = string> {
  /** {@link resolveScenario} hands it over without what is expected of it. */
  readonly variant: V;
  readonly memoryModel: MemoryModel;
  readonly parameters: Readonly<Record<P, number>>;
  /**
   * Routines that stand in for those of the same name: a patch. Same arguments, same result. {@link resolveScenario}
   * sees to it.
   */
  readonly replace?: KernelRoutines | undefined;
}

/**
 * A scenario of variants `V` with parameters `P`. `build` must give the same system for the same request, in any
 * process.
 */
export interface Scenario<V extends Variant = Variant, P extends string = string> {
  /** What the command line calls it: `ptdump-vmalloc`. */
  readonly name: string;
  readonly title: string;
  /** The question it belongs to, of those that ship: S1, S2, ... */
  readonly seed?: `S${number}`;
  readonly parameters?: Readonly<Record<P, Parameter>>;
  readonly variants: readonly V[];
  /**
   * A method, so that a list may hold scenarios of different variants: {@link resolveScenario} gives each of them its
   * own.
   */
  build(request: BuildRequest<V, P>): System;
  /**
   * The kernel routines of a variant, by kernel identifier: `build` takes those of `request.replace` in their place.
   * Left out, nothing can be replaced.
   */
  routines?(variant: V): KernelRoutines;
  /**
   * Kernel identifiers of other routines that may be replaced, whether or not it comes to call them: names of routines
   * that there are. Left out: those that it calls under random schedules.
   */
  readonly routineNames?: readonly string[];
  /** Whose costs a run of it in virtual time has: `run SCENARIO`. Default x86-64. */
  readonly architecture?: 'x86-64' | 'arm64';
  /** Bounds in force unless others are asked for. */
  readonly bounds?: Bounds;
  /** Go on past violations and count them, as `--all` does: for systems whose state counts are known. */
  readonly all?: boolean;
  /**
   * Words that tell its story, in the order in which a timeline draws them: each stands for all words whose names, as
   * traces print them, begin with it. Left out: page-table entries, TLBs, flushes and locks, as far as they change.
   */
  readonly tracks?: readonly string[];
}

/** What a user asks for; everything but the scenario's name may be left out. */
export interface ScenarioRequest {
  readonly scenario: string;
  readonly variant?: string | undefined;
  readonly memoryModel?: MemoryModel | undefined;
  readonly parameters?: Readonly<Record<string, number>> | undefined;
  readonly replace?: KernelRoutines | undefined;
}

/** A request with every blank filled in. */
export interface ResolvedScenario<V extends Variant = Variant> {
  readonly scenario: Scenario<V>;
  readonly variant: V;
  readonly memoryModel: MemoryModel;
  readonly parameters: Readonly<Record<string, number>>;
  /** The expected verdict on this memory model; null if the variant names none. */
  readonly expected: ExpectedVerdict | null;
  /** Kernel identifiers of the routines that were replaced. */
  readonly replaced: readonly string[];
  /** Builds the system once, and does not run it: see `fresh` of {@link ExploreOptions}. */
  buildOnce(): System;
  /** Builds the system. */
  build(): System;
}

const EXPECTED: readonly ExpectedVerdict[] = ['safe', 'violation', 'deadlock'];
/** What a scenario has by itself; who makes one may add to it. */
export const SCENARIO_KEYS = keysOf<Scenario>()(
  'name',
  'title',
  'seed',
  'parameters',
  'variants',
  'build',
  'routines',
  'routineNames',
  'architecture',
  'bounds',
  'all',
  'tracks',
);
const VARIANT_KEYS = keysOf<Variant>()(
  'name',
  'expected',
  'expectedOn',
  'source',
  'summary',
  'memoryModel',
  'parameters',
  'replace',
);
const PARAMETER_KEYS = keysOf<Parameter>()('default', 'min', 'max', 'meaning');

/**
 * Finds scenario and variant and fills in the parameters. Without a variant, it is the first whose parameters agree
 * with those given. Throws ModelError (one line, with what is available) on anything unknown, out of range or
 * contradictory.
 */
export function resolveScenario<V extends Variant>(
  scenarios: readonly Scenario<V>[],
  request: ScenarioRequest,
): ResolvedScenario<V> {
  const scenario = scenarios.find((s) => s.name === request.scenario);
  if (!scenario)
    throw unknown(
      'scenario',
      request.scenario,
      scenarios.map((s) => s.name),
    );
  checkScenario(scenario);
  const given = request.parameters ?? {};
  checkParameters(scenario, given);
  const variant = findVariant(scenario, request.variant, given);
  const memoryModel = request.memoryModel ?? variant.memoryModel ?? 'sc';
  if (!MEMORY_MODELS.includes(memoryModel)) throw unknown('memory model', memoryModel, MEMORY_MODELS);
  const defaults = Object.entries(scenario.parameters ?? {}).map(([name, parameter]) => [name, parameter.default]);
  const parameters = { ...Object.fromEntries(defaults), ...variant.parameters, ...given } as Record<string, number>;
  const { replace } = request;
  // What is expected of a variant is no business of its machine.
  const { expected: _, ...built } = variant;
  const build = (own?: KernelRoutines): System => {
    const all = { ...variant.replace, ...own };
    const system = scenario.build({ variant: built as V, memoryModel, parameters, replace: own });
    return Object.keys(all).length > 0 ? replaceRoutines(system, all) : system;
  };
  const bare = (): System => scenario.build({ variant: built as V, memoryModel, parameters, replace: undefined });
  checkRoutineNames(`scenario: ${scenario.name}`, scenario, { ...variant.replace, ...replace }, bare);
  checkReplaces(scenario, variant, () => routineNames(bare()));
  if (replace)
    checkReplaceable(scenario, variant, Object.keys(replace), () => scenario.routineNames ?? routineNames(build()));
  return {
    scenario,
    variant,
    memoryModel,
    parameters,
    // What is expected of a variant says nothing about a patch of it.
    expected: replace ? null : expectedVerdict(variant, memoryModel),
    replaced: Object.keys(replace ?? {}),
    buildOnce: () => build(replace),
    build: builder(`scenario: ${scenario.name}: build`, () => build(replace)),
  };
}

/**
 * Builds a system, the first time twice: a search replays, and workers build their own. Throws ModelError if the two
 * differ.
 */
function builder(where: string, build: () => System): () => System {
  const built = (): System => {
    const system = build();
    checkSystem(where, system);
    refuseStrays(where);
    rememberBuild(system, built);
    return system;
  };
  let compared = false;
  return () => {
    const system = built();
    if (compared) return system;
    compared = true;
    const difference = differenceBetween(system, built());
    if (difference !== null) throw new ModelError(`${where}: not deterministic: ${difference} ${UNSTEADY}`);
    return system;
  };
}

/** Variants whose routines take the place of others that are there. */
const replacing = new WeakSet<object>();

/** Throws ModelError if a variant replaces what the machine has not: it would be the machine without the patch. */
function checkReplaces<V extends Variant>(scenario: Scenario<V>, variant: V, called: () => readonly string[]): void {
  const names = Object.keys(variant.replace ?? {});
  if (names.length === 0 || replacing.has(variant)) return;
  checkReplaceable(scenario, variant, names, () => scenario.routineNames ?? called());
  replacing.add(variant);
}

function checkTracks(where: string, tracks: unknown): void {
  if (tracks === undefined) return;
  const isOne = (track: unknown): boolean => typeof track === 'string' && track !== '';
  if (!Array.isArray(tracks) || !tracks.every(isOne))
    throw new ModelError(`${where}: tracks: expected a list of beginnings of names of words (${printable(tracks)})`);
}

/** Scenarios without mistakes: they are resolved again and again, a variant at a time. */
const checked = new WeakSet<object>();

/** Throws ModelError on names of options that mean nothing, and on words that are none. */
export function checkScenario<V extends Variant>(scenario: Scenario<V>): void {
  if (checked.has(scenario)) return;
  const where = `scenario: ${scenario.name}`;
  checkNearMisses(where, scenario, SCENARIO_KEYS);
  for (const [name, parameter] of Object.entries(scenario.parameters ?? {}))
    checkOptions(`${where}: parameter ${name}`, parameter, PARAMETER_KEYS, ['default', 'min', 'max']);
  checkTracks(where, scenario.tracks);
  const names = new Set<string>();
  for (const variant of scenario.variants) {
    checkName(`${where}: variant`, variant.name);
    if (names.has(variant.name)) throw new ModelError(`${where}: two variants are called ${variant.name}`);
    names.add(variant.name);
    const at = `${where}: variant ${variant.name}`;
    checkNearMisses(at, variant, VARIANT_KEYS);
    if (variant.memoryModel !== undefined) checkWord(`${at}: memoryModel`, variant.memoryModel, MEMORY_MODELS);
    const { expected, expectedOn }: { readonly expected: unknown; readonly expectedOn?: unknown } = variant;
    if (typeof expected !== 'object' || expected === null) checkWord(`${at}: expected`, expected, EXPECTED);
    else checkVerdicts(`${at}: expected`, expected);
    if (expectedOn !== undefined) checkVerdicts(`${at}: expectedOn`, expectedOn as object);
    checkParameters(scenario, variant.parameters ?? {}, `${scenario.name} / ${variant.name}`);
  }
  checked.add(scenario);
}

/** Verdicts by memory model. */
function checkVerdicts(where: string, verdicts: object): void {
  checkOptions(where, verdicts, MEMORY_MODELS);
  for (const [model, verdict] of Object.entries(verdicts))
    if (verdict !== undefined) checkWord(`${where}: ${model}`, verdict, EXPECTED);
}

/** What a variant is expected to give on a memory model; null if it says nothing about that one. */
export function expectedVerdict(variant: Variant, memoryModel: MemoryModel): ExpectedVerdict | null {
  const { expected, expectedOn } = variant;
  const own = expectedOn?.[memoryModel];
  if (own !== undefined) return own;
  if (typeof expected === 'string')
    return (memoryModel === 'arm') === (variant.memoryModel === 'arm') ? expected : null;
  return expected[memoryModel] ?? null;
}

/** Whether the verdict found is the one expected; null if nothing was expected or the search was cut short. */
export function agrees(expected: ExpectedVerdict | null, found: Verdict): boolean | null {
  return expected === null || found === 'bounded' ? null : expected === found;
}

/**
 * Throws ModelError on a routine that this variant has not, with what it has.
 * @param others names of routines that the scenario does not list
 */
export function checkReplaceable<V extends Variant>(
  scenario: Scenario<V>,
  variant: V,
  names: readonly string[],
  others: () => readonly string[] = () => [],
): void {
  const listed = Object.keys(scenario.routines?.(variant) ?? {});
  const known = names.every((name) => listed.includes(name)) ? listed : [...new Set([...listed, ...others()])];
  if (known.length === 0)
    throw new ModelError(
      `scenario: ${scenario.name}: has no routine that can be replaced (given: ${names.join(', ')})`,
    );
  for (const name of names) {
    if (!known.includes(name)) throw unknown(`routine of ${scenario.name} / ${variant.name}`, name, known);
  }
}

function findVariant<V extends Variant>(
  scenario: Scenario<V>,
  name: string | undefined,
  given: Readonly<Record<string, number>>,
): V {
  const names = scenario.variants.map((v) => v.name);
  if (names.length === 0)
    throw new ModelError(`scenario: ${scenario.name}: variants: the list is empty: a scenario has one at least`);
  if (name === undefined) {
    const variant = scenario.variants.find((v) => contradiction(v, given) === undefined);
    if (!variant)
      throw new ModelError(
        `scenario: ${scenario.name}: no variant agrees with these parameters (have: ${names.join(', ')})`,
      );
    return variant;
  }
  const variant = scenario.variants.find((v) => v.name === name);
  if (!variant) throw unknown(`variant of ${scenario.name}`, name, names);
  const parameter = contradiction(variant, given);
  if (parameter !== undefined) {
    throw new ModelError(
      `scenario: ${scenario.name}: variant ${name} means ${parameter}=${variant.parameters?.[parameter] ?? '?'} (given: ${given[parameter] ?? '?'})`,
    );
  }
  return variant;
}

function contradiction(variant: Variant, given: Readonly<Record<string, number>>): string | undefined {
  return Object.entries(variant.parameters ?? {}).find(
    ([name, value]) => given[name] !== undefined && given[name] !== value,
  )?.[0];
}

function checkParameters(scenario: Scenario, given: Readonly<Record<string, number>>, of = scenario.name): void {
  const known = scenario.parameters ?? {};
  for (const [name, value] of Object.entries(given)) {
    const parameter = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!parameter) throw unknown(`parameter of ${of}`, name, Object.keys(known));
    if (!Number.isInteger(value) || value < parameter.min || value > parameter.max) {
      throw new ModelError(
        `scenario: ${of}: ${name} must be ${parameter.min} to ${parameter.max} (given: ${value}): ${parameter.meaning}`,
      );
    }
  }
}

function unknown(kind: string, name: string, available: readonly string[]): ModelError {
  return new ModelError(`scenario: resolve: no ${kind} ${unknownName(name, available)}`);
}
