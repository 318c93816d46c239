/** A scenario by what the user typed: name or module, --variant, --memory-model, --set. */
import {
  changed,
  checkScenario,
  mutationsNamed,
  resolveScenario,
  type KernelRoutines,
  type ResolvedScenario,
  type Scenario,
  type ScenarioRequest,
  type SystemSource,
} from '@shootdown/explorer';
import { ModelError, replaceRoutines, thrown, unknownName, type System } from '@shootdown/machine';
import { UsageError, type Arguments, type Flag } from './arguments.ts';
import { namesC, namesPatch, routinesOfC, type Replacement, type Side } from './c-files.ts';
import { isUserError, oneLine } from './errors.ts';
import { importedModule, moduleUrl } from './modules.ts';
import type { ReplacedSource } from './replaced-source.ts';
import { routinesOfModule, watched, type Watched } from './replacement.ts';

/** Flags of every command that takes routines in place of those that ship. */
export const replaceFlags = {
  replace: { type: 'string', help: 'a .c, .patch or .mjs file: routines to take in place of those of the same name' },
  side: {
    type: 'string',
    values: ['before', 'after'],
    help: 'before or after: which side of a --replace x.patch (explore: default both)',
  },
  tree: { type: 'string', help: 'kernel source, for a --replace x.patch that holds parts of functions' },
} as const satisfies Readonly<Record<string, Flag>>;

/** Flags of every command that takes a scenario. */
export const scenarioFlags = {
  variant: { type: 'string', help: 'which design (see shootdown list)' },
  'memory-model': { type: 'string', values: ['sc', 'tso', 'arm'], help: 'sc, tso or arm' },
  ...replaceFlags,
  set: { type: 'string', multiple: true, help: 'name=value: a parameter of the scenario; may be repeated' },
} as const satisfies Readonly<Record<string, Flag>>;

/** Flag of the commands that take one change of the code. */
export const mutateFlag = {
  mutate: {
    type: 'string',
    multiple: true,
    help: 'routine/step:change: a line changed, as shootdown mutate names it; may be repeated',
  },
} as const satisfies Readonly<Record<string, Flag>>;

/** A scenario as it was asked for. */
export interface RequestedScenario extends ResolvedScenario {
  /** What finds it again: its name if it ships, otherwise the path of its module. */
  readonly typed: string;
  /** What worker threads load. */
  readonly source: SystemSource;
  /** Builds the system of a module of the user's that is loaded anew; undefined: what it is of ships. */
  readonly fresh?: (() => Promise<System>) | undefined;
  /** What was given with `--replace`. */
  readonly replacement: Replacement | null;
  /** The routines that it has. */
  readonly routines: KernelRoutines;
  /** Those of a machine's that nobody has called so far. */
  readonly uncalled?: Watched['uncalled'];
  /** The changes of its code that were asked for, as they were typed. */
  readonly mutations?: readonly string[];
}

/** A request that is complete but for the scenario. */
export interface NamedRequest extends Omit<ScenarioRequest, 'scenario' | 'replace'> {
  readonly replacement?: Replacement | undefined;
}

/** Resolves the scenario. Throws ModelError or UsageError. */
export async function scenarioOf(
  command: string,
  typed: string,
  args: Arguments,
  replacement: Replacement | null = replacementOf(args) ?? null,
): Promise<RequestedScenario> {
  const resolved = await requestedScenario(typed, {
    variant: args.text('variant'),
    memoryModel: args.oneOf('memory-model', ['sc', 'tso', 'arm'] as const),
    parameters: Object.fromEntries(args.texts('set').map((text) => parameter(command, text))),
    replacement: replacement ?? undefined,
  });
  const { length } = resolved.scenario.variants;
  if (args.text('variant') === undefined && length > 1)
    process.stderr.write(`variant ${oneLine(resolved.variant.name)}, one of ${length} (--variant takes another)\n`);
  return resolved;
}

/** What `--replace` and its flags say. Throws UsageError if they do not go together. */
export function replacementOf(
  args: Arguments,
  side: Side | undefined = args.oneOf('side', ['before', 'after'] as const),
): Replacement | undefined {
  const path = args.text('replace');
  if (path === undefined || !namesPatch(path)) args.refuse(['side', 'tree'], 'goes with --replace x.patch');
  return path === undefined ? undefined : { path, side, tree: args.text('tree') };
}

/** Which routines of a file take the place of those of the same name, for people. */
export function replacedLine(replaced: readonly string[], { path, side }: Replacement): string {
  const names = replaced.map((name) => `${name}()`).join(', ') || 'nothing';
  return `replaced: ${names} (${path}${side === undefined ? '' : `, ${side}`})`;
}

/** True if a name is that of a scenario that ships, or of a file that is one. */
export async function namesScenario(typed: string): Promise<boolean> {
  return /\.(c|litmus)$/.test(typed) || MODULE.test(typed) || (await shipped(typed))[0] !== undefined;
}

/** True if both sides of a patch are asked for. */
export function asksForBothSides(args: Arguments): boolean {
  const path = args.text('replace');
  return path !== undefined && namesPatch(path) && args.text('side') === undefined;
}

/**
 * The same for a request that is complete. `typed` ends in `.js` or `.mjs`: the path of a module that exports a
 * scenario.
 * @param again which time its modules are loaded: see {@link importedModule}
 */
export async function requestedScenario(
  typed: string,
  { replacement, ...request }: NamedRequest,
  again = 0,
): Promise<RequestedScenario> {
  const [scenario, module, name] = await found(typed, again);
  const scenarios = scenario ? [scenario] : (await catalogue()).scenarios;
  const resolve = (replace?: KernelRoutines): ResolvedScenario =>
    guarded(typed, () => resolveScenario(scenarios, { ...request, replace, scenario: scenario?.name ?? typed }));
  const shippedVariant = resolve();
  const routines = replacement === undefined ? {} : await routinesOf(replacement, shippedVariant, again);
  const resolved = replacement === undefined ? shippedVariant : resolve(routines);
  const { variant, memoryModel, parameters } = resolved;
  const stand =
    replacement !== undefined && typed.endsWith('.json')
      ? watched(routines, resolved.scenario.name, replacement.path)
      : null;
  const loads = MODULE.test(typed) || (replacement !== undefined && !namesC(replacement.path));
  const same = { variant: variant.name, memoryModel, parameters, replacement };
  const fresh = async (): Promise<System> => (await requestedScenario(typed, same, ++loadings)).buildOnce();
  return {
    ...resolved,
    typed,
    fresh: loads && stand === null ? fresh : undefined,
    replacement: replacement ?? null,
    routines,
    build: () => guarded(typed, () => (stand ? replaceRoutines(resolved.build(), stand.routines) : resolved.build())),
    ...(stand && { uncalled: stand.uncalled }),
    source: sourceOf(module, name, { variant: variant.name, memoryModel, parameters }, typed, replacement),
  };
}

/** How often modules were loaded anew. */
let loadings = 0;

/** The routines of a file, for a variant of a scenario. */
async function routinesOf(
  replacement: Replacement,
  { scenario, variant, parameters }: ResolvedScenario,
  again: number,
): Promise<KernelRoutines> {
  if (!namesC(replacement.path)) return await routinesOfModule(replacement.path, again);
  return await routinesOfC(replacement, { scenario, own: scenario.routines?.(variant) ?? {}, parameters });
}

function sourceOf(
  module: () => string,
  name: string,
  request: SystemSource['request'],
  typed: string,
  replacement: Replacement | undefined,
): SystemSource {
  // A program or test is read, not loaded, in worker threads as well.
  if (replacement === undefined && !/\.(c|litmus|json)$/.test(typed)) {
    // Asked for by who starts a thread: a small search has ended before the module is found.
    return {
      get module() {
        return module();
      },
      export: name,
      request,
    };
  }
  const replaced: ReplacedSource['request'] = { ...request, typed, replacement };
  return { module: new URL('./replaced-source.js', import.meta.url).href, export: 'buildReplaced', request: replaced };
}

/**
 * Files that are read, not loaded, by their ending: worker threads have no module of a test, and a weak memory is
 * searched by one anyway. What reads them is loaded when there is one, so that nobody else waits for it.
 */
const readers = {
  litmus: async (path: string) => await (await import('./litmus-scenario.ts')).litmusScenario(path),
  json: async (path: string) => await (await import('./topology-scenario.ts')).topologyScenario(path),
  c: async (path: string) => await (await import('./litmus-scenario.ts')).programScenario(path),
};

async function found(typed: string, again: number): Promise<Exported> {
  const [, kind = ''] = /\.(litmus|json|c)$/.exec(typed) ?? [];
  if (Object.hasOwn(readers, kind)) return [await readers[kind as keyof typeof readers](typed), () => typed, kind];
  return MODULE.test(typed) ? await exportedBy(typed, again) : await shipped(typed);
}

/** What a scenario throws is a mistake in it. */
function guarded<T>(typed: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (isUserError(error)) throw error;
    throw new ModelError(`scenario: ${typed}: cannot be built (${thrown(error)})`);
  }
}

type Exported = readonly [scenario: Scenario | undefined, module: () => string, name: string];

/** What ships, with the kernel that it runs: a module of the user's loads of it what it needs, and does not wait. */
const catalogue = async () => await import('@shootdown/scenarios/catalogue');

/** Scenarios that ship are exported by their name in camel case. */
async function shipped(name: string): Promise<Exported> {
  const { scenarios, catalogueUrl } = await catalogue();
  const camelCase = name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return [scenarios.find((s) => s.name === name), catalogueUrl, camelCase];
}

/** A module may hold several scenarios: `mine.ts#name` is one of them. */
const MODULE = /^(.*\.[cm]?[jt]sx?)(?:#(.*))?$/s;

/** The scenarios of a module, by the name under which it exports them, or the one that is asked for. */
async function exportedScenarios(
  typed: string,
  again = 0,
): Promise<{ path: string; found: (readonly [string, Scenario])[] }> {
  const [, path = typed, wanted] = MODULE.exec(typed) ?? [];
  const exported = await importedModule('scenario', path, again);
  const all = Object.entries(exported).filter((entry): entry is [string, Scenario] => isScenario(entry[1]));
  if (all.length === 0)
    throw new ModelError(
      `scenario: ${path}: exports no object with name, variants and build() (has: ${Object.keys(exported).join(', ') || 'nothing'})`,
    );
  const found = wanted === undefined ? all : all.filter(([, scenario]) => scenario.name === wanted);
  if (found.length === 0)
    throw new ModelError(
      `scenario: ${path}: no scenario ${unknownName(
        wanted ?? '',
        all.map(([, scenario]) => scenario.name),
      )}`,
    );
  for (const [, scenario] of found) checkScenario(scenario);
  return { path, found };
}

async function exportedBy(typed: string, again: number): Promise<Exported> {
  const { path, found } = await exportedScenarios(typed, again);
  const [[name, scenario] = ['', undefined], ...others] = found;
  if (others.length > 0)
    throw new ModelError(
      `scenario: ${path}: has several scenarios, name one of them (${found.map(([, one]) => `${path}#${one.name}`).join(', ')})`,
    );
  return [scenario, () => moduleUrl(path), name];
}

/** What names one of the scenarios that {@link scenariosNamed} has found. */
export function scenarioTyped(typed: string, scenario: Scenario): string {
  return MODULE.test(typed) && !typed.includes('#') ? `${typed}#${scenario.name}` : typed;
}

/** The scenario of a name, or all that a module has. Throws ModelError. */
export async function scenariosNamed(typed: string): Promise<readonly Scenario[]> {
  if (typed.endsWith('.litmus')) return [await readers.litmus(typed)];
  if (MODULE.test(typed)) return (await exportedScenarios(typed)).found.map(([, scenario]) => scenario);
  const [scenario] = await shipped(typed);
  if (!scenario)
    throw new ModelError(
      `scenario: no scenario ${unknownName(
        typed,
        (await catalogue()).scenarios.map((s) => s.name),
      )}`,
    );
  return [scenario];
}

function isScenario(value: unknown): value is Scenario {
  const { name, variants, build } = (value ?? {}) as Partial<Record<keyof Scenario, unknown>>;
  return (
    typeof name === 'string' &&
    typeof build === 'function' &&
    Array.isArray(variants) &&
    variants.every((v) => typeof (v as { name?: unknown } | null)?.name === 'string')
  );
}

function parameter(command: string, text: string): [string, number] {
  const match = /^([A-Za-z][\w-]*)=(\d+)$/.exec(text);
  if (!match) throw new UsageError(`shootdown ${command}: --set: expected name=whole number (${text})`);
  return [match[1] ?? '', Number(match[2])];
}

/** The same with lines of its code changed, if that is asked for. Throws ModelError. */
export async function withMutations(resolved: RequestedScenario, texts: readonly string[]): Promise<RequestedScenario> {
  if (texts.length === 0) return resolved;
  const mutations = await mutationsNamed(resolved.build(), texts, { bounds: { ...resolved.scenario.bounds } });
  return {
    ...resolved,
    // Nobody has said what is to be expected of it.
    expected: null,
    mutations: texts,
    fresh: undefined,
    build: () => changed(resolved.build(), mutations),
    source: { ...resolved.source, mutations },
  };
}

/** What an answer is about: its first line. */
export function headingOf({ scenario, variant, memoryModel }: RequestedScenario): string {
  return oneLine(`${scenario.name} / ${variant.name} on ${memoryModel}: ${variant.summary}`);
}

/** The part of a command line that names the same system again. */
export function scenarioWords(resolved: RequestedScenario): string {
  const { typed, scenario, variant, memoryModel, parameters, replacement } = resolved;
  const changed = Object.entries(parameters).filter(
    ([name, value]) => variant.parameters?.[name] !== value && scenario.parameters?.[name]?.default !== value,
  );
  const words = [typed, `--variant ${variant.name}`];
  if (memoryModel !== (variant.memoryModel ?? 'sc')) words.push(`--memory-model ${memoryModel}`);
  for (const [name, value] of changed) words.push(`--set ${name}=${value}`);
  if (replacement !== null) {
    words.push(`--replace ${replacement.path}`);
    if (replacement.tree !== undefined) words.push(`--tree ${replacement.tree}`);
    if (replacement.side === 'before') words.push('--side before');
  }
  for (const text of resolved.mutations ?? []) words.push(`--mutate '${text}'`);
  return words.join(' ');
}

/** What a saved schedule says to find a scenario again. */
export function savedScenario(resolved: RequestedScenario) {
  const { typed, variant, memoryModel, parameters, replacement, mutations } = resolved;
  return {
    name: typed,
    variant: variant.name,
    memoryModel,
    parameters: { ...parameters },
    ...(replacement === null ? {} : { replace: replacement }),
    ...(mutations === undefined ? {} : { mutate: [...mutations] }),
  };
}
