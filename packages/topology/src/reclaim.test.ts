import { load, store, waitFor } from '@shootdown/machine';
import { madvise_dontneed, mmap, user_access, type daemons } from '@shootdown/mm';
import { Fault, type MmuInstructions } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { machine } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';
import { MMAP_BASE_PAGE, VDSO_PAGES } from './script.ts';

const total = (run: MachineRun, counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
const PAGES = 40;

const kswapd = (cpu: number) => ({
  name: 'kswapd0',
  cpu,
  run: [
    {
      do: 'repeat' as const,
      times: 1000,
      body: [
        { do: 'reclaim' as const, process: 'p', pages: PAGES },
        { do: 'compute' as const, cycles: 30_000 },
      ],
    },
  ],
});

function reclaimed(
  architecture: TopologyInput['architecture'],
  write: boolean,
  mutant?: daemons.ReclaimMutant,
): MachineRun {
  const run: Action[] = [
    { do: 'mmap', area: 'a', pages: PAGES },
    {
      do: 'repeat',
      times: 5,
      body: [
        { do: 'touch', area: 'a', write },
        { do: 'compute', cycles: 200_000 },
      ],
    },
  ];
  const built = assemble(
    parseTopology({
      name: 'm',
      architecture,
      cpus: 3,
      memory: { tables: 16, pages: 64 },
      processes: [
        {
          name: 'p',
          threads: [
            { cpu: 0, run },
            { cpu: 1, run: [{ do: 'spin' }] },
          ],
        },
      ],
      kernelThreads: [kswapd(2)],
    }),
  );
  const { batched } = built.kernel;
  if (batched && mutant) batched.mutant = mutant;
  return runMachine(built, { stepsMax: 200_000 });
}

describe('kswapd', () => {
  test.each(['x86-64-4l', 'arm64-4k-48'] as const)(
    'takes pages away, and flushes once for many that were only read: %s',
    (architecture) => {
      const run = reclaimed(architecture, false);
      expect(run).toMatchObject({ end: 'done', violation: null });
      const stolen = total(run, 'pgsteal_kswapd');
      expect(stolen).toBeGreaterThan(PAGES);
      expect(total(run, 'pswpout')).toBe(0);
      expect(total(run, 'pgfault')).toBeGreaterThan(PAGES);
      const flushes = architecture === 'x86-64-4l' ? total(run, 'nr_tlb_remote_flush') : total(run, 'dsb_ish');
      expect(total(run, 'try_to_unmap_flush')).toBeGreaterThan(1);
      expect(flushes).toBeLessThan(stolen / 4);
    },
  );

  test('flushes a page that was written to before it is written out', () => {
    const run = reclaimed('x86-64-4l', true);
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'pswpout')).toBeGreaterThan(PAGES);
    expect(total(run, 'try_to_unmap_flush')).toBe(total(run, 'pswpout'));
  });

  test('frees no page that a CPU still has a translation of, because it flushes before', () => {
    expect(reclaimed('x86-64-4l', false, 'no flush before freeing').violation).toBe(
      'no access to a freed frame or table',
    );
  });
});

describe('who clears entries that reclaim has cleared already', () => {
  /** What another CPU finds when madvise(MADV_DONTNEED) of a page has returned that kswapd has just unmapped. */
  function found(mutant?: daemons.ReclaimMutant, before = 0): number {
    let fault = -1;
    const first = MMAP_BASE_PAGE - VDSO_PAGES - PAGES;
    const built = machine({ name: 'm', architecture: 'x86-64-4l', cpus: 3, kernelThreads: [kswapd(2)] })
      .thread('p', 0, function* ({ kernel, cpu, mm, process }) {
        const step = process.resting.at(0);
        const pending = kernel.batched?.of(mm)?.at(0);
        if (pending !== undefined) yield* store(pending, before);
        yield* mmap(mm, MMAP_BASE_PAGE, PAGES);
        yield* store(step, 1);
        yield* waitFor(step, -1, 2);
        while (pending !== undefined && (yield* load(pending)) === before);
        yield* madvise_dontneed(kernel, cpu, mm, first, first + 1);
        yield* store(step, 3);
      })
      .thread('p', 1, function* ({ kernel, cpu, mm, process }) {
        const step = process.resting.at(0);
        yield* waitFor(step, -1, 1);
        for (let i = 0; i < PAGES; i++) yield* user_access(kernel, cpu, mm, first + i, false);
        yield* store(step, 2);
        yield* waitFor(step, -1, 3);
        fault = yield* (kernel.mmus[cpu.id] as MmuInstructions).access(first, false);
      })
      .assemble();
    const { batched } = built.kernel;
    if (batched && mutant) batched.mutant = mutant;
    runMachine(built, { stepsMax: 200_000 });
    return fault;
  }

  test('catches up with the flush that was put off', () => {
    expect(found()).toBe(Fault.notPresent);
    expect(found('no pending flush')).toBe(Fault.none);
  });

  test('also when so many were put off that their count would overflow', () => {
    const before = Array.from({ length: PAGES }, (_, more) => 0x8000 - more);
    expect(new Set(before.map((count) => found(undefined, count)))).toEqual(new Set([Fault.notPresent]));
    // One of them meets the overflow.
    expect(before.some((count) => found('pending overflows', count) === Fault.none)).toBe(true);
  });
});
