/** What comes after a verdict: the space around it, and its code with lines changed. Loaded when asked for. */
import {
  changed,
  explained,
  judgeSchedule,
  mutate,
  mutationsNamed,
  survey,
  type Judgement,
  type ResolvedScenario,
  type Survey,
} from '@shootdown/explorer';
import {
  RandomScheduler,
  recordTrace,
  runScheduler,
  TabulatedExecutor,
  type CodeLine,
  type Mutation,
  type Trace,
} from '@shootdown/machine';
import type { JudgedLine, Mutated } from './api.ts';
import { boundsInPage } from './bounds.ts';

/** Mutations by the system that they change: to find them, all of it is searched. */
const mutationsOf = new Map<string, Promise<Mutation[]>>();

/** A system with lines of its code changed. Throws ModelError if a text names none. */
export async function withMutations(
  key: string,
  found: ResolvedScenario,
  texts: readonly string[],
): Promise<ResolvedScenario> {
  let named = mutationsOf.get(key);
  if (!named) mutationsOf.set(key, (named = mutationsNamed(found.build(), texts, { bounds: boundsInPage(found) })));
  const mutations = await named;
  return {
    ...found,
    // Nobody has said what is to be expected of it.
    expected: null,
    build: () => changed(found.build(), mutations),
  };
}

/** One survey at a time: it is big, and the panes are about one system. */
let surveyed: { readonly key: string; readonly space: Promise<Survey> } | null = null;

/** The space of a system. */
export function spaceOf(key: string, scenario: ResolvedScenario): Promise<Survey> {
  if (surveyed?.key !== key) surveyed = { key, space: survey(scenario.build()) };
  return surveyed.space;
}

/** Changes every line in turn. */
export async function mutateLines(
  scenario: ResolvedScenario,
  onJudged: (line: JudgedLine, judged: number, all: number) => void,
): Promise<Mutated> {
  const { unchanged, lines, mutants, seconds } = await mutate(scenario.build(), {
    bounds: boundsInPage(scenario),
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
}

function judgedLine(line: CodeLine, change: string, judgement: Judgement | null): JudgedLine {
  const { routine, step, text, next, unmodelled, isBarrier, processors } = line;
  return { routine, step, change, text, next, unmodelled, isBarrier, processors, judgement };
}

/** Steps of the run that is shown of a system without a counterexample. */
const SAMPLE_STEPS_MAX = 400;
const SAMPLE_SEED = 1;

/** One run of a system, by chance. */
export function sampleRun(scenario: ResolvedScenario): { readonly schedule: readonly number[]; readonly trace: Trace } {
  const executor = new TabulatedExecutor(scenario.build());
  const { schedule } = runScheduler(executor, new RandomScheduler(SAMPLE_SEED), SAMPLE_STEPS_MAX);
  return { schedule, trace: recordTrace(executor, schedule) };
}

/** The trace of a schedule, with what is wrong where it ends. */
export function judgedTrace(scenario: ResolvedScenario, schedule: readonly number[]): Trace {
  const executor = new TabulatedExecutor(scenario.build());
  const trace = recordTrace(executor, schedule);
  const problem = judgeSchedule(scenario.build(), schedule);
  const verdict = problem?.kind === 'deadlock' ? 'deadlock' : 'violation';
  return problem ? explained(executor, trace, { ...problem, verdict }) : trace;
}
