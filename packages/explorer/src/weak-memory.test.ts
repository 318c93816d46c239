/** Searches on the memory model of Arm. */
import { load, program, routine, smp_wmb, store, SystemBuilder, type System } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';

function writerAndReader(stores: number, messagesMax: number): System {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { messagesMax } });
  const x = builder.region('x', 1).at(0);
  const writer = routine('writer', function* () {
    for (let i = 1; i <= stores; i++) {
      yield* store(x, i);
      yield* smp_wmb();
    }
  });
  const reader = routine('reader', function* () {
    yield* load(x);
    yield* load(x);
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  return builder.build();
}

describe('explore on arm', () => {
  it('is bounded, never safe, when a location had as many messages as it may have', async () => {
    expect(await explore(writerAndReader(4, 2))).toMatchObject({ verdict: 'bounded', stoppedBy: 'messages' });
    expect(await explore(writerAndReader(4, 16))).toMatchObject({ verdict: 'safe', complete: true });
  });

  it('finds the same without reduction', async () => {
    const reduced = await explore(writerAndReader(3, 16));
    const full = await explore(writerAndReader(3, 16), { reduction: false });
    expect([full.verdict, full.complete]).toEqual([reduced.verdict, reduced.complete]);
    expect(full.states).toBeGreaterThanOrEqual(reduced.states);
  });

  it('is refused with several workers, which would number the memory differently', async () => {
    const source = { module: 'x', export: 'x', request: { variant: '', memoryModel: 'arm' as const, parameters: {} } };
    await expect(explore(writerAndReader(1, 16), { workers: 2, source })).rejects.toThrow('memory model arm');
  });
});
