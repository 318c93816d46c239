import { replacements, type OffersC } from '@shootdown/c';
import { explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { shippedSystem } from '../matrix.test-support.ts';
import { lazyErrorPath, lazyFork, lazyMigrateVma, lazyPagemapScan, lazySleep, lazyUnlock } from './index.ts';

/** fs/proc/task_mmu.c: `end` is what comes when all entries are protected. */
const pagemapScan = (...end: string[]): string => `
static int pagemap_scan_pmd_entry(pmd_t *pmd, unsigned long start, unsigned long end, struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	pte_t *pte, *start_pte;
	unsigned long addr;
	spinlock_t *ptl;

	start_pte = pte = pte_offset_map_lock(vma->vm_mm, pmd, start, &ptl);
	if (!pte)
		return 0;

	lazy_mmu_mode_enable();
	for (addr = start; addr != end; pte++, addr += PAGE_SIZE) {
		pte_t old = ptep_modify_prot_start(vma, addr, pte);

		ptep_modify_prot_commit(vma, addr, pte, old, pte_wrprotect(old));
	}
	${end.join('\n\t')}
	return 0;
}
`;
const FLUSH = 'flush_tlb_range(vma, start, end);';
const LEAVE = 'lazy_mmu_mode_disable();';
const UNLOCK = 'pte_unmap_unlock(start_pte, ptl);';

/** mm/migrate_device.c. */
const migrateVma = (...end: string[]): string => `
static int migrate_vma_collect_pmd(pmd_t *pmdp, unsigned long start, unsigned long end, struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	struct mm_struct *mm = vma->vm_mm;
	unsigned long addr = start;
	spinlock_t *ptl;
	pte_t *start_pte, *ptep;

	ptep = pte_offset_map_lock(mm, pmdp, addr, &ptl);
	start_pte = ptep;
	lazy_mmu_mode_enable();
	for (; addr < end; addr += PAGE_SIZE, ptep++) {
		pte_t pte = ptep_get_and_clear(mm, addr, ptep);

		if (!pte_present(pte))
			continue;
		set_pte_at(mm, addr, ptep, make_migration_entry(pte_pfn(pte)));
	}
	${end.join('\n\t')}
	return 0;
}
`;

/** mm/vmalloc.c: `taken` is what it does about an entry that is not clear. */
const vmapPages = (taken: string): string => `
static int vmap_pages_pte_range(pmd_t *pmd, unsigned long addr, unsigned long end, pgprot_t prot,
				struct page **pages, int *nr, pgtbl_mod_mask *mask)
{
	int err = 0;
	pte_t *pte;

	pte = pte_alloc_kernel_track(pmd, addr, mask);
	if (!pte)
		return -ENOMEM;

	lazy_mmu_mode_enable();
	do {
		struct page *page = pages[*nr];

		if (WARN_ON(!pte_none(ptep_get(pte)))) {
			${taken}
		}
		set_pte_at(&init_mm, addr, pte, mk_pte(page, prot));
		(*nr)++;
	} while (pte++, addr += PAGE_SIZE, addr != end);

	lazy_mmu_mode_disable();
	*mask |= PGTBL_PTE_MODIFIED;
	return err;
}
`;

/** mm/kasan/shadow.c. */
const kasanPopulate = (pause: string, resume: string): string => `
static int kasan_populate_vmalloc_pte(pte_t *ptep, unsigned long addr, void *data)
{
	${pause}
	if (!__get_free_page(GFP_KERNEL))
		return -ENOMEM;

	if (pte_none(ptep_get(ptep)))
		set_pte_at(&init_mm, addr, ptep, pfn_pte(1, PAGE_KERNEL));
	${resume}
	return 0;
}
`;

/** mm/memory.c: `restores` calls copy_nonpresent_pte(), `again` reads what it has left. */
const copyPteRange = (restores: string, again: string): string => `
static int copy_nonpresent_pte(struct mm_struct *mm, pte_t *src_pte, unsigned long addr)
{
	pte_t orig = ptep_get(src_pte);

	if (!is_device_exclusive_entry(orig))
		return 0;
	set_pte_at(mm, addr, src_pte, pfn_pte(device_exclusive_pfn(orig), PAGE_READONLY));
	return -ENOENT;
}

static int copy_pte_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			  pmd_t *dst_pmd, pmd_t *src_pmd, unsigned long addr, unsigned long end)
{
	struct mm_struct *dst_mm = dst_vma->vm_mm;
	struct mm_struct *src_mm = src_vma->vm_mm;
	pte_t *orig_src_pte, *orig_dst_pte;
	pte_t *src_pte, *dst_pte;
	spinlock_t *src_ptl, *dst_ptl;
	pte_t ptent;

	dst_pte = pte_alloc_map_lock(dst_mm, dst_pmd, addr, &dst_ptl);
	src_pte = pte_offset_map_lock(src_mm, src_pmd, addr, &src_ptl);
	orig_src_pte = src_pte;
	orig_dst_pte = dst_pte;
	lazy_mmu_mode_enable();

	do {
		ptent = ptep_get(src_pte);
		if (pte_none(ptent))
			continue;
		if (unlikely(!pte_present(ptent))) {
			${restores}
			ptent = ${again};
		}
		get_page(pte_page(ptent));
		if (pte_write(ptent)) {
			ptep_set_wrprotect(src_mm, addr, src_pte);
			ptent = pte_wrprotect(ptent);
		}
		set_pte_at(dst_mm, addr, dst_pte, ptent);
	} while (dst_pte++, src_pte++, addr += PAGE_SIZE, addr != end);

	lazy_mmu_mode_disable();
	pte_unmap_unlock(orig_src_pte, src_ptl);
	pte_unmap_unlock(orig_dst_pte, dst_ptl);
	return 0;
}
`;
const RESTORES = 'copy_nonpresent_pte(src_mm, src_pte, addr);';
const AGAIN = 'ptep_get(src_pte)';
const asItIs = copyPteRange(RESTORES, AGAIN);

type LazyScenario = Scenario & OffersC;

const rows = (
  [
    [lazyPagemapScan, 'flush-before-leave', pagemapScan(FLUSH, LEAVE, UNLOCK)],
    [lazyPagemapScan, 'leave-before-flush', pagemapScan(LEAVE, FLUSH, UNLOCK)],
    [lazyUnlock, 'buggy', pagemapScan(UNLOCK, LEAVE, FLUSH)],
    [lazyUnlock, 'fixed', pagemapScan(LEAVE, FLUSH, UNLOCK)],
    [lazyMigrateVma, 'flush-before-leave', migrateVma(FLUSH, LEAVE, UNLOCK)],
    [lazyMigrateVma, 'leave-before-flush', migrateVma(LEAVE, FLUSH, UNLOCK)],
    [lazyErrorPath, 'buggy', vmapPages('return -EBUSY;')],
    [lazyErrorPath, 'fixed', vmapPages('err = -EBUSY;\n\t\t\tbreak;')],
    [lazySleep, 'buggy', kasanPopulate('', '')],
    [lazySleep, 'fixed', kasanPopulate('lazy_mmu_mode_pause();', 'lazy_mmu_mode_resume();')],
    ...['xen-pv', 'powerpc-hash', 'sparc64', 'arm64', 's390', 'x86-native'].map((arch) => [lazyFork, arch, asItIs]),
    [lazyFork, 'xen-pv-flush-first', copyPteRange(`${RESTORES}\n\t\t\tarch_flush_lazy_mmu_mode();`, AGAIN)],
    [
      lazyFork,
      'xen-pv-pause',
      copyPteRange(`lazy_mmu_mode_pause();\n\t\t\t${RESTORES}\n\t\t\tlazy_mmu_mode_resume();`, AGAIN),
    ],
    [lazyFork, 's390-raw-pointer', copyPteRange(RESTORES, '*src_pte')],
  ] as [LazyScenario, string, string][]
).map(([scenario, variant, text]) => [scenario.name, variant, scenario, text] as const);

async function verdictOf(scenario: LazyScenario, variant: string, text: string | null) {
  const request = { scenario: scenario.name, variant };
  const shipped = resolveScenario([scenario], request);
  const files = text === null ? [] : [{ name: 'lazy.c', text }];
  const own = scenario.routines?.(shipped.variant) ?? {};
  const replace =
    text === null ? undefined : await replacements({ offer: await scenario.c(), files, parameters: {}, own });
  const resolved = resolveScenario([scenario], { ...request, replace });
  const system = replace ? resolved.build() : shippedSystem(resolved);
  const { verdict, property, complete } = await explore(system, { interleavingsStatesMax: 0 });
  return { verdict, property, complete };
}

describe('sections of lazy MMU mode in C', () => {
  it.each(rows)('%s, %s: the verdict and the property of the shipped one', async (_, variant, scenario, text) => {
    expect(await verdictOf(scenario, variant, text)).toEqual(await verdictOf(scenario, variant, null));
  });
});
