/**
 * What the tests of every scenario ask: its verdicts with and without reduction, its counterexamples and whether they
 * show what they are said to, whether executors agree.
 */
import { fileURLToPath } from 'node:url';
import {
  counterexample,
  expectedVerdict,
  explore,
  judgeSchedule,
  resolveScenario,
  takeAsVerified,
  type ExpectedVerdict,
  type ExploreResult,
  type ResolvedScenario,
  type Scenario,
} from '@shootdown/explorer';
import {
  LiveExecutor,
  RandomScheduler,
  replay,
  runScheduler,
  TabulatedExecutor,
  verifyPoints,
  type MemoryModel,
  type System,
} from '@shootdown/machine';
import { renderTrace } from '@shootdown/report';
import { describe, expect, it } from 'vitest';
import { visited } from './local-states.test-support.ts';

export const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
/** `npm run test:deep`. */
export const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const SEEDS = 5;
const STEPS_MAX = 300;
/** Counting interleavings takes a second search, which nothing here asks for. */
export const UNCOUNTED = { interleavingsStatesMax: 0 };
/** States of a system beyond which its search without reduction is left to `npm run test:deep`. */
const FULL_STATES_MAX = DEEP ? Number.POSITIVE_INFINITY : 2_500;
/**
 * States of a variant on its own memory model beyond which another one, on which the same is expected, is left to
 * `npm run test:deep`.
 */
const OTHER_MODEL_STATES_MAX = DEEP ? Number.POSITIVE_INFINITY : 2_500;
/** Operations that are run again to check the points of one variant. `npm run test:deep`: all of them. */
const POINT_OPERATIONS_MAX = DEEP ? Number.POSITIVE_INFINITY : 8_000;
/** States to visit of a variant whose points are checked. */
const POINT_STATES_MAX = DEEP ? 10_000 : 1_000;

/** What the tests of one scenario ask besides its verdicts and its points. */
export interface ScenarioTests {
  /** What every variant that is expected to violate something violates, if that is the same for all. */
  readonly violates?: string | ((variant: string) => string);
  /** Variants whose space is too large to be searched without reduction: smaller ones like them are. */
  readonly reducedOnly?: (variant: string) => boolean;
  /** What takes too long for `npm test` and is left to `npm run test:deep`. */
  readonly deepOnly?: (variant: string, memoryModel: MemoryModel) => boolean;
  /** Variants whose counterexample is kept in golden/, each on the memory model it is explored on. */
  readonly golden?: readonly string[];
  /**
   * Parameters of a machine that is smaller and of which the same is true: `npm test` looks at that one, and
   * `npm run test:deep` at the one with the defaults. A counterexample that is kept is of the one with the defaults.
   */
  readonly smaller?: (variant: string) => Parameters;
  /** Variants that are run with live actors, too. */
  readonly live?: readonly string[];
  /** Memory models on which they are. Default `sc`. */
  readonly liveModels?: readonly MemoryModel[];
  /** States to visit of each variant whose points are checked. */
  readonly pointStatesMax?: number;
}

type Parameters = Readonly<Record<string, number>>;

/** A scenario in its tests. A memory model that is left out is that of the variant, parameters have their defaults. */
export interface ScenarioUnderTest {
  /** Built once: whether it is the same one twice is looked at by {@link searched}, and by `npm run test:deep`. */
  readonly systemOf: (variant: string, memoryModel?: MemoryModel, parameters?: Parameters) => System;
  /** Searches with reduction: once, however many tests want to know what comes out of it. */
  readonly searched: (variant: string, memoryModel?: MemoryModel, parameters?: Parameters) => Promise<ExploreResult>;
}

/**
 * The tests that every scenario has: its verdicts, its golden counterexamples, its points, and that live actors agree.
 */
export function describeScenario(scenario: Scenario, tests: ScenarioTests = {}): ScenarioUnderTest {
  const {
    violates,
    reducedOnly = () => false,
    deepOnly = () => false,
    golden = [],
    live = [],
    liveModels = ['sc'],
    smaller = () => ({}),
    pointStatesMax,
  } = tests;
  const { systemOf, searched } = underTest(scenario);
  const names = scenario.variants.map((variant) => variant.name);
  const rows = rowsOf(scenario).filter(([name, model]) => DEEP || !deepOnly(name, model));
  const sizeOf = (variant: string): Parameters => (DEEP ? {} : smaller(variant));
  const searchedSizeOf = (variant: string): Parameters => (golden.includes(variant) ? {} : sizeOf(variant));
  const liveRows = live.flatMap((name) => liveModels.map((model) => [name, model] as const));

  describe(`scenario ${scenario.name}`, () => {
    it.for(rows)('%s on %s: %s', async ([name, model, expected], context) => {
      const size = searchedSizeOf(name);
      const own = ownModelOf(scenario, name, expected);
      if (own !== model && own !== null && !deepOnly(name, own)) {
        const { states } = await searched(name, own, size);
        if (states > OTHER_MODEL_STATES_MAX) context.skip(`${states} states on ${own}: left to npm run test:deep`);
      }
      const result = await searched(name, model, size);
      const exhaustive = expected === 'safe' || result.kind === 'sometimes' || result.kind === 'livelock';
      expect([result.verdict, result.complete]).toEqual([expected, exhaustive]);
      // A livelock is not to be seen in one schedule.
      if (result.schedule && result.kind !== 'livelock')
        expect(judgeSchedule(systemOf(name, model, size), result.schedule)).toMatchObject({
          kind: result.kind,
          property: result.property,
        });
      const violated = typeof violates === 'function' ? violates(name) : violates;
      if (violated !== undefined) expect(result.property).toBe(expected === 'safe' ? null : violated);
      if (!reducedOnly(name)) await expectSameInFull(result, systemOf(name, model, size));
    });

    it.each(golden)('%s: the counterexample reads as it always did', async (name) => {
      await expect(counterexampleOf(systemOf(name), await searched(name))).toMatchFileSnapshot(
        fileURLToPath(new URL(`golden/${scenario.name}.${name.replaceAll('/', '-')}.txt`, import.meta.url)),
      );
    });

    it.each(names)('%s: every point of its routines says all that the future depends on', (name) => {
      expectPoints(systemOf(name, undefined, sizeOf(name)), pointStatesMax);
    });

    it.each(liveRows)('%s on %s runs the same with live actors', (name, model) => {
      expectAgreement(systemOf(name, model, sizeOf(name)));
    });
  });
  return { systemOf, searched };
}

/** Variant, memory model and expected verdict: a row per test. */
function rowsOf({ variants }: Scenario): [string, MemoryModel, ExpectedVerdict][] {
  return variants.flatMap((variant) =>
    MODELS.flatMap((model): [string, MemoryModel, ExpectedVerdict][] => {
      const expected = expectedVerdict(variant, model);
      return expected === null ? [] : [[variant.name, model, expected]];
    }),
  );
}

/** The memory model that a variant is explored on unless somebody says otherwise; null if it expects something else. */
function ownModelOf({ variants }: Scenario, name: string, expected: ExpectedVerdict): MemoryModel | null {
  const variant = variants.find((one) => one.name === name);
  const own = variant?.memoryModel ?? 'sc';
  return variant && expectedVerdict(variant, own) === expected ? own : null;
}

function underTest(scenario: Scenario): ScenarioUnderTest {
  const resolved = (variant: string, memoryModel?: MemoryModel, parameters?: Parameters) =>
    resolveScenario([scenario], { scenario: scenario.name, variant, memoryModel, parameters });
  const results = new Map<string, Promise<ExploreResult>>();
  return {
    systemOf: (...request) => (DEEP ? resolved(...request).build() : resolved(...request).buildOnce()),
    searched(variant, memoryModel, parameters) {
      const found = resolved(variant, memoryModel, parameters);
      const key = `${variant} ${found.memoryModel} ${JSON.stringify(parameters ?? {})}`;
      const result = results.get(key) ?? explore(found.build(), UNCOUNTED);
      results.set(key, result);
      return result;
    },
  };
}

/**
 * Checks that a search without reduction changes neither verdict nor property nor the length of the shortest
 * counterexample. A counterexample that is known to be shortest was found by just that search.
 */
async function expectSameInFull(reduced: ExploreResult, system: System): Promise<void> {
  if (reduced.shortest || reduced.states > FULL_STATES_MAX) return;
  // With reduction it has been verified.
  if (!DEEP) takeAsVerified(system);
  const full = await explore(system, { ...UNCOUNTED, reduction: false });
  expect([full.verdict, full.property, full.schedule?.length]).toEqual([
    reduced.verdict,
    reduced.property,
    reduced.schedule?.length,
  ]);
}

/** The shortest counterexample as the command prints it. */
export function counterexampleOf(system: System, result: ExploreResult): string {
  // Golden files show every step: some are about what a round of IPIs does inside.
  return renderTrace('text', counterexample({ build: () => system }, result), { expand: true });
}

/** A scenario's system as it ships, for comparison: its own tests verify it. */
export function shippedSystem(shipped: Pick<ResolvedScenario, 'build' | 'buildOnce'>): System {
  if (DEEP) return shipped.build();
  const system = shipped.buildOnce();
  takeAsVerified(system);
  return system;
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
export function expectPoints(system: System, statesMax = POINT_STATES_MAX): void {
  const executor = visited(system, statesMax);
  expect(verifyPoints(system.programs, executor.nodes, { operationsMax: POINT_OPERATIONS_MAX })).toEqual([]);
}
