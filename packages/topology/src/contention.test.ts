import { DirectExecutor } from '@shootdown/machine';
import { expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { MachineRunner } from './run.ts';
import { parseTopology } from './schema.ts';

/** Counts what the scheduler tries. */
class Counting extends DirectExecutor {
  declare tried: number | undefined;

  override step(choice: number, branch = 0): boolean {
    this.tried = (this.tried ?? 0) + 1;
    return super.step(choice, branch);
  }
}

/** Every CPU runs a thread of one process, and all of them want its mmap_lock. */
function triesPerStep(cpus: number): number {
  const machine = assemble(
    parseTopology({
      name: 'contended',
      architecture: 'x86-64-4l',
      cpus,
      tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
      memory: { tables: 32, pages: 256 },
      processes: [
        {
          name: 'p',
          threads: [
            {
              cpu: `0-${cpus - 1}`,
              run: [
                {
                  do: 'repeat',
                  times: 100,
                  body: [
                    { do: 'mmap', area: 'a', pages: 1 },
                    { do: 'munmap', area: 'a' },
                  ],
                },
              ],
            },
          ],
        },
      ],
    }),
  );
  const executor = new Counting(machine.system);
  const runner = new MachineRunner(machine, { executor, stepsMax: 6000 });
  runner.advance(Number.POSITIVE_INFINITY);
  return (executor.tried ?? 0) / runner.result().steps;
}

test('CPUs that wait for a contended lock are not asked before every step', () => {
  const few = triesPerStep(4);
  expect(few).toBeLessThan(2);
  // Asking all of them made it 16 times as many on 64 CPUs.
  expect(triesPerStep(64)).toBeLessThan(2 * few);
});
