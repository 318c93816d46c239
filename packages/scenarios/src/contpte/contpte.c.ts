/**
 * What the `contpte-*` scenarios offer to C: entries of one pte table with the contiguous bit, folios, invalidation.
 * Mirrors what arch/arm64/mm/contpte.c uses of pgtable.h and tlbflush.h, v6.19.
 */
import type { Call, CFunction, KernelOffer, Memory, ReplaceableRoutine } from '@shootdown/c';
import { ModelError, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { PFN_SHIFT } from '@shootdown/mmu';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';

type Kernel = contpte.ContpteKernel;
type Cpu = contpte.ContpteCpu;
type Mm = contpte.ContpteMm;
type Vma = contpte.ContpteVma;
type Ptep = contpte.Ptep;
type Asked = Call<Kernel>;

/** Where C has its struct pages: one word each, by frame, that nobody reads. */
const MEM_MAP = 0x0800_0000;
const NOT_READ = 'a struct page is only pointed to here';

function header({ block = 4 }: Readonly<Record<string, number>>): string {
  const shift = contpte.PAGE_SHIFT + Math.log2(block);
  const bits = Object.entries({
    PTE_VALID: contpte.PTE_VALID,
    PTE_WRITE: contpte.PTE_WRITE,
    PTE_RDONLY: contpte.PTE_RDONLY,
    PTE_CONT: contpte.PTE_CONT,
    PTE_AF: contpte.PTE_AF,
    PTE_DIRTY: contpte.PTE_DIRTY,
    PTE_SPECIAL: contpte.PTE_SPECIAL,
    TLBF_NONE: contpte.TLBF_NONE,
    TLBF_NOWALKCACHE: contpte.TLBF_NOWALKCACHE,
    TLBF_NOSYNC: contpte.TLBF_NOSYNC,
    TLBF_NONOTIFY: contpte.TLBF_NONOTIFY,
    TLBF_NOBROADCAST: contpte.TLBF_NOBROADCAST,
  }).map(([name, value]) => `#define ${name} ${value}UL`);
  return `
typedef u64 pteval_t;
typedef struct { pteval_t pte; } pte_t;
typedef struct { pteval_t pgprot; } pgprot_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct spinlock { int locked; } spinlock_t;
typedef unsigned int fpb_t;
typedef unsigned long tlbf_t;
${bits.join('\n')}
#define PAGE_SHIFT ${contpte.PAGE_SHIFT}
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define CONT_PTE_SHIFT ${shift}
#define CONT_PTE_SIZE (1UL << CONT_PTE_SHIFT)
#define CONT_PTE_MASK (~(CONT_PTE_SIZE - 1))
#define CONT_PTES ${block}
#define pte_val(x) ((x).pte)
#define __pte(x) ((pte_t) { (x) })
#define pgprot_val(x) ((x).pgprot)
#define __pgprot(x) ((pgprot_t) { (x) })
#define pte_same(a, b) (pte_val(a) == pte_val(b))
#define pte_none(pte) (!pte_val(pte))
#define pte_valid(pte) (!!(pte_val(pte) & PTE_VALID))
#define pte_cont(pte) (!!(pte_val(pte) & PTE_CONT))
#define pte_valid_cont(pte) ((pte_val(pte) & (PTE_VALID | PTE_CONT)) == (PTE_VALID | PTE_CONT))
#define pte_special(pte) (!!(pte_val(pte) & PTE_SPECIAL))
#define pte_young(pte) (!!(pte_val(pte) & PTE_AF))
#define pte_write(pte) (!!(pte_val(pte) & PTE_WRITE))
#define pte_hw_dirty(pte) (pte_write(pte) && !(pte_val(pte) & PTE_RDONLY))
#define pte_sw_dirty(pte) (!!(pte_val(pte) & PTE_DIRTY))
#define pte_dirty(pte) (pte_sw_dirty(pte) || pte_hw_dirty(pte))
#define pte_pfn(pte) ((unsigned long)(pte_val(pte) >> ${PFN_SHIFT}))
#define pfn_pte(pfn, prot) __pte(((pteval_t)(pfn) << ${PFN_SHIFT}) | pgprot_val(prot))
#define pte_pgprot(pte) __pgprot(pte_val(pte) & ${(1 << PFN_SHIFT) - 1}UL)
#define pte_mkold(pte) __pte(pte_val(pte) & ~PTE_AF)
#define pte_mkyoung(pte) __pte(pte_val(pte) | PTE_AF)
#define pte_mkcont(pte) __pte(pte_val(pte) | PTE_CONT)
#define pte_mknoncont(pte) __pte(pte_val(pte) & ~PTE_CONT)
#define pte_mkclean(pte) __pte((pte_val(pte) & ~PTE_DIRTY) | PTE_RDONLY)
#define pte_mkdirty(pte) __pte((pte_val(pte) | PTE_DIRTY) & (pte_write(pte) ? ~PTE_RDONLY : ~0UL))
#define pte_advance_pfn(pte, nr) pfn_pte(pte_pfn(pte) + (nr), pte_pgprot(pte))
#define pte_next_pfn(pte) pte_advance_pfn(pte, 1)
struct page { unsigned long flags; };
struct folio { struct page page; };
struct mm_struct;
struct vm_area_struct { struct mm_struct { int users; } *vm_mm; };
#define pte_page(pte) pfn_to_page(pte_pfn(pte))
#define pte_present(pte) pte_valid(pte)
#define vm_normal_folio(vma, addr, pte) page_folio(pte_page(pte))
#define folio_test_large(folio) (folio_nr_pages(folio) > 1)
#define FPB_RESPECT_DIRTY ${contpte.FPB_RESPECT_DIRTY}
#define FPB_RESPECT_WRITE ${contpte.FPB_RESPECT_WRITE}
struct pagetable_move_control {
	struct vm_area_struct *old, *new;
	unsigned long old_addr, old_end, new_addr, len_in;
	bool need_rmap_locks, for_stack;
};
spinlock_t *pte_lockptr(struct mm_struct *mm, pmd_t *pmd);
pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr);
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
int __folio_pte_batch_flags(struct folio *folio, pte_t *ptep, pte_t pte, unsigned int max_nr, fpb_t flags);
static inline pte_t *pte_offset_map_lock(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ptlp)
{
	*ptlp = pte_lockptr(mm, pmd);
	spin_lock(*ptlp);
	return pte_offset_map(pmd, addr);
}
static inline pte_t *pte_offset_map_rw_nolock(struct mm_struct *mm, pmd_t *pmd, unsigned long addr,
					      pmd_t *pmdvalp, spinlock_t **ptlp)
{
	*ptlp = pte_lockptr(mm, pmd);
	return pte_offset_map(pmd, addr);
}
static inline int folio_pte_batch_flags(struct folio *folio, struct vm_area_struct *vma, pte_t *ptep,
					pte_t *ptentp, unsigned int max_nr, fpb_t flags)
{
	return __folio_pte_batch_flags(folio, ptep, *ptentp, max_nr, flags);
}
#define pte_unmap_unlock(ptep, ptl) spin_unlock(ptl)
#define pte_unmap(ptep) ((void)0)
#define SINGLE_DEPTH_NESTING 1
#define spin_lock_nested(lock, subclass) spin_lock(lock)
#define flush_tlb_batched_pending(mm) ((void)0)
#define arch_enter_lazy_mmu_mode() ((void)0)
#define arch_leave_lazy_mmu_mode() ((void)0)
#define lazy_mmu_mode_enable() ((void)0)
#define lazy_mmu_mode_disable() ((void)0)
#define move_pte(pte, old_addr, new_addr) (pte)
#define move_soft_dirty_pte(pte) (pte)
#define take_rmap_locks(vma) ((void)0)
#define drop_rmap_locks(vma) ((void)0)
`;
}

const cpuOf = ({ kernel, cpu }: Asked): Cpu => contpte.contpteCpu(kernel, cpu);

/** The entry that a pointer points to. */
function ptepAt({ frames }: Kernel, address: number): Ptep {
  const cell = address - frames.entries.base;
  return { table: Math.floor(cell / frames.entriesPerTable), index: cell % frames.entriesPerTable };
}

function addressOf({ frames }: Kernel, { table, index }: Ptep): number {
  return frames.entries.base + table * frames.entriesPerTable + index;
}

function entries(kernel: Kernel): Memory {
  const { base, cells } = kernel.frames.entries;
  const cpu = contpte.contpteCpu(kernel, 0);
  return {
    base,
    cells,
    load: (address) => contpte.__ptep_get(cpu, ptepAt(kernel, address)),
    store: (address, word) => contpte.__set_pte(cpu, ptepAt(kernel, address), word),
    atomic() {
      throw new ModelError('an exchange of an entry: call __ptep_get_and_clear()');
    },
  };
}

const refused = (): never => {
  throw new ModelError(NOT_READ);
};

const memMap = ({ frames }: Kernel): Memory => ({
  base: MEM_MAP,
  cells: frames.count,
  load: refused,
  store: refused,
  atomic: refused,
});

/** Every address space as an area of its own: what a flush of an mm takes. */
const areasOf = new WeakMap<Kernel, readonly Vma[]>();

function areas(kernel: Kernel): readonly Vma[] {
  let known = areasOf.get(kernel);
  if (!known) {
    known = kernel.mms.map((vm_mm) => ({ vm_mm, vm_start: 0, vm_end: kernel.PTRS_PER_PTE * contpte.PAGE_SIZE }));
    areasOf.set(kernel, known);
  }
  return known;
}

/** The lock of a table, one object per mm. */
const locksOf = new WeakMap<Mm, Spinlock>();

function lockOf(kernel: Kernel, mm: Mm): Spinlock {
  let known = locksOf.get(mm);
  if (!known) locksOf.set(mm, (known = kernel.lockOf(mm)));
  return known;
}

/** A routine that takes its arguments as they stand, its entry by pointer. */
type Passed = 'mm' | 'addr' | 'ptep' | 'pte' | 'vma' | 'dirty';

function passing(name: keyof contpte.ContpteRoutines): ReplaceableRoutine<Kernel> {
  return {
    enter(cpu: Cpu, ...given: readonly (number | Mm | Vma | Ptep)[]) {
      const args = given.map((arg) => (isPtep(arg) ? addressOf(cpu.kernel, arg) : arg));
      return { kernel: cpu.kernel, cpu: cpu.id, args };
    },
    call: calling(name),
  };
}

function isPtep(arg: number | Mm | Vma | Ptep): arg is Ptep {
  return typeof arg === 'object' && 'index' in arg;
}

const POINTERS: Readonly<Partial<Record<keyof contpte.ContpteRoutines, readonly Passed[]>>> = {
  contpte_convert: ['mm', 'addr', 'ptep', 'pte'],
  __contpte_try_fold: ['mm', 'addr', 'ptep', 'pte'],
  __contpte_try_unfold: ['mm', 'addr', 'ptep', 'pte'],
  contpte_ptep_get_lockless: ['ptep'],
  contpte_ptep_set_access_flags: ['vma', 'addr', 'ptep', 'pte', 'dirty'],
};

/** mremap() of entries: what is to be moved comes in a struct on the caller's stack. A pmd entry is the mm itself. */
const moves: ReplaceableRoutine<Kernel> = {
  enter(cpu: Cpu, vma: Vma, old_addr: number, old_end: number, new_addr: number) {
    const control = [vma, vma, old_addr, old_end, new_addr, old_end - old_addr, 0, 0];
    const args = [{ out: control.length, first: control }, old_end - old_addr, vma.vm_mm, vma.vm_mm];
    return { kernel: cpu.kernel, cpu: cpu.id, args };
  },
  call({ where }: Asked) {
    throw new ModelError(`${where}: move_ptes() is not called by others here`);
  },
};

const batches: ReplaceableRoutine<Kernel> = {
  enter(cpu: Cpu, ptep: Ptep, pte: number, max_nr: number) {
    const [vma = 0] = cpu.kernel.vmas;
    const args = [vma, ptep.index * contpte.PAGE_SIZE, addressOf(cpu.kernel, ptep), pte, max_nr];
    return { kernel: cpu.kernel, cpu: cpu.id, args };
  },
  call: (asked: Asked, _vma: Vma, _addr: number, ptep: number, pte: number, max_nr: number) =>
    asked.kernel.routines.mremap_folio_pte_batch(cpuOf(asked), ptepAt(asked.kernel, ptep), pte, max_nr),
};

/** What the kernel has by a name, called from C. */
function calling(name: keyof contpte.ContpteRoutines): CFunction<Kernel> {
  return (asked: Asked, ...args: readonly (number | object)[]) => {
    const own = asked.kernel.routines[name] as unknown as (cpu: Cpu, ...rest: unknown[]) => Steps<number | void>;
    const passed = POINTERS[name] ?? [];
    return own(
      cpuOf(asked),
      ...args.map((arg, i) => (passed[i] === 'ptep' && typeof arg === 'number' ? ptepAt(asked.kernel, arg) : arg)),
    );
  };
}

export const contpteOffer: KernelOffer<Kernel> = {
  header,
  structs: {
    'struct vm_area_struct': { vm_mm: (vma: Vma) => vma.vm_mm },
    'struct mm_struct': {},
    'struct spinlock': {},
  },
  objects: (kernel) =>
    Object.fromEntries(
      [...kernel.mms, ...kernel.vmas, ...areas(kernel), ...kernel.mms.map((mm) => lockOf(kernel, mm))].map(
        (object, i) => [`object ${i}`, object],
      ),
    ),
  functions: {
    'pte_t __ptep_get(pte_t *ptep)': (asked: Asked, ptep: number) =>
      contpte.__ptep_get(cpuOf(asked), ptepAt(asked.kernel, ptep)),
    'pte_t __ptep_get_and_clear(struct mm_struct *mm, unsigned long addr, pte_t *ptep)': (
      asked: Asked,
      _mm: Mm,
      _addr: number,
      ptep: number,
    ) => contpte.__ptep_get_and_clear(cpuOf(asked), ptepAt(asked.kernel, ptep)),
    'void __set_pte(pte_t *ptep, pte_t pte)': (asked: Asked, ptep: number, pte: number) =>
      contpte.__set_pte(cpuOf(asked), ptepAt(asked.kernel, ptep), pte),
    'void __set_ptes(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte, unsigned int nr)': (
      asked: Asked,
      _mm: Mm,
      _addr: number,
      ptep: number,
      pte: number,
      nr: number,
    ) => asked.kernel.routines.__set_ptes(cpuOf(asked), ptepAt(asked.kernel, ptep), pte, nr),
    'int __ptep_set_access_flags(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t entry, int dirty)':
      (asked: Asked, vma: Vma, addr: number, ptep: number, entry: number, dirty: number) =>
        asked.kernel.routines.__ptep_set_access_flags(
          cpuOf(asked),
          vma,
          addr,
          ptepAt(asked.kernel, ptep),
          entry,
          dirty,
        ),
    'pte_t ptep_get(pte_t *ptep)': (asked: Asked, ptep: number) =>
      asked.kernel.routines.ptep_get(cpuOf(asked), ptepAt(asked.kernel, ptep)),
    'pte_t get_and_clear_full_ptes(struct mm_struct *mm, unsigned long addr, pte_t *ptep, unsigned int nr, int full)': (
      asked: Asked,
      mm: Mm,
      addr: number,
      ptep: number,
      nr: number,
    ) => asked.kernel.routines.get_and_clear_full_ptes(cpuOf(asked), mm, addr, ptepAt(asked.kernel, ptep), nr),
    'void set_ptes(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte, unsigned int nr)': (
      asked: Asked,
      mm: Mm,
      addr: number,
      ptep: number,
      pte: number,
      nr: number,
    ) => asked.kernel.routines.set_ptes(cpuOf(asked), mm, addr, ptepAt(asked.kernel, ptep), pte, nr),
    'void flush_tlb_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)': (
      asked: Asked,
      vma: Vma,
      start: number,
      end: number,
    ) => asked.kernel.routines.flush_tlb_range(cpuOf(asked), vma, start, end),
    'unsigned int pte_batch_hint(pte_t *ptep, pte_t pte)': (asked: Asked, ptep: number, pte: number) =>
      contpte.pte_batch_hint(cpuOf(asked), ptepAt(asked.kernel, ptep), pte),
    'int __folio_pte_batch_flags(struct folio *folio, pte_t *ptep, pte_t pte, unsigned int max_nr, fpb_t flags)': (
      asked: Asked,
      folio: number,
      ptep: number,
      pte: number,
      max_nr: number,
      flags: number,
    ) => {
      const of = asked.kernel.folio(asked.kernel.page_folio(folio - MEM_MAP));
      return asked.kernel.routines.folio_pte_batch_flags(
        cpuOf(asked),
        of,
        ptepAt(asked.kernel, ptep),
        pte,
        max_nr,
        flags,
      );
    },
    'spinlock_t *pte_lockptr(struct mm_struct *mm, pmd_t *pmd)': ({ kernel }: Asked, mm: Mm) => lockOf(kernel, mm),
    'pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr)': ({ kernel }: Asked, mm: Mm, addr: number) =>
      addressOf(kernel, kernel.pte_offset(mm, addr)),
    'void spin_lock(spinlock_t *lock)': (_asked: Asked, lock: Spinlock) => spin_lock(lock),
    'void spin_unlock(spinlock_t *lock)': (_asked: Asked, lock: Spinlock) => spin_unlock(lock),
    'struct vm_area_struct *tlb_flush_vma(struct mm_struct *mm)': ({ kernel }: Asked, mm: Mm) =>
      areas(kernel)[kernel.mms.indexOf(mm)] ?? 0,
    'void __flush_tlb_range(struct vm_area_struct *vma, unsigned long start, unsigned long end, unsigned long stride, int tlb_level, tlbf_t flags)':
      (asked: Asked, vma: Vma, start: number, end: number, _stride: number, _level: number, flags: number) =>
        asked.kernel.routines.__flush_tlb_range(cpuOf(asked), vma.vm_mm, start, end, flags),
    'void local_flush_tlb_contpte(struct vm_area_struct *vma, unsigned long addr)': (
      asked: Asked,
      vma: Vma,
      addr: number,
    ) => asked.kernel.routines.local_flush_tlb_contpte(cpuOf(asked), vma, addr),
    'bool system_supports_bbml2_noabort(void)': ({ kernel }: Asked) => kernel.system_supports_bbml2_noabort,
    'bool mm_is_user(struct mm_struct *mm)': (_asked: Asked, mm: Mm) => mm.user !== false,
    'pte_t *contpte_align_down(pte_t *ptep)': (asked: Asked, ptep: number) =>
      addressOf(asked.kernel, contpte.contpte_align_down(cpuOf(asked), ptepAt(asked.kernel, ptep))),
    'struct page *pfn_to_page(unsigned long pfn)': (_asked: Asked, pfn: number) => MEM_MAP + pfn,
    'struct folio *page_folio(struct page *page)': ({ kernel }: Asked, page: number) =>
      MEM_MAP + kernel.folio(kernel.page_folio(page - MEM_MAP)).pfn,
    'long folio_nr_pages(struct folio *folio)': ({ kernel }: Asked, folio: number) =>
      kernel.folio(kernel.page_folio(folio - MEM_MAP)).nr_pages,
  },
  routines: {
    'void contpte_convert(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)':
      passing('contpte_convert'),
    'void __contpte_try_fold(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)':
      passing('__contpte_try_fold'),
    'void __contpte_try_unfold(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)':
      passing('__contpte_try_unfold'),
    'pte_t contpte_ptep_get_lockless(pte_t *orig_ptep)': passing('contpte_ptep_get_lockless'),
    'int contpte_ptep_set_access_flags(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t entry, int dirty)':
      passing('contpte_ptep_set_access_flags'),
    'int move_ptes(struct pagetable_move_control *pmc, unsigned long extent, pmd_t *old_pmd, pmd_t *new_pmd)': moves,
    'int mremap_folio_pte_batch(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep, pte_t pte, int max_nr)':
      batches,
  },
  memories: (kernel) => [entries(kernel), memMap(kernel)],
};
