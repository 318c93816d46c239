import { assemble, parseTopology } from '@shootdown/topology';
import { describe, expect, it } from 'vitest';
import { untilDoneOrInterrupted, rowsUntilInterrupted } from './interrupt.ts';
import { timelineOf } from './timeline.ts';

const endless = assemble(
  parseTopology({
    name: 'endless',
    architecture: 'x86-64-4l',
    cpus: 1,
    processes: [
      {
        name: 'p',
        threads: [
          {
            cpu: 0,
            run: [
              { do: 'mmap', area: 'a', pages: 4 },
              {
                do: 'repeat',
                times: 1_000_000,
                body: [
                  { do: 'measure', phase: 'on' },
                  { do: 'touch', area: 'a' },
                  { do: 'madvise-dontneed', area: 'a' },
                ],
              },
            ],
          },
        ],
      },
    ],
  }),
);

describe('a timeline', () => {
  it('has the steps of the run, and not those that the run did not come to', async () => {
    expect(await timelineOf(endless, { steps: 50 })).toMatchObject({
      interrupted: false,
      trace: { steps: { length: 50 } },
    });
    const { trace } = await timelineOf(endless, { steps: 50, part: { phase: 'on' } });
    expect(trace.steps.length).toBeLessThan(50);
    await expect(timelineOf(endless, { steps: 50, part: { phase: 'off' } })).rejects.toThrow(
      'no phase off (have: start-up, on)',
    );
  });

  it('ends with Ctrl-C, and has the steps so far', async () => {
    const underWay = timelineOf(endless, { steps: 100_000 });
    process.emit('SIGINT');
    const { trace, interrupted } = await underWay;
    expect(interrupted).toBe(true);
    expect(trace.steps.length).toBeGreaterThan(0);
    expect(trace.steps.length).toBeLessThan(100_000);
  });
});

describe('Ctrl-C', () => {
  it('ends a table after the row that is under way', async () => {
    const { each, signal, ignore } = rowsUntilInterrupted((row) => row === 3 && process.emit('SIGINT'));
    expect(await each([1, 2, 3], (item) => 10 * item)).toEqual([10, 20]);
    expect(await each([4], (item) => item)).toEqual([]);
    expect(signal.aborted).toBe(true);
    ignore();
  });

  it('is heard between two portions', async () => {
    let portions = 0;
    expect(await untilDoneOrInterrupted(() => portions++ < 5 && (portions < 3 || process.emit('SIGINT')))).toBe(true);
    expect(portions).toBe(3);
  });
});
