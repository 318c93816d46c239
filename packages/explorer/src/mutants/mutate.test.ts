import {
  assertThat,
  atomicAdd,
  BLOCKED,
  cmpxchg,
  defineOperation,
  LimitError,
  load,
  mutated,
  operation,
  point,
  program,
  routine,
  smp_mb,
  store,
  SystemBuilder,
  waitFor,
  xchg,
  type Address,
  type MemoryModel,
  type Mutation,
  type Operation,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from '../explore.ts';
import { mutationsNamed } from './lines.ts';
import { mutate } from './mutate.ts';
import type { MutateResult } from './mutant.ts';

/** `routine/step:change -> result`, one per mutant. */
function judged({ mutants }: MutateResult): Record<string, string> {
  return Object.fromEntries(
    mutants.map(({ line, mutation, judgement }) => [
      `${line.routine}/${line.step}:${mutation.change}`,
      judgement === null
        ? 'not judged'
        : `${judgement.result}${judgement.property === null ? '' : `: ${judgement.property}`}`,
    ]),
  );
}

/** Both processors raise a flag, and look at the other's: store buffering, with a barrier in between. */
function dekker(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel });
  const flag = builder.region('flag', 2);
  const seen = builder.region('seen', 2);
  const body = routine('dekker', function* (me: number): Steps {
    yield* store(flag.at(me), 1, { label: 'flag = 1' });
    yield* smp_mb();
    const other = yield* load(flag.at(1 - me), { label: 'other' });
    if (other === 0) yield* store(seen.at(me), 1, { label: 'seen = 1' });
    else yield* store(seen.at(me), 2, { label: 'seen = 2' });
  });
  for (const me of [0, 1]) builder.processor({ name: `CPU${me}`, tasks: [program(body, me)] });
  builder.property({
    name: 'somebody sees the other',
    kind: 'always',
    why: 'mutual exclusion',
    check: (read) => !(read(seen.at(0)) === 1 && read(seen.at(1)) === 1),
  });
  builder.property({
    name: 'one sees nothing',
    kind: 'sometimes',
    why: 'otherwise there is no race',
    check: (read) => read(seen.at(0)) === 1,
  });
  return builder.build();
}

describe('store buffering', () => {
  it('needs its barrier on tso', async () => {
    const result = await mutate(dekker('tso'));
    expect(judged(result)).toEqual({
      'dekker/flag:leave-out': 'needed: somebody sees the other',
      'dekker/flag:swap-with-next': 'needed: somebody sees the other',
      'dekker/smp_mb:leave-out': 'needed: somebody sees the other',
      'dekker/smp_mb:swap-with-next': 'needed: somebody sees the other',
      'dekker/other:always-0': 'needed: somebody sees the other',
      'dekker/other:always-1': 'needed: one sees nothing',
      'dekker/seen:leave-out': 'needed: one sees nothing',
      'dekker/seen.2:leave-out': 'not needed',
    });
    const gone = result.mutants.filter(({ judgement }) => judgement?.witnessGone === true);
    expect(gone.map(({ line }) => line.step)).toEqual(['other', 'seen']);
  });

  it('does not on sc, where the barrier makes no difference to any state', async () => {
    const results = judged(await mutate(dekker('sc')));
    expect(results['dekker/smp_mb:leave-out']).toBe('no difference');
    expect(results['dekker/smp_mb:swap-with-next']).toBe('not needed');
    expect(results['dekker/flag:leave-out']).toBe('needed: somebody sees the other');
  });

  it('needs a full barrier on arm: one for stores or for loads is not enough', async () => {
    const results = judged(await mutate(dekker('arm')));
    expect(results['dekker/smp_mb:smp_wmb-instead']).toBe('needed: somebody sees the other');
    expect(results['dekker/smp_mb:smp_rmb-instead']).toBe('needed: somebody sees the other');
  });

  it('shows what breaks in the system that the mutation names', async () => {
    const system = dekker('tso');
    const { mutants } = await mutate(system);
    const barrier = mutants.find(({ line, mutation }) => line.step === 'smp_mb' && mutation.change === 'leave-out');
    const [mutation] = await mutationsNamed(system, ['dekker/smp_mb:leave-out']);
    const found = await explore(mutated(system, mutation as Mutation).system);
    expect(found.schedule).toEqual(barrier?.judgement?.schedule);
    expect(found.property).toBe('somebody sees the other');
  });

  it('knows no mutation of lines that are not there', async () => {
    const names = ['decker/smp_mb:leave-out', 'dekker/smp_rmb:leave-out', 'dekker/smp_mb:recheck', 'dekker'];
    for (const name of names)
      await expect(mutationsNamed(dekker('tso'), [name])).rejects.toThrow(/^mutation: (no|expected)/);
  });
});

/** Both processors take a lock, count without atomics, and release it. */
function counter(): System {
  const LOCK = defineOperation({
    name: 'lock',
    leftOut: () => 0,
    pair: (op: Operation) => ({ end: 'open', of: `lock ${op.a}` }),
    perform(cx, op) {
      if (cx.read(op.a) !== 0) return BLOCKED;
      cx.write(op.a, 1);
      return 0;
    },
  });
  const UNLOCK = defineOperation({
    name: 'unlock',
    pair: (op: Operation) => ({ end: 'close', of: `lock ${op.a}` }),
    perform(cx, op) {
      if (cx.read(op.a) === 0) cx.fail('no lock misuse', () => '');
      cx.write(op.a, 0);
      return 0;
    },
  });
  const builder = new SystemBuilder();
  const word = (name: string): Address => builder.region(name, 1).at(0);
  const [lock, count, total] = [word('lock'), word('count'), word('total')];
  const body = routine('counter', function* (): Steps {
    yield operation(LOCK, lock);
    const seen = yield* load(count, { label: 'count' });
    yield* store(count, seen + 1, { label: 'count = count + 1' });
    yield operation(UNLOCK, lock);
    yield* atomicAdd(total, 1, { label: 'total' });
  });
  for (const me of [0, 1]) builder.processor({ name: `CPU${me}`, tasks: [program(body)] });
  builder.property({
    name: 'both are counted',
    kind: 'finally',
    why: 'no update is lost',
    check: (read) => read(count) === 2 && read(total) === 2,
  });
  return builder.build();
}

it('a lock is left out with its unlock, so that what breaks is what it protects', async () => {
  expect(judged(await mutate(counter()))).toEqual({
    'counter/lock:leave-out-pair': 'needed: both are counted',
    'counter/lock:swap-with-next': 'needed: both are counted',
    'counter/count.2:leave-out': 'needed: both are counted',
    'counter/count.2:swap-with-next': 'needed: both are counted',
    'counter/unlock:swap-with-next': 'not needed',
    'counter/total:leave-out': 'needed: both are counted',
    'counter/total:load-then-store': 'needed: both are counted',
  });
});

/** A flag is published, and somebody waits for it; nobody looks at `idle`. */
function publication(): System {
  const builder = new SystemBuilder();
  const word = (name: string): Address => builder.region(name, 1).at(0);
  const [data, flag, idle] = [word('data'), word('flag'), word('idle')];
  const writer = routine('writer', function* (): Steps {
    yield* store(data, 1, { label: 'data = 1' });
    yield* xchg(flag, 1, { label: 'flag = 1' });
    yield* store(idle, 1, { label: 'idle = 1' });
  });
  const reader = routine('reader', function* (): Steps {
    yield* waitFor(flag, -1, 1, { label: 'wait' });
    const first = yield* load(data, { label: 'first' });
    const second = yield* load(data, { label: 'second' });
    if (first !== 1 || second !== 1) yield* store(data, -1, { label: 'broken' });
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  builder.property({ name: 'what was published is there', kind: 'always', why: '', check: (read) => read(data) >= 0 });
  return builder.build();
}

it('what nobody looks at is not needed, and a wait for what is gone is a deadlock', async () => {
  expect(judged(await mutate(publication()))).toEqual({
    'writer/data:leave-out': 'needed: what was published is there',
    'writer/data:swap-with-next': 'needed: what was published is there',
    'writer/flag:leave-out': 'needed: no deadlock',
    'writer/flag:load-then-store': 'not needed',
    'writer/idle:leave-out': 'not needed',
    'reader/wait:leave-out': 'needed: what was published is there',
    'reader/second:leave-out-recheck': 'no difference',
  });
});

it('a change that meets a limit of the model is not judged', async () => {
  const builder = new SystemBuilder();
  const words = builder.region('word', 1);
  const word = words.at(0);
  builder.watch(words, (cx) => {
    if (cx.read(word) > 1) throw new LimitError('watcher: more than one');
  });
  const body = routine('body', function* (): Steps {
    yield* xchg(word, 1, { label: 'add' });
    if ((yield* cmpxchg(word, 1, 0, { label: 'take' })) === 0) yield* store(word, 2, { label: 'two' });
  });
  builder.processor({ name: 'CPU0', tasks: [program(body)] });
  const { mutants } = await mutate(builder.build());
  const results = mutants.map(({ mutation, judgement }) => [mutation.change, judgement?.result, judgement?.property]);
  expect(results).toContainEqual(['leave-out', 'bounded', 'routine: body: step 2: two: watcher: more than one']);
});

it('a change that lets a routine throw is one that breaks the code', async () => {
  const builder = new SystemBuilder();
  const word = builder.region('word', 1).at(0);
  const body = routine('body', function* (): Steps {
    yield* store(word, 1, { label: 'init' });
    if ((yield* load(word, { label: 'use' })) === 0) throw new TypeError('nothing there');
  });
  builder.processor({ name: 'CPU0', tasks: [program(body)] });
  const { mutants } = await mutate(builder.build());
  expect(mutants.map(({ line, judgement }) => [line.step, judgement?.result, judgement?.kind])).toEqual([
    ['init', 'needed', 'crash'],
    ['init', 'needed', 'crash'],
  ]);
  expect(mutants[0]?.judgement?.property).toMatch(/threw TypeError: nothing there/);
});

it('what is cut short is bounded, and what is not safe as it is is not changed', async () => {
  const cut = await mutate(counter(), { bounds: { maxStates: 30 } });
  expect(Object.values(judged(cut))).toContain('bounded');
  const [noLock] = await mutationsNamed(counter(), ['counter/lock:leave-out-pair']);
  const unsafe = mutated(counter(), noLock as Mutation).system;
  const result = await mutate(unsafe);
  expect([result.unchanged.verdict, result.mutants]).toEqual(['violation', []]);
});

it('a search that is called off says what it knows', async () => {
  const controller = new AbortController();
  const result = await mutate(counter(), {
    signal: controller.signal,
    onJudged: (done) => void (done === 2 && controller.abort()),
  });
  expect(Object.values(judged(result)).map((text) => text.split(':')[0])).toEqual([
    'needed',
    'needed',
    'not judged',
    'not judged',
    'not judged',
    'not judged',
    'not judged',
  ]);
});

it('threads come to the same judgements', async () => {
  const module = new URL('../../test/systems.mjs', import.meta.url).href;
  const { build } = (await import(module)) as { build: (request: object) => System };
  const request = { variant: 'barrier', memoryModel: 'tso' as const, parameters: {} };
  const alone = await mutate(build(request));
  const together = await mutate(build(request), { workers: 2, source: { module, export: 'build', request } });
  expect(judged(together)).toEqual(judged(alone));
  expect(judged(together)['dekker/smp_mb:leave-out']).toBe('needed: somebody sees the other');
});

it('a point that lies is refused before anything is judged', async () => {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 2);
  const writes = routine('writes', function* () {
    yield* store(shared.at(0), 1);
  });
  const forgets = routine('forgets', function* () {
    let seen = 0;
    for (let i = 0; i < 2; i++) {
      yield* point('round', i);
      seen += yield* load(shared.at(0));
    }
    yield* point('after');
    yield* load(shared.at(1));
    yield* assertThat(seen !== 1, 'seen half');
  });
  builder.processor({ name: 'P', tasks: [program(writes)] });
  builder.processor({ name: 'Q', tasks: [program(forgets)] });
  const system = builder.build();
  const lies = 'two histories reach it and go on differently';
  await expect(mutate(system)).rejects.toThrow(lies);
  await expect(mutationsNamed(system, ['writes/shared:leave-out'])).rejects.toThrow(lies);
});
