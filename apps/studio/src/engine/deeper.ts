/** What comes after a verdict: the space around it, and its code with lines changed. Loaded when asked for. */
import {
  mutate,
  mutationsNamed,
  survey,
  type Judgement,
  type ResolvedScenario,
  type Survey,
} from '@shootdown/explorer';
import { mutated, type CodeLine, type Mutation } from '@shootdown/machine';
import type { JudgedLine, Mutated } from './api.ts';

/** Mutations by the system that they change: to find them, all of it is searched. */
const mutationsOf = new Map<string, Promise<Mutation[]>>();

/** A system with lines of its code changed. Throws ModelError if a text names none. */
export async function withMutations(
  key: string,
  found: ResolvedScenario,
  texts: readonly string[],
): Promise<ResolvedScenario> {
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
}

function judgedLine(line: CodeLine, change: string, judgement: Judgement | null): JudgedLine {
  const { routine, step, text, next, unmodelled, isBarrier, processors } = line;
  return { routine, step, change, text, next, unmodelled, isBarrier, processors, judgement };
}
