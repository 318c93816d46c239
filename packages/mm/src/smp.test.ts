import { atomicAdd, load, type Steps } from '@shootdown/machine';
import { local_irq_disable, local_irq_enable } from '@shootdown/cpu';
import { describe, expect, test } from 'vitest';
import { everyRun } from '@shootdown/machine/every-run';
import { mmMachine, randomRuns, runMachine, type Body, type Machine } from './machines.test-support.ts';

/** A machine whose CPUs can be made to add to the flag word of their own number. */
function counting(cpus: number, bodies: readonly Body[]): { machine: Machine; counted: number } {
  const machine = mmMachine({ cpus, pages: 1, tables: 1 }, bodies);
  const counted = machine.smp.register({
    name: 'count',
    *run(cpu): Steps {
      yield* atomicAdd(machine.flags.at(cpu.id), 1);
    },
  });
  return { machine, counted };
}

describe('smp_call_function_many()', () => {
  test('when it returns, every CPU of the mask has run the function once, and no other', () => {
    const seen: number[][] = [];
    const { machine, counted } = counting(4, [
      function* ({ smp, flags }, cpu) {
        yield* smp.smp_call_function_many(cpu, 0b0111, counted);
        const values: number[] = [];
        for (let i = 0; i < 4; i++) values.push(yield* load(flags.at(i)));
        seen.push(values);
      },
    ]);
    randomRuns(machine, [1, 2, 3, 4, 5, 6, 7, 8], (run) => expect(run.end).toBe('rest'));
    expect(seen).toEqual(Array.from({ length: 8 }, () => [0, 1, 1, 0]));
  });

  test('in every run of two CPUs the function has run before the caller goes on', () => {
    const late = new Set<number>();
    const { machine, counted } = counting(2, [
      function* ({ smp, flags }, cpu) {
        yield* smp.smp_call_function_many(cpu, 0b10, counted);
        late.add(yield* load(flags.at(1)));
      },
    ]);
    expect(everyRun(machine.system)).toMatchObject({ deadlock: false, violations: new Set() });
    expect(late).toEqual(new Set([1]));
  });

  const call = (counted: () => number, irqsOff: boolean): Body =>
    function* ({ smp }, cpu) {
      if (irqsOff) yield* local_irq_disable(cpu);
      yield* smp.smp_call_function_many(cpu, -1, counted());
      if (irqsOff) yield* local_irq_enable(cpu);
    };

  test('two CPUs that call each other with interrupts on both get their answer', () => {
    const made = counting(
      2,
      [0, 1].map(() => call(() => made.counted, false)),
    );
    expect(
      everyRun(made.machine.system, undefined, (read) =>
        expect([0, 1].map((i) => read(made.machine.flags.at(i)))).toEqual([1, 1]),
      ),
    ).toMatchObject({ deadlock: false });
  });

  test('with interrupts off they may wait for each other for ever', () => {
    const made = counting(
      2,
      [0, 1].map(() => call(() => made.counted, true)),
    );
    expect(everyRun(made.machine.system).deadlock).toBe(true);
  });

  test('two callers of one CPU may share an interrupt, and both functions run', () => {
    const interrupts = new Set<number>();
    const made = counting(
      3,
      [0, 1].map(() => call(() => made.counted, false)),
    );
    let delivered = 0;
    randomRuns(
      made.machine,
      Array.from({ length: 200 }, (_, i) => i),
      (run, executor) => {
        expect(run.end).toBe('rest');
        expect(executor.store.read(made.machine.flags.at(2))).toBe(2);
        delivered = run.schedule.filter(
          (entry) => made.machine.system.choices[entry % 256]?.name === 'deliver CPU2.CALL_FUNCTION_VECTOR',
        ).length;
        interrupts.add(delivered);
      },
    );
    expect([...interrupts].toSorted((a, b) => a - b)).toEqual([1, 2]);
  });

  test('the next call to a CPU waits until the csd of the one before is unlocked', () => {
    const { machine, counted } = counting(2, [
      function* ({ smp }, cpu) {
        for (let i = 0; i < 3; i++) yield* smp.smp_call_function_many(cpu, 0b10, counted);
      },
    ]);
    const { executor } = runMachine(machine);
    expect(executor.store.read(machine.flags.at(1))).toBe(3);
  });
});

describe('kick_all_cpus_sync()', () => {
  test('returns only when a CPU with interrupts off has turned them on', () => {
    const order: string[] = [];
    const machine = mmMachine({ cpus: 2, pages: 1, tables: 1 }, [
      function* ({ smp, flags }, cpu) {
        yield* smp.kick_all_cpus_sync(cpu);
        order.push((yield* load(flags.at(0))) === 1 ? 'after' : 'before');
      },
      function* ({ flags }, cpu) {
        yield* local_irq_disable(cpu);
        yield* atomicAdd(flags.at(0), 1);
        yield* atomicAdd(flags.at(0), -1);
        yield* atomicAdd(flags.at(0), 1);
        yield* local_irq_enable(cpu);
      },
    ]);
    const { system, flags } = machine;
    expect(everyRun(system, (read) => read(flags.at(0)) === 1)).toMatchObject({ deadlock: false });
    expect(new Set(order)).toEqual(new Set(['after', 'before']));
  });
});
