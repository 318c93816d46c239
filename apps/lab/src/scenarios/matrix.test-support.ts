/** What the tests of every scenario ask: its verdicts with and without reduction, its counterexamples, whether executors agree. */
import { expectedVerdict, explore, resolveScenario, type ExploreResult, type Scenario } from '@shootdown/explorer';
import { LiveExecutor, RandomScheduler, recordTrace, replay, runScheduler, TabulatedExecutor, verifyPoints, type MemoryModel, type System } from '@shootdown/machine';
import { renderTrace } from '@shootdown/report';
import { expect } from 'vitest';
import { visited } from './local-states.test-support.ts';

export const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const SEEDS = 5;
const STEPS_MAX = 300;
/** Counting interleavings takes a second search, which nothing here asks for. */
export const UNCOUNTED = { interleavingsStatesMax: 0 };
/** States of a safe system beyond which its search without reduction is made on `sc` alone, on `tso` by `npm run test:deep`. */
const FULL_STATES_MAX = process.env['SHOOTDOWN_DEEP'] === '1' ? Number.POSITIVE_INFINITY : 10_000;

/** Variant, memory model and expected verdict: a row per test. */
export function rowsOf({ variants }: Scenario): [string, MemoryModel, string | null][] {
  return variants.flatMap((variant) => MODELS.map((model): [string, MemoryModel, string | null] => [variant.name, model, expectedVerdict(variant, model)]));
}

/** Builds a variant. Parameters that are not given have their defaults. */
export type SystemOf = (variant: string, memoryModel?: MemoryModel, parameters?: Readonly<Record<string, number>>) => System;

/** The variants of a scenario, by name. */
export function systemsOf(scenario: Scenario): SystemOf {
  return (variant, memoryModel = 'sc', parameters = {}) => resolveScenario([scenario], { scenario: scenario.name, variant, memoryModel, parameters }).build();
}

/** Searches a variant with reduction: once, however many tests want to know what comes out of it. */
export type Search = (variant: string, memoryModel?: MemoryModel) => Promise<ExploreResult>;

/** The {@link Search} of the systems that `build` makes. */
export function searchOnce(build: SystemOf): Search {
  const results = new Map<string, Promise<ExploreResult>>();
  return (variant, memoryModel = 'sc') => {
    const key = `${variant} ${memoryModel}`;
    const known = results.get(key);
    if (known) return known;
    const result = explore(build(variant, memoryModel), UNCOUNTED);
    results.set(key, result);
    return result;
  };
}

/**
 * Explores with reduction, and checks that doing without changes neither verdict nor property nor the length of the shortest
 * counterexample. A counterexample that is known to be shortest was found by the search without reduction.
 */
export async function bothWays(build: () => System, expected: string | null, search: Promise<ExploreResult> = explore(build(), UNCOUNTED)): Promise<ExploreResult> {
  const reduced = await search;
  expect(reduced.verdict).toBe(expected);
  expect(reduced.complete).toBe(expected === 'safe' || reduced.kind === 'sometimes');
  const system = build();
  if (reduced.shortest || (system.memoryModel === 'tso' && reduced.states > FULL_STATES_MAX)) return reduced;
  const full = await explore(system, { ...UNCOUNTED, reduction: false });
  expect([full.verdict, full.property, full.schedule?.length]).toEqual([reduced.verdict, reduced.property, reduced.schedule?.length]);
  return reduced;
}

/** The shortest counterexample as the command prints it. */
export async function counterexampleOf(system: System, search: Promise<ExploreResult> = explore(system, UNCOUNTED)): Promise<string> {
  const { schedule } = await search;
  return renderTrace('text', recordTrace(new TabulatedExecutor(system), schedule ?? []));
}

/** Random schedules lead real actors and tables through the same states. */
export function expectAgreement(system: System, stepsMax = STEPS_MAX): void {
  const [tabulated, live] = [new TabulatedExecutor(system), new LiveExecutor(system)];
  for (let seed = 0; seed < SEEDS; seed++) {
    const { schedule } = runScheduler(tabulated, new RandomScheduler(seed), stepsMax);
    const fingerprints: string[] = [];
    replay(tabulated, schedule, () => fingerprints.push(tabulated.fingerprint));
    const liveFingerprints: string[] = [];
    replay(live, schedule, () => liveFingerprints.push(live.fingerprint));
    expect(liveFingerprints).toEqual(fingerprints);
  }
  live.stop();
}

/** Every point of a system's routines says all that the future depends on, as far as a search has seen. */
export function expectPoints(system: System): void {
  const executor = visited(system);
  expect(verifyPoints(system.programs, executor.nodes)).toEqual([]);
}
