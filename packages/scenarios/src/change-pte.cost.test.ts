import { readFileSync } from 'node:fs';
import { CHANGE_PTE_X86, secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { markdownOf } from './comparison-tables.ts';
import { compareChangePte, runChangePte, type ChangePteRun } from './change-pte.cost.ts';
import type { ChangePteKernel } from './change-pte-machine.ts';
import { DEEP } from './matrix.test-support.ts';

const { NotifierEra } = secondary;
const bracket: ChangePteKernel = { design: NotifierEra.E5 };
const works: ChangePteKernel = {
  design: NotifierEra['E2-rapoport-ro-until-notified/extra-reference'],
  change_pte: CHANGE_PTE_X86,
};
const RATE = 80_000;

/** Faults that map a page, per page replaced. */
const useful = ({ faults, staleFaults }: ChangePteRun): number => faults - staleFaults;

describe('change_pte()', () => {
  const [without, working] = [bracket, works].map((kernel) => runChangePte(kernel, 'merge', RATE)) as [
    ChangePteRun,
    ChangePteRun,
  ];

  it('saves the one fault of a page that has been merged and is read again', () => {
    expect(useful(without)).toBeCloseTo(1, 1);
    expect(working.faults).toBe(0);
  });

  it('and flushes every vCPU once more: a mapping that is switched twice is flushed twice, one that is dropped is dropped once', () => {
    expect(without.guestFlushes).toBeCloseTo(2, 1);
    expect(working.guestFlushes).toBe(4);
    expect(working.exits).toBeGreaterThan(without.exits);
    expect(working.replacerCycles).toBeGreaterThan(without.replacerCycles);
  });

  it('within a bracket finds nothing to switch (v3.7 to v6.9)', () => {
    expect(useful(runChangePte({ design: NotifierEra.E2, change_pte: CHANGE_PTE_X86 }, 'merge', RATE))).toBeCloseTo(
      1,
      1,
    );
  });

  it('saves no fault of a COW break, whoever writes, because x86 drops a mapping whose new entry is writable; and costs one more flush if somebody has none', () => {
    for (const replacer of DEEP ? (['host breaks', 'guest breaks'] as const) : (['guest breaks'] as const)) {
      const [a, b, withDevice] = [bracket, works, { ...works, device: true }].map((kernel) =>
        runChangePte(kernel, replacer, RATE),
      ) as [ChangePteRun, ChangePteRun, ChangePteRun];
      expect(useful(b)).toBeCloseTo(useful(a), 1);
      expect(b.cpuFlushes).toBeCloseTo(a.cpuFlushes, 1);
      expect(withDevice.cpuFlushes).toBeGreaterThan(1.5 * a.cpuFlushes);
    }
  });

  it('costs the guest more than it saves if few of the merged pages are read again', () => {
    const [a, b] = [bracket, works].map((kernel) => runChangePte(kernel, 'merge', RATE, { oneIn: 16 })) as [
      ChangePteRun,
      ChangePteRun,
    ];
    expect(b.guestCycles).toBeGreaterThan(a.guestCycles);
    expect(working.guestCycles).toBeLessThan(without.guestCycles);
  });

  it.runIf(DEEP)('docs/mmu-notifier.md shows the tables that come out', async () => {
    expect(readFileSync(new URL('../../../docs/mmu-notifier.md', import.meta.url), 'utf8')).toContain(
      markdownOf(await compareChangePte()).trim(),
    );
  });
});
