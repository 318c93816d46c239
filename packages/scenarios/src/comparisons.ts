/** The comparisons that ship, by scenario name. Loaded when asked for: some need machines of full size. */
import type { Comparison, EachRow } from './comparison.ts';

export const comparisons: Readonly<Record<string, (each: EachRow) => Promise<Comparison>>> = {
  'change-pte': async (each) => (await import('./change-pte.cost.ts')).compareChangePte(each),
  'pv-flush': async (each) => (await import('./kvm-pv-flush.cost.ts')).comparePvFlush(each),
  contpte: async (each) => (await import('./contpte/contpte.cost.ts')).compareContpte(each),
  'lazy-mmu': async (each) => (await import('./lazy-mmu/lazy-mmu.cost.ts')).compareLazyMmu(each),
  'ptdump-vmalloc': async (each) => (await import('./ptdump-vmalloc.cost.ts')).comparePtdumpVmalloc(each),
};
