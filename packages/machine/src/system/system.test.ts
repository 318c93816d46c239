import { expect, test } from 'vitest';
import { setup } from 'xstate';
import { program, routine } from '../routine/routine.ts';
import { SystemBuilder } from './system.ts';

/** A step looks at one after another: objects with other keys, or in another order, are looked up from scratch. */
test('what is assembled has the same keys in the same order, whatever was said of it', () => {
  const builder = new SystemBuilder();
  const machine = setup({}).createMachine({});
  builder.component({ name: 'plain', machine });
  builder.component({ effects: {}, machine, input: 1, name: 'other' });
  builder.channel({ name: 'a', to: 'plain', policy: 'fifo' });
  builder.channel({
    policy: 'level',
    capacity: 1,
    name: 'b',
    from: 'plain',
    to: 'other',
    latency: 'ipi',
    drained: true,
  });
  builder.channel({ name: 'c', to: 'plain', policy: 'synchronous' });
  builder.processor({ name: 'P', tasks: [program(routine('nothing', function* () {}))] });
  const tick = { kind: 'host', component: 'plain', message: { type: 'tick' } } as const;
  builder.spontaneous({ name: 's', ...tick });
  builder.spontaneous({ afterSpinning: { processor: 'P', cycles: builder.region('w', 1).at(0) }, ...tick, name: 't' });
  const { components, channels, synchronous, spontaneous } = builder.build();
  for (const all of [components, [...channels, ...synchronous], spontaneous])
    expect(new Set(all.map((one) => Object.keys(one).join(' '))).size).toBe(1);
});
