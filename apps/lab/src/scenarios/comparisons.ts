/** The comparisons that ship, by scenario name. Loaded when asked for: some need machines of full size. */
import type { Comparison } from '../comparison.ts';

export const comparisons: Readonly<Record<string, () => Promise<Comparison>>> = {
  'change-pte': async () => (await import('./change-pte.cost.ts')).compareChangePte(),
  'pv-flush': async () => (await import('./kvm-pv-flush.cost.ts')).comparePvFlush(),
  'ptdump-vmalloc': async () => (await import('./ptdump-vmalloc.cost.ts')).comparePtdumpVmalloc(),
};
