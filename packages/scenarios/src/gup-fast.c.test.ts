import { replacements, type OffersC } from '@shootdown/c';
import { explore, resolveScenario, type Scenario, type Variant } from '@shootdown/explorer';
import type { gup } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { DEEP, shippedSystem } from './matrix.test-support.ts';

/** gup_fast_pte_range() and gup_fast_pmd_leaf(), with what a variant looks at again once the page is pinned. */
const walking = (recheck: gup.Recheck): string => `
static int gup_fast_pte_range(pmd_t pmd, pmd_t *pmdp, unsigned long addr,
		unsigned long end, unsigned int flags, struct page **pages,
		int *nr)
{
	int ret = 0;
	pte_t *ptep, *ptem;

	ptem = ptep = pte_offset_map(&pmd, addr);
	if (!ptep)
		return 0;
	do {
		pte_t pte = ptep_get_lockless(ptep);
		struct page *page;
		struct folio *folio;

		if (!pte_access_permitted(pte, flags & FOLL_WRITE))
			goto pte_unmap;

		page = pte_page(pte);
		folio = try_grab_folio_fast(page, 1, flags);
		if (!folio)
			goto pte_unmap;

		if (${[
      ...(recheck.includes('pmd') ? ['unlikely(pmd_val(pmd) != pmd_val(*pmdp))'] : []),
      ...(recheck.includes('pte') ? ['unlikely(pte_val(pte) != pte_val(ptep_get(ptep)))'] : []),
      'false',
    ].join(' ||\n\t\t    ')}) {
			gup_put_folio(folio, 1, flags);
			goto pte_unmap;
		}

		folio_set_referenced(folio);
		pages[*nr] = page;
		(*nr)++;
	} while (ptep++, addr += PAGE_SIZE, addr != end);

	ret = 1;

pte_unmap:
	pte_unmap(ptem);
	return ret;
}

static int gup_fast_pmd_leaf(pmd_t orig, pmd_t *pmdp, unsigned long addr,
		unsigned long end, unsigned int flags, struct page **pages,
		int *nr)
{
	struct page *page;
	struct folio *folio;

	page = pmd_page(orig);
	folio = try_grab_folio_fast(page, 1, flags);
	if (!folio)
		return 0;
${
  recheck === 'none'
    ? ''
    : `
	if (unlikely(pmd_val(orig) != pmd_val(*pmdp))) {
		gup_put_folio(folio, 1, flags);
		return 0;
	}
`
}
	pages[*nr] = page;
	*nr += 1;
	return 1;
}
`;

async function verdicts<V extends Variant>(scenario: Scenario<V> & OffersC, variant: V, recheck: gup.Recheck) {
  const request = { scenario: scenario.name, variant: variant.name };
  const shipped = resolveScenario([scenario], request);
  const replace = await replacements({
    offer: await scenario.c(),
    files: [{ name: 'gup.c', text: walking(recheck) }],
    parameters: shipped.parameters,
    own: scenario.routines?.(variant) ?? {},
  });
  expect(Object.keys(replace).sort()).toEqual(['gup_fast_pmd_leaf', 'gup_fast_pte_range']);
  const twin = resolveScenario([scenario], { ...request, replace });
  const found = [];
  for (const system of [twin.build(), shippedSystem(shipped)]) {
    const { verdict, problems } = await explore(system, { all: true, interleavingsStatesMax: 0 });
    found.push({ verdict, properties: problems.map(({ property }) => property).sort() });
  }
  return found;
}

/**
 * How the TLB is flushed does not matter to the walk; two tables, or an allocation that may fail, multiply the states.
 * Every guard of the walk is left out once, with one flush of its kind.
 */
const unmapVariants = gupFastVsUnmap.variants.filter(
  ({ name, tables }) =>
    DEEP ||
    (name.startsWith('kvm-pv/') && !name.includes('/allocation-may-fail') && tables === 1) ||
    name === 'kvm-pv/batch/no-rcu' ||
    name.startsWith('invlpgb/call-rcu/dontneed'),
);

describe('GUP-fast in C', () => {
  it.each(unmapVariants.map((variant) => [variant.name, variant] as const))(
    'against munmap, %s: the verdict and the properties of the shipped one',
    async (_, variant) => {
      const [twin, shipped] = await verdicts(gupFastVsUnmap, variant, variant.guards.recheck);
      expect(twin).toEqual(shipped);
    },
  );

  it.each(gupFastVsCollapse.variants.map((variant) => [variant.name, variant] as const))(
    'against khugepaged, %s: the verdict and the properties of the shipped one',
    async (_, variant) => {
      const [twin, shipped] = await verdicts(gupFastVsCollapse, variant, variant.recheck);
      expect(twin).toEqual(shipped);
    },
  );
});
