/**
 * What the `lazy-*` scenarios offer to C: entries of a page table on a machine with lazy MMU mode. Mirrors
 * include/linux/pgtable.h, v7.0, and what mm/memory.c, mm/vmalloc.c, mm/migrate_device.c, mm/kasan/shadow.c and
 * fs/proc/task_mmu.c use of it.
 */
import type { Call, CFunction, KernelOffer, Memory, ReplaceableRoutine } from '@shootdown/c';
import { ModelError, type EntryPointer, type Steps } from '@shootdown/machine';
import { lazy, type LazyCopy } from '@shootdown/mm';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, PFN_SHIFT } from '@shootdown/mmu';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';

const PAGE_SHIFT = 12;
const PAGE_SIZE = 1 << PAGE_SHIFT;
/** Where C has its struct pages: one word each, by frame, that nobody reads. */
const MEM_MAP = 0x0800_0000;

/** One page table, and what C calls its surroundings. */
interface Table {
  readonly ptes: readonly EntryPointer[];
  /** Page of the first entry. */
  readonly start: number;
  readonly ptl: Spinlock;
  readonly mm: object;
  readonly vma: object;
}

/** The kernel as one call of a section sees it. */
interface Kernel {
  readonly lazy: lazy.LazyMmu;
  readonly current: lazy.Current;
  readonly tables: readonly Table[];
  readonly walk: object;
}

type Asked = Call<Kernel>;

function header(): string {
  return `
typedef u64 pteval_t;
typedef struct { pteval_t pte; } pte_t;
typedef struct { pteval_t pgprot; } pgprot_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct spinlock { int locked; } spinlock_t;
typedef unsigned int pgtbl_mod_mask;
#define PAGE_SHIFT ${PAGE_SHIFT}
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PGTBL_PTE_MODIFIED 1
#define _PAGE_PRESENT ${_PAGE_PRESENT}UL
#define _PAGE_RW ${_PAGE_RW}UL
#define _PAGE_USER ${_PAGE_USER}UL
#define pte_val(x) ((x).pte)
#define __pte(x) ((pte_t) { (x) })
#define pgprot_val(x) ((x).pgprot)
#define __pgprot(x) ((pgprot_t) { (x) })
#define PAGE_KERNEL __pgprot(_PAGE_PRESENT | _PAGE_RW)
#define PAGE_READONLY __pgprot(_PAGE_PRESENT | _PAGE_USER)
#define pte_none(pte) (!pte_val(pte))
#define pte_present(pte) (!!(pte_val(pte) & _PAGE_PRESENT))
#define pte_write(pte) (!!(pte_val(pte) & _PAGE_RW))
#define pte_wrprotect(pte) __pte(pte_val(pte) & ~_PAGE_RW)
#define pte_mkwrite(pte) __pte(pte_val(pte) | _PAGE_RW)
#define pte_pfn(pte) ((unsigned long)(pte_val(pte) >> ${PFN_SHIFT}))
#define pfn_pte(pfn, prot) __pte(((pteval_t)(pfn) << ${PFN_SHIFT}) | pgprot_val(prot))
#define mk_pte(page, prot) pfn_pte(page_to_pfn(page), prot)
#define pte_page(pte) pfn_to_page(pte_pfn(pte))
#define arch_enter_lazy_mmu_mode() lazy_mmu_mode_enable()
#define arch_leave_lazy_mmu_mode() lazy_mmu_mode_disable()
#define __get_free_page(gfp) ({ might_alloc(); 1UL; })
#define GFP_KERNEL 0
struct page { unsigned long flags; };
struct mm_struct;
struct vm_area_struct { struct mm_struct *vm_mm; };
struct mm_walk { struct vm_area_struct *vma; };
extern struct mm_struct init_mm;
spinlock_t *pte_lockptr(struct mm_struct *mm, pmd_t *pmd);
pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr);
void spin_lock(spinlock_t *lock);
static inline pte_t *pte_offset_map_lock(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ptlp)
{
	*ptlp = pte_lockptr(mm, pmd);
	spin_lock(*ptlp);
	return pte_offset_map(pmd, addr);
}
#define pte_alloc_kernel_track(pmd, addr, mask) pte_offset_map(pmd, addr)
#define pte_alloc_map_lock(mm, pmd, addr, ptlp) pte_offset_map_lock(mm, pmd, addr, ptlp)
`;
}

const kernels = new WeakMap<object, Kernel>();

/** The kernel of a routine's own argument. */
function kernelOf<T extends object>(own: T, make: (own: T) => Kernel): Kernel {
  let known = kernels.get(own);
  if (!known) kernels.set(own, (known = make(own)));
  return known;
}

function table(ptes: readonly EntryPointer[], start: number, ptl: Spinlock): Table {
  const mm = {};
  return { ptes, start, ptl, mm, vma: { vm_mm: mm } };
}

const ofSection = (section: lazy.Section): Kernel =>
  kernelOf(section, ({ lazy: mode, current, ptes, start, ptl }) => {
    const only = table(ptes, start, ptl);
    return { lazy: mode, current, tables: [only], walk: { vma: only.vma } };
  });

const ofCopy = (copy: LazyCopy): Kernel =>
  kernelOf(copy, ({ lazy: mode, current, source, target, src_ptl, dst_ptl }) => {
    const [from, to] = [table(source, 0, src_ptl), table(target, 0, dst_ptl)];
    return { lazy: mode, current, tables: [from, to], walk: { vma: from.vma } };
  });

/** The table that a pmd entry, here the mm itself, or another pointer belongs to. */
function tableOf({ tables }: Kernel, object: object): Table {
  const found = tables.find(({ mm, vma }) => mm === object || vma === object) ?? tables[0];
  if (!found) throw new ModelError('no page table here');
  return found;
}

function entryAt({ lazy: { frames } }: Kernel, address: number): EntryPointer {
  const cell = address - frames.entries.base;
  return frames.entry(Math.floor(cell / frames.entriesPerTable), cell % frames.entriesPerTable);
}

/** A function that is about one entry, and up to two values for it. */
type OfEntry = (kernel: Kernel, ptep: EntryPointer, first: number, second: number) => Steps<number | void>;

const bytes = ({ start, ptes }: Table): [number, number] => [start * PAGE_SIZE, (start + ptes.length) * PAGE_SIZE];

function entries(kernel: Kernel): Memory {
  const { lazy: mode, current } = kernel;
  const { base, cells } = mode.frames.entries;
  return {
    base,
    cells,
    load: (address) => lazy.dereference(mode, current, entryAt(kernel, address)),
    store: (address, word) => lazy.set_pte(mode, current, entryAt(kernel, address), word, { label: '*ptep = ' }),
    atomic() {
      throw new ModelError('an exchange of an entry: call ptep_get_and_clear()');
    },
  };
}

const refused = (): never => {
  throw new ModelError('a struct page is only pointed to here');
};

const mode =
  (steps: (mmu: lazy.LazyMmu, current: lazy.Current) => Steps): CFunction<Kernel> =>
  ({ kernel }: Asked) =>
    steps(kernel.lazy, kernel.current);

const entry =
  (of: OfEntry): CFunction<Kernel> =>
  ({ kernel }: Asked, _where: object, _addr: number, ptep: number, first = 0, second = 0) =>
    of(kernel, entryAt(kernel, ptep), first, second);

const set: OfEntry = ({ lazy: mmu, current }, ptep, pte) =>
  lazy.set_pte(mmu, current, ptep, pte, { label: 'set_pte_at()' });

type SectionArguments = (kernel: Kernel, own: Table) => ReturnType<ReplaceableRoutine<Kernel>['enter']>['args'];

/** A section of mm: its C gets what the kernel hands over, and returns to user mode. */
function section(name: string, args: SectionArguments): ReplaceableRoutine<Kernel> {
  return {
    enter(own: lazy.Section) {
      const kernel = ofSection(own);
      return { kernel, cpu: kernel.current.task, args: args(kernel, tableOf(kernel, {})) };
    },
    *around(body, own: lazy.Section) {
      yield* body();
      yield* lazy.returns(own.lazy, own.current);
    },
    call: notCalled(name),
  };
}

const notCalled =
  (name: string): CFunction<Kernel> =>
  ({ where }: Asked) => {
    throw new ModelError(`${where}: ${name}() is not called by others here`);
  };

const walked: SectionArguments = ({ walk }, own) => [own.mm, ...bytes(own), walk];

/** vmap() of as many pages as there are entries. */
const mapped: SectionArguments = (_, own) => [
  own.mm,
  ...bytes(own),
  KERNEL_PAGE,
  { out: own.ptes.length, first: own.ptes.map((__, i) => MEM_MAP + FIRST_PFN + i) },
  { out: 1 },
  { out: 1 },
];

const KERNEL_PAGE = _PAGE_PRESENT | _PAGE_RW;
const FIRST_PFN = 1;

/** Called for each entry of a range, in the section of apply_to_pte_range(). */
const kasan: ReplaceableRoutine<Kernel> = {
  enter(own: lazy.Section) {
    const kernel = ofSection(own);
    return { kernel, cpu: kernel.current.task, args: [own.ptes[0]?.address ?? 0, own.start * PAGE_SIZE, 0] };
  },
  *around(body, { lazy: mmu, current, ptes, start }: lazy.Section) {
    yield* lazy.lazy_mmu_mode_enable(mmu, current);
    for (const [i, { address }] of ptes.entries()) yield* body([address, (start + i) * PAGE_SIZE, 0]);
    yield* lazy.lazy_mmu_mode_disable(mmu, current);
    yield* lazy.returns(mmu, current);
  },
  call: notCalled('kasan_populate_vmalloc_pte'),
};

const copies: ReplaceableRoutine<Kernel> = {
  enter(own: LazyCopy) {
    const kernel = ofCopy(own);
    const [from, to] = kernel.tables as [Table, Table];
    return { kernel, cpu: kernel.current.task, args: [to.vma, from.vma, to.mm, from.mm, ...bytes(from)] };
  },
  *around(body, { lazy: mmu, current }: LazyCopy) {
    yield* body();
    yield* lazy.returns(mmu, current);
  },
  call: notCalled('copy_pte_range'),
};

const WALK = 'pmd_t *pmdp, unsigned long start, unsigned long end, struct mm_walk *walk';
const VMAP =
  'pmd_t *pmd, unsigned long addr, unsigned long end, pgprot_t prot, struct page **pages, int *nr, pgtbl_mod_mask *mask';
const COPY =
  'struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma, pmd_t *dst_pmd, pmd_t *src_pmd, unsigned long addr, unsigned long end';

export const lazyOffer: KernelOffer<Kernel> = {
  header,
  structs: {
    'struct mm_struct': {},
    'struct vm_area_struct': { vm_mm: (vma: { readonly vm_mm: object }) => vma.vm_mm },
    'struct mm_walk': { vma: (walk: { readonly vma: object }) => walk.vma },
    'struct spinlock': {},
  },
  objects: ({ tables, walk }) => ({
    init_mm: tables[0]?.mm ?? walk,
    walk,
    ...Object.fromEntries(tables.flatMap(({ mm, vma, ptl }, i) => [mm, vma, ptl].map((one, n) => [`${i}.${n}`, one]))),
  }),
  functions: {
    'void lazy_mmu_mode_enable(void)': mode(lazy.lazy_mmu_mode_enable),
    'void lazy_mmu_mode_disable(void)': mode(lazy.lazy_mmu_mode_disable),
    'void lazy_mmu_mode_pause(void)': mode(lazy.lazy_mmu_mode_pause),
    'void lazy_mmu_mode_resume(void)': mode(lazy.lazy_mmu_mode_resume),
    'void arch_flush_lazy_mmu_mode(void)': mode(lazy.arch_flush_lazy_mmu_mode),
    'void might_alloc(void)': mode((mmu, current) => lazy.might_sleep(mmu, current, '__get_free_page(GFP_KERNEL)')),
    'pte_t ptep_get(pte_t *ptep)': ({ kernel }: Asked, ptep: number) =>
      lazy.ptep_get(kernel.lazy, kernel.current, entryAt(kernel, ptep)),
    'void set_pte(pte_t *ptep, pte_t pte)': ({ kernel }: Asked, ptep: number, pte: number) =>
      lazy.set_pte(kernel.lazy, kernel.current, entryAt(kernel, ptep), pte),
    'void set_pte_at(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)': entry(set),
    'pte_t ptep_get_and_clear(struct mm_struct *mm, unsigned long addr, pte_t *ptep)': entry(
      ({ lazy: mmu, current }, ptep) => lazy.ptep_get_and_clear(mmu, current, ptep),
    ),
    'void ptep_set_wrprotect(struct mm_struct *mm, unsigned long addr, pte_t *ptep)': entry(function* (
      { lazy: mmu, current },
      ptep,
    ): Steps {
      yield* lazy.ptep_set_wrprotect(mmu, current, ptep);
    }),
    'pte_t ptep_modify_prot_start(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep)': entry(
      ({ lazy: mmu, current }, ptep) => lazy.ptep_modify_prot_start(mmu, current, ptep),
    ),
    'void ptep_modify_prot_commit(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t old, pte_t pte)':
      entry(({ lazy: mmu, current }, ptep, _old, pte) =>
        lazy.set_pte(mmu, current, ptep, pte, { label: 'ptep_modify_prot_commit()' }),
      ),
    'void flush_tlb_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)': (
      { kernel }: Asked,
      _vma: object,
      start: number,
      end: number,
    ) => lazy.flush_tlb_range(kernel.lazy, kernel.current, start / PAGE_SIZE, (end - start) / PAGE_SIZE),
    'spinlock_t *pte_lockptr(struct mm_struct *mm, pmd_t *pmd)': ({ kernel }: Asked, mm: object) =>
      tableOf(kernel, mm).ptl,
    'pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr)': ({ kernel }: Asked, pmd: object, addr: number) => {
      const { ptes, start } = tableOf(kernel, pmd);
      return ptes[addr / PAGE_SIZE - start]?.address ?? 0;
    },
    'pte_t make_migration_entry(unsigned long pfn)': (_call: Asked, pfn: number) => lazy.make_migration_entry(pfn),
    'bool is_device_exclusive_entry(pte_t pte)': (_call: Asked, pte: number) => lazy.is_device_exclusive_entry(pte),
    'unsigned long device_exclusive_pfn(pte_t pte)': (_call: Asked, pte: number) => lazy.device_exclusive_pfn(pte),
    'void spin_lock(spinlock_t *lock)': (_call: Asked, lock: Spinlock) => spin_lock(lock),
    'void spin_unlock(spinlock_t *lock)': (_call: Asked, lock: Spinlock) => spin_unlock(lock),
    'void pte_unmap_unlock(pte_t *ptep, spinlock_t *ptl)': ({ kernel }: Asked, _ptep: number, ptl: Spinlock) =>
      lazy.pte_unmap_unlock(kernel.lazy, kernel.current, ptl),
    'struct page *pfn_to_page(unsigned long pfn)': (_call: Asked, pfn: number) => MEM_MAP + pfn,
    'unsigned long page_to_pfn(struct page *page)': (_call: Asked, page: number) => page - MEM_MAP,
    'void get_page(struct page *page)': ({ kernel }: Asked, page: number) =>
      kernel.lazy.frames.ref(page - MEM_MAP, 1, { label: `folio_get(0x${(page - MEM_MAP).toString(16)})` }),
  },
  routines: {
    [`int pagemap_scan_pmd_entry(${WALK})`]: section('pagemap_scan_pmd_entry', walked),
    [`int migrate_vma_collect_pmd(${WALK})`]: section('migrate_vma_collect_pmd', walked),
    [`int vmap_pages_pte_range(${VMAP})`]: section('vmap_pages_pte_range', mapped),
    'int kasan_populate_vmalloc_pte(pte_t *ptep, unsigned long addr, void *data)': kasan,
    [`int copy_pte_range(${COPY})`]: copies,
  },
  memories: (kernel) => [
    entries(kernel),
    { base: MEM_MAP, cells: kernel.lazy.frames.count, load: refused, store: refused, atomic: refused },
  ],
};
