import { program, routine, SystemBuilder, work, x86Costs } from '@shootdown/machine';
import { Rcu } from '@shootdown/sync';
import { runMachine } from '@shootdown/topology';
import { expect, test } from 'vitest';
import { Latencies } from './latencies.ts';

const READER_STEPS = 20;

/** A reader, someone who waits for it or leaves that to a callback, and the thread that calls callbacks. */
function gracePeriodsOf(update: (rcu: Rcu, free: number) => ReturnType<Rcu['call_rcu']>) {
  const builder = new SystemBuilder();
  const rcu = new Rcu(builder, { processors: 3 });
  const free = rcu.register('free', function* () {});
  const reader = routine('reader', function* () {
    yield* rcu.rcu_read_lock();
    for (let i = 0; i < READER_STEPS; i++) yield* work('compute');
    yield* rcu.rcu_read_unlock(0);
  });
  const updater = routine('updater', function* () {
    yield* work('compute');
    yield* update(rcu, free);
  });
  builder.processor({ name: 'CPU0', tasks: [program(reader)] });
  builder.processor({ name: 'CPU1', tasks: [program(updater)] });
  builder.processor({ name: 'rcuc', tasks: [rcu.rcuc(2)] });
  const { histograms, onGracePeriod } = new Latencies();
  const machine = { topology: {}, system: builder.build(), costs: x86Costs, vms: [] };
  expect(runMachine(machine, { onGracePeriod }).end).toBe('rest');
  return histograms.get('grace period');
}

test.each([
  ['synchronize_rcu()', (rcu: Rcu) => rcu.synchronize_rcu(1)],
  ['call_rcu()', (rcu: Rcu, free: number) => rcu.call_rcu(free, 1)],
])('a grace period for %s is as long as the reader that it waits for, and there is one', (_, update) => {
  const step = x86Costs.costs['compute']?.cycles ?? 0;
  const { count, min } = gracePeriodsOf(update) ?? {};
  expect(count).toBe(1);
  expect(min).toBeGreaterThan((READER_STEPS - 2) * step);
});

test('none is seen where nobody waits', () => {
  expect(gracePeriodsOf((rcu) => rcu.rcu_read_lock())).toBeUndefined();
});
