/** A task that may be preempted goes on on another CPU; one that has disabled preemption stays. */
import { explore } from '@shootdown/explorer';
import {
  defineOperation,
  LiveExecutor,
  type Executor,
  operation,
  program,
  RandomScheduler,
  replay,
  routine,
  runScheduler,
  SystemBuilder,
  TabulatedExecutor,
  DirectExecutor,
  type Region,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { addCpu, preempt_disable, preempt_enable, startCpu, type Cpu } from '@shootdown/cpu';

/** Writes down on which CPUs a task has run. */
const WHERE = defineOperation({
  name: 'smp_processor_id',
  perform(cx, op) {
    cx.write(op.a, cx.read(op.a) | (1 << cx.processor));
    return cx.processor;
  },
});

function machine(pinned: boolean) {
  const builder = new SystemBuilder();
  const seen: Region = builder.region('seen', 1);
  const cpus = [addCpu(builder, 0), addCpu(builder, 1)] as const;
  const task = routine('task', function* (cpu: Cpu) {
    if (pinned) yield* preempt_disable(cpu);
    yield operation(WHERE, seen.base);
    yield operation(WHERE, seen.base);
    if (pinned) yield* preempt_enable(cpu);
  });
  const idle = routine('idle', function* () {});
  startCpu(builder, cpus[0], [program(task, cpus[0])], {}, { migratesTo: [cpus[1]] });
  startCpu(builder, cpus[1], [program(idle)]);
  builder.property({
    name: 'a task stays where it is',
    kind: 'always',
    why: 'preempt_disable()',
    check: (read) => read(seen.base) !== 3,
  });
  return builder.build();
}

describe('migration of tasks', () => {
  it('happens between any two operations, and not with preemption disabled', async () => {
    expect((await explore(machine(false))).verdict).toBe('violation');
    expect((await explore(machine(true))).verdict).toBe('safe');
  });

  it('leads all executors to the same states', () => {
    const system = machine(false);
    const { schedule } = runScheduler(new TabulatedExecutor(system), new RandomScheduler(7), 50);
    const states = (executor: Executor): string[] => {
      const prints: string[] = [];
      replay(executor, schedule, () => void prints.push(executor.fingerprint));
      return prints;
    };
    const expected = states(new TabulatedExecutor(system));
    expect(states(new LiveExecutor(system))).toEqual(expected);
    expect(states(new DirectExecutor(system))).toEqual(expected);
  });
});
