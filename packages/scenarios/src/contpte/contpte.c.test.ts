import { replacements, type OffersC } from '@shootdown/c';
import { explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { contpte } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { contpteFault } from './contpte-fault.ts';
import { contpteFold } from './contpte-fold.ts';
import { contpteUnfold } from './contpte-unfold.ts';
import { contpteZap } from './contpte-zap.ts';
import type { ContpteVariant } from './machine.ts';

/** The functions of the layer, in C as the kernel has its functions, by name. */
const functions: Readonly<Record<string, string>> = {
  contpte_convert: `
static void contpte_convert(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)
{
	struct vm_area_struct *vma = tlb_flush_vma(mm);
	unsigned long start = ALIGN_DOWN(addr, CONT_PTE_SIZE);
	pte_t *first = contpte_align_down(ptep);
	int i;

	pte = pfn_pte(ALIGN_DOWN(pte_pfn(pte), (unsigned long)CONT_PTES), pte_pgprot(pte));
	for (i = 0; i < CONT_PTES; i++) {
		pte_t old = __ptep_get_and_clear(mm, start + i * PAGE_SIZE, first + i);

		if (pte_dirty(old))
			pte = pte_mkdirty(pte);
		if (pte_young(old))
			pte = pte_mkyoung(pte);
	}

	if (!system_supports_bbml2_noabort())
		__flush_tlb_range(vma, start, start + CONT_PTE_SIZE, PAGE_SIZE, 3, TLBF_NOWALKCACHE);

	__set_ptes(mm, start, first, pte, CONT_PTES);
}
`,
  __contpte_try_fold: `
void __contpte_try_fold(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)
{
	unsigned long folio_start, folio_end, cont_start, cont_end;
	struct folio *folio;
	struct page *page;
	pte_t wanted, found;
	int i;

	if (!mm_is_user(mm))
		return;

	page = pte_page(pte);
	folio = page_folio(page);
	folio_start = addr - (page - &folio->page) * PAGE_SIZE;
	folio_end = folio_start + folio_nr_pages(folio) * PAGE_SIZE;
	cont_start = ALIGN_DOWN(addr, CONT_PTE_SIZE);
	cont_end = cont_start + CONT_PTE_SIZE;
	if (folio_start > cont_start || folio_end < cont_end)
		return;

	wanted = pte_mkold(pte_mkclean(pte));
	wanted = pfn_pte(ALIGN_DOWN(pte_pfn(pte), (unsigned long)CONT_PTES), pte_pgprot(wanted));
	ptep = contpte_align_down(ptep);
	for (i = 0; i < CONT_PTES; i++) {
		found = pte_mkold(pte_mkclean(__ptep_get(ptep + i)));
		if (!pte_same(found, wanted))
			return;
		wanted = pte_next_pfn(wanted);
	}

	contpte_convert(mm, addr, ptep, pte_mkcont(pte));
}
`,
  __contpte_try_unfold: `
void __contpte_try_unfold(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)
{
	if (!mm_is_user(mm))
		return;
	contpte_convert(mm, addr, ptep, pte_mknoncont(pte));
}
`,
  contpte_ptep_get_lockless: `
static inline bool is_consistent(pte_t pte, unsigned long pfn, pgprot_t prot)
{
	pgprot_t found = pte_pgprot(pte_mkold(pte_mkclean(pte)));

	return pte_valid_cont(pte) && pte_pfn(pte) == pfn && pgprot_val(found) == pgprot_val(prot);
}

pte_t contpte_ptep_get_lockless(pte_t *orig_ptep)
{
	pgprot_t prot;
	unsigned long pfn;
	pte_t orig, pte;
	pte_t *ptep;
	int i;

retry:
	orig = __ptep_get(orig_ptep);
	if (!pte_valid_cont(orig))
		return orig;

	prot = pte_pgprot(pte_mkold(pte_mkclean(orig)));
	ptep = contpte_align_down(orig_ptep);
	pfn = pte_pfn(orig) - (orig_ptep - ptep);

	for (i = 0; i < CONT_PTES; i++) {
		pte = __ptep_get(ptep + i);
		if (!is_consistent(pte, pfn + i, prot))
			goto retry;

		if (pte_dirty(pte)) {
			orig = pte_mkdirty(orig);
			for (; i < CONT_PTES; i++) {
				pte = __ptep_get(ptep + i);
				if (!is_consistent(pte, pfn + i, prot))
					goto retry;
				if (pte_young(pte)) {
					orig = pte_mkyoung(orig);
					break;
				}
			}
			break;
		}

		if (pte_young(pte)) {
			orig = pte_mkyoung(orig);
			for (i++; i < CONT_PTES; i++) {
				pte = __ptep_get(ptep + i);
				if (!is_consistent(pte, pfn + i, prot))
					goto retry;
				if (pte_dirty(pte)) {
					orig = pte_mkdirty(orig);
					break;
				}
			}
			break;
		}
	}
	return orig;
}
`,
  contpte_ptep_set_access_flags: `
static bool all_match(pte_t *ptep, pte_t entry)
{
	const pteval_t flags = PTE_RDONLY | PTE_AF | PTE_WRITE | PTE_DIRTY;
	int i;

	ptep = contpte_align_down(ptep);
	for (i = 0; i < CONT_PTES; i++) {
		if ((pte_val(__ptep_get(ptep + i)) ^ pte_val(entry)) & flags)
			return false;
	}
	return true;
}

int contpte_ptep_set_access_flags(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t entry, int dirty)
{
	pte_t *first;
	pte_t orig;
	int i;

	if (all_match(ptep, entry))
		return 0;

	orig = __ptep_get(ptep);
	if (pte_write(orig) == pte_write(entry)) {
		first = contpte_align_down(ptep);
		for (i = 0; i < CONT_PTES; i++)
			__ptep_set_access_flags(vma, addr, first + i, entry, 0);
		if (dirty)
			local_flush_tlb_contpte(vma, addr);
	} else {
		__contpte_try_unfold(vma->vm_mm, addr, ptep, orig);
		__ptep_set_access_flags(vma, addr, ptep, entry, dirty);
	}
	return 1;
}
`,
};

type ContpteScenario = Scenario<ContpteVariant, 'block'> & OffersC;
const scenarios = [contpteFold, contpteUnfold, contpteFault, contpteZap] as unknown as readonly ContpteScenario[];

async function verdictOf(scenario: ContpteScenario, variant: string, text: string | null) {
  const request = { scenario: scenario.name, variant, parameters };
  const shipped = resolveScenario([scenario], request);
  const replace =
    text === null
      ? undefined
      : await replacements({
          offer: await scenario.c(),
          files: [{ name: 'contpte.c', text }],
          parameters: shipped.parameters,
          own: scenario.routines?.(shipped.variant) ?? {},
        });
  const resolved = resolveScenario([scenario], { ...request, replace });
  const bounds = deep ? {} : { maxStates: 60_000 };
  const { verdict, property, complete } = await explore(resolved.build(), { bounds, interleavingsStatesMax: 0 });
  return { verdict, property, complete };
}

const deep = process.env['SHOOTDOWN_DEEP'] === '1';
/** Blocks of two entries; of four in the deep tests. */
const parameters = deep ? {} : { block: 2 };
/** Few states, or an early violation; the others are for the deep tests. */
const QUICK = new Set(['two-folios', 'bbml0-no-tlbi', 'gathered-noop-test-dbm', 'clear-one-without-unfold']);
const rows = scenarios.flatMap((scenario) =>
  scenario.variants.flatMap((variant) =>
    deep || QUICK.has(variant.name) ? [[scenario.name, variant.name, scenario, variant] as const] : [],
  ),
);

describe('the contpte layer in C', () => {
  it.each(rows)(
    '%s, %s: the verdict of the shipped one',
    { timeout: 120_000 },
    async (_, name, scenario, { replace }) => {
      // What a variant replaces is its point: it stays.
      const own = Object.keys(replace ?? {});
      const text = Object.entries(functions).flatMap(([routine, c]) => (own.includes(routine) ? [] : [c]));
      const shipped = await verdictOf(scenario, name, null);
      expect(await verdictOf(scenario, name, text.join('\n'))).toEqual(shipped);
    },
  );

  it('that does not ask which folio a page belongs to folds across folios', async () => {
    const { __contpte_try_fold: fold = '', contpte_convert: convert = '' } = functions;
    const careless = fold.replace(/\tif \(folio_start[^;]*;\n/, '');
    expect(careless).not.toBe(fold);
    const { verdict, property } = await verdictOf(scenarios[0] as ContpteScenario, 'two-folios', convert + careless);
    expect([verdict, property]).toEqual(['violation', contpte.MISPROGRAMMED]);
  });
});
