/** Folios of 64 KB in runs: blocks are mapped by contiguous entries, unfolded when a part changes, and folded again. */
import { contpte } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { machine, type MachineOptions } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import type { Action, TopologyInput } from './schema.ts';

const { sets, folds, unfolds } = contpte.ContpteCounter;
const ARM64 = { name: 'm', architecture: 'arm64-4k-48', cpus: 2, memory: { tables: 32, pages: 256 } } as const;

/** The mmap area ends below [vdso], nine pages above the end of a block: what is mapped below this ends with one. */
const align: Action = { do: 'mmap', area: 'alignment', pages: 9 };

function run(actions: readonly Action[], options: Partial<MachineOptions> = { folio: '64K' }): MachineRun {
  const built = machine({ ...ARM64, ...options }).thread('parent', 0, [align, ...actions]);
  if (actions.some((action) => action.do === 'fork'))
    built.thread('child', 1, [{ do: 'touch', area: 'a' }, { do: 'exit' }]);
  const result = runMachine(built.assemble());
  expect(result.violation).toBeNull();
  return result;
}

const sum = ({ total }: MachineRun, counter: string): number => (total[counter] ?? []).reduce((a, b) => a + b, 0);
const blocksOf = (of: MachineRun) => [sets, folds, unfolds].map((counter) => sum(of, counter));

const mapped = (pages: number): readonly Action[] => [
  { do: 'mmap', area: 'a', pages },
  { do: 'touch', area: 'a' },
];

describe('folios of 64 KB in a run', () => {
  it('one fault maps a block, which takes one entry of a TLB and goes without being unfolded', () => {
    const result = run([...mapped(32), { do: 'munmap', area: 'a' }, { do: 'exit' }]);
    expect(blocksOf(result)).toEqual([2, 0, 0]);
    expect(sum(result, 'pgfault')).toBe(2);
    expect(sum(result, 'tlb_l1_hit')).toBe(30);
    const pages = run([...mapped(32), { do: 'munmap', area: 'a' }, { do: 'exit' }], {});
    expect(blocksOf(pages)).toEqual([0, 0, 0]);
    expect(sum(pages, 'pgfault')).toBe(32);
    // The flush of what is unmapped is the same.
    expect(sum(result, 'tlbi_va')).toBe(sum(pages, 'tlbi_va'));
  });

  it('mprotect() of the whole keeps the block; of one page it unfolds it, and back folds it again', () => {
    const whole = run([
      ...mapped(16),
      { do: 'mprotect', area: 'a', prot: 'r' },
      { do: 'mprotect', area: 'a', prot: 'rw' },
    ]);
    expect(blocksOf(whole)).toEqual([3, 0, 0]);
    const last: readonly Action[] = [
      { do: 'mmap', area: 'last', pages: 1 },
      ...mapped(15),
      { do: 'mprotect', area: 'last', prot: 'r' },
      { do: 'mprotect', area: 'last', prot: 'rw' },
    ];
    expect(blocksOf(run(last))).toEqual([1, 1, 1]);
  });

  it('fork() shares blocks as they are, and a copy takes its page out of one', () => {
    const result = run([...mapped(16), { do: 'fork', child: 'child' }, { do: 'touch', area: 'a' }, { do: 'exit' }]);
    // Parent and child have one each; the first copy on either side unfolds.
    expect(blocksOf(result)).toEqual([2, 0, 2]);
    expect(result.end).toBe('done');
  });

  it('fork() protects all of a folio of which a page has become writable again', () => {
    const built = machine({ ...ARM64, folio: '64K' })
      .thread('parent', 0, [
        align,
        { do: 'mmap', area: 'last', pages: 1 },
        ...mapped(15),
        { do: 'fork', child: 'first' },
        { do: 'compute', cycles: 2_000_000 },
        { do: 'touch', area: 'last' },
        { do: 'fork', child: 'second' },
        { do: 'touch', area: 'last' },
      ])
      .thread('first', 1, [{ do: 'exit' }])
      .thread('second', 1, [{ do: 'exit' }]);
    expect(runMachine(built.assemble()).total['pgfault']?.[0]).toBe(3);
  });

  it('an area that does not cover the block, and memory without such a folio, get pages', () => {
    expect(blocksOf(run(mapped(8)))).toEqual([0, 0, 0]);
    expect(blocksOf(run(mapped(16), { folio: '64K', memory: { tables: 31, pages: 16 } }))).toEqual([0, 0, 0]);
  });

  it('is of arm64 alone', () => {
    expect(() => run([], { architecture: 'x86-64-4l', folio: '64K' } as Partial<TopologyInput>)).toThrow(
      /^topology: m: folio: contiguous entries are arm64 only \(64K on x86-64-4l\)$/,
    );
  });
});
