// A patch idea: no key, no sleeping. If a dump holds the lock, leave the tables to it (they leak); otherwise free them.
import type { Scenario } from '@shootdown/explorer';
import { program, routine, SystemBuilder, type EntryPointer } from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';

const { addPtdump, dumps, mmap_read_trylock, mmap_read_unlock, pxd_pgtable, vmap_range, VmallocKernel } = vmalloc;

const freeing = (checkFirst: boolean) =>
  routine('pud_free_pmd_page', function* (kernel: vmalloc.VmallocKernel, _cpu: number, pudp: EntryPointer) {
    const table = pxd_pgtable(yield* kernel.get(pudp, 'pudp_get'));
    let nobodyWalks = checkFirst ? yield* mmap_read_trylock(kernel.init_mm) : 0;
    if (nobodyWalks === 1) yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if (!checkFirst) nobodyWalks = yield* mmap_read_trylock(kernel.init_mm);
    if (!checkFirst && nobodyWalks === 1) yield* mmap_read_unlock(kernel.init_mm);
    if (nobodyWalks === 1) yield* kernel.free(table, 'pmd_free');
    return 1;
  });

export const myPatch: Scenario = {
  name: 'my-patch',
  title: 'May tables be freed if the lock is free at some moment?',
  variants: [
    {
      name: 'check-clear-free',
      expected: 'safe',
      source: 'wishful thinking',
      summary: 'the lock is tried before the entry is cleared',
    },
    {
      name: 'clear-check-free',
      expected: 'safe',
      source: 'a walk that comes later finds nothing',
      summary: 'and after it',
    },
  ],
  build({ variant, memoryModel }) {
    const builder = new SystemBuilder({ memoryModel, maxHistory: 64 });
    const kernel = new VmallocKernel(builder, { tree: { puds: 1, pmds: 2, ptes: 2 }, processors: 2 });
    const pud_free_pmd_page = freeing(variant.name === 'check-clear-free');
    const design = {
      tables: { pud_free_pmd_page, pmd_free_pte_page: pud_free_pmd_page },
      tryHuge: 'free',
      largest: 'pud',
    } as const;
    builder.processor({
      name: 'CPU0',
      tasks: [program(dumps.plainDump, kernel, addPtdump(builder, kernel, 'ptdump', 'single'), 0)],
    });
    builder.processor({ name: 'CPU1', tasks: [program(vmap_range, kernel, 1, design, 0, 0)] });
    return builder.build();
  },
};
