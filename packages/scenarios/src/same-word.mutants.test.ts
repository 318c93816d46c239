/** Words that several CPUs change at once: an atomic that is a load and a store loses what another CPU has written. */
import { resolveScenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { DEEP } from './matrix.test-support.ts';
import { ofSameWord } from './mutants.survivors-lazy.test-support.ts';
import { MutantGolden, mutantTable } from './mutants.test-support.ts';
import { ofCalls, ofX86Tlb, ofZap } from './mutants.survivors-x86.test-support.ts';

const survivors = [...ofSameWord, ...ofZap, ...ofX86Tlb, ...ofCalls];
const shipped = (scenario: string, variant: string) => resolveScenario(scenarios, { scenario, variant }).build();

describe('lines of same-word', () => {
  const golden = new MutantGolden('same-word');

  it.each(DEEP ? ['call-queue', 'cpumask'] : ['call-queue'])(
    '%s: each is needed, or it is known why not',
    async (variant) => {
      const where = `same-word / ${variant}`;
      const rows = await mutantTable({
        where,
        variant,
        survivors,
        systemOf: () => shipped('same-word', variant),
        shipped,
      });
      const heading = `${where} on sc`;
      expect([heading, ...rows].join('\n')).toBe(golden.section(heading, rows));
      const table = rows.join('\n');
      const atomics =
        variant === 'cpumask'
          ? ['flush_tlb_func/cpumask_clear_cpu']
          : ['smp_call_function_many/llist_add', 'sysvec_call_function/llist_del_all'];
      for (const line of atomics) expect(table).toMatch(new RegExp(`needed +${line}:load-then-store `));
    },
  );
});
