// CVE-2018-18281: mremap() flushed after it had dropped the page-table lock. A truncate finds the page where it is now.
import { smallMachine, type Scenario } from '@shootdown/kit';
const [OLD, NEW] = [0, 1];

export const mremap: Scenario = {
  name: 'mremap',
  title: 'May mremap() flush when the page-table lock is free again?',
  variants: [
    { name: 'v4.18', expected: 'violation', source: 'CVE-2018-18281', summary: 'it unlocks, then it flushes' },
    { name: 'v4.19', expected: 'safe', source: 'eb66ae030829', summary: 'it flushes, then it unlocks' },
  ],
  build: ({ variant, memoryModel }) =>
    smallMachine({ memoryModel, cpus: 3, pages: 2, mapped: 1, flush: 'atomic' }).start({
      *move_ptes(m, cpu) {
        yield* m.pte_lock(OLD);
        yield* m.set_pte_at(NEW, yield* m.ptep_get_and_clear(OLD));
        if (variant.name === 'v4.19') yield* m.flush_tlb_page(cpu, OLD);
        yield* m.pte_unlock(OLD);
        if (variant.name === 'v4.18') yield* m.flush_tlb_page(cpu, OLD);
      },
      truncate: (m, cpu) => m.zap_page_range_single(cpu, NEW),
      'user code': (m, cpu) => m.write(cpu, OLD),
    }),
};
