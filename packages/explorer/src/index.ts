export * from './scenario.ts';
export * from './result.ts';
export { explore } from './explore.ts';
export type { Coverage, RoutineCoverage } from './coverage.ts';
export { contextSwitches, tidySchedule } from './counterexample.ts';
export { fuzz, type FuzzOptions, type FuzzResult } from './fuzz.ts';
export { counterexample, explained } from './explained.ts';
export { judgeSchedule } from './replay.ts';
export { survey, waysOut, type Survey, type WayOut, type WaysOut, type WaysOutOptions } from './ways-out.ts';
export { collisionOdds } from './storage.ts';
export { nearestName, unknownName } from './unknown-name.ts';
export { mutate } from './mutants/mutate.ts';
export { linesOf, mutationNamed } from './mutants/lines.ts';
export type {
  JudgedMutant,
  Judgement,
  Mutant,
  MutantResult,
  MutateOptions,
  MutateResult,
} from './mutants/mutant.ts';
