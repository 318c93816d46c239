import { addCpu, local_irq_restore, local_irq_save, send_IPI, startCpu, type Cpu } from '@shootdown/cpu';
import {
  assertThat,
  load,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  store,
  SystemBuilder,
  TabulatedExecutor,
  type MemoryModel,
  type Steps,
} from '@shootdown/machine';
import { Rcu } from '@shootdown/sync';
import { describe, expect, it } from 'vitest';

const RCU_VECTOR = 'RCU';
const POISON = 'no read of what a grace period has passed over';
const RUNS = 1000;

/** A reader that masks interrupts instead of taking rcu_read_lock(), as GUP-fast does, against synchronize_rcu(). */
function irqsOffReader(memoryModel: MemoryModel, asked: boolean, nested = false) {
  const builder = new SystemBuilder({ memoryModel });
  const cpus = [0, 1].map((id) => addCpu(builder, id, [RCU_VECTOR])) as [Cpu, Cpu];
  const interrupts = { request: (_from: number, to: number): Steps => send_IPI(cpus[to] as Cpu, RCU_VECTOR) };
  const rcu = new Rcu(builder, { processors: 2, ...(asked && { interrupts }) });
  const [pointer, data] = ['pointer', 'data'].map((name) => builder.region(name, 1, { initial: 1 }).at(0)) as [
    never,
    never,
  ];
  const reader = routine('gup_fast', function* (): Steps {
    const flags = yield* local_irq_save(cpus[0]);
    if (nested) yield* rcu.rcu_read_lock();
    const p = yield* load(pointer);
    if (nested) yield* rcu.rcu_read_unlock(0);
    if (p !== 0) yield* assertThat((yield* load(data)) === 1, POISON);
    yield* local_irq_restore(cpus[0], flags);
  });
  const updater = routine('free', function* (): Steps {
    yield* store(pointer, 0);
    yield* rcu.synchronize_rcu(1);
    yield* store(data, 0);
  });
  startCpu(builder, cpus[0], [program(reader)], { [RCU_VECTOR]: rcu.rcu_exp_handler(0) });
  startCpu(builder, cpus[1], [program(updater)], { [RCU_VECTOR]: rcu.rcu_exp_handler(1) });
  return builder.build();
}

/** How random runs end. */
function endings(system: ReturnType<typeof irqsOffReader>): Set<string> {
  const executor = new TabulatedExecutor(system);
  const seeds = Array.from({ length: RUNS }, (_, seed) => seed);
  return new Set(seeds.map((seed) => runScheduler(executor, new RandomScheduler(seed), 1000).end));
}

describe.each<MemoryModel>(['sc', 'tso'])('a stretch with interrupts off on %s', (model) => {
  it('holds a grace period up when processors are asked by interrupt', () => {
    expect(endings(irqsOffReader(model, true))).toEqual(new Set(['rest']));
  });

  it('holds it up even if a section inside it has ended', () => {
    expect(endings(irqsOffReader(model, true, true))).toEqual(new Set(['rest']));
  });

  it('is nothing to a grace period that looks at rcu_read_lock() alone', () => {
    expect(endings(irqsOffReader(model, false)).has('violation')).toBe(true);
  });
});
