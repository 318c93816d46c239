/** The checker in the page: the same packages as the command's, served over comlink. */
import {
  agrees,
  contextSwitches,
  counterexample,
  explained,
  expectedVerdict,
  explore,
  judgeSchedule,
  mutate,
  mutationsNamed,
  resolveScenario,
  survey,
  type Judgement,
  type ResolvedScenario,
  type Scenario,
  type Survey,
} from '@shootdown/explorer';
import {
  MEMORY_MODELS,
  formatSchedule,
  mutated,
  RandomScheduler,
  recordStates,
  recordTrace,
  runScheduler,
  TabulatedExecutor,
  type CodeLine,
  type Mutation,
  type Trace,
} from '@shootdown/machine';
import { placementsOf } from '@shootdown/report';
import { scenarios } from '@shootdown/scenarios';
import { expose } from 'comlink';
import type {
  Beyond,
  Engine,
  JudgedLine,
  Mutated,
  ReadCode,
  ScenarioEntry,
  SystemRequest,
  Verdict,
  Walk,
} from './api.ts';

/** Functions nested deeper than this share the last level of indentation. */
const LEVELS_MAX = 5;
/** Steps of the run that is shown of a system without a counterexample. */
const SAMPLE_STEPS_MAX = 400;
const SAMPLE_SEED = 1;

/** Mutations by the system that they change: to find them, all of it is searched. */
const mutationsOf = new Map<string, Promise<Mutation[]>>();

async function resolved({ mutations: texts, own, ...request }: SystemRequest): Promise<ResolvedScenario> {
  const found = own
    ? await (await import('./own-code.ts')).resolveOwn(own, request)
    : resolveScenario(scenarios, request);
  if (texts.length === 0) return found;
  const key = JSON.stringify([request, own, texts]);
  let named = mutationsOf.get(key);
  if (!named)
    mutationsOf.set(key, (named = mutationsNamed(found.build(), texts, { bounds: { ...found.scenario.bounds } })));
  const mutations = await named;
  return {
    ...found,
    // Nobody has said what is to be expected of it.
    expected: null,
    build: () => mutations.reduce((system, mutation) => mutated(system, mutation).system, found.build()),
  };
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
  };
}

/** Of a system that has no counterexample: one run, so that there is something to look at. */
function sampleOf(request: ResolvedScenario): Walk {
  const executor = new TabulatedExecutor(request.build());
  const { schedule } = runScheduler(executor, new RandomScheduler(SAMPLE_SEED), SAMPLE_STEPS_MAX);
  return walkOf(request, schedule, recordTrace(executor, schedule));
}

/** One survey at a time: it is big, and the panes are about one system. */
let surveyed: { readonly key: string; readonly space: Promise<Survey> } | null = null;

function spaceOf(request: SystemRequest): Promise<Survey> {
  const key = JSON.stringify(request);
  if (surveyed?.key !== key) surveyed = { key, space: resolved(request).then((scenario) => survey(scenario.build())) };
  return surveyed.space;
}

function judgedLine(line: CodeLine, change: string, judgement: Judgement | null): JudgedLine {
  const { routine, step, text, next, unmodelled, isBarrier, processors } = line;
  return { routine, step, change, text, next, unmodelled, isBarrier, processors, judgement };
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
  scenarios: () => scenarios.map(entryOf),

  async explore(request, onProgress): Promise<Verdict> {
    const scenario = await resolved(request);
    const found = await explore(scenario.build(), {
      all: scenario.scenario.all === true,
      bounds: { ...scenario.scenario.bounds },
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
      walk: schedule === null ? sampleOf(scenario) : walkOf(scenario, schedule, counterexample(scenario, found)),
      isCounterexample: schedule !== null,
      replay: `npx shootdown replay ${words.join(' ')} --schedule ${formatSchedule(schedule ?? [])}`,
    };
  },

  async walk(request, schedule): Promise<Walk> {
    const scenario = await resolved(request);
    const executor = new TabulatedExecutor(scenario.build());
    const trace = recordTrace(executor, schedule);
    const problem = judgeSchedule(scenario.build(), schedule);
    const verdict = problem?.kind === 'deadlock' ? 'deadlock' : 'violation';
    return walkOf(scenario, schedule, problem ? explained(executor, trace, { ...problem, verdict }) : trace);
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
    const { unchanged, lines, mutants, seconds } = await mutate(scenario.build(), {
      bounds: { ...scenario.scenario.bounds },
      onJudged: (judged, all, { line, mutation, judgement }) =>
        onJudged(judgedLine(line, mutation.change, judgement), judged, all),
    });
    return {
      verdict: unchanged.verdict,
      property: unchanged.property,
      states: unchanged.states,
      seconds,
      mutants: mutants.length,
      onlyCost: lines.filter(({ onlyCost }) => onlyCost).map((line) => judgedLine(line, '', null)),
    };
  },

  async read(own, target): Promise<ReadCode> {
    const code = await import('./own-code.ts');
    try {
      const found = await code.ownScenarios(own);
      if (found.length === 0 && target) await code.resolveOwn(own, { ...target, memoryModel: 'sc', parameters: {} });
      return { scenarios: found.map(entryOf), mistakes: [] };
    } catch (error) {
      return { scenarios: [], mistakes: code.mistakesIn(error) };
    }
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

expose(answering);
