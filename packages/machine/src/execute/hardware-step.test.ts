/** What components do by themselves goes to memory: the store buffers are the processors' own. */
import { expect, it } from 'vitest';
import { store } from '../routine/operations.ts';
import { program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import { DirectExecutor } from './direct.ts';
import { LiveExecutor } from './live.ts';
import { listenerMachine } from './processor.test-support.machine.ts';
import { TabulatedExecutor } from './tabulated.ts';

it.each([TabulatedExecutor, DirectExecutor, LiveExecutor])(
  'on tso, a device sees and has no store buffer',
  (Executor) => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const [x, seen, y] = ['x', 'seen', 'y'].map((name) => builder.region(name, 1).base) as [number, number, number];
    builder.processor({ name: 'CPU0', tasks: [program(routine('user', () => store(x as never, 1)))] });
    builder.component({
      name: 'device',
      machine: listenerMachine,
      effects: {
        heard: (cx) => {
          cx.write(seen, 1 + cx.load(x));
          cx.storeBuffered(y, 1);
        },
      },
    });
    builder.spontaneous({ name: 'hears', kind: 'hardware', component: 'device', message: { type: 'answer', n: 0 } });
    const system = builder.build();
    const executor = new Executor(system);
    const hears = system.choices.findIndex(({ name }) => name === 'hears');
    expect([executor.step(0), executor.step(hears)]).toEqual([true, true]);
    expect([seen, y].map((word) => executor.store.read(word))).toEqual([1, 1]);
  },
);
