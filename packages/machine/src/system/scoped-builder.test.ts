import { describe, expect, it } from 'vitest';
import { setup } from '../execute/gate.test-support.machine.ts';
import {
  DirectExecutor,
  load,
  nop,
  program,
  routine,
  runVirtualTime,
  ScopedBuilder,
  store,
  SystemBuilder,
} from '../index.ts';

/** A part with a word, a gated processor that adds to it, and whoever opens and closes the gate. */
function addPart(builder: SystemBuilder, cycles: number): number {
  const word = builder.region('word', 1).at(0);
  builder.component({ name: 'cpu', machine: setup.listener });
  builder.component({ name: 'host', machine: setup.host });
  builder.channel({ name: 'irq', to: 'cpu', policy: 'level' });
  const adds = routine('adds', function* () {
    yield* store(word, (yield* load(word)) + cycles);
    yield* nop();
  });
  builder.processor({ name: 'P', tasks: [program(adds)], component: 'cpu', gate: 'host' });
  builder.spontaneous({ name: 'preempt', kind: 'host', component: 'host', message: { type: 'preempt' } });
  return word;
}

describe('a scoped builder', () => {
  it('holds the same part twice in one machine, under names of its own', () => {
    const whole = new SystemBuilder();
    const words = ['a', 'b'].map((name, i) => addPart(new ScopedBuilder(whole, name), i + 1));
    const system = whole.build();
    expect(system.processors.map((p) => p.name)).toEqual(['a.P', 'b.P']);
    expect(system.choices.map((choice) => choice.name)).toEqual([
      'a.P',
      'b.P',
      'deliver a.irq',
      'deliver b.irq',
      'a.preempt',
      'b.preempt',
    ]);
    expect(words.map((word) => system.layout.nameOf(word))).toEqual(['a.word', 'b.word']);
    expect(
      system.processors.map(({ component, gate }) => [component, gate].map((index) => system.components[index]?.name)),
    ).toEqual([
      ['a.cpu', 'a.host'],
      ['b.cpu', 'b.host'],
    ]);
    const executor = new DirectExecutor(system);
    expect(runVirtualTime(executor, { costs: { name: 'none', hertz: 1, costs: {} }, stepsMax: 100 }).end).toBe('rest');
    expect(words.map((word) => executor.store.read(word))).toEqual([1, 2]);
  });

  it('has tasks go to processors of the same part, by the names that messages give them', () => {
    const whole = new SystemBuilder();
    const task = program(routine('task', () => nop()));
    for (const part of ['a', 'b']) {
      const builder = new ScopedBuilder(whole, part);
      builder.processor({ name: 'P', tasks: [task], migratesTo: ['Q'] });
      builder.processor({ name: 'Q', tasks: [task] });
      expect(builder.fullName('Q')).toBe(`${part}.Q`);
    }
    expect(whole.build().processors.map(({ migratesTo }) => migratesTo)).toEqual([[1], [], [3], []]);
  });

  it('looks for what a spec names inside the part, and says so', () => {
    const whole = new SystemBuilder();
    whole.component({ name: 'cpu', machine: setup.listener });
    new ScopedBuilder(whole, 'vm0').channel({ name: 'irq', to: 'cpu', policy: 'level' });
    whole.processor({ name: 'P', tasks: [program(routine('task', () => nop()))] });
    expect(() => whole.build()).toThrow('system: vm0.irq: no component vm0.cpu (have: cpu)');
  });

  it('builds nothing by itself', () => {
    expect(() => new ScopedBuilder(new SystemBuilder(), 'vm0').build()).toThrow(
      'system: build: vm0 is a part of a system: build the whole',
    );
  });
});
