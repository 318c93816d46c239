import { replacements, type OffersC } from '@shootdown/c';
import { expectedVerdict, explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { contpte } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { shippedSystem } from '../matrix.test-support.ts';
import * as contpteScenarios from './index.ts';
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
  move_ptes: `
static int move_ptes(struct pagetable_move_control *pmc, unsigned long extent, pmd_t *old_pmd, pmd_t *new_pmd)
{
	struct vm_area_struct *vma = pmc->old;
	struct mm_struct *mm = vma->vm_mm;
	pte_t *old_ptep, *new_ptep;
	pte_t old_pte, pte;
	pmd_t dummy_pmdval;
	spinlock_t *old_ptl, *new_ptl;
	bool force_flush = false;
	unsigned long old_addr = pmc->old_addr;
	unsigned long new_addr = pmc->new_addr;
	unsigned long old_end = old_addr + extent;
	unsigned long len = old_end - old_addr;
	int max_nr_ptes;
	int nr_ptes;

	if (pmc->need_rmap_locks)
		take_rmap_locks(vma);

	old_ptep = pte_offset_map_lock(mm, old_pmd, old_addr, &old_ptl);
	if (!old_ptep)
		return -EAGAIN;
	new_ptep = pte_offset_map_rw_nolock(mm, new_pmd, new_addr, &dummy_pmdval, &new_ptl);
	if (!new_ptep) {
		pte_unmap_unlock(old_ptep, old_ptl);
		return -EAGAIN;
	}
	if (new_ptl != old_ptl)
		spin_lock_nested(new_ptl, SINGLE_DEPTH_NESTING);
	flush_tlb_batched_pending(vma->vm_mm);
	arch_enter_lazy_mmu_mode();

	for (; old_addr < old_end; old_ptep += nr_ptes, old_addr += nr_ptes * PAGE_SIZE,
	     new_ptep += nr_ptes, new_addr += nr_ptes * PAGE_SIZE) {
		nr_ptes = 1;
		max_nr_ptes = (old_end - old_addr) >> PAGE_SHIFT;
		old_pte = ptep_get(old_ptep);
		if (pte_none(old_pte))
			continue;

		if (pte_present(old_pte)) {
			nr_ptes = mremap_folio_pte_batch(vma, old_addr, old_ptep, old_pte, max_nr_ptes);
			force_flush = true;
		}
		pte = get_and_clear_full_ptes(mm, old_addr, old_ptep, nr_ptes, 0);
		pte = move_pte(pte, old_addr, new_addr);
		pte = move_soft_dirty_pte(pte);
		set_ptes(mm, new_addr, new_ptep, pte, nr_ptes);
	}

	arch_leave_lazy_mmu_mode();
	if (force_flush)
		flush_tlb_range(vma, old_end - len, old_end);
	if (new_ptl != old_ptl)
		spin_unlock(new_ptl);
	pte_unmap(new_ptep - 1);
	pte_unmap_unlock(old_ptep - 1, old_ptl);
	if (pmc->need_rmap_locks)
		drop_rmap_locks(vma);
	return 0;
}
`,
  mremap_folio_pte_batch: `
static int mremap_folio_pte_batch(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t pte, int max_nr)
{
	struct folio *folio;

	if (max_nr == 1)
		return 1;
	if (pte_batch_hint(ptep, pte) == 1)
		return 1;

	folio = vm_normal_folio(vma, addr, pte);
	if (!folio || !folio_test_large(folio))
		return 1;
	return folio_pte_batch_flags(folio, NULL, ptep, &pte, max_nr, FPB_RESPECT_WRITE);
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
const scenarios = Object.values(contpteScenarios) as unknown as readonly ContpteScenario[];

const mremap = contpteScenarios.contpteMremap as unknown as ContpteScenario;

async function verdictOf(scenario: ContpteScenario, variant: string, text: string | null, maxStates = 60_000) {
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
  const bounds = deep ? {} : { maxStates };
  const system = replace ? resolved.build() : shippedSystem(resolved);
  const { verdict, property, complete } = await explore(system, { bounds, interleavingsStatesMax: 0 });
  return { verdict, property, complete };
}

const deep = process.env['SHOOTDOWN_DEEP'] === '1';
/** Blocks of two entries; of four in the deep tests. */
const parameters = deep ? {} : { block: 2 };
/** Few states, or an early violation; the others are for the deep tests. */
const QUICK = new Set([
  'contpte-fault current',
  'contpte-fold two-folios',
  'contpte-lockless restart',
  'contpte-mremap aligned',
  'contpte-mremap batch-ignores-write',
  'contpte-mremap batched',
  'contpte-mremap batched/mixed',
  'contpte-mremap unaligned',
  'contpte-unfold bbml0-no-tlbi',
  'contpte-zap clear-one-without-unfold',
]);
const rows = scenarios.flatMap((scenario) =>
  scenario.variants.flatMap((variant) =>
    deep || QUICK.has(`${scenario.name} ${variant.name}`)
      ? [[scenario.name, variant.name, scenario, variant] as const]
      : [],
  ),
);

describe('the contpte layer in C', () => {
  it.each(rows)('%s, %s: the verdict of the shipped one', { timeout: 120_000 }, async (_, name, scenario, variant) => {
    // What a variant replaces is its point: it stays.
    const own = Object.keys(variant.replace ?? {});
    const text = Object.entries(functions).flatMap(([routine, c]) => (own.includes(routine) ? [] : [c]));
    // What is safe is bounded soon, in both: the deep tests see all of it.
    const statesMax = expectedVerdict(variant, 'sc') === 'safe' ? 5_000 : undefined;
    const shipped = await verdictOf(scenario, name, null, statesMax);
    expect(await verdictOf(scenario, name, text.join('\n'), statesMax)).toEqual(shipped);
  });

  it('knows the area of a machine whose area is another one', async () => {
    const { contpte_ptep_set_access_flags: text = '' } = functions;
    const { contpteFault } = contpteScenarios;
    const { verdict, property } = await verdictOf(contpteFault as unknown as ContpteScenario, 'reuse', text, 100);
    expect([verdict, property]).toEqual(['bounded', null]);
  });

  it('in which a batch of mremap() does not look at the write bit makes pages writable', async () => {
    const { mremap_folio_pte_batch: batch = '', move_ptes: move = '' } = functions;
    const careless = batch.replace('FPB_RESPECT_WRITE', '0');
    expect(careless).not.toBe(batch);
    const { verdict, property } = await verdictOf(mremap, 'batched/mixed', move + careless);
    expect([verdict, property]).toEqual(['violation', 'mremap() makes no page writable']);
  });

  it('that does not ask which folio a page belongs to folds across folios', async () => {
    const { __contpte_try_fold: fold = '', contpte_convert: convert = '' } = functions;
    const careless = fold.replace(/\tif \(folio_start[^;]*;\n/, '');
    expect(careless).not.toBe(fold);
    const { verdict, property } = await verdictOf(
      contpteScenarios.contpteFold as unknown as ContpteScenario,
      'two-folios',
      convert + careless,
    );
    expect([verdict, property]).toEqual(['violation', contpte.MISPROGRAMMED]);
  });
});
