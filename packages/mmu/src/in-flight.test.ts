import { FREED_FRAME, TabulatedExecutor, type Steps } from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, test } from 'vitest';
import type { MmuInstructions } from './instructions.ts';
import { smallMachine, type Small } from './machines.test-support.ts';
import type { SaturatedMmu } from './saturated-mmu.ts';

const BOTH = 0b11;

/** How CPU 0 invalidates page 0 on both CPUs, and how it waits. */
interface Flush {
  readonly sends: (mmu: MmuInstructions) => Steps;
  readonly waits: (mmu: MmuInstructions) => Steps;
}

const flushes: Readonly<Record<string, Flush>> = {
  'TLBI, DSB': {
    sends: (mmu) => mmu.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: false }),
    waits: (mmu) => mmu.dsb('ish'),
  },
  'INVLPGB, TLBSYNC': {
    sends: (mmu) => mmu.invlpgb({ asid: 1, pages: { vpn: 0, count: 1 } }),
    waits: (mmu) => mmu.tlbsync(),
  },
  'a hypercall': {
    sends: function* () {},
    waits: (mmu) => mmu.hypercall_flush(BOTH, { asid: -1, pages: { vpn: 0, count: 1 } }, 'flush'),
  },
};

const data = (frame: number): number => dataWords + frame;
let dataWords = 0;

/** CPU 1 stores to a page; CPU 0 removes page 0, flushes, and frees it. */
const machine = (flush: Flush, { waits = true, page = 0 } = {}) =>
  smallMachine(
    { cpus: 2, tlb: 'saturated', pages: [0, 1], memoryModel: 'tso', words: (region) => (dataWords = region.base) },
    [
      function* ({ frames, pte, mmus }: Small): Steps {
        yield* frames.xchg(pte(0), 0);
        yield* flush.sends(mmus[0]!);
        if (waits) yield* flush.waits(mmus[0]!);
        yield* frames.free(frames.tables);
      },
      function* ({ mmus }): Steps {
        yield* (mmus[1] as SaturatedMmu).store(page, data, 7);
      },
    ],
  );

describe('a flush of other CPUs, with store buffers,', () => {
  test.each(Object.entries(flushes))(
    '%s: is complete when no store through the old translation is to come',
    (_, flush) => {
      expect(everyRun(machine(flush).system)).toMatchObject({ violations: new Set(), deadlock: false });
    },
  );

  test.each(Object.entries(flushes))('%s: a store reaches a page that was freed without waiting', (_, flush) => {
    expect(everyRun(machine(flush, { waits: false }).system).violations).toEqual(new Set([FREED_FRAME]));
  });

  test.each([
    ['the page that is flushed', 0, false],
    ['another page', 1, true],
  ])('waits for a store to %s', (_, page, goesOn) => {
    const { system } = machine(flushes['TLBI, DSB']!, { page });
    const executor = new TabulatedExecutor(system);
    const named = (name: string): number => system.choices.findIndex((choice) => choice.name === name);
    const [cpu0, cpu1] = [named('CPU0'), named('CPU1')];
    const pending = (cpu: number): string | undefined => executor.pendingOperation(cpu)?.definition.name;
    while (pending(0) !== 'xchg_entry' || pending(1) !== 'user_store')
      if (!(pending(1) !== 'user_store' && executor.step(cpu1)))
        expect(executor.step(cpu0) || executor.step(named('drain CPU0'))).toBe(true);
    for (const choice of [cpu1, cpu0, cpu0, named('deliver CPU0.mmu->CPU1.mmu')])
      expect(executor.step(choice)).toBe(true);
    expect(pending(0)).toBe('dsb');
    expect(executor.step(cpu0)).toBe(goesOn);
    expect(executor.step(named('drain CPU1'))).toBe(true);
    if (!goesOn) expect(executor.step(cpu0)).toBe(true);
  });
});
