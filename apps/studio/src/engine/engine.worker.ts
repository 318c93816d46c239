/** The checker in the page: the same packages as the command's, served over comlink. */
import {
  agrees,
  contextSwitches,
  counterexample,
  expectedVerdict,
  explore,
  resolveScenario,
  type ResolvedScenario,
  type Scenario,
  type Survey,
} from '@shootdown/explorer';
import { MEMORY_MODELS, formatSchedule, recordStates, TabulatedExecutor, type Trace } from '@shootdown/machine';
import { placementsOf } from '@shootdown/report';
import { expose } from 'comlink';
import { boundsInPage } from './bounds.ts';
import { allScenarios, shippedScenarios } from './shipped.ts';
import { loadWeakMemory } from './weak-memory.ts';
import type { Beyond, Engine, Mutated, ReadCode, ScenarioEntry, SystemRequest, Verdict, Walk } from './api.ts';

/** Functions nested deeper than this share the last level of indentation. */
const LEVELS_MAX = 5;

async function resolved({ mutations: texts, own, ...request }: SystemRequest): Promise<ResolvedScenario> {
  if (request.memoryModel === 'arm' || own) await loadWeakMemory();
  const found = own
    ? await (await import('./own-code.ts')).resolveOwn(own, request)
    : resolveScenario(await shippedScenarios(request.scenario), request);
  if (texts.length === 0) return found;
  const key = JSON.stringify([request, own, texts]);
  return await (await import('./deeper.ts')).withMutations(key, found, texts);
}

function walkOf(request: ResolvedScenario, schedule: readonly number[], trace: Trace): Walk {
  const system = request.build();
  return {
    schedule,
    trace,
    states: recordStates(new TabulatedExecutor(system), schedule),
    placements: placementsOf(trace, LEVELS_MAX).map(({ level, heading }) => ({
      level,
      heading: heading?.text ?? null,
    })),
    contextSwitches: contextSwitches(system, schedule),
    tracks: request.scenario.tracks ?? [],
  };
}

/** Of a system that has no counterexample: one run, so that there is something to look at. */
async function sampleOf(request: ResolvedScenario): Promise<Walk> {
  const { schedule, trace } = (await import('./deeper.ts')).sampleRun(request);
  return walkOf(request, schedule, trace);
}

async function spaceOf(request: SystemRequest): Promise<Survey> {
  const [deeper, scenario] = await Promise.all([import('./deeper.ts'), resolved(request)]);
  return await deeper.spaceOf(JSON.stringify(request), scenario);
}

function entryOf({ name, title, seed, parameters, variants, ...rest }: Scenario): ScenarioEntry {
  return {
    name,
    title,
    seed: seed ?? null,
    parameters: parameters ?? {},
    variants: variants.map((v) => ({
      name: v.name,
      expected: v.expected,
      source: v.source,
      summary: v.summary,
      memoryModel: v.memoryModel ?? 'sc',
      memoryModels: MEMORY_MODELS.filter((model) => model !== 'arm' || expectedVerdict(v, model) !== null),
    })),
    offersC: 'c' in rest,
  };
}

const engine: Engine = {
  async scenarios() {
    return (await allScenarios()).map(entryOf);
  },

  async explore(request, onProgress): Promise<Verdict> {
    const scenario = await resolved(request);
    const found = await explore(scenario.build(), {
      all: scenario.scenario.all === true,
      bounds: boundsInPage(scenario),
      onProgress,
    });
    const { schedule, coverage: _, ...result } = found;
    const words = [request.scenario, `--variant ${request.variant}`];
    if (request.memoryModel !== (scenario.variant.memoryModel ?? 'sc'))
      words.push(`--memory-model ${request.memoryModel}`);
    for (const [name, value] of Object.entries(request.parameters)) words.push(`--set ${name}=${value}`);
    for (const mutation of request.mutations) words.push(`--mutate '${mutation}'`);
    return {
      result,
      expected: scenario.expected,
      agrees: agrees(scenario.expected, found.verdict),
      source: scenario.variant.source,
      summary: scenario.variant.summary,
      walk: schedule === null ? await sampleOf(scenario) : walkOf(scenario, schedule, counterexample(scenario, found)),
      isCounterexample: schedule !== null,
      replay: `npx shootdown replay ${words.join(' ')} --schedule ${formatSchedule(schedule ?? [])}`,
    };
  },

  async walk(request, schedule): Promise<Walk> {
    const scenario = await resolved(request);
    return walkOf(scenario, schedule, (await import('./deeper.ts')).judgedTrace(scenario, schedule));
  },

  async beyond(request, schedule): Promise<Beyond> {
    const space = await spaceOf(request);
    return {
      complete: space.complete,
      states: space.states,
      byDepth: space.byDepth,
      steps: space.along(schedule),
    };
  },

  async onwards(request, schedule): Promise<Walk | null> {
    const way = (await spaceOf(request)).onwards(schedule);
    return way && (await engine.walk(request, [...schedule, ...way]));
  },

  async mutate(request, onJudged): Promise<Mutated> {
    const scenario = await resolved(request);
    return await (await import('./deeper.ts')).mutateLines(scenario, onJudged);
  },

  async read(own, target): Promise<ReadCode> {
    const [code] = await Promise.all([import('./own-code.ts'), loadWeakMemory()]);
    try {
      const found = await code.ownScenarios(own);
      if (found.length === 0 && target) await code.resolveOwn(own, { ...target, memoryModel: 'sc', parameters: {} });
      return { scenarios: found.map(entryOf), mistakes: [] };
    } catch (error) {
      return { scenarios: [], mistakes: code.mistakesIn(error) };
    }
  },

  async texts(address) {
    return await (await import('./texts.ts')).textsFrom(address);
  },

  async gallery() {
    return await (await import('./gallery.ts')).galleryEntries();
  },

  async galleryText(group, name) {
    return await (await import('./gallery.ts')).galleryText(group, name);
  },

  async machines() {
    return (await import('./machines.ts')).machineEntries();
  },

  async run(name, text, onProgress) {
    await loadWeakMemory();
    return (await import('./machines.ts')).runMachineOf(name, text, onProgress);
  },
};

/** Errors of the reader's own code say at which line they arose. */
const answering = Object.fromEntries(
  Object.entries(engine).map(([name, answer]: [string, (...args: never[]) => unknown]) => [
    name,
    async (...args: never[]): Promise<unknown> => {
      try {
        return await answer(...args);
      } catch (error) {
        const [about] = args as readonly unknown[];
        const isOwn = typeof about === 'object' && about !== null && 'own' in about && about.own !== null;
        throw isOwn ? (await import('./own-code.ts')).oneLine(error) : error;
      }
    },
  ]),
);

/** In a sandbox, the page is at the other end of a port. */
const { shootdownPort } = globalThis as { readonly shootdownPort?: MessagePort };

if (shootdownPort) expose(answering, shootdownPort);
else expose(answering);
