import { store } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import { expect, test } from 'vitest';
import { user_access } from './fault.ts';
import type { FileFolio } from './file-folio.ts';
import { use_mm } from './kernel.ts';
import { mmMachine, runMachine, type Machine } from './machines.test-support.ts';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu-gather.ts';
import { pgd_alloc, pte_offset } from './pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from './vma.ts';
import { zap_pte_range, zap_pte_range_v3_15, type ZapPteRange } from './zap.ts';

/** What happens when two pages are zapped of which the first is a dirty page of a file, in order. */
function happens(version: ZapPteRange): string[] {
  const order: string[] = [];
  const folioOf = ({ flags }: Machine, frame: number): FileFolio => {
    const does = (what: string) => () => {
      order.push(what);
      return store(flags.at(0), 1);
    };
    const words = { folio_mark_dirty: does('marked dirty'), folio_remove_rmap_pte: does('no longer mapped') };
    return { frame, ...words } as unknown as FileFolio;
  };
  runMachine(
    mmMachine(
      {
        cpus: 1,
        wrap: (arch) => ({
          ...arch,
          *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
            order.push(`flush [${start}, ${end})`);
            yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
          },
        }),
      },
      [
        function* (machine, cpu) {
          const { kernel, mms } = machine;
          const mm = mms[0]!;
          yield* pgd_alloc(kernel, mm);
          yield* mm.vmas.insert(0, 2, VM_DATA_DEFAULT_FLAGS);
          yield* use_mm(kernel, cpu, mm);
          for (const vpn of [0, 1]) yield* user_access(kernel, cpu, mm, vpn, true);
          const first = (yield* pte_offset(kernel, mm, 0))!;
          const folio = folioOf(machine, pte_pfn(yield* kernel.frames.read(first)));
          const tlb = yield* tlb_gather_mmu(mm);
          yield* version({ ...kernel, folio }, cpu, tlb, first, 0, 2);
          yield* tlb_finish_mmu(kernel, cpu, tlb);
        },
      ],
    ),
  );
  return order;
}

test('zap_pte_range() goes on behind a dirty page of a file: one flush for all, before the lock is dropped', () => {
  expect(happens(zap_pte_range)).toEqual(['marked dirty', 'flush [0, 2)', 'no longer mapped']);
});

test('v3.15 does, too, and the page has ceased to count as mapped by then', () => {
  expect(happens(zap_pte_range_v3_15)).toEqual(['marked dirty', 'no longer mapped', 'flush [0, 2)']);
});
