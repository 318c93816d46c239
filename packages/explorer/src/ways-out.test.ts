import { assertThat, load, program, routine, store, SystemBuilder } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { survey, waysOut } from './ways-out.ts';

/** CPU1 must not look between the two stores of CPU0. */
function tornStore() {
  const builder = new SystemBuilder();
  const word = builder.region('word', 2);
  const writer = routine('writer', function* () {
    yield* store(word.at(0), 1);
    yield* store(word.at(1), 1);
  });
  const reader = routine('reader', function* () {
    const first = yield* load(word.at(0));
    const second = yield* load(word.at(1));
    yield* assertThat(first === second, 'both or neither');
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  return builder.build();
}

describe('ways out', () => {
  it('are the choices from which the problem can no longer be reached, and all others say how far it is', async () => {
    const { schedule } = await explore(tornStore());
    const { complete, steps, byDepth, states } = await waysOut(tornStore(), schedule ?? []);
    expect(complete).toBe(true);
    expect(steps).toHaveLength((schedule?.length ?? 0) + 1);
    for (const [i, entry] of (schedule ?? []).entries())
      expect(steps[i]?.find((way) => way.entry === entry)?.distance).toBe((schedule?.length ?? 0) - i);
    expect(steps.flat().some(({ distance }) => distance === null)).toBe(true);
    expect(byDepth.reduce((sum, level) => sum + level.states, 0)).toBe(states);
  });

  it('lead on from any step to the problem by a shortest way', async () => {
    const { schedule } = await explore(tornStore());
    const space = await survey(tornStore());
    for (let kept = 0; kept <= (schedule?.length ?? 0) - 1; kept++)
      expect(space.onwards(schedule?.slice(0, kept) ?? [])).toHaveLength((schedule?.length ?? 0) - kept);
    expect(space.onwards([0, 0])).toBeNull();
  });

  it('are unknown beyond the bounds', async () => {
    const found = await waysOut(tornStore(), [], { maxStates: 2 });
    expect(found.complete).toBe(false);
    expect(found.steps[0]?.every(({ distance }) => distance !== null)).toBe(true);
  });
});
