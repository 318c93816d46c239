import { atomicAdd, store, waitFor } from '@shootdown/machine';
import { do_idle, user_mode } from '@shootdown/cpu';
import { describe, expect, test } from 'vitest';
import { user_access } from '../fault.ts';
import { use_mm } from '../kernel.ts';
import { mmMachine, runMachine, type Body } from '../machines.test-support.ts';
import { madvise_dontneed, munmap } from '../mmap.ts';
import { pgd_alloc } from '../pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from '../vma.ts';
import { Arm64Counter, MAX_DVM_OPS } from './arm64-tlb.ts';
import { X86Counter } from './x86-state.ts';

const WIDE = {
  name: 'wide',
  bitsPerLevel: 10,
  levels: [
    { name: 'pgd', entries: 4, spanPages: 1024 },
    { name: 'pte', entries: 1024, spanPages: 1 },
  ],
};

const remote = (sleeps: boolean): Body =>
  function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    if (sleeps) yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* atomicAdd(flags.at(1), 1);
    yield* sleeps ? do_idle(cpu) : user_mode(cpu);
  };

/** CPU 0 touches pages 0 .. pages-1 and does something to them, while CPU 1 runs and CPU 2 sleeps. */
function counters(pages: number, what: (of: Parameters<Body>[0], cpu: Parameters<Body>[1]) => ReturnType<Body>) {
  const machine = mmMachine({ cpus: 3, arch: 'arm64', shape: WIDE, pages: pages + 2, tables: 4 }, [
    function* (m, cpu) {
      const mm = m.mms[0]!;
      yield* pgd_alloc(m.kernel, mm);
      yield* use_mm(m.kernel, cpu, mm);
      yield* mm.vmas.insert(0, pages, VM_DATA_DEFAULT_FLAGS);
      for (let vpn = 0; vpn < pages; vpn++) yield* user_access(m.kernel, cpu, mm, vpn, true);
      yield* store(m.flags.at(0), 1);
      yield* waitFor(m.flags.at(1), -1, 2);
      yield* what(m, cpu);
    },
    remote(false),
    remote(true),
  ]);
  const run = runMachine(machine);
  expect(run.violation).toBeNull();
  expect(run.run.end).toBe('rest');
  return run.counts;
}

describe('arm64 flushes by broadcast', () => {
  test('no CPU gets an IPI, whether tables are freed or not', () => {
    const counts = counters(3, function* ({ kernel, mms }, cpu) {
      yield* madvise_dontneed(kernel, cpu, mms[0]!, 0, 2);
      yield* munmap(kernel, cpu, mms[0]!, 0, 3);
    });
    expect(counts[X86Counter.interrupts]).toBeUndefined();
    expect(counts[Arm64Counter.tlbiPage]).toEqual([2 + 3, 0, 0]);
    expect(counts[Arm64Counter.dsb]).toEqual([2, 0, 0]);
  });

  test.each([
    [MAX_DVM_OPS - 1, [MAX_DVM_OPS - 1, undefined]],
    [MAX_DVM_OPS, [undefined, 1]],
  ])('a span of %i pages', (pages, [byPage, byAsid]) => {
    const counts = counters(pages, function* ({ kernel, mms }, cpu) {
      yield* madvise_dontneed(kernel, cpu, mms[0]!, 0, pages);
    });
    expect([counts[Arm64Counter.tlbiPage]?.[0], counts[Arm64Counter.tlbiAsid]?.[0]]).toEqual([byPage, byAsid]);
  });
});
