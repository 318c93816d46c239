/** Systems that worker threads build for themselves: plain JavaScript, because a worker loads no TypeScript. */
import {
  acquireWord,
  assertThat,
  atomicAdd,
  choose,
  defineOperation,
  LimitError,
  load,
  operation,
  perform,
  point,
  program,
  routine,
  smp_mb,
  store,
  SystemBuilder,
} from '@shootdown/machine';
import { emit, setup } from 'xstate';

/** Dekker's shape: both processors may read 0 under tso, and never under sc. */
function storeBuffering(memoryModel, barrier = false) {
  const builder = new SystemBuilder({ memoryModel });
  const flag = builder.region('flag', 2);
  const seen = builder.region('seen', 2);
  const body = routine('dekker', function* (me) {
    yield* store(flag.at(me), 1);
    if (barrier) yield* smp_mb();
    const other = yield* load(flag.at(1 - me));
    yield* store(seen.at(me), 1 + other);
  });
  builder.processor({ name: 'CPU0', tasks: [program(body, 0)] });
  builder.processor({ name: 'CPU1', tasks: [program(body, 1)] });
  const both = [seen.at(0), seen.at(1)];
  builder.property({
    name: 'somebody sees the other',
    kind: 'always',
    why: 'mutual exclusion',
    reads: both,
    check: (read) => !both.every((word) => read(word) === 1),
  });
  return builder.build();
}

/**
 * Two stores, of which the model has no room for the second; `bad`: the first is one too many, as another run shows.
 */
function limit(memoryModel, bad = false) {
  const builder = new SystemBuilder({ memoryModel });
  const words = builder.region('words', 2);
  builder.watch(words, (cx) => {
    if (cx.read(words.at(0)) > 0 && cx.read(words.at(1)) > 0) throw new LimitError('watcher: more than one');
  });
  const body = routine('body', function* (me) {
    yield* store(words.at(me), 1);
    if (bad) yield* assertThat(false, 'nothing is stored');
  });
  builder.processor({ name: 'CPU0', tasks: [program(body, 0)] });
  builder.processor({ name: 'CPU1', tasks: [program(body, 1)] });
  return builder.build();
}

/** Two locks taken in opposite order. */
function deadlock(memoryModel) {
  const builder = new SystemBuilder({ memoryModel });
  const locks = builder.region('lock', 2);
  const body = routine('abba', function* (first) {
    yield* acquireWord(locks.at(first), 1, 1);
    yield* acquireWord(locks.at(1 - first), 1, 1);
    yield* atomicAdd(locks.at(1 - first), -1);
    yield* atomicAdd(locks.at(first), -1);
  });
  builder.processor({ name: 'CPU0', tasks: [program(body, 0)] });
  builder.processor({ name: 'CPU1', tasks: [program(body, 1)] });
  return builder.build();
}

const machine = setup({ types: { emitted: /** @type {{ type: 'interrupt', vector: string }} */ ({}) } }).createMachine({
  initial: 'running',
  states: {
    running: {
      tags: ['executes'],
      on: { ipi: { target: 'hardirq', actions: emit({ type: 'interrupt', vector: 'ipi' }) } },
    },
    hardirq: { tags: ['executes'], on: { iret: 'running' } },
  },
});

const SEND = defineOperation({
  name: 'send_ipi',
  perform(cx, op) {
    cx.send(op.a, { type: 'ipi', from: op.b });
    return 0;
  },
});

/** Every processor interrupts every other one; handlers count, and somebody looks at the count too early. */
function interrupts(memoryModel, processors) {
  const builder = new SystemBuilder({ memoryModel });
  const count = builder.region('count', processors);
  const handler = (me) =>
    routine('ipi', function* () {
      yield* atomicAdd(count.at(me), 1);
    });
  const body = routine('shoot', function* (me) {
    const way = yield* choose(2);
    for (let i = 0; i < processors; i++)
      if (i !== me)
        yield* perform(operation(SEND, way === 0 ? i : processors - 1 - i === me ? i : processors - 1 - i, me));
    const early = yield* load(count.at(me));
    yield* assertThat(early < processors - 1 || way === 0, 'nobody is interrupted by all before it looks');
    yield* point('spin');
    while ((yield* load(count.at(me))) === 0) yield* point('spin');
  });
  for (let i = 0; i < processors; i++) {
    builder.processor({
      name: `CPU${i}`,
      tasks: [program(body, i)],
      component: `cpu ${i}`,
      handlers: { ipi: program(handler(i)) },
    });
    builder.component({ name: `cpu ${i}`, machine });
    builder.channel({ name: `to ${i}`, to: `cpu ${i}`, policy: 'unordered', capacity: 8 });
  }
  builder.property({
    name: 'all are interrupted at once',
    kind: 'sometimes',
    why: 'the counts are reached',
    reads: [count.base],
    check: (read) => read(count.base) === processors - 1,
  });
  return builder.build();
}

const systems = {
  storeBuffering,
  barrier: (memoryModel) => storeBuffering(memoryModel, true),
  limit,
  limitAfterViolation: (memoryModel) => limit(memoryModel, true),
  deadlock,
  interrupts: (memoryModel) => interrupts(memoryModel, 2),
  crossfire: (memoryModel) => interrupts(memoryModel, 3),
};

/** What a `SystemSource` names: `request.variant` is one of the systems above. */
export function build({ variant, memoryModel }) {
  return systems[variant](memoryModel);
}

/** Kills its thread. */
export function crash() {
  process.exit(7);
}
