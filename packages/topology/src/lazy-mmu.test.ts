/** Lazy MMU mode in runs: the kernel enters it, what it costs the flushes (nothing), and that hazards are counted. */
import { lazy } from '@shootdown/mm';
import { mk_pte } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { machine, type MachineOptions } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import type { Action } from './schema.ts';

const SMALL = { tlb: { l1: '4x2', l2: '8x2', walkCache: 2 }, memory: { tables: 16, pages: 16 } } as const;

/** Maps, protects, forks and unmaps. */
const work: readonly Action[] = [
  { do: 'mmap', area: 'a', pages: 4 },
  { do: 'touch', area: 'a' },
  { do: 'mprotect', area: 'a', prot: 'r' },
  { do: 'mprotect', area: 'a', prot: 'rw' },
  { do: 'fork', child: 'child' },
  { do: 'madvise-dontneed', area: 'a' },
  { do: 'munmap', area: 'a' },
  { do: 'exit' },
];

function run(options: Partial<MachineOptions>): MachineRun {
  return runMachine(
    machine({ name: 'm', architecture: 'x86-64-4l', cpus: 2, ...SMALL, ...options })
      .thread('parent', 0, work)
      .thread('child', 1, [{ do: 'touch', area: 'a' }, { do: 'exit' }])
      .assemble(),
  );
}

function sum({ total }: MachineRun, counter: string): number {
  return (total[counter] ?? []).reduce((a, b) => a + b, 0);
}

function hazardsOf(of: MachineRun): string[] {
  return lazy.hazardClasses.filter((kind) => sum(of, `hazard ${kind}`) > 0);
}

describe('lazy MMU mode in runs', () => {
  it.each([
    { architecture: 'arm64-4k-48' },
    { architecture: 'arm64-4k-48', lazyMmu: 'arm64-v6.16' },
    { architecture: 'x86-64-4l', lazyMmu: 'xen-pv' },
  ] as const)('sections are entered and left, and no rule is broken: %o', (options) => {
    const result = run(options);
    expect([result.end, result.violation]).toEqual(['done', null]);
    expect(hazardsOf(result)).toEqual([]);
    if (options.lazyMmu !== 'arm64-v6.16') expect(sum(result, lazy.SECTIONS)).toBeGreaterThan(5);
  });

  it('natively on x86 there is nothing to enter', () => {
    const [native, xen] = [run({}), run({ lazyMmu: 'xen-pv' })];
    expect(sum(native, lazy.SECTIONS)).toBe(0);
    for (const counter of ['nr_tlb_remote_flush', 'pgfault', 'nr_tlb_local_flush_all'])
      expect([counter, sum(xen, counter)]).toEqual([counter, sum(native, counter)]);
    expect(sum(xen, 'xen_mc_flush')).toBeGreaterThan(0);
  });

  it('what a routine of one’s own does wrong is counted', () => {
    const result = runMachine(
      machine({ name: 'm', architecture: 'x86-64-4l', cpus: 1, lazyMmu: 'xen-pv', ...SMALL })
        .thread('p', 0, function* ({ kernel }) {
          const mode = kernel.lazy as lazy.LazyMmu;
          const ptep = kernel.frames.entry(8, 0);
          yield* lazy.lazy_mmu_mode_enable(mode, { task: 0 });
          yield* lazy.set_pte(mode, { task: 0 }, ptep, mk_pte(3, 1));
          yield* lazy.ptep_get(mode, { task: 0 }, ptep);
          yield* lazy.returns(mode, { task: 0 });
        })
        .assemble(),
    );
    expect(hazardsOf(result)).toEqual(['H1', 'H7']);
  });

  it('a mode that the architecture cannot have is refused in one line', () => {
    expect(() => run({ lazyMmu: 's390' })).toThrow(
      /^topology: m: lazyMmu: no s390 on x86-64-4l \(have: x86-native, xen-pv\)$/,
    );
  });
});
