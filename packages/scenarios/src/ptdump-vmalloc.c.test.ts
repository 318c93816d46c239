import { replacements } from '@shootdown/c';
import { explore, resolveScenario, type ExploreResult } from '@shootdown/explorer';
import { recordTrace, TabulatedExecutor } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { shippedSystem, UNCOUNTED } from './matrix.test-support.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { twins } from './ptdump-vmalloc.twins.test-support.ts';

async function patched(variant: string, text: string) {
  const shipped = resolveScenario([ptdumpVmalloc], { scenario: 'ptdump-vmalloc', variant });
  const own = ptdumpVmalloc.routines?.(shipped.variant) ?? {};
  const replace = await replacements({
    offer: await ptdumpVmalloc.c(),
    files: [{ name: 'my.c', text }],
    parameters: shipped.parameters,
    own,
  });
  const request = { scenario: 'ptdump-vmalloc', variant, replace, memoryModel: shipped.memoryModel };
  return { shipped, patched: resolveScenario([ptdumpVmalloc], request) };
}

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

describe('C in place of a routine of ptdump-vmalloc', () => {
  it('is safe where the wait is', async () => {
    const { verdict } = await explore((await patched('v6-one-dumper', CHILDREN_FIRST)).patched.build(), UNCOUNTED);
    expect(verdict).toBe('safe');
  });

  it('without the wait, the line that frees the table stands in the counterexample', async () => {
    const text = CHILDREN_FIRST.replace(/\tif \(static_branch[^}]*}\n/, '');
    const system = (await patched('v6-one-dumper', text)).patched.build();
    const { verdict, schedule } = await explore(system, UNCOUNTED);
    expect(verdict).toBe('violation');
    const { steps } = recordTrace(new TabulatedExecutor(system), schedule ?? []);
    expect(steps.map((step) => step.text)).toContain('pmd_free(0x1) :21');
  });
});

/** A verdict with everything that is violated, and the witnesses. */
function found({ verdict, problems, sometimes }: ExploreResult) {
  return {
    verdict,
    properties: problems.map(({ property }) => property).sort(),
    sometimes: sometimes.map(({ name, witnessed }) => `${name}: ${witnessed}`),
  };
}

/** Takes its time: the search goes on past every violation. */
const SLOW = 'v3-two-dumpers';
const deep = process.env['SHOOTDOWN_DEEP'] === '1';

/** What is found of a variant as it ships: several twins may stand for different functions of it. */
const foundOf = new Map<string, Promise<ReturnType<typeof found>>>();

describe('C twins of shipped variants', () => {
  it.each(twins.filter(([variant]) => deep || variant !== SLOW))(
    '%s, %s: the verdict and the properties of the shipped one',
    async (variant, _, text) => {
      const { shipped, patched: twin } = await patched(variant, text);
      expect(twin.replaced.length).toBeGreaterThan(0);
      const options = { all: true, interleavingsStatesMax: 0 };
      const known = foundOf.get(variant) ?? explore(shippedSystem(shipped), options).then(found);
      foundOf.set(variant, known);
      expect(found(await explore(twin.build(), options))).toEqual(await known);
    },
  );
});
