import { routine, SystemBuilder } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { agrees, expectedVerdict, resolveScenario, type BuildRequest, type Scenario } from './scenario.ts';

const asked: BuildRequest[] = [];
const scenario: Scenario = {
  name: 'lamp',
  title: 'A lamp',
  seed: 'S9',
  parameters: {
    fix: { default: 1, min: 0, max: 3, meaning: 'which fix' },
    n: { default: 2, min: 1, max: 4, meaning: 'lamps' },
  },
  variants: [
    {
      name: 'fixed',
      expected: { sc: 'safe', tso: 'violation' },
      source: 'commit 1',
      summary: 'fixed',
      parameters: { fix: 1 },
    },
    {
      name: 'broken',
      expected: 'violation',
      source: 'commit 0',
      summary: 'broken',
      parameters: { fix: 0 },
      memoryModel: 'tso',
    },
  ],
  build(request) {
    asked.push(request);
    return new SystemBuilder().build();
  },
  routines: (variant) => (variant.name === 'fixed' ? { turn_on: routine('turn_on', function* () {}) } : {}),
};
const resolve = (request: object) => resolveScenario([scenario], { scenario: 'lamp', ...request });

describe('resolveScenario', () => {
  it('fills in variant, memory model and parameters, and builds with them', () => {
    const resolved = resolve({ parameters: { n: 3 } });
    const { variant, memoryModel, parameters, expected } = resolved;
    expect([variant.name, memoryModel, parameters, expected]).toEqual(['fixed', 'sc', { fix: 1, n: 3 }, 'safe']);
    resolved.build();
    const { expected: _, ...built } = variant;
    // Twice, to compare.
    const once = { variant: built, memoryModel: 'sc', parameters: { fix: 1, n: 3 } };
    expect(asked).toEqual([once, once]);
  });

  it('takes the first variant that agrees with the parameters', () => {
    const { variant, memoryModel, expected } = resolve({ parameters: { fix: 0 } });
    expect([variant.name, memoryModel, expected]).toEqual(['broken', 'tso', 'violation']);
  });

  it('knows what a variant is expected to give on another memory model', () => {
    expect(resolve({ variant: 'fixed', memoryModel: 'tso' }).expected).toBe('violation');
  });

  it.each([
    [{ scenario: 'lump' }, 'scenario: resolve: no scenario lump (have: lamp)'],
    [{ variant: 'fixd' }, 'scenario: resolve: no variant of lamp fixd (have: fixed, broken)'],
    [{ memoryModel: 'pso' as 'sc' }, 'scenario: resolve: no memory model pso (have: sc, tso, arm)'],
    [{ parameters: { m: 1 } }, 'scenario: resolve: no parameter of lamp m (have: fix, n)'],
    [{ parameters: { toString: 1 } }, 'scenario: resolve: no parameter of lamp toString (have: fix, n)'],
    [{ parameters: { n: 5 } }, 'scenario: lamp: n must be 1 to 4 (given: 5): lamps'],
    [{ parameters: { n: 1.5 } }, 'scenario: lamp: n must be 1 to 4 (given: 1.5): lamps'],
    [{ parameters: { fix: 3 } }, 'scenario: lamp: no variant agrees with these parameters (have: fixed, broken)'],
    [{ variant: 'broken', parameters: { fix: 1 } }, 'scenario: lamp: variant broken means fix=0 (given: 1)'],
  ])('%j: one line that says what there is', (request, message) => {
    expect(() => resolve(request)).toThrow(message);
  });

  it('compares a verdict with what was expected only if both are there', () => {
    expect([
      agrees('safe', 'safe'),
      agrees('safe', 'deadlock'),
      agrees('safe', 'bounded'),
      agrees(null, 'safe'),
    ]).toEqual([true, false, null, null]);
  });
});

it.each([
  [undefined, ['safe', 'safe', null]],
  ['tso', ['safe', 'safe', null]],
  ['arm', [null, null, 'safe']],
] as const)('a verdict in one word of a variant of %s is one on: %s', (memoryModel, verdicts) => {
  const variant = {
    name: 'v',
    source: 's',
    summary: 's',
    expected: 'safe' as const,
    ...(memoryModel && { memoryModel }),
  };
  expect((['sc', 'tso', 'arm'] as const).map((model) => expectedVerdict(variant, model))).toEqual(verdicts);
});

describe('a replaced routine', () => {
  const turn_on = routine('turn_on', function* () {});

  it('is handed to build, and nothing is expected of what it makes', () => {
    const resolved = resolve({ replace: { turn_on } });
    expect([resolved.expected, resolved.replaced]).toEqual([null, ['turn_on']]);
    resolved.build();
    expect(asked.at(-1)?.replace?.['turn_on']).toBe(turn_on);
  });

  it('must be one that the variant has', () => {
    expect(() => resolve({ replace: { turn_no: turn_on } })).toThrow(
      'scenario: resolve: no routine of lamp / fixed turn_no (have: turn_on): did you mean turn_on?',
    );
    expect(() => resolve({ variant: 'broken', replace: { turn_on } })).toThrow(
      'scenario: lamp: has no routine that can be replaced (given: turn_on)',
    );
  });
});
