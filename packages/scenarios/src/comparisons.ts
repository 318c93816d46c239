/** The comparisons that ship, by scenario name. Loaded when asked for: some need machines of full size. */
import type { Comparison, EachRow, Patch } from './comparison.ts';

/** All comparisons that ship, by the name that `shootdown compare` takes. */
export const comparisons: Readonly<Record<string, (each: EachRow, patch?: Patch) => Promise<Comparison>>> = {
  'change-pte': async (each) => (await import('./change-pte.cost.ts')).compareChangePte(each),
  'pv-flush': async (each) => (await import('./kvm-pv-flush.cost.ts')).comparePvFlush(each),
  contpte: async (each, patch) => (await import('./contpte/contpte.cost.ts')).compareContpte(each, patch),
  'lazy-mmu': async (each) => (await import('./lazy-mmu/lazy-mmu.cost.ts')).compareLazyMmu(each),
  published: async (each) => (await import('./published/published.ts')).comparePublished(each),
  'ptdump-vmalloc': async (each, patch) => (await import('./ptdump-vmalloc.cost.ts')).comparePtdumpVmalloc(each, patch),
};

/** Those that compare a kernel with a {@link Patch}: by the scenario whose routines it replaces. */
export const patchedComparisons: Readonly<Record<string, string>> = {
  contpte: 'contpte-fold',
  'ptdump-vmalloc': 'ptdump-vmalloc',
};
