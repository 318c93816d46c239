/** The variants of `ptdump-vmalloc` that are a change of one or two functions, in C, as the kernel would have them. */

/** A level of the tree: its own name, the one below, and what frees a table of that one. */
interface Level {
  readonly upper: 'pud' | 'pmd';
  readonly lower: 'pmd' | 'pte';
  readonly free: string;
  readonly defer: string;
}

const PUD: Level = { upper: 'pud', lower: 'pmd', free: 'pmd_free', defer: 'pmd_free_defer' };
const PMD: Level = { upper: 'pmd', lower: 'pte', free: 'pte_free_kernel', defer: 'pte_free_defer' };

/** What is done about one entry and its table, as lines of C. */
type Step = (level: Level) => string;

const clear: Step = ({ upper }) => `${upper}_clear(${upper}p);`;
const flush: Step = () => '__flush_tlb_kernel_pgtable(addr);';
const free: Step = (level) => `${level.free}(&init_mm, table);`;
const wait: Step = () => 'mmap_read_lock(&init_mm);\n\tmmap_read_unlock(&init_mm);';
const waitIfOn: Step = (level) =>
  `if (static_branch_unlikely(&arm64_ptdump_lock_key)) {\n\t\t${wait(level).replace('\n', '\n\t')}\n\t}`;
const steps =
  (...parts: readonly Step[]): Step =>
  (level) =>
    parts.map((part) => part(level)).join('\n\t');

const PMD_HEAD = `int pmd_free_pte_page(pmd_t *pmdp, unsigned long addr)
{
	pte_t *table;
	pmd_t pmd;

	pmd = READ_ONCE(*pmdp);
	if (!pmd_table(pmd))
		return 1;

	table = pmd_page_vaddr(pmd);`;

const PUD_HEAD = `int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table, *pmdp;
	unsigned long next = addr;
	pud_t pud;
	int i;

	pud = READ_ONCE(*pudp);
	if (!pud_table(pud))
		return 1;

	table = pud_pgtable(pud);`;

/** Children first, each treated as the entry itself. */
const childrenFirst = (remove: Step): string => `
${PMD_HEAD}
	${remove(PMD)}
	return 1;
}

${PUD_HEAD}
	for (i = 0, pmdp = table; i < PTRS_PER_PMD; i++, pmdp++, next += PMD_SIZE)
		pmd_free_pte_page(pmdp, next);
	${remove(PUD)}
	return 1;
}
`;

/** The entry first, so that nobody finds the children any more. */
const isolateFirst = (isolate: Step): string => `
${PMD_HEAD}
	${isolate(PMD)}
	pte_free_kernel(&init_mm, table);
	return 1;
}

static void free_isolated_pte_page(pmd_t *pmdp, unsigned long addr)
{
	pmd_t pmd = READ_ONCE(*pmdp);

	if (pmd_none(pmd))
		return;
	pmd_clear(pmdp);
	__flush_tlb_kernel_pgtable(addr);
	pte_free_kernel(&init_mm, pmd_page_vaddr(pmd));
}

${PUD_HEAD}
	${isolate(PUD)}
	pmdp = table;
	do {
		free_isolated_pte_page(pmdp, next);
		i = 1;
	} while (pmdp++, next += PMD_SIZE, next != addr + PUD_SIZE);
	pmd_free(&init_mm, table);
	return 1;
}
`;

const underReadLock = steps(
  () => 'mmap_read_lock(&init_mm);',
  clear,
  () => 'mmap_read_unlock(&init_mm);',
  flush,
);
const sampled: Step = () => 'bool on = static_branch_unlikely(&arm64_ptdump_lock_key);\n';
const ifOn =
  (step: Step): Step =>
  (level) =>
    `if (on) {\n\t\t${step(level).replaceAll('\n', '\n\t')}\n\t}`;

/** v3 to v6, as merged. */
const keyed = `
static int __pmd_free_pte_page(pmd_t *pmdp, unsigned long addr, bool acquire_mmap_lock)
{
	pte_t *table;
	pmd_t pmd;

	pmd = READ_ONCE(*pmdp);

	if (!pmd_table(pmd)) {
		VM_WARN_ON(1);
		return 1;
	}

	/* The table stays readable until whoever may be in it has left. */
	table = pte_offset_kernel(pmdp, addr);
	pmd_clear(pmdp);
	__flush_tlb_kernel_pgtable(addr);
	if (static_branch_unlikely(&arm64_ptdump_lock_key) && acquire_mmap_lock) {
		mmap_read_lock(&init_mm);
		mmap_read_unlock(&init_mm);
	}
	pte_free_kernel(NULL, table);
	return 1;
}

int pmd_free_pte_page(pmd_t *pmdp, unsigned long addr)
{
	return __pmd_free_pte_page(pmdp, addr, true);
}

int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table;
	pmd_t *pmdp;
	pud_t pud;
	unsigned long next, end;

	pud = READ_ONCE(*pudp);

	if (!pud_table(pud)) {
		VM_WARN_ON(1);
		return 1;
	}

	table = pmd_offset(pudp, addr);
	pud_clear(pudp);
	__flush_tlb_kernel_pgtable(addr);
	if (static_branch_unlikely(&arm64_ptdump_lock_key)) {
		mmap_read_lock(&init_mm);
		mmap_read_unlock(&init_mm);
	}

	pmdp = table;
	next = addr;
	end = addr + PUD_SIZE;
	do {
		if (pmd_present(pmdp_get(pmdp)))
			__pmd_free_pte_page(pmdp, next, false);
	} while (pmdp++, next += PMD_SIZE, next != end);

	pmd_free(NULL, table);
	return 1;
}
`;

/** vmap_try_huge_pud() and vmap_try_huge_pmd(): `free` stands where a table is in the way. */
const tryHuge = (body: (upper: string, upperName: string) => string, supported = true): string =>
  (['pud', 'pmd'] as const)
    .map((upper) => {
      const name = upper.toUpperCase();
      return `
static int vmap_try_huge_${upper}(${upper}_t *${upper}, unsigned long addr, unsigned long end,
			phys_addr_t phys_addr, pgprot_t prot,
			unsigned int max_page_shift)
{
	if (max_page_shift < ${name}_SHIFT)
		return 0;

	if (${supported ? '!' : ''}arch_vmap_${upper}_supported(prot))
		return 0;

	if ((end - addr) != ${name}_SIZE)
		return 0;

	if (!IS_ALIGNED(addr, ${name}_SIZE) || !IS_ALIGNED(phys_addr, ${name}_SIZE))
		return 0;

${body(upper, name)}
}
`;
    })
    .join('');

const freeing = (upper: string): string =>
  upper === 'pud' ? 'pud_free_pmd_page(pud, addr)' : 'pmd_free_pte_page(pmd, addr)';

const plainTry = tryHuge(
  (upper) => `	if (${upper}_present(READ_ONCE(*${upper})) && !${freeing(upper)})
		return 0;

	return ${upper}_set_huge(${upper}, phys_addr, prot);`,
);

const trylock = (failed: string, early: boolean): string =>
  tryHuge((upper) => {
    const unlock = '\t\tmmap_read_unlock(&init_mm);\n';
    return `	bool locked = false;
	int ret;

	if (${upper}_present(READ_ONCE(*${upper}))) {
		locked = mmap_read_trylock(&init_mm);
${failed}${early ? unlock : ''}		if (!${freeing(upper)})
			return 0;
	}
	ret = ${upper}_set_huge(${upper}, phys_addr, prot);
${early ? '' : `	if (locked)\n${unlock}`}	return ret;`;
  });

const GIVE_UP = '\t\tif (!locked)\n\t\t\treturn 0;\n';

const dump = (before: string, after: string): string => `
static void arm64_ptdump_walk_pgd(struct ptdump_state *st, struct mm_struct *mm)
{
	${before}
	ptdump_walk_pgd(st, mm, NULL);
	${after}
}
`;

const counted = dump('static_branch_inc(&arm64_ptdump_lock_key);', 'static_branch_dec(&arm64_ptdump_lock_key);');

/** C by variant; several for one variant stand for different functions of it. */
export const twins: readonly (readonly [variant: string, what: string, text: string])[] = [
  ['unlocked', 'tables', childrenFirst(steps(clear, flush, free))],
  ['unlocked', 'mapping', plainTry],
  ['v1', 'tables', childrenFirst(steps(underReadLock, free))],
  ['v2', 'tables', isolateFirst(underReadLock)],
  ['v3', 'tables', keyed],
  ['v3-two-dumpers', 'tables', keyed],
  ['v4', 'mapping', tryHuge((upper) => `\treturn ${upper}_set_huge(${upper}, phys_addr, prot);`, false)],
  ['v6-one-dumper', 'tables', keyed],
  ['v6-one-dumper', 'dump', counted],
  ['v6-one-dumper', 'mapping', plainTry],
  ['v6-pmd', 'tables', keyed],
  ['v6-no-barrier', 'tables', keyed],
  ['v6-no-isb-no-kick', 'tables', keyed],
  ['v6-multi-fetch', 'tables', keyed],
  [
    'roberts-order',
    'tables',
    isolateFirst(
      steps(
        sampled,
        ifOn(() => 'mmap_read_lock(&init_mm);'),
        clear,
        ifOn(() => 'mmap_read_unlock(&init_mm);'),
        flush,
      ),
    ),
  ],
  [
    'percpu-rwsem',
    'tables',
    childrenFirst(
      steps(
        () => 'percpu_down_read(&ptdump_sem);',
        clear,
        flush,
        free,
        () => 'percpu_up_read(&ptdump_sem);',
      ),
    ),
  ],
  ['rcu-walk', 'tables', childrenFirst(steps(clear, flush, (level) => `${level.defer}(&init_mm, table);`))],
  ['rcu-walk-sync', 'tables', isolateFirst(steps(clear, flush, () => 'synchronize_rcu();'))],
  ['trylock-2026', 'mapping', trylock(GIVE_UP, false)],
  ['trylock-2026-plus-v6', 'mapping', trylock(GIVE_UP, false)],
  ['mutant-sampled-before-clear', 'tables', isolateFirst(steps(sampled, clear, flush, ifOn(wait)))],
  ['mutant-freed-before-wait', 'tables', childrenFirst(steps(clear, flush, free, waitIfOn))],
  [
    'mutant-not-isolated',
    'tables',
    childrenFirst((level) =>
      steps(
        clear,
        flush,
        level.upper === 'pud' ? waitIfOn : () => '(void)static_branch_unlikely(&arm64_ptdump_lock_key);',
        free,
      )(level),
    ),
  ],
  ['mutant-trylock-unchecked', 'mapping', trylock('', false)],
  ['mutant-trylock-dropped', 'mapping', trylock(GIVE_UP, true)],
  [
    'mutant-dec-before-walk',
    'dump',
    dump('static_branch_inc(&arm64_ptdump_lock_key);\n\tstatic_branch_dec(&arm64_ptdump_lock_key);', ''),
  ],
];
