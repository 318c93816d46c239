import { readFileSync } from 'node:fs';
import { secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { markdownOf } from '../commands/compare.ts';
import { compareChangePte, runChangePte, type ChangePteRun } from './change-pte.cost.ts';
import type { ChangePteKernel } from './change-pte.machine.ts';

const { NotifierEra } = secondary;
const SWITCHES = { writable: 'zap', absent: 'leave', countsSequence: true } as const;
const bracket: ChangePteKernel = { design: NotifierEra.E5 };
const works: ChangePteKernel = { design: NotifierEra['E2-rapoport-ro-until-notified'], change_pte: SWITCHES };
const RATE = 80_000;

describe('change_pte()', () => {
  const [without, working] = [bracket, works].map((kernel) => runChangePte(kernel, 'merge', RATE)) as [ChangePteRun, ChangePteRun];

  it('saves the one fault of a page that has been merged and is read again', () => {
    expect(without.faults).toBeCloseTo(1, 1);
    expect(working.faults).toBe(0);
  });

  it('and flushes every vCPU once more: a mapping that is switched twice is flushed twice, one that is dropped is dropped once', () => {
    expect(without.guestFlushes).toBeCloseTo(2, 1);
    expect(working.guestFlushes).toBe(4);
    expect(working.exits).toBeGreaterThan(without.exits);
    expect(working.replacerCycles).toBeGreaterThan(without.replacerCycles);
  });

  it('within a bracket finds nothing to switch (v3.7 to v6.9)', () => {
    expect(runChangePte({ design: NotifierEra.E2, change_pte: SWITCHES }, 'merge', RATE).faults).toBeCloseTo(1, 1);
  });

  it('saves no fault of a COW break, whoever writes: x86 drops a mapping whose new entry is writable', () => {
    for (const replacer of ['host breaks', 'guest breaks'] as const) {
      const [a, b] = [bracket, works].map((kernel) => runChangePte(kernel, replacer, RATE)) as [ChangePteRun, ChangePteRun];
      expect(b.faults).toBeCloseTo(a.faults, 1);
      expect(b.cpuFlushes).toBeGreaterThan(1.5 * a.cpuFlushes);
    }
  });

  it('costs the guest more than it saves if few of the merged pages are read again', () => {
    const [a, b] = [bracket, works].map((kernel) => runChangePte(kernel, 'merge', RATE, { oneIn: 16 })) as [ChangePteRun, ChangePteRun];
    expect(b.guestCycles).toBeGreaterThan(a.guestCycles);
    expect(working.guestCycles).toBeLessThan(without.guestCycles);
  });

  it.runIf(process.env['SHOOTDOWN_DEEP'] === '1')('docs/mmu-notifier.md shows the tables that come out', () => {
    expect(readFileSync(new URL('../../../../docs/mmu-notifier.md', import.meta.url), 'utf8')).toContain(markdownOf(compareChangePte()).trim());
  });
});
