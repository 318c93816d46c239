/** Words that several CPUs change at once: an atomic that is a load and a store loses what another CPU has written. */
import { describe, expect, it } from 'vitest';
import { goldenTables } from './mutants.test-support.ts';

describe('lines of same-word', () => {
  it.each([
    ['cpumask', ['flush_tlb_func/cpumask_clear_cpu']],
    ['folio-refcount', ['do_wp_page/folio_get']],
    ['call-queue', ['smp_call_function_many/llist_add', 'sysvec_call_function/llist_del_all']],
  ] as const)('%s: its atomics are needed', (variant, atomics) => {
    const table = goldenTables().get(`same-word / ${variant} on sc`) ?? [];
    const needed = table.filter(({ result }) => result === 'needed').map(({ change }) => change);
    expect(needed).toEqual(expect.arrayContaining(atomics.map((line) => `${line}:load-then-store`)));
  });
});
