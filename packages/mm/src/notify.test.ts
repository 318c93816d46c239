import { nop, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { MmuNotifierSubscriptions, type MmuNotifierOps, type NotifierCall } from '@shootdown/mmu-notifier';
import { describe, expect, it } from 'vitest';
import { fork } from './fork.ts';
import { use_mm, type Kernel, type Mm } from './kernel.ts';
import { user_access } from './fault.ts';
import { BASE, mmMachine, runMachine } from './machines.test-support.ts';
import { exit_mmap, madvise_dontneed, mmap, munmap } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { pgd_alloc } from './pgtable.ts';
import { VM_READ } from './vma.ts';
import { NotifierEra, type NotifierDesign } from './notify.ts';

const PAGES = 2;
const START = BASE - PAGES;

/** What a call makes the kernel say to a subscriber, and when it flushes, in order. */
function told(design: NotifierDesign, call: (kernel: Kernel, cpu: Cpu, mm: Mm, child: Mm) => Steps): string[] {
  const heard: string[] = [];
  let listening = false;
  const hear = (text: string): void => {
    if (listening) heard.push(text);
  };
  const note = function* ({ callback, start, end }: NotifierCall): Steps {
    hear(callback === 'release' ? 'release' : `${callback} ${start - START}-${end - START}`);
    yield* nop();
  };
  const ops: MmuNotifierOps = {
    *invalidate_range_start(range) {
      yield* note(range);
      return 0;
    },
    invalidate_range_end: note,
    change_pte: note,
    arch_invalidate_secondary_tlbs: note,
    release: note,
  };
  const machine = mmMachine(
    {
      cpus: 1,
      mms: 2,
      tables: 24,
      wrap: (arch) => ({
        ...arch,
        *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
          hear('flush');
          yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
        },
      }),
      secondary(builder, mm) {
        const subscriptions = new MmuNotifierSubscriptions(builder, 'mm');
        subscriptions.add('it', ops);
        return { mm, subscriptions, design };
      },
    },
    [
      function* ({ kernel, mms }, cpu) {
        const [mm, child] = mms as [Mm, Mm];
        listening = false;
        yield* pgd_alloc(kernel, mm);
        yield* use_mm(kernel, cpu, mm);
        yield* mmap(mm, BASE, PAGES);
        for (let vpn = START; vpn < BASE; vpn++) yield* user_access(kernel, cpu, mm, vpn, true);
        listening = true;
        yield* call(kernel, cpu, mm, child);
      },
    ],
  );
  runMachine(machine);
  return heard;
}

const BRACKET = ['invalidate_range_start 0-2', 'invalidate_range_end 0-2', 'flush'];

describe('secondary MMUs', () => {
  it.each<[string, (kernel: Kernel, cpu: Cpu, mm: Mm, child: Mm) => Steps, readonly string[]]>([
    ['munmap()', (kernel, cpu, mm) => munmap(kernel, cpu, mm, START, BASE), BRACKET],
    ['madvise(MADV_DONTNEED)', (kernel, cpu, mm) => madvise_dontneed(kernel, cpu, mm, START, BASE), BRACKET],
    ['mprotect()', (kernel, cpu, mm) => mprotect(kernel, cpu, mm, START, BASE, VM_READ), BRACKET],
    ['fork()', (kernel, cpu, mm, child) => fork(kernel, cpu, mm, child), BRACKET],
    ['exit', (kernel, cpu, mm) => exit_mmap(kernel, cpu, mm), ['release', 'flush']],
  ])('are told of %s before anything changes, and may look again before CPUs are flushed', (_, call, expected) => {
    expect(told({ ...NotifierEra.E5, secondaryTlbs: 'never' }, call)).toEqual(expected);
  });

  it('with TLBs of their own are told of a zap at the end of the bracket and with the flush, until v6.5', () => {
    expect(told(NotifierEra.E3, (kernel, cpu, mm) => madvise_dontneed(kernel, cpu, mm, START, BASE))).toEqual([
      'invalidate_range_start 0-2',
      'arch_invalidate_secondary_tlbs 0-2',
      'invalidate_range_end 0-2',
      'flush',
      'arch_invalidate_secondary_tlbs 0-2',
    ]);
  });

  const breaksCow = function* (kernel: Kernel, cpu: Cpu, mm: Mm, child: Mm): Steps {
    yield* fork(kernel, cpu, mm, child);
    yield* user_access(kernel, cpu, mm, START, true);
  };

  it.each<[keyof typeof NotifierEra, readonly string[]]>([
    ['E2', ['invalidate_range_start 0-1', 'flush', 'change_pte 0-1', 'invalidate_range_end 0-1']],
    ['E2-rapoport', ['flush', 'change_pte 0-1']],
    [
      'E3',
      [
        'invalidate_range_start 0-1',
        'flush',
        'arch_invalidate_secondary_tlbs 0-1',
        'change_pte 0-1',
        'invalidate_range_end 0-1',
      ],
    ],
    ['E5', ['invalidate_range_start 0-1', 'flush', 'invalidate_range_end 0-1']],
  ])('of %s are told of copy-on-write in their order', (era, expected) => {
    expect(told(NotifierEra[era], breaksCow).slice(-expected.length)).toEqual(expected);
  });
});
