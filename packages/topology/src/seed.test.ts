import { expect, test } from 'vitest';
import { machine } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import { TimeSeries } from './series.ts';

function run(seed: number): MachineRun {
  const body = [
    { do: 'mmap', area: 'a', pages: 2 },
    { do: 'touch', area: 'a' },
    { do: 'munmap', area: 'a' },
  ] as const;
  const work = [{ do: 'repeat' as const, times: 4, body: [...body] }];
  return runMachine(
    machine({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 2,
      tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
      memory: { tables: 16, pages: 16 },
    })
      .thread('p', 0, work)
      .thread('p', 1, work)
      .assemble(),
    { seed },
  );
}

test('one seed gives one run, and another another', () => {
  expect(run(7).fingerprint).toBe(run(7).fingerprint);
  expect(run(7).cycles).not.toBe(run(8).cycles);
  expect(run(0)).toMatchObject({ seed: 0, end: 'done' });
});

test('what is counted over time adds up to what is counted', () => {
  const { series, total } = run(1);
  for (const [counter, values] of Object.entries(series.counters))
    expect(values.reduce((a, b) => a + b, 0)).toBe(total[counter]?.reduce((a, b) => a + b, 0));
});

test('intervals grow with the run, and nothing is lost', () => {
  const series = new TimeSeries();
  for (let cycles = 0; cycles < 10_000_000; cycles += 1000) series.add(series.of('events'), cycles, 1);
  expect(series.intervalCycles).toBe(65_536);
  expect(series.counts['events']).toHaveLength(153);
  expect(series.counts['events']?.reduce((a, b) => a + b, 0)).toBe(10_000);
});
