import { atomicAdd, DirectExecutor, RandomScheduler, runScheduler, type Steps } from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import {
  cpumask_empty,
  cpumask_equal,
  cpumask_test_cpu,
  cpumask_without,
  cpumaskWhere,
  cpumaskWords,
  formatCpumask,
} from './cpumask.ts';
import { mmMachine } from './machines.test-support.ts';

const cpus = (count: number) => Array.from({ length: count }, (_, id) => ({ id })) as never;

describe('a mask of CPUs', () => {
  test('is one word for up to 32 CPUs, and a word per 32 above', () => {
    expect([1, 32, 33, 64, 256].map(cpumaskWords)).toEqual([1, 1, 2, 2, 8]);
    expect(cpumaskWhere(cpus(32), (id) => id === 31)).toBe(1 << 31);
    expect(cpumaskWhere(cpus(33), (id) => id === 32)).toEqual([0, 1]);
  });

  test.each([1, 31, 32, 33, 64, 65, 192, 256])('holds what was put in and nothing else: %i CPUs', (count) => {
    for (const wanted of [0, 30, 31, 32, 63, 64, 100, 191, 255].filter((id) => id < count)) {
      const mask = cpumaskWhere(cpus(count), (id) => id === wanted);
      const found = Array.from({ length: count }, (_, id) => id).filter((id) => cpumask_test_cpu(id, mask));
      expect(found).toEqual([wanted]);
      expect(cpumask_empty(mask)).toBe(false);
      expect(cpumask_empty(cpumask_without(mask, wanted))).toBe(true);
      expect(cpumask_equal(mask, cpumask_without(mask, (wanted + 32) % 256))).toBe(true);
      expect(BigInt(formatCpumask(mask))).toBe(1n << BigInt(wanted));
    }
  });

  test('of one word names no CPU above 31', () => {
    expect(cpumask_test_cpu(32, -1)).toBe(false);
    expect(cpumask_without(-1, 32)).toBe(-1);
    expect(cpumask_equal(-1, [-1, 0])).toBe(true);
    expect(formatCpumask([0, 0])).toBe('0b0');
  });
});

test('40 CPUs that call one another all get their answers, whatever word of the queue they stand in', () => {
  const callers = [0, 31, 32, 39];
  let counted = 0;
  const machine = mmMachine(
    { cpus: 40, pages: 1, tables: 1 },
    Array.from({ length: 40 }, (_, id) =>
      callers.includes(id)
        ? function* ({ smp }, cpu) {
            yield* smp.smp_call_function_many(cpu, smp.everyone, counted);
          }
        : function* () {},
    ),
  );
  counted = machine.smp.register({
    name: 'count',
    *run(): Steps {
      yield* atomicAdd(machine.flags.at(0), 1);
    },
  });
  for (const seed of [1, 2, 3]) {
    const executor = new DirectExecutor(machine.system);
    expect(runScheduler(executor, new RandomScheduler(seed), 1_000_000).end).toBe('rest');
    expect(executor.store.read(machine.flags.at(0))).toBe(callers.length * 39);
  }
});
