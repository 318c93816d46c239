/**
 * What the `contpte-*` scenarios offer to C: entries of one pte table with the contiguous bit, folios, invalidation.
 * Mirrors what arch/arm64/mm/contpte.c uses of pgtable.h and tlbflush.h, v6.19.
 */
import type { Call, CFunction, KernelOffer, Memory, ReplaceableRoutine } from '@shootdown/c';
import { ModelError, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { PFN_SHIFT } from '@shootdown/mmu';

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
typedef unsigned long tlbf_t;
${bits.join('\n')}
#define PAGE_SHIFT ${contpte.PAGE_SHIFT}
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define CONT_PTE_SHIFT ${shift}
#define CONT_PTE_SIZE (1UL << CONT_PTE_SHIFT)
#define CONT_PTE_MASK (~(CONT_PTE_SIZE - 1))
#define CONT_PTES ${block}
#define ALIGN_DOWN(x, a) ((x) & ~((a) - 1))
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
  structs: { 'struct vm_area_struct': { vm_mm: (vma: Vma) => vma.vm_mm }, 'struct mm_struct': {} },
  objects: (kernel) =>
    Object.fromEntries([...kernel.mms, ...kernel.vmas, ...areas(kernel)].map((object, i) => [`object ${i}`, object])),
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
  },
  memories: (kernel) => [entries(kernel), memMap(kernel)],
};
