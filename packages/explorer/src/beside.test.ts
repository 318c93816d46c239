import { load, program, routine, store, SystemBuilder, type System } from '@shootdown/machine';
import { describe, expect, it, vi } from 'vitest';
import { sampleWithPct, type Sampler } from './beside.ts';
import { explore, searchBeside } from './explore.ts';

/** Processors that all write to one word, and one that breaks a property with its last step. */
function crowded(processors: number): System {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 1).at(0);
  const alarm = builder.region('alarm', 1).at(0);
  const busy = routine('busy', function* (me: number) {
    for (let i = 0; i < 6; i++) {
      const seen = yield* load(shared);
      yield* store(shared, (seen * 7 + me + i) % 1009);
    }
  });
  const breaks = routine('breaks', function* () {
    for (let i = 0; i < 8; i++) yield* load(shared);
    yield* store(alarm, 1);
  });
  for (let i = 0; i < processors - 1; i++) builder.processor({ name: `CPU${i}`, tasks: [program(busy, i)] });
  builder.processor({ name: 'last', tasks: [program(breaks)] });
  builder.property({ name: 'no alarm', kind: 'always', why: 'a test', check: (read) => read(alarm) === 0 });
  return builder.build();
}

const never: Sampler = () => new Promise(() => undefined);

describe('PCT beside a search', () => {
  it('finds the same with the same seed', async () => {
    const [first, second] = [await sampleWithPct(crowded(4), 5), await sampleWithPct(crowded(4), 5)];
    expect(first).toEqual(second);
    expect(first?.problem).toMatchObject({ kind: 'always', property: 'no alarm' });
  });

  it('wins if it is first, says so, and what it has found is a shortest counterexample all the same', async () => {
    const system = crowded(5);
    const alone = await explore(system, { reduction: false });
    expect(alone).toMatchObject({ verdict: 'violation', foundBy: 'search', pctRuns: null, shortest: true });
    const found = await sampleWithPct(system, 1);
    expect(found?.schedule.length).toBeGreaterThanOrEqual(alone.schedule?.length ?? 0);
    // However fast the machine is, the search looks up before it is through.
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 100));
    const beside = await searchBeside(system, { reduction: false }, async () => found, 0).finally(() =>
      clock.mockRestore(),
    );
    expect(beside).toMatchObject({ verdict: 'violation', property: 'no alarm', foundBy: 'pct', pctRuns: found?.runs });
    expect(beside).toMatchObject({ schedule: alone.schedule, shortest: true, complete: false, stoppedBy: 'violation' });
  });

  it('that finds nothing changes nothing', async () => {
    const system = crowded(2);
    const { seconds: _a, statesPerSecond: _b, ...alone } = await explore(system);
    const { seconds: _c, statesPerSecond: _d, ...beside } = await searchBeside(system, {}, never, 0);
    expect(beside).toEqual(alone);
  });
});
