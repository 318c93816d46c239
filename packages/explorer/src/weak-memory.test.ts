/** Searches on the memory model of Arm. */
import {
  acquireWord,
  atomicAdd,
  DATA_RACE,
  load,
  nop,
  point,
  program,
  replay,
  routine,
  smp_rmb,
  smp_store_release,
  smp_wmb,
  store,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';

function writerAndReader(stores: number, messagesMax: number): System {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { messagesMax } });
  const x = builder.region('x', 1).at(0);
  const writer = routine('writer', function* () {
    for (let i = 1; i <= stores; i++) {
      yield* store(x, i);
      yield* smp_wmb();
    }
  });
  const reader = routine('reader', function* () {
    yield* load(x);
    yield* load(x);
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  return builder.build();
}

/** A processor that stores again and again to a word that another may load later, and never does. */
function storesForEver(): System {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { messagesMax: 4 } });
  const [x, never] = [builder.region('x', 1).at(0), builder.region('never', 1).at(0)];
  const writer = routine('writer', function* (): Steps {
    for (;;) {
      yield* point('again');
      yield* store(x, 1);
      yield* store(x, 2);
    }
  });
  const reader = routine('reader', function* (): Steps {
    yield* waitFor(never, -1, 1);
    yield* load(x);
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  return builder.build();
}

/** A count that one processor loads, and another changes, or does not. */
function counted(changed: boolean): System {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
  const count = builder.region('count', 1, { memory: 'strong' }).at(0);
  const changes = routine('changes', function* (): Steps {
    if (changed) yield* atomicAdd(count, 1);
    else yield* load(count);
  });
  const loads = routine('loads', function* (): Steps {
    yield* load(count);
  });
  builder.processor({ name: 'CPU0', tasks: [program(changes)] });
  builder.processor({ name: 'CPU1', tasks: [program(loads)] });
  return builder.build();
}

/** Data and a flag: what orders the two, in the routine that stores and in the one that loads. */
function published(by: () => Steps<unknown>, taken: () => Steps<unknown>): System {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
  const data = builder.region('data', 1, { memory: 'strong' }).at(0);
  const flag = builder.region('flag', 1).at(0);
  const writer = routine('writer', function* () {
    yield* store(data, 1);
    yield* by();
    yield* store(flag, 1);
  });
  const reader = routine('reader', function* () {
    if ((yield* load(flag)) === 0) return;
    yield* taken();
    yield* load(data);
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  return builder.build();
}

/** Two counters, each under a lock of its own. */
function counters(memory: 'weak' | 'strong', locked = true): System {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
  const locks = builder.region('lock', 2, { memory: 'strong' });
  const counts = builder.region('count', 2, { memory });
  const body = routine('counts', function* (): Steps {
    for (const i of [0, 1]) {
      if (locked || i === 0) yield* acquireWord(locks.at(i), 1, 1);
      yield* store(counts.at(i), (yield* load(counts.at(i))) + 1);
      if (locked || i === 0) yield* smp_store_release(locks.at(i), 0);
    }
  });
  builder.property({
    name: 'every count is kept',
    kind: 'finally',
    why: 'the locks exclude one another',
    reads: [counts.at(0), counts.at(1)],
    check: (read) => read(counts.at(0)) === 2 && read(counts.at(1)) === 2,
  });
  for (const name of ['CPU0', 'CPU1']) builder.processor({ name, tasks: [program(body)] });
  return builder.build();
}

describe('a word that everybody is said to see alike', () => {
  const nothing = (): Steps<unknown> => nop();

  it.each([
    ['nothing', nothing, nothing, 'violation'],
    ['smp_wmb() alone', smp_wmb, nothing, 'violation'],
    ['smp_rmb() alone', nothing, smp_rmb, 'violation'],
    ['smp_wmb() and smp_rmb()', smp_wmb, smp_rmb, 'safe'],
  ] as const)('is a race where %s orders it', async (_what, by, taken, verdict) => {
    const result = await explore(published(by, taken));
    expect([result.verdict, result.property]).toEqual([verdict, verdict === 'safe' ? null : DATA_RACE]);
  });

  it('may be claimed of what locks protect: the same verdict, and no more states', async () => {
    const weak = await explore(counters('weak'));
    const strong = await explore(counters('strong'));
    expect([weak.verdict, strong.verdict]).toEqual(['safe', 'safe']);
    expect(strong.states).toBeLessThanOrEqual(weak.states);
  });

  it('is a race where a lock is left out, which the claim would hide', async () => {
    const result = await explore(counters('strong', false), { all: true });
    expect(result.problems.map(({ property }) => property)).toContain(DATA_RACE);
  });

  it('says in one line who and what', async () => {
    const system = published(nothing, nothing);
    const { schedule } = await explore(system);
    const executor = new TabulatedExecutor(system);
    replay(executor, schedule ?? []);
    expect(executor.violation?.property).toBe(DATA_RACE);
    executor.observe = true;
    replay(executor, schedule ?? []);
    expect(executor.violation?.detail).toBe(
      "CPU1 loads data, which another processor has stored to, and nothing orders the two: memory: 'strong' is not true of it",
    );
  });
});

describe('explore on arm', () => {
  it('is bounded, never safe, when a location had as many messages as it may have', async () => {
    expect(await explore(writerAndReader(4, 2))).toMatchObject({ verdict: 'bounded', stoppedBy: 'messages' });
    expect(await explore(writerAndReader(4, 16))).toMatchObject({ verdict: 'safe', complete: true });
  });

  it.each([{ search: 'bfs' }, { search: 'dfs' }, { reduction: false }] as const)(
    'takes a store that finds no room for no deadlock: %o',
    async (options) => {
      expect(await explore(storesForEver(), options)).toMatchObject({ verdict: 'bounded', stoppedBy: 'messages' });
    },
  );

  it('says of which words a plain load is given no old value', async () => {
    const seenAlike = async (atomic: boolean) => (await explore(counted(atomic))).scope.seenAlike;
    expect(await seenAlike(true)).toEqual(['count']);
    expect(await seenAlike(false)).toEqual([]);
  });

  it('finds the same without reduction', async () => {
    const reduced = await explore(writerAndReader(3, 16));
    const full = await explore(writerAndReader(3, 16), { reduction: false });
    expect([full.verdict, full.complete]).toEqual([reduced.verdict, reduced.complete]);
    expect(full.states).toBeGreaterThanOrEqual(reduced.states);
  });

  it('is refused with several workers, which would number the memory differently', async () => {
    const source = { module: 'x', export: 'x', request: { variant: '', memoryModel: 'arm' as const, parameters: {} } };
    await expect(explore(writerAndReader(1, 16), { workers: 2, source })).rejects.toThrow('memory model arm');
  });
});
