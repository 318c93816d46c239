import fc from 'fast-check';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, it } from 'vitest';
import {
  assertThat,
  atomicAdd,
  count,
  DirectExecutor,
  entryBranch,
  entryChoice,
  LiveExecutor,
  load,
  nop,
  point,
  program,
  RandomScheduler,
  rest,
  routine,
  smp_mb,
  store,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  type Executor,
  type MemoryModel,
  type Program,
  type Steps,
  type System,
} from '@shootdown/machine';
import {
  addCpu,
  do_idle,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
  send_IPI,
  startCpu,
  user_mode,
  type Cpu,
} from './cpu.ts';

interface Lab {
  readonly executor: TabulatedExecutor;
  /** Makes a named choice happen; false if it is not enabled. */
  readonly choose: (name: string) => boolean;
  /** State of the CPU actor and its preempt_count. */
  readonly cpu: (id?: number) => { readonly value: string; readonly context: { readonly preempt_count: number } };
  readonly stack: (id?: number) => string;
  readonly pending: (id?: number) => string | undefined;
}

/**
 * A machine of two CPUs with one vector, `call`, whose handler is two operations long; a CPU without tasks stays off.
 */
function lab(
  tasksOf: (cpus: readonly Cpu[]) => readonly (readonly (() => Steps<unknown>)[])[],
  memoryModel: MemoryModel = 'sc',
): Lab {
  const builder = new SystemBuilder({ memoryModel });
  const cpus = [0, 1].map((id) => addCpu(builder, id, ['call']));
  const handler = program(
    routine('handler', function* () {
      yield* nop({ label: 'in handler' });
      yield* nop({ label: 'leaving handler' });
    }),
  );
  tasksOf(cpus).forEach((tasks, id) =>
    startCpu(
      builder,
      cpus[id]!,
      tasks.map((task, i) => program(routine(`task${i}`, task))),
      { call: handler },
    ),
  );
  const system = builder.build();
  const executor = new TabulatedExecutor(system);
  return {
    executor,
    choose: (name) => {
      const index = system.choices.findIndex((c) => c.name === name);
      if (index < 0) throw new Error(`no choice ${name} (have ${system.choices.map((c) => c.name).join(', ')})`);
      return executor.step(index);
    },
    cpu: (id = 0) => JSON.parse(executor.describeComponent(id)) as ReturnType<Lab['cpu']>,
    stack: (id = 0) => executor.stackOf(id).join('>'),
    pending: (id = 0) => executor.pendingOperation(id)?.label,
  };
}

const twoNops = function* (): Steps {
  yield* nop();
  yield* nop();
};

describe('interrupts', () => {
  it('an IPI to a CPU with interrupts on starts its handler, which returns to the task', () => {
    const { choose, cpu, stack, pending } = lab((cpus) => [[() => send_IPI(cpus[1]!, 'call')], [twoNops]]);
    expect(choose('CPU0')).toBe(true);
    expect(stack(1)).toBe('task0');
    expect(choose('deliver CPU1.call')).toBe(true);
    expect([cpu(1).value, stack(1), pending(1)]).toEqual(['hardirq', 'handler', 'in handler']);
    expect([choose('CPU1'), choose('CPU1')]).toEqual([true, true]);
    expect([cpu(1).value, stack(1)]).toEqual(['irqs_on', 'task0']);
  });

  it('an IPI stays pending on its channel while interrupts are off, and is taken when they are on again', () => {
    const { executor, choose, cpu } = lab((cpus) => [
      [() => send_IPI(cpus[1]!, 'call')],
      [
        function* () {
          yield* local_irq_disable(cpus[1]!);
          yield* nop();
          yield* local_irq_enable(cpus[1]!);
          yield* rest();
        },
      ],
    ]);
    choose('CPU1');
    choose('CPU0');
    expect([cpu(1).value, choose('deliver CPU1.call'), executor.channelEmpty(1)]).toEqual(['irqs_off', false, false]);
    choose('CPU1');
    expect(choose('deliver CPU1.call')).toBe(false);
    choose('CPU1');
    expect([cpu(1).value, choose('deliver CPU1.call'), cpu(1).value]).toEqual(['irqs_on', true, 'hardirq']);
    expect(executor.channelEmpty(1)).toBe(true);
  });

  it('an IPI that is sent again while pending is absorbed: the handler runs once', () => {
    const { choose } = lab((cpus) => [
      [
        function* () {
          yield* send_IPI(cpus[1]!, 'call');
          yield* send_IPI(cpus[1]!, 'call');
        },
      ],
      [() => rest()],
    ]);
    expect([choose('CPU0'), choose('CPU0')]).toEqual([true, true]);
    expect([choose('deliver CPU1.call'), choose('CPU1'), choose('CPU1'), choose('deliver CPU1.call')]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  it('an IPI that arrives while the handler runs waits for its end: a handler runs with interrupts off', () => {
    const { choose, cpu } = lab((cpus) => [
      [
        function* () {
          yield* send_IPI(cpus[1]!, 'call');
          yield* send_IPI(cpus[1]!, 'call');
        },
      ],
      [() => rest()],
    ]);
    expect([choose('CPU0'), choose('deliver CPU1.call'), choose('CPU0'), choose('CPU1')]).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(choose('deliver CPU1.call')).toBe(false);
    choose('CPU1');
    expect([choose('deliver CPU1.call'), cpu(1).value]).toEqual([true, 'hardirq']);
  });

  it('a CPU may send an IPI to itself', () => {
    const { choose, stack } = lab((cpus) => [
      [
        function* () {
          yield* send_IPI(cpus[0]!, 'call');
          yield* nop();
        },
      ],
    ]);
    expect([choose('CPU0'), choose('deliver CPU0.call'), stack()]).toEqual([true, true, 'handler']);
  });

  it('local_irq_restore gives back what local_irq_save found: nested saves unmask only at the outermost', () => {
    const { choose, cpu } = lab((cpus) => [
      [
        function* () {
          const outer = yield* local_irq_save(cpus[0]!);
          const inner = yield* local_irq_save(cpus[0]!);
          yield* local_irq_restore(cpus[0]!, inner);
          yield* nop();
          yield* local_irq_restore(cpus[0]!, outer);
          yield* nop();
        },
      ],
    ]);
    const values = [];
    while (choose('CPU0')) values.push(cpu().value);
    expect(values).toEqual(['irqs_off', 'irqs_off', 'irqs_off', 'irqs_on', 'irqs_on']);
  });

  it('local_irq_save inside a handler finds interrupts off and leaves them so', () => {
    const builder = new SystemBuilder();
    const cpu = addCpu(builder, 0, ['call']);
    const seen: number[] = [];
    const handler = program(
      routine('handler', function* () {
        const flags = yield* local_irq_save(cpu);
        seen.push(flags);
        yield* local_irq_restore(cpu, flags);
        yield* nop();
      }),
    );
    startCpu(builder, cpu, [program(routine('task', () => send_IPI(cpu, 'call')))], { call: handler });
    const executor = new TabulatedExecutor(builder.build());
    while (executor.step(0) || executor.step(1)) continue;
    expect(executor.atRest()).toBe(true);
    expect(new Set(seen)).toEqual(new Set([0]));
    expect(executor.describeComponent(0)).toContain('irqs_on');
  });

  it('there is no IPI of an unknown vector', () => {
    const { executor } = lab((cpus) => [[() => send_IPI(cpus[0]!, 'call')]]);
    const builder = new SystemBuilder();
    const cpu = addCpu(builder, 3, ['call']);
    expect(() => send_IPI(cpu, 'flush').next(0)).toThrow('cpu: send_IPI: CPU3 has no vector flush');
    expect(executor.step(0)).toBe(true);
  });
});

describe('user mode and idle', () => {
  it.each([
    ['user', user_mode],
    ['idle', do_idle],
  ] as const)('in %s the CPU performs no operation, takes interrupts, and goes back there', (state, enter) => {
    const { executor, choose, cpu, pending } = lab((cpus) => [
      [() => enter(cpus[0]!)],
      [() => send_IPI(cpus[0]!, 'call')],
    ]);
    expect([choose('CPU0'), cpu().value, pending(), choose('CPU0')]).toEqual([true, state, undefined, false]);
    choose('CPU1');
    expect([choose('deliver CPU0.call'), cpu().value, pending()]).toEqual([true, 'hardirq', 'in handler']);
    expect([choose('CPU0'), choose('CPU0'), cpu().value, choose('CPU0')]).toEqual([true, true, state, false]);
    expect(executor.atRest()).toBe(true);
  });

  it('an interrupted kernel task is not mistaken for user mode by a later interrupt', () => {
    const { choose, cpu } = lab((cpus) => [
      [() => nop(), () => user_mode(cpus[0]!)],
      [
        function* () {
          for (let i = 0; i < 2; i++) yield* send_IPI(cpus[0]!, 'call');
        },
      ],
    ]);
    expect([choose('CPU0 tick'), choose('CPU0'), cpu().value]).toEqual([true, true, 'user']);
    for (const step of ['CPU1', 'deliver CPU0.call', 'CPU0', 'CPU0']) expect(choose(step)).toBe(true);
    expect(cpu().value).toBe('user');
    expect([choose('CPU0 tick'), cpu().value]).toEqual([true, 'irqs_on']);
    for (const step of ['CPU1', 'deliver CPU0.call', 'CPU0', 'CPU0']) expect(choose(step)).toBe(true);
    expect(cpu().value).toBe('irqs_on');
  });

  it('a CPU with interrupts off cannot go idle: it would never wake', () => {
    const { executor, choose } = lab((cpus) => [
      [
        function* () {
          yield* local_irq_disable(cpus[0]!);
          yield* do_idle(cpus[0]!);
        },
      ],
    ]);
    expect([choose('CPU0'), choose('CPU0'), executor.atRest()]).toEqual([true, false, false]);
  });
});

describe('preemption', () => {
  it('a tick switches between the two tasks of a CPU', () => {
    const { choose, stack } = lab(() => [[twoNops, twoNops]]);
    expect(stack()).toBe('task0');
    choose('CPU0');
    expect([choose('CPU0 tick'), stack()]).toEqual([true, 'task1']);
    expect([choose('CPU0 tick'), stack()]).toEqual([true, 'task0']);
  });

  it('a tick passes over a task that has returned', () => {
    const { executor, choose, stack } = lab(() => [[() => nop(), twoNops]]);
    choose('CPU0');
    expect([choose('CPU0'), choose('CPU0 tick'), stack()]).toEqual([false, true, 'task1']);
    choose('CPU0 tick');
    expect(stack()).toBe('task1');
    expect([choose('CPU0'), choose('CPU0'), executor.atRest()]).toEqual([true, true, true]);
  });

  it('preempt_count blocks the tick until the outermost preempt_enable', () => {
    const { choose, cpu } = lab((cpus) => [
      [
        function* () {
          yield* preempt_disable(cpus[0]!);
          yield* preempt_disable(cpus[0]!);
          yield* preempt_enable(cpus[0]!);
          yield* preempt_enable(cpus[0]!);
          yield* nop();
        },
        twoNops,
      ],
    ]);
    const tried = [1, 2, 1, 0].map((expected) => {
      choose('CPU0');
      expect(cpu().context.preempt_count).toBe(expected);
      return choose('CPU0 tick');
    });
    expect(tried).toEqual([false, false, false, true]);
  });

  it('an interrupt is taken with preemption off', () => {
    const { choose, cpu } = lab((cpus) => [
      [
        function* () {
          yield* preempt_disable(cpus[0]!);
          yield* send_IPI(cpus[0]!, 'call');
          yield* nop();
        },
      ],
    ]);
    expect([choose('CPU0'), choose('CPU0'), choose('deliver CPU0.call'), cpu().value]).toEqual([
      true,
      true,
      true,
      'hardirq',
    ]);
  });

  it('no tick with interrupts off', () => {
    const { choose } = lab((cpus) => [
      [
        function* () {
          yield* local_irq_disable(cpus[0]!);
          yield* nop();
        },
        twoNops,
      ],
    ]);
    expect([choose('CPU0'), choose('CPU0 tick')]).toEqual([true, false]);
  });

  it('no tick inside a handler', () => {
    const { choose } = lab((cpus) => [[() => send_IPI(cpus[0]!, 'call'), twoNops]]);
    expect([choose('CPU0'), choose('deliver CPU0.call'), choose('CPU0 tick')]).toEqual([true, true, false]);
  });

  it('a CPU with one task has no tick', () => {
    expect(() => lab(() => [[twoNops]]).choose('CPU0 tick')).toThrow('no choice CPU0 tick');
  });
});

describe('the store buffer', () => {
  it('goes before an IPI: x86 fences the write of the ICR (25a068b8e9a4), the GIC driver has a barrier', () => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const word = builder.region('word', 1).at(0);
    const cpus = [0, 1].map((id) => addCpu(builder, id, ['call']));
    startCpu(
      builder,
      cpus[0]!,
      [
        program(
          routine('task', function* () {
            yield* store(word, 5);
            yield* send_IPI(cpus[1]!, 'call');
          }),
        ),
      ],
      {},
    );
    startCpu(builder, cpus[1]!, [program(routine('idle', () => do_idle(cpus[1]!)))], {
      call: program(
        routine('handler', function* () {
          yield* assertThat((yield* load(word)) === 5, 'the handler sees what was stored before');
        }),
      ),
    });
    expect([...everyRun(builder.build()).violations]).toEqual([]);
  });

  it('is empty when an interrupt is taken: what was stored before is in memory when the handler begins', () => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const word = builder.region('word', 1).at(0);
    const cpu = addCpu(builder, 0, ['call']);
    const seen = builder.region('seen', 1).at(0);
    startCpu(
      builder,
      cpu,
      [
        program(
          routine('task', function* () {
            yield* send_IPI(cpu, 'call');
            yield* store(word, 5);
          }),
        ),
      ],
      {
        call: program(
          routine('handler', function* () {
            const value = yield* load(word);
            yield* store(seen, value);
          }),
        ),
      },
    );
    const [advance, deliver, drain] = [0, 1, 2];
    const executor = new TabulatedExecutor(builder.build());
    for (const choice of [advance, advance]) expect(executor.step(choice)).toBe(true);
    expect(executor.step(deliver)).toBe(false);
    for (const choice of [drain, deliver, advance, advance]) expect(executor.step(choice)).toBe(true);
    expect(executor.read(word)).toBe(5);
    expect(executor.step(drain)).toBe(true);
    expect(executor.read(seen)).toBe(5);
  });
});

/** CPUs that call each other and wait, disable interrupts, preempt and idle. Runs for ever. */
function machineRoom(memoryModel: MemoryModel, cpuCount: number): System {
  const builder = new SystemBuilder({ memoryModel, storeBufferEntries: 2 });
  const acknowledged = builder.region('acknowledged', cpuCount);
  const data = builder.region('data', 2);
  const cpus = Array.from({ length: cpuCount }, (_, id) => addCpu(builder, id, ['call', 'empty']));
  const task = routine('task', function* (cpu: Cpu, seed: number) {
    const target = cpus[(cpu.id + 1) % cpuCount]!;
    for (let round = seed; ; round = (round + 1) % 4) {
      yield* point('round', round);
      if (round === 0) {
        const flags = yield* local_irq_save(cpu);
        yield* store(data.at(0), cpu.id);
        yield* load(data.at(1));
        yield* local_irq_restore(cpu, flags);
      } else if (round === 1) {
        yield* preempt_disable(cpu);
        yield* store(data.at(1), 1 + (yield* load(data.at(0))));
        yield* send_IPI(target, 'call');
        yield* preempt_enable(cpu);
      } else if (round === 2) {
        yield* send_IPI(target, 'empty');
        yield* smp_mb();
        yield* waitFor(acknowledged.at(target.id), 1, 1);
      } else yield* store(acknowledged.at(target.id), 0);
    }
  });
  const call = (id: number): Program =>
    program(
      routine('call', function* () {
        yield* load(data.at(1));
        yield* atomicAdd(acknowledged.at(id), 1);
      }),
    );
  const empty = program(routine('empty', () => count('empty interrupts')));
  for (const cpu of cpus) {
    const idles = cpu.id === cpuCount - 1 && cpuCount > 2;
    const tasks = idles
      ? [program(routine('idle', () => do_idle(cpu)))]
      : [program(task, cpu, 0), program(task, cpu, 3), program(routine('user', () => user_mode(cpu)))];
    startCpu(builder, cpu, tasks, { call: call(cpu.id), empty });
  }
  return builder.build();
}

describe('live, tabulated and direct execution agree on CPUs', () => {
  const rooms = [machineRoom('tso', 2), machineRoom('sc', 2), machineRoom('tso', 3)].map((system) => ({
    tabulated: new TabulatedExecutor(system),
    others: [new LiveExecutor(system), new DirectExecutor(system)] as const satisfies readonly Executor[],
  }));

  it('on random schedules of 200 steps, after every step', () => {
    fc.assert(
      fc.property(fc.constantFrom(...rooms), fc.integer(), ({ tabulated, others }, seed) => {
        const scheduler = new RandomScheduler(seed);
        for (const executor of [tabulated, ...others]) executor.reset();
        for (let i = 0; i < 200; i++) {
          const entry = scheduler.next(tabulated);
          if (entry < 0) throw new Error(`nothing can happen after ${i} steps`);
          // A call of expect() takes longer than a step, so it is made only when there is something to report.
          for (const other of others) {
            const happened = other.step(entryChoice(entry), entryBranch(entry));
            if (!happened || other.fingerprint !== tabulated.fingerprint)
              expect([happened, other.fingerprint]).toEqual([true, tabulated.fingerprint]);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
