// Sleeper and waker: a task says that it sleeps and looks at a condition once more; the other sets the condition and
// looks whether somebody sleeps. set_current_state() against wake_up_process(), kernel/sched/core.c: which barriers
// must there be?
import type { Scenario } from '@shootdown/explorer';
import { load, program, routine, smp_mb, store, SystemBuilder, type Region } from '@shootdown/machine';

const TASK_RUNNING = 0;
const TASK_UNINTERRUPTIBLE = 2;

const sleeper = routine('sleeper', function* (state: Region, condition: Region, slept: Region, barrier: boolean) {
  yield* store(state.at(0), TASK_UNINTERRUPTIBLE, { label: 'current->__state = TASK_UNINTERRUPTIBLE' });
  if (barrier) yield* smp_mb();
  if ((yield* load(condition.at(0), { label: 'READ_ONCE(condition)' })) === 0)
    yield* store(slept.at(0), 1, { label: 'schedule()' });
});

const waker = routine('waker', function* (state: Region, condition: Region, woken: Region, barrier: boolean) {
  yield* store(condition.at(0), 1, { label: 'WRITE_ONCE(condition, 1)' });
  if (barrier) yield* smp_mb();
  if ((yield* load(state.at(0), { label: 'READ_ONCE(p->__state)' })) !== TASK_RUNNING)
    yield* store(woken.at(0), 1, { label: 'wake up' });
});

export const sleeperAndWaker: Scenario = {
  name: 'sleeper-and-waker',
  title: 'Can a wake-up be lost?',
  variants: [
    {
      name: 'no-barriers',
      expected: { sc: 'safe', tso: 'violation' },
      source: 'comment above set_current_state(), include/linux/sched.h',
      summary: 'neither side has a barrier between its store and its load',
    },
    {
      name: 'one-barrier',
      expected: { sc: 'safe', tso: 'violation' },
      source: 'barriers come in pairs: Documentation/memory-barriers.txt',
      summary: 'only the sleeper has a barrier',
    },
    {
      name: 'barriers',
      expected: 'safe',
      source: 'comment above set_current_state(), include/linux/sched.h',
      summary: 'both sides have smp_mb()',
    },
  ],
  build({ variant, memoryModel }) {
    const builder = new SystemBuilder({ memoryModel });
    const [state, condition] = [builder.region('state', 1), builder.region('condition', 1)];
    const [slept, woken] = [builder.region('slept', 1), builder.region('woken', 1)];
    const of = (first: string): boolean =>
      variant.name === 'barriers' || (variant.name === 'one-barrier' && first === 'sleeper');
    builder.processor({ name: 'CPU0', tasks: [program(sleeper, state, condition, slept, of('sleeper'))] });
    builder.processor({ name: 'CPU1', tasks: [program(waker, state, condition, woken, of('waker'))] });
    builder.property({
      name: 'who sleeps is woken',
      kind: 'finally',
      why: 'a task that sleeps with its condition true sleeps for ever',
      reads: [slept.at(0), woken.at(0)],
      check: (read) => read(slept.at(0)) === 0 || read(woken.at(0)) === 1,
    });
    return builder.build();
  },
};
