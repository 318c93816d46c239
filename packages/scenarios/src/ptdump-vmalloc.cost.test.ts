import { readFileSync } from 'node:fs';
import { arm64Costs, cyclesOf } from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { ptdumpVmallocCosts, type PtdumpVmallocCost } from './ptdump-vmalloc.cost.ts';

/** Short pte tables: what is asserted does not depend on how long a dump takes. */
const rows = new Map((await ptdumpVmallocCosts(1)).map((row) => [row.variant, row]));
const row = (variant: string): PtdumpVmallocCost => rows.get(variant) as PtdumpVmallocCost;

describe('cost of ptdump-vmalloc', () => {
  it('v1 takes the lock once per pmd entry and once for the pud entry, isolation once, a static key never', () => {
    expect(
      ['v1', 'v2', 'v3', 'v6-one-dumper', 'trylock-2026'].map((variant) => row(variant).lockAcquisitionsPerPud),
    ).toEqual([513, 1, 0, 0, 1]);
  });

  it('a static key costs the mapping nothing while nobody dumps, but for the second read of each pmd entry', () => {
    expect(row('v6-one-dumper').mapAddedCycles).toBe(512 * cyclesOf(arm64Costs, 'load'));
    expect(row('v1').mapAddedCycles).toBeGreaterThan(row('v2').mapAddedCycles);
  });

  it('only the trylock and call_rcu() never sleep in vmalloc', () => {
    const sleepers = [...rows.values()]
      .filter((r) => r.mapSleeps > 0 || r.maySleepCallsPerPud > 0)
      .map((r) => r.variant);
    expect(sleepers).toEqual(['v1', 'v2', 'v3', 'v6-one-dumper', 'percpu-rwsem', 'rcu-walk-sync']);
  });

  it('only the trylock gives a block up for that', () => {
    expect([...rows.values()].filter((r) => r.hugeDuringDump === 'no').map((r) => r.variant)).toEqual(['trylock-2026']);
  });

  it('a key that is patched sends every other processor two interrupts per dump', () => {
    expect(
      [...rows.values()].filter((r) => r.ipisPerDumpAndCpu > 0).map((r) => [r.variant, r.ipisPerDumpAndCpu]),
    ).toEqual([
      ['v3', 2],
      ['v6-one-dumper', 2],
    ]);
  });

  it('a per-CPU semaphore makes the dump wait for a grace period, the trylock for the mapping that holds the lock', () => {
    const waits = [...rows.values()].filter((r) => r.dumpWaitCycles > 0).map((r) => r.variant);
    expect(waits).toEqual(['trylock-2026', 'percpu-rwsem']);
    expect(row('percpu-rwsem').dumpWaitCycles).toBeGreaterThan(10 * row('trylock-2026').dumpWaitCycles);
  });

  it('has a row for a variant and one for it with routines replaced', async () => {
    const sizes: unknown[] = [];
    const patch = {
      name: 'v2 with nothing changed',
      variant: 'v2',
      routines: (parameters: Readonly<Record<string, number>>) => {
        sizes.push(parameters['children']);
        return Promise.resolve({ pud_free_pmd_page: vmalloc.freeTables.v2.pud_free_pmd_page });
      },
    };
    const [shipped, patched] = await ptdumpVmallocCosts(1, undefined, patch);
    expect(patched).toEqual({ ...shipped, variant: patch.name });
    // The function is there for the verdict and, at full size, for the costs.
    expect(sizes).toEqual([2, 512]);
  });

  it.runIf(process.env['SHOOTDOWN_DEEP'] === '1')('docs/ptdump-vmalloc.md has the table that comes out', async () => {
    const page = readFileSync(new URL('../../../docs/ptdump-vmalloc.md', import.meta.url), 'utf8');
    const shown = [...page.matchAll(/^\| `([\w-]+)`(?: \(wrong\))? \| ([\d]+ \|.*) \|$/gm)].map(
      ([, variant, cells]) => [
        variant,
        ...(cells ?? '').split(' | ').map((cell) => cell.replace(/ \(.*\)/, '').replaceAll(',', '')),
      ],
    );
    const found = (await ptdumpVmallocCosts()).map((r) =>
      [
        r.variant,
        r.lockAcquisitionsPerPud,
        r.maySleepCallsPerPud,
        r.mapCycles,
        r.mapDuringDumpCycles,
        r.mapAsleepCycles,
        r.hugeDuringDump,
        r.ipisPerDumpAndCpu,
        r.dumpCycles,
        r.dumpWaitCycles,
      ].map(String),
    );
    expect(shown).toEqual(found);
  });
});
