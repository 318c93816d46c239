/** Memory of the sizes people have, and what freeing much of it costs. */
import { expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { MachineRunner, runMachine } from './run.ts';
import { parseTopology, type TopologyInput } from './schema.ts';

const GIGABYTE_PAGES = 1 << 18;

function machine(changes: Partial<TopologyInput>, pages = 2): TopologyInput {
  const run = [
    { do: 'mmap', area: 'a', pages },
    { do: 'touch', area: 'a' },
    { do: 'madvise-dontneed', area: 'a' },
  ] as const;
  return {
    name: 'm',
    architecture: 'x86-64-4l',
    cpus: 2,
    processes: [{ name: 'p', threads: [{ cpu: 1, run: [...run] }] }],
    ...changes,
  };
}

test('32 GB on two sockets take no word per page, and the second socket has memory of its own', () => {
  const memory = { tables: 64, pages: 32 * GIGABYTE_PAGES };
  const before = process.memoryUsage().rss;
  const assembled = assemble(parseTopology(machine({ memory, sockets: [[0], [1]] })));
  const run = runMachine(assembled);
  expect(run).toMatchObject({ end: 'done', violation: null, total: { pgfault: [0, 2] } });
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * (1 << 20));
});

test('who frees much pays for the way back to the zone, who frees little does not', () => {
  const cyclesPerPage = (pages: number): number => {
    let cycles = 0;
    const runner = new MachineRunner(assemble(parseTopology(machine({ memory: { tables: 64, pages: 1024 } }, pages))), {
      onRoutine: (routine, _, took) => (cycles += routine === 'madvise_dontneed' ? took : 0),
    });
    runner.advance(Number.POSITIVE_INFINITY);
    return cycles / pages;
  };
  const [few, many] = [cyclesPerPage(100), cyclesPerPage(1000)];
  // buddy: 180 cycles for most of them.
  expect(many - few).toBeGreaterThan(100);
  // 170 to 340 ns are what people measure where the struct pages are in no cache any more; here they are.
  expect(many / 3).toBeLessThan(340);
});
