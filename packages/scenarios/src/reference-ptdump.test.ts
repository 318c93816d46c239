import { explore, resolveScenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { referencePtdump } from './reference-ptdump.ts';

interface Row {
  readonly parameters: readonly [n: number, m: number, fan: number, fix: number];
  readonly states: number;
  readonly transitions: number;
  readonly violating: number;
  readonly interleavings?: string;
}

/** Counts on which SPIN (-DNOREDUCE), TLA+ and hand-written searches agree. */
const GOLDEN: readonly Row[] = [
  { parameters: [1, 1, 2, 1], states: 112, transitions: 184, violating: 0 },
  { parameters: [1, 1, 2, 0], states: 95, transitions: 166, violating: 2, interleavings: '6085' },
  { parameters: [2, 2, 2, 0], states: 3_400, transitions: 10_540, violating: 160 },
  { parameters: [1, 1, 2, 3], states: 152, transitions: 260, violating: 2 },
  { parameters: [2, 2, 2, 3], states: 8_920, transitions: 26_936, violating: 256 },
  { parameters: [2, 2, 2, 1], states: 4_696, transitions: 13_540, violating: 0, interleavings: '7114964253020' },
  { parameters: [2, 3, 2, 1], states: 27_734, transitions: 99_510, violating: 0 },
  {
    parameters: [2, 4, 2, 1],
    states: 164_512,
    transitions: 708_120,
    violating: 0,
    interleavings: '2853702757405920581312628',
  },
  { parameters: [2, 2, 3, 3], states: 21_720, transitions: 65_336, violating: 384 },
];
const GOLDEN_DEEP: readonly Row[] = [
  { parameters: [2, 5, 2, 1], states: 994_814, transitions: 5_001_314, violating: 0 },
  { parameters: [3, 4, 2, 1], states: 919_120, transitions: 4_416_056, violating: 0 },
  { parameters: [2, 6, 2, 1], states: 6_051_976, transitions: 34_889_788, violating: 0 },
];

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const rows = DEEP ? [...GOLDEN, ...GOLDEN_DEEP] : GOLDEN;
/** To count interleavings of a space that was reduced takes a search without reduction. */
const COUNTED_STATES_MAX = DEEP ? 200_000 : 10_000;

const resolved = ([n, m, fan, fix]: Row['parameters']) =>
  resolveScenario([referencePtdump], { scenario: 'reference-ptdump', parameters: { n, m, fan, fix } });

describe('reference-ptdump', () => {
  it.each(rows)(
    'has exactly the known states and transitions: $parameters',
    async ({ parameters, states, transitions, violating, interleavings }) => {
      const result = await explore(resolved(parameters).build(), { reduction: false, all: true });
      expect(result).toMatchObject({ states, transitions, violatingTransitions: violating, complete: true });
      expect(result.bytesPerState < 120 || states < 100_000).toBe(true);
      if (interleavings !== undefined) expect(result.interleavings).toBe(interleavings);
    },
  );

  it.each(GOLDEN.filter((row) => row.states < 10_000))(
    'has the same states depth first and in whole-state comparison: $parameters',
    async ({ parameters, states, transitions }) => {
      for (const options of [{ search: 'dfs' }, { exact: true }] as const) {
        expect(await explore(resolved(parameters).build(), { ...options, reduction: false, all: true })).toMatchObject({
          states,
          transitions,
        });
      }
    },
  );

  it.each(GOLDEN.filter((row) => row.states < 200_000))(
    'is explored with fewer states and the same verdict under reduction: $parameters',
    async ({ parameters, states, interleavings }) => {
      const scenario = resolved(parameters);
      // Asked for: by default a space as small as the first is searched without.
      const counted = interleavings !== undefined && states < COUNTED_STATES_MAX;
      const interleavingsStatesMax = counted ? COUNTED_STATES_MAX : 0;
      const result = await explore(scenario.build(), { all: true, reduction: true, interleavingsStatesMax });
      expect(result.verdict).toBe(scenario.expected);
      expect(result.states).toBeLessThan(states);
      if (counted) expect(result.interleavings).toBe(interleavings);
    },
  );

  it('without a lock, 5 of 6,085 interleavings violate', async () => {
    expect(await explore(resolved([1, 1, 2, 0]).build(), { all: true })).toMatchObject({
      interleavings: '6085',
      violatingInterleavings: '5',
    });
  });

  it.each(['sc', 'tso'] as const)('gives the expected verdict of every variant on %s', async (memoryModel) => {
    for (const { name } of referencePtdump.variants) {
      const scenario = resolveScenario([referencePtdump], { scenario: 'reference-ptdump', variant: name, memoryModel });
      expect((await explore(scenario.build(), { interleavingsStatesMax: 0 })).verdict, name).toBe(scenario.expected);
    }
  });
});
