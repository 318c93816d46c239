import { replacements } from '@shootdown/c';
import { explore, resolveScenario } from '@shootdown/explorer';
import { recordTrace, TabulatedExecutor } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';

const CHILDREN_FIRST = `
int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table, *pmd;
	unsigned long next, end;
	pud_t pud = READ_ONCE(*pudp);

	if (!pud_table(pud))
		return 1;

	table = pmd_offset(pudp, addr);
	pmd = table;
	next = addr;
	end = addr + PUD_SIZE;
	do {
		pmd_free_pte_page(pmd, next);
	} while (pmd++, next += PMD_SIZE, next != end);

	pud_clear(pudp);
	__flush_tlb_kernel_pgtable(addr);
	if (static_branch_unlikely(&arm64_ptdump_lock_key)) {
		mmap_read_lock(&init_mm);
		mmap_read_unlock(&init_mm);
	}
	pmd_free(&init_mm, table);
	return 1;
}
`;

async function patched(variant: string, text: string) {
  const shipped = resolveScenario([ptdumpVmalloc], { scenario: 'ptdump-vmalloc', variant });
  const own = ptdumpVmalloc.routines?.(shipped.variant) ?? {};
  const replace = await replacements({
    offer: await ptdumpVmalloc.c(),
    files: [{ name: 'my.c', text }],
    parameters: shipped.parameters,
    own,
  });
  return resolveScenario([ptdumpVmalloc], { scenario: 'ptdump-vmalloc', variant, replace });
}

describe('C in place of a routine of ptdump-vmalloc', () => {
  it('is safe where the wait is', async () => {
    const { verdict } = await explore((await patched('v6-one-dumper', CHILDREN_FIRST)).build());
    expect(verdict).toBe('safe');
  });

  it('without the wait, the line that frees the table stands in the counterexample', async () => {
    const text = CHILDREN_FIRST.replace(/\tif \(static_branch[^}]*}\n/, '');
    const system = (await patched('v6-one-dumper', text)).build();
    const { verdict, schedule } = await explore(system);
    expect(verdict).toBe('violation');
    const { steps } = recordTrace(new TabulatedExecutor(system), schedule ?? []);
    expect(steps.map((step) => step.text)).toContain('pmd_free(0x1) :21');
  });
});
