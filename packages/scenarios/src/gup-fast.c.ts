/**
 * What the `gup-fast-*` scenarios offer to C: one pmd table, pte tables below it, pages with reference counts. Mirrors
 * what gup_fast_pmd_range() and below of mm/gup.c use, v6.15.
 */
import type { Call, CArgument, CFunction, KernelOffer, Memory, ReplaceableRoutine } from '@shootdown/c';
import { ModelError, type EntryPointer, type Steps } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { _PAGE_PRESENT, _PAGE_PSE, _PAGE_RW, formatEntry, pte_pfn } from '@shootdown/mmu';

type Kernel = gup.GupKernel;
type Walk = Call<Kernel>;

/** A page as C has it: the address of its struct. */
interface Page {
  readonly pfn: number;
}

const PAGE_SHIFT = 12;
/** FOLL_WRITE of include/linux/mm_types.h, v6.15. */
const FOLL_WRITE = 1;
const WALKER = 0;

function header(): string {
  const level = (name: string): string => `
typedef u64 ${name}val_t;
typedef struct { ${name}val_t ${name}; } ${name}_t;
#define ${name}_val(x) ((x).${name})
#define ${name}_none(x) (!${name}_val(x))
#define ${name}_present(x) (${name}_val(x) & ${_PAGE_PRESENT})
#define ${name}_pfn(x) (${name}_val(x) >> PAGE_SHIFT)`;
  return `
#define PAGE_SHIFT ${PAGE_SHIFT}
#define PAGE_SIZE (1UL << PAGE_SHIFT)
${['pte', 'pmd'].map(level).join('\n')}
#define pte_write(x) (pte_val(x) & ${_PAGE_RW})
#define pmd_write(x) (pmd_val(x) & ${_PAGE_RW})
#define pmd_leaf(x) (!!(pmd_val(x) & ${_PAGE_PSE}))
#define pmd_trans_huge(x) pmd_leaf(x)
#define pte_access_permitted(pte, write) (pte_present(pte) && (!(write) || pte_write(pte)))
#define pmd_access_permitted(pmd, write) (pmd_present(pmd) && (!(write) || pmd_write(pmd)))
#define FOLL_WRITE ${FOLL_WRITE}
#define FOLL_GET 2
#define FOLL_PIN 4
struct page;
struct folio;
#define pte_page(pte) pfn_to_page(pte_pfn(pte))
#define pmd_page(pmd) pfn_to_page(pmd_pfn(pmd))
#define pte_offset_map(pmdp, addr) pte_table_of(*(pmdp), addr)
#define pte_offset_kernel(pmdp, addr) pte_table_of(*(pmdp), addr)
#define pte_unmap(ptep) ((void)(ptep))
#define folio_set_referenced(folio) ((void)(folio))
#define folio_fast_pin_allowed(folio, flags) true
#define gup_must_unshare(vma, flags, page) false
#define pmd_addr_end(addr, end) (end)
`;
}

/** Pages of a kernel, one object each. */
const pagesOf = new WeakMap<Kernel, readonly Page[]>();

function pages(kernel: Kernel): readonly Page[] {
  let known = pagesOf.get(kernel);
  if (!known) pagesOf.set(kernel, (known = Array.from({ length: kernel.frames.count }, (_, pfn) => ({ pfn }))));
  return known;
}

/** The guards of the variant that walks: what try_grab_folio_fast() is made of. */
const guardsOf = new WeakMap<Kernel, gup.GupGuards>();

function entryAt({ frames }: Kernel, address: number): EntryPointer {
  const cell = address - frames.entries.base;
  return frames.entry(Math.floor(cell / frames.entriesPerTable), cell % frames.entriesPerTable);
}

/** A lockless read of an entry, which may be in a table that is gone. */
function read(kernel: Kernel, address: number, label: string): Steps<number> {
  const { frame, index } = entryAt(kernel, address);
  return gup.walkerLoad(kernel.frames, frame, index, label, formatEntry);
}

const lockless =
  (name: string, pointer: string): CFunction<Kernel> =>
  ({ kernel }: Walk, address: number) =>
    read(kernel, address, `${name}(${pointer})`);

function* putFolio({ kernel }: Walk, { pfn }: Page): Steps {
  yield* kernel.frames.put(pfn, { label: `gup_put_folio(0x${pfn.toString(16)})` });
}

function* grab({ kernel }: Walk, page: Page): Steps<CArgument> {
  const guards = guardsOf.get(kernel) ?? gup.GUP_GUARDS;
  return (yield* gup.folio_try_get(kernel.frames, page.pfn, guards)) ? page : 0;
}

function tables(kernel: Kernel): Memory {
  const { base, cells } = kernel.frames.entries;
  const name = (address: number): string => (entryAt(kernel, address).frame === gup.PMD_TABLE ? '*pmdp' : '*ptep');
  return {
    base,
    cells,
    load: (address) => read(kernel, address, name(address)),
    store: (address, word) =>
      kernel.frames.write(entryAt(kernel, address), word, { label: `${name(address)} = ${formatEntry(word)}` }),
    atomic: (address, { operation, name: called }, [a = 0, b = 0]) =>
      operation === 'xchg'
        ? kernel.frames.xchg(entryAt(kernel, address), a, { label: called })
        : kernel.frames.cmpxchg(entryAt(kernel, address), a, b, { label: called }),
  };
}

/** One page is asked for: what was pinned, or none. */
function pinned(_result: CArgument | undefined, [found = [], count = []]: readonly (readonly CArgument[])[]): number {
  const [page] = found;
  return count[0] === 1 && typeof page === 'object' ? (page as Page).pfn : gup.NO_PAGE;
}

const PINS = 'unsigned long addr, unsigned long end, unsigned int flags, struct page **pages, int *nr';

/** A routine of the walk: the pmd that was read, where it stands, and what is asked for. */
function walkRoutine(): ReplaceableRoutine<Kernel> {
  return {
    enter(kernel: Kernel, guards: gup.GupGuards, address: number, pmd: number) {
      guardsOf.set(kernel, guards);
      const pmdp = kernel.frames.entry(gup.PMD_TABLE, address).address;
      const from = address * 2 ** PAGE_SHIFT;
      const asked = [from, from + 2 ** PAGE_SHIFT, FOLL_WRITE, { out: 1 }, { out: 1 }];
      return { kernel, cpu: WALKER, args: [pmd, pmdp, ...asked], leave: pinned };
    },
    call({ where }: Walk): Steps<number> {
      throw new ModelError(`${where}: define this function in the same file: its caller here is C`);
    },
  };
}

export const gupFastOffer: KernelOffer<Kernel> = {
  header,
  objects: (kernel) => Object.fromEntries(pages(kernel).map((page) => [`page ${page.pfn}`, page])),
  functions: {
    'pmd_t pmdp_get_lockless(pmd_t *pmdp)': lockless('pmdp_get_lockless', 'pmdp'),
    'pmd_t pmdp_get(pmd_t *pmdp)': lockless('pmdp_get', 'pmdp'),
    'pte_t ptep_get_lockless(pte_t *ptep)': lockless('ptep_get_lockless', 'ptep'),
    'pte_t ptep_get(pte_t *ptep)': lockless('ptep_get', 'ptep'),
    'pte_t *pte_table_of(pmd_t pmd, unsigned long addr)': ({ kernel }: Walk, pmd: number) =>
      kernel.frames.entry(pte_pfn(pmd), 0).address,
    'struct page *pfn_to_page(unsigned long pfn)': ({ kernel }: Walk, pfn: number) => pages(kernel)[pfn] ?? 0,
    'struct folio *page_folio(struct page *page)': (_call: Walk, page: Page) => page,
    'struct folio *try_grab_folio_fast(struct page *page, int refs, unsigned int flags)': grab,
    'struct folio *try_get_folio(struct page *page, int refs)': grab,
    'void gup_put_folio(struct folio *folio, int refs, unsigned int flags)': putFolio,
    'void folio_put(struct folio *folio)': putFolio,
  },
  routines: {
    [`int gup_fast_pte_range(pmd_t pmd, pmd_t *pmdp, ${PINS})`]: walkRoutine(),
    [`int gup_fast_pmd_leaf(pmd_t orig, pmd_t *pmdp, ${PINS})`]: walkRoutine(),
  },
  memories: (kernel) => [tables(kernel)],
};
