// A patch idea: no key, no sleeping. If a dump holds the lock, leave the tables to it (they leak); otherwise free them.
import { explore } from '@shootdown/explorer';
import { program, routine, SystemBuilder, type EntryPointer } from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';

const { addPtdump, dumps, mmap_read_trylock, mmap_read_unlock, pxd_pgtable, vmap_range, VmallocKernel } = vmalloc;

function buildWith(checkFirst: boolean) {
  const pud_free_pmd_page = routine('pud_free_pmd_page', function* (kernel: vmalloc.VmallocKernel, _cpu: number, pudp: EntryPointer) {
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
  const builder = new SystemBuilder({ maxHistory: 64 });
  const kernel = new VmallocKernel(builder, { tree: { puds: 1, pmds: 2, ptes: 2 }, processors: 2 });
  const design = { tables: { pud_free_pmd_page, pmd_free_pte_page: pud_free_pmd_page }, tryHuge: 'free', largest: 'pud' } as const;
  builder.processor({ name: 'CPU0', tasks: [program(dumps.plainDump, kernel, addPtdump(builder, kernel, 'ptdump', 'single'), 0)] });
  builder.processor({ name: 'CPU1', tasks: [program(vmap_range, kernel, 1, design, 0, 0)] });
  return builder.build();
}

export const checkThenClear = await explore(buildWith(true), { reduction: false });
export const clearThenCheck = await explore(buildWith(false), { reduction: false });
console.log('check, clear, free:', checkThenClear.verdict, '-', checkThenClear.property);
console.log('clear, check, free:', clearThenCheck.verdict, '-', clearThenCheck.states, 'states');
