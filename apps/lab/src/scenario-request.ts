/** A scenario by what the user typed: name or module, --variant, --memory-model, --set. */
import {
  mutationsNamed,
  resolveScenario,
  type KernelRoutines,
  type ResolvedScenario,
  type Scenario,
  type ScenarioRequest,
  type SystemSource,
} from '@shootdown/explorer';
import { ModelError, mutated } from '@shootdown/machine';
import { UsageError, type Arguments, type Flag } from './arguments.ts';
import { namesC, routinesOfC } from './c-files.ts';
import { isUserError } from './errors.ts';
import { importedModule, moduleUrl } from './modules.ts';
import type { ReplacedSource } from './replaced-source.ts';
import { routinesOfModule } from './replacement.ts';
import { litmusScenario } from './litmus-scenario.ts';
import { scenarios, scenariosModule } from '@shootdown/scenarios';

/** Flags of every command that takes a scenario. */
export const scenarioFlags = {
  variant: { type: 'string', help: 'which design (see shootdown list)' },
  'memory-model': { type: 'string', help: 'sc, tso or arm' },
  replace: { type: 'string', help: 'file with routines to take in place of those of the same name' },
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
  /** The changes of its code that were asked for, as they were typed. */
  readonly mutations?: readonly string[];
  /** The file given with `--replace`. */
  readonly replacePath: string | null;
}

/** A request that is complete but for the scenario. */
export interface NamedRequest extends Omit<ScenarioRequest, 'scenario' | 'replace'> {
  readonly replacePath?: string | undefined;
}

/** Resolves the scenario. Throws ModelError or UsageError. */
export async function scenarioOf(command: string, typed: string, args: Arguments): Promise<RequestedScenario> {
  return await requestedScenario(typed, {
    variant: args.text('variant'),
    memoryModel: args.oneOf('memory-model', ['sc', 'tso', 'arm'] as const),
    parameters: Object.fromEntries(args.texts('set').map((text) => parameter(command, text))),
    replacePath: args.text('replace'),
  });
}

/** The same for a request that is complete. `typed` ends in `.js` or `.mjs`: the path of a module that exports a scenario. */
export async function requestedScenario(
  typed: string,
  { replacePath, ...request }: NamedRequest,
): Promise<RequestedScenario> {
  const [scenario, module, name] = await found(typed);
  const resolve = (replace?: KernelRoutines): ResolvedScenario =>
    guarded(typed, () =>
      resolveScenario(scenario ? [scenario] : scenarios, { ...request, replace, scenario: scenario?.name ?? typed }),
    );
  const shippedVariant = resolve();
  const resolved = replacePath === undefined ? shippedVariant : resolve(await routinesOf(replacePath, shippedVariant));
  const { variant, memoryModel, parameters } = resolved;
  return {
    ...resolved,
    typed,
    replacePath: replacePath ?? null,
    build: () => guarded(typed, () => resolved.build()),
    source: sourceOf(module, name, { variant: variant.name, memoryModel, parameters }, typed, replacePath),
  };
}

/** The routines of a file, for a variant of a scenario. */
async function routinesOf(path: string, { scenario, variant, parameters }: ResolvedScenario): Promise<KernelRoutines> {
  if (!namesC(path)) return await routinesOfModule(path);
  return await routinesOfC(path, { scenario, own: scenario.routines?.(variant) ?? {}, parameters });
}

function sourceOf(
  module: string,
  name: string,
  request: SystemSource['request'],
  typed: string,
  replacePath: string | undefined,
): SystemSource {
  if (replacePath === undefined) return { module, export: name, request };
  const replaced: ReplacedSource['request'] = { ...request, typed, replacePath };
  return { module: new URL('./replaced-source.js', import.meta.url).href, export: 'buildReplaced', request: replaced };
}

async function found(typed: string): Promise<Exported> {
  // A test is read, not loaded: worker threads have no module of it, and a weak memory is searched by one anyway.
  if (typed.endsWith('.litmus')) return [await litmusScenario(typed), typed, 'litmus'];
  return /\.[cm]?[jt]sx?$/.test(typed) ? await exportedBy(typed) : shipped(typed);
}

/** What a scenario throws is a mistake in it. */
function guarded<T>(typed: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (isUserError(error)) throw error;
    throw new ModelError(`scenario: ${typed}: cannot be built (${String(error)})`);
  }
}

type Exported = readonly [scenario: Scenario | undefined, module: string, name: string];

/** Scenarios that ship are exported by their name in camel case. */
function shipped(name: string): Exported {
  const camelCase = name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return [scenarios.find((s) => s.name === name), scenariosModule, camelCase];
}

async function exportedBy(path: string): Promise<Exported> {
  const exported = await importedModule('scenario', path);
  const found = Object.entries(exported).find(([, value]) => isScenario(value));
  if (!found)
    throw new ModelError(
      `scenario: ${path}: exports no object with name, variants and build() (has: ${Object.keys(exported).join(', ') || 'nothing'})`,
    );
  return [found[1] as Scenario, moduleUrl(path), found[0]];
}

function isScenario(value: unknown): value is Scenario {
  const { name, variants, build } = (value ?? {}) as Partial<Record<keyof Scenario, unknown>>;
  return (
    typeof name === 'string' &&
    typeof build === 'function' &&
    Array.isArray(variants) &&
    variants.every((v) => typeof (v as { name?: unknown }).name === 'string')
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
    build: () => mutations.reduce((system, mutation) => mutated(system, mutation).system, resolved.build()),
    source: { ...resolved.source, mutations },
  };
}

/** The part of a command line that names the same system again. */
export function scenarioWords(resolved: RequestedScenario): string {
  const { typed, scenario, variant, memoryModel, parameters, replacePath } = resolved;
  const changed = Object.entries(parameters).filter(
    ([name, value]) => variant.parameters?.[name] !== value && scenario.parameters?.[name]?.default !== value,
  );
  const words = [typed, `--variant ${variant.name}`];
  if (memoryModel !== (variant.memoryModel ?? 'sc')) words.push(`--memory-model ${memoryModel}`);
  for (const [name, value] of changed) words.push(`--set ${name}=${value}`);
  if (replacePath !== null) words.push(`--replace ${replacePath}`);
  for (const text of resolved.mutations ?? []) words.push(`--mutate '${text}'`);
  return words.join(' ');
}
