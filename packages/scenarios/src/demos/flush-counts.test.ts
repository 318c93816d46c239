import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { DEEP } from '../matrix.test-support.ts';
import { flushCounts, type FlushCountRow } from './flush-counts.ts';

const table = join(import.meta.dirname, '../../../../apps/lab/data/flush-counts/linux-7.2-x86-4cpu.txt');
const linePattern =
  /^(\S+) +pages=(\d+) +remote=(\d+) (none|spin|sleep) +ops=100 tlb_ipi_rows=(\d+),(\d+),(\d+),(\d+) remote_flush=(\d+) received=(\d+) local_all=(\d+) local_one=(\d+)$/;

function measured(): FlushCountRow[] {
  return readFileSync(table, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const match = linePattern.exec(line);
      if (!match) throw new Error(`not a line of the table: ${line}`);
      const [, operation, , , state] = match;
      const [pages, remote] = [Number(match[2]), Number(match[3])];
      const [ipi0, ipi1, ipi2, ipi3, remoteFlush, received, localAll, localOne] = match.slice(5).map(Number);
      return {
        operation,
        pages,
        remote,
        state,
        ipis: [ipi0, ipi1, ipi2, ipi3],
        remoteFlush,
        received,
        localAll,
        localOne,
      } as FlushCountRow;
    });
}

const nameOf = (row: FlushCountRow): string => `${row.operation} pages=${row.pages} remote=${row.remote} ${row.state}`;

/**
 * Lines of the table that `npm test` simulates: what sets it apart is the number of pages where nobody else runs, and
 * what is told to whom on either side of the full flush. Two other threads differ from one in who else is told, and one
 * that sleeps from one that spins in whether it is told at all.
 */
const QUICK = [
  { remote: 0 },
  { remote: 1, state: 'spin', pages: 1 },
  { remote: 1, state: 'spin', pages: 34 },
  { remote: 1, state: 'sleep', pages: 1 },
] as const;
const isQuick = (row: FlushCountRow): boolean =>
  QUICK.some((line) => Object.entries(line).every(([name, value]) => row[name as keyof FlushCountRow] === value));

describe('the table of a real kernel, linux-7.2-x86-4cpu.txt', () => {
  const real = measured().filter((row) => DEEP || isQuick(row));
  const simulated = new Map<string, FlushCountRow>();

  beforeAll(() => {
    const rows = DEEP ? flushCounts() : QUICK.flatMap((line) => flushCounts(line));
    for (const row of rows) simulated.set(nameOf(row), row);
  }, 120_000);

  test('has the lines that are simulated by default', () => {
    expect([...simulated.keys()].toSorted()).toEqual(real.map(nameOf).toSorted());
  });

  test.each(real.map((row) => [nameOf(row), row] as const))(
    '%s: IPIs per CPU, received, local_all and local_one are exact',
    (name, row) => {
      const { ipis, received, localAll, localOne } = simulated.get(name)!;
      expect({ ipis, received, localAll, localOne }).toEqual({
        ipis: row.ipis,
        received: row.received,
        localAll: row.localAll,
        localOne: row.localOne,
      });
    },
  );

  test('remote_flush is exact but for the flushes of pages=1 that met only lazy CPUs', () => {
    const differing = real.filter((row) => simulated.get(nameOf(row))!.remoteFlush !== row.remoteFlush);
    expect(new Set(differing.map((row) => `pages=${row.pages} ${row.state} ${row.remoteFlush}`))).toEqual(
      new Set(['pages=1 none 100', 'pages=1 sleep 100']),
    );
    expect(
      differing.every(
        (row) => simulated.get(nameOf(row))!.remoteFlush === 0 && row.operation !== 'mmap+munmap-untouched',
      ),
    ).toBe(true);
  });
});

describe('other numbers of pages and threads', () => {
  test('8 pages: the last munmap frees the page table and becomes one full flush', () => {
    expect(flushCounts({ operation: 'munmap', pages: 8, state: 'none' })).toEqual([
      {
        operation: 'munmap',
        pages: 8,
        remote: 0,
        state: 'none',
        ipis: [0, 0, 0, 0],
        remoteFlush: 0,
        received: 0,
        localAll: 1,
        localOne: 99 * 8,
      },
    ]);
  });

  test('three spinning threads get one IPI each per operation', () => {
    const [row] = flushCounts({ operation: 'madv-dontneed', pages: 2, remote: 3, state: 'spin' });
    expect(row).toMatchObject({
      ipis: [0, 100, 100, 100],
      remoteFlush: 100,
      received: 300,
      localAll: 0,
      localOne: 200,
    });
  });

  test.each([
    [{ pages: 0 }, '--pages: expected 1 .. 512 (0)'],
    [{ remote: 4 }, '--remote: expected 0 .. 3 (4)'],
    [{ state: 'spin' as const, remote: 0 }, '--state spin needs --remote of at least 1'],
    [{ state: 'none' as const, remote: 1 }, '--state none means --remote 0 (1)'],
  ])('%o is refused', (request, message) => {
    expect(() => flushCounts(request)).toThrow(message);
  });
});
