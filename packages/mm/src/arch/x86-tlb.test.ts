import { atomicAdd, load, store, waitFor, type Steps } from '@shootdown/machine';
import { do_idle, user_mode } from '@shootdown/cpu';
import { Fault } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { user_access } from '../fault.ts';
import { use_mm } from '../kernel.ts';
import {
  BASE,
  mmMachine,
  runMachine,
  type Body,
  type CountedRun,
  type Machine,
  type MachineOptions,
} from '../machines.test-support.ts';
import { mmap, munmap } from '../mmap.ts';
import { mprotect } from '../mprotect.ts';
import { pgd_alloc } from '../pgtable.ts';
import { VM_READ } from '../vma.ts';
import { TLB_SINGLE_PAGE_FLUSH_CEILING, X86Counter } from './x86-state.ts';

/** What another CPU of the process does: it computes, or it sleeps with its CPU idle and the mm lazily loaded. */
const remote = (state: 'spin' | 'sleep'): Body =>
  function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    if (state === 'sleep') yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* atomicAdd(flags.at(1), 1);
    yield* state === 'sleep' ? do_idle(cpu) : user_mode(cpu);
  };

/** CPU 0 runs `body` when all others are where they shall be. */
function process(
  remotes: readonly Body[],
  body: Body,
  options: Partial<MachineOptions> = {},
): { machine: Machine } & CountedRun {
  const machine = mmMachine({ cpus: 1 + remotes.length, ...options }, [
    function* (m, cpu) {
      yield* pgd_alloc(m.kernel, m.mms[0]!);
      yield* use_mm(m.kernel, cpu, m.mms[0]!);
      yield* store(m.flags.at(0), 1);
      yield* waitFor(m.flags.at(1), -1, remotes.length);
      yield* body(m, cpu);
    },
    ...remotes,
  ]);
  const run = runMachine(machine);
  expect(run.violation).toBeNull();
  expect(run.run.end).toBe('rest');
  return { machine, ...run };
}

function* touched(m: Machine, cpu: Parameters<Body>[1], pages: number, base = BASE): Steps<number> {
  const start = yield* mmap(m.mms[0]!, base, pages);
  for (let vpn = start; vpn < start + pages; vpn++) yield* user_access(m.kernel, cpu, m.mms[0]!, vpn, true);
  return start;
}

const makeReadOnly: Body = function* (m, cpu) {
  const start = yield* touched(m, cpu, 2);
  yield* mprotect(m.kernel, cpu, m.mms[0]!, start, start + 2, VM_READ);
};

const unmap: Body = function* (m, cpu) {
  const start = yield* touched(m, cpu, 2);
  yield* munmap(m.kernel, cpu, m.mms[0]!, start, start + 2);
};

const ipis = (run: CountedRun): readonly number[] | undefined => run.counts[X86Counter.interrupts];
const of = (run: CountedRun, counter: string): number => (run.counts[counter] ?? []).reduce((a, b) => a + b, 0);

describe('who gets the IPI', () => {
  test('alone in its mm a CPU flushes itself, and no remote flush is counted', () => {
    const run = process([], makeReadOnly);
    expect(ipis(run)).toBeUndefined();
    expect([of(run, X86Counter.remoteFlush), of(run, X86Counter.localOne), of(run, X86Counter.localAll)]).toEqual([
      0, 2, 0,
    ]);
  });

  test('a CPU that runs the mm gets one per flush; a CPU that never ran it gets none', () => {
    const run = process([remote('spin')], makeReadOnly, { cpus: 3 });
    expect(ipis(run)).toEqual([0, 1, 0]);
    expect([of(run, X86Counter.remoteFlush), of(run, X86Counter.received), of(run, X86Counter.localOne)]).toEqual([
      1, 1, 2,
    ]);
  });

  test('a lazy CPU gets none, although the flush counts as a remote one', () => {
    const run = process([remote('sleep')], makeReadOnly);
    expect(ipis(run)).toBeUndefined();
    expect(of(run, X86Counter.remoteFlush)).toBe(1);
  });

  test('when page tables are freed a lazy CPU gets one too, and leaves the mm; at the next one it leaves mm_cpumask', () => {
    const run = process([remote('sleep')], function* (m, cpu) {
      yield* unmap(m, cpu);
      expect(yield* load(m.x86!.loaded_mm.at(1))).toBe(0);
      expect(yield* load(m.mms[0]!.cpumask.at(0))).toBe(0b11);
      yield* unmap(m, cpu);
      expect(yield* load(m.mms[0]!.cpumask.at(0))).toBe(0b01);
      yield* unmap(m, cpu);
    });
    expect(ipis(run)).toEqual([0, 2]);
  });

  test('only a CPU that is asked counts as received; the local part of a flush counts apart', () => {
    const run = process([remote('spin'), remote('spin'), remote('sleep')], unmap);
    expect(run.counts[X86Counter.received]).toEqual([0, 1, 1, 1]);
    expect(run.counts[X86Counter.localAll] ?? run.counts[X86Counter.localOne]).toEqual([expect.any(Number), 0, 0, 0]);
  });
});

describe('ranges', () => {
  const flushOf = (pages: number, ceiling?: number): number[] => {
    const run = process(
      [],
      function* (m, cpu) {
        const start = yield* touched(m, cpu, pages, 2 * BASE);
        yield* mprotect(m.kernel, cpu, m.mms[0]!, start, start + pages, VM_READ);
      },
      {
        shape: {
          name: 'wide',
          bitsPerLevel: 6,
          levels: [
            { name: 'pgd', entries: 4, spanPages: 64 },
            { name: 'pte', entries: 64, spanPages: 1 },
          ],
        },
        pages: 40,
        ...(ceiling === undefined ? {} : { x86: { ceiling } }),
      },
    );
    return [of(run, X86Counter.localOne), of(run, X86Counter.localAll)];
  };

  test('a range of one page is one INVLPG', () => {
    expect(flushOf(1)).toEqual([1, 0]);
  });

  test.each([
    [4, [4, 0]],
    [5, [0, 1]],
  ])('with a ceiling of 4, %i pages', (pages, counts) => {
    expect(flushOf(pages, 4)).toEqual(counts);
  });

  test.each([
    [33, [33, 0]],
    [34, [0, 1]],
  ])('the default ceiling is 33: %i pages', (pages, counts) => {
    expect(TLB_SINGLE_PAGE_FLUSH_CEILING).toBe(33);
    expect(flushOf(pages)).toEqual(counts);
  });
});

describe('generations', () => {
  test('a CPU that missed a generation flushes everything at the next, one that did not only the range', () => {
    const generations: number[] = [];
    const run = process(
      [
        function* ({ kernel, mms, flags }, cpu) {
          const mm = mms[0]!;
          yield* waitFor(flags.at(0), -1, 1);
          yield* use_mm(kernel, cpu, mm);
          yield* kernel.arch.enter_lazy_tlb(cpu);
          yield* atomicAdd(flags.at(1), 1);
          yield* waitFor(flags.at(2), -1, 1);
          yield* kernel.arch.switch_mm(cpu, mm);
          generations.push(yield* load(mm.tlb_gen.at(0)));
          yield* store(flags.at(3), 1);
          yield* user_mode(cpu);
        },
      ],
      function* (m, cpu) {
        yield* makeReadOnly(m, cpu);
        yield* store(m.flags.at(2), 1);
        yield* waitFor(m.flags.at(3), -1, 1);
        expect(yield* load(m.x86!.ctx_tlb_gen.at(6))).toBe(yield* load(m.mms[0]!.tlb_gen.at(0)));
        yield* mprotect(m.kernel, cpu, m.mms[0]!, BASE - 2, BASE, VM_READ | 2);
      },
    );
    expect(generations).toEqual([2]);
    expect(ipis(run)).toEqual([0, 1]);
  });

  test('a CPU that stops being lazy after a flush reloads CR3: what it had cached is gone', () => {
    const faults: number[] = [];
    process(
      [
        function* ({ kernel, mms, flags }, cpu) {
          const mm = mms[0]!;
          yield* waitFor(flags.at(0), -1, 1);
          yield* use_mm(kernel, cpu, mm);
          yield* mmap(mm, BASE, 2);
          yield* user_access(kernel, cpu, mm, BASE - 1, true);
          yield* kernel.arch.enter_lazy_tlb(cpu);
          yield* atomicAdd(flags.at(1), 1);
          yield* waitFor(flags.at(2), -1, 1);
          yield* kernel.arch.switch_mm(cpu, mm);
          faults.push(
            yield* kernel.mmus[cpu.id]!.access(BASE - 1, true),
            yield* kernel.mmus[cpu.id]!.access(BASE - 1, false),
          );
        },
      ],
      function* ({ kernel, mms, flags }, cpu) {
        yield* mprotect(kernel, cpu, mms[0]!, BASE - 2, BASE, VM_READ);
        yield* store(flags.at(2), 1);
      },
    );
    expect(faults).toEqual([Fault.protection, Fault.none]);
  });
});

describe('trimming mm_cpumask', () => {
  const HZ = 100;

  test('a CPU that went on to another mm gets no IPI for a second, then one, and is out of the mask', () => {
    const masks: number[] = [];
    const counts: number[] = [];
    const base = mmMachine({ cpus: 2, mms: 2 }, []);
    const machine = mmMachine({ cpus: 2, mms: 2, x86: { jiffies: { address: base.jiffies.at(0), hz: HZ } } }, [
      function* (m, cpu) {
        yield* pgd_alloc(m.kernel, m.mms[0]!);
        yield* pgd_alloc(m.kernel, m.mms[1]!);
        yield* use_mm(m.kernel, cpu, m.mms[0]!);
        yield* store(m.flags.at(0), 1);
        yield* waitFor(m.flags.at(1), -1, 1);
        for (const now of [1, HZ, HZ + 1, HZ + 2]) {
          yield* store(m.jiffies.at(0), now);
          const start = yield* touched(m, cpu, 1);
          yield* mprotect(m.kernel, cpu, m.mms[0]!, start, start + 1, VM_READ);
          masks.push(yield* load(m.mms[0]!.cpumask.at(0)));
          counts.push(now);
        }
      },
      function* ({ kernel, mms, flags }, cpu) {
        yield* waitFor(flags.at(0), -1, 1);
        yield* use_mm(kernel, cpu, mms[0]!);
        yield* kernel.arch.switch_mm(cpu, mms[1]!);
        yield* store(flags.at(1), 1);
        yield* user_mode(cpu);
      },
    ]);
    const run = runMachine(machine);
    expect(machine.jiffies.base).toBe(base.jiffies.base);
    expect(masks).toEqual([0b11, 0b11, 0b01, 0b01]);
    expect(ipis(run)).toEqual([0, 1]);
  });
});
