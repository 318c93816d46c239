/**
 * What `ptdump-vmalloc` offers to C: page tables of arm64, init_mm's lock, the static key, RCU. Mirrors
 * arch/arm64/include/asm/pgtable.h, include/linux/mmap_lock.h and include/linux/jump_label.h, v6.18.
 */
import type { Call, CArgument, CFunction, KernelOffer, Memory, ReplaceableRoutine } from '@shootdown/c';
import { assertThat, ModelError, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { vmalloc } from '@shootdown/mm';
import type { Ptdump } from '@shootdown/ptdump';
import {
  percpu_down_read,
  percpu_up_read,
  static_branch_dec,
  static_branch_disable,
  static_branch_enable,
  static_branch_inc,
  static_branch_unlikely,
  type PercpuRwsem,
  type StaticKey,
} from '@shootdown/sync';

const { blockDescriptor, pxd_pgtable, pxd_table } = vmalloc;
type Kernel = vmalloc.VmallocKernel;

/** Violated where C takes for a table what is none by now: what is read below would be no page table. */
const A_TABLE = 'what is taken for a table is one';
/** What a mapping maps: frames from here on, as vmap_range() has it. */
const FIRST_PFN = 0x40;
const PAGE_SHIFT = 12;

/** Sizes of the tree in bytes of virtual space; powers of two, so that the kernel's masks work. */
function shifts(children: number, ptes: number): { readonly pmd: number; readonly pud: number } {
  const pmd = PAGE_SHIFT + Math.ceil(Math.log2(Math.max(2, ptes)));
  return { pmd, pud: pmd + Math.ceil(Math.log2(Math.max(2, children))) };
}

function header({ children = 2, ptes = 2, vmaps = 1 }: Readonly<Record<string, number>>): string {
  const { pmd, pud } = shifts(children, ptes);
  const level = (name: string): string => `
typedef u64 ${name}val_t;
typedef struct { ${name}val_t ${name}; } ${name}_t;
#define ${name}_val(x) ((x).${name})
#define __${name}(x) ((${name}_t) { (x) })
#define ${name}_none(x) (!${name}_val(x))
#define ${name}_present(x) (${name}_val(x) & 1)
#define ${name}_table(x) ((${name}_val(x) & 3) == 3)
#define ${name}_leaf(x) ((${name}_val(x) & 3) == 1)
#define ${name}_sect(x) ${name}_leaf(x)
#define ${name}_bad(x) (!${name}_table(x))`;
  return `
${['pte', 'pmd', 'pud'].map(level).join('\n')}
typedef struct { u64 pgprot; } pgprot_t;
#define pfn_pte(pfn, prot) __pte(((u64)(pfn) << ${PAGE_SHIFT}) | 3)
#define PAGE_SHIFT ${PAGE_SHIFT}
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PMD_SHIFT ${pmd}
#define PMD_SIZE (1UL << PMD_SHIFT)
#define PMD_MASK (~(PMD_SIZE - 1))
#define PUD_SHIFT ${pud}
#define PUD_SIZE (1UL << PUD_SHIFT)
#define PUD_MASK (~(PUD_SIZE - 1))
#define PTRS_PER_PTE ${ptes}
#define PTRS_PER_PMD ${children}
#define PTRS_PER_PUD ${vmaps}
#define pmd_index(addr) (((addr) >> PMD_SHIFT) & ${2 ** (pud - pmd) - 1})
#define pte_index(addr) (((addr) >> PAGE_SHIFT) & ${2 ** (pmd - PAGE_SHIFT) - 1})
#define pud_addr_end(addr, end) ((((addr) + PUD_SIZE) & PUD_MASK) < (end) ? (((addr) + PUD_SIZE) & PUD_MASK) : (end))
#define pmd_addr_end(addr, end) ((((addr) + PMD_SIZE) & PMD_MASK) < (end) ? (((addr) + PMD_SIZE) & PMD_MASK) : (end))
struct rw_semaphore;
struct percpu_rw_semaphore;
struct mm_struct { struct rw_semaphore { int count; } mmap_lock; };
struct static_key_false { int enabled; };
struct ptdump_state;
typedef struct { u64 pgd; } pgd_t;
#define VM_FLUSH_RESET_PERMS 0
#define DEFINE_STATIC_KEY_FALSE(name) extern struct static_key_false name
#define DECLARE_STATIC_KEY_FALSE(name) extern struct static_key_false name
extern struct mm_struct init_mm;
extern struct static_key_false arm64_ptdump_lock_key;
extern struct percpu_rw_semaphore ptdump_sem;
extern struct mm_struct efi_mm;
`;
}

/** The entry at an address of the machine. */
function entryAt({ frames }: Kernel, address: number): EntryPointer {
  const cell = address - frames.entries.base;
  return frames.entry(Math.floor(cell / frames.entriesPerTable), cell % frames.entriesPerTable);
}

/** Which level an entry belongs to: tables come as one tree, each pmd table followed by its pte tables. */
function levelOf(kernel: Kernel, { frame }: EntryPointer): 'pud' | 'pmd' | 'pte' {
  if (frame === kernel.root) return 'pud';
  return (frame - 1) % (1 + kernel.tree.pmds) === 0 ? 'pmd' : 'pte';
}

/** The virtual address that an entry maps. */
function addressOf(kernel: Kernel, entry: EntryPointer): number {
  const { pmds, ptes } = kernel.tree;
  const { pmd, pud } = shifts(pmds, ptes);
  const below = entry.frame - 1;
  const firstPud = Math.floor(below / (1 + pmds));
  switch (levelOf(kernel, entry)) {
    case 'pud':
      return entry.index * 2 ** pud;
    case 'pmd':
      return firstPud * 2 ** pud + entry.index * 2 ** pmd;
    case 'pte':
      return firstPud * 2 ** pud + ((below % (1 + pmds)) - 1) * 2 ** pmd + entry.index * 2 ** PAGE_SHIFT;
  }
}

const get =
  (name: string): CFunction<Kernel> =>
  ({ kernel }, pointer: number) =>
    kernel.get(entryAt(kernel, pointer), name);
const clear =
  (level: string): CFunction<Kernel> =>
  ({ kernel }, pointer: number) =>
    kernel.clear(entryAt(kernel, pointer), level);
const set =
  (level: string): CFunction<Kernel> =>
  ({ kernel }, pointer: number, value: number) =>
    kernel.set(entryAt(kernel, pointer), value, level);
const free =
  (call: string): CFunction<Kernel> =>
  ({ kernel }, _mm: object, table: number) =>
    kernel.free(entryAt(kernel, table).frame, call);

function firstEntry({ frames }: Kernel, value: number): number {
  return frames.entry(pxd_pgtable(value), 0).address;
}

/** pmd_offset() and the like: reads the entry above, which may be no table any more. */
function offset(name: string, level: 'pmd' | 'pte'): CFunction<Kernel> {
  return function* ({ kernel }: Call<Kernel>, upper: number, addr: number): Steps<number> {
    const value = yield* kernel.get(entryAt(kernel, upper), name);
    yield* assertThat(pxd_table(value), A_TABLE, `${name}() of ${vmalloc.formatDescriptor(value)}`);
    const { pmd, pud } = shifts(kernel.tree.pmds, kernel.tree.ptes);
    const index =
      level === 'pmd' ? Math.floor((addr % 2 ** pud) / 2 ** pmd) : Math.floor((addr % 2 ** pmd) / 2 ** PAGE_SHIFT);
    return pxd_table(value) ? firstEntry(kernel, value) + index : kernel.pud(0).address;
  };
}

/** pud_pgtable(): of a value that was read. */
const pgtable = (name: string): CFunction<Kernel> =>
  function* ({ kernel }: Call<Kernel>, value: number): Steps<number> {
    yield* assertThat(pxd_table(value), A_TABLE, `${name}() of ${vmalloc.formatDescriptor(value)}`);
    return pxd_table(value) ? firstEntry(kernel, value) : kernel.pud(0).address;
  };

const setHuge = (level: string): CFunction<Kernel> =>
  function* ({ kernel }: Call<Kernel>, pointer: number): Steps<number> {
    const entry = entryAt(kernel, pointer);
    yield* kernel.set(entry, blockDescriptor(FIRST_PFN + entry.index), level);
    return 1;
  };

const keyTest: CFunction<Kernel> = (_call, key: StaticKey) => static_branch_unlikely(key);
const mmap =
  (lock: (mm: vmalloc.MmStruct) => Steps<number | void>): CFunction<Kernel> =>
  (_call, mm: vmalloc.MmStruct) =>
    lock(mm);

type FreeTable = Routine<[Kernel, number, EntryPointer], number>;

function entryRoutine(name: string) {
  return {
    enter: (kernel: Kernel, cpu: number, entry: EntryPointer) => ({
      kernel,
      cpu,
      args: [entry.address, addressOf(kernel, entry)],
    }),
    call: ({ kernel, cpu, own }: Call<Kernel>, pointer: number) =>
      (own(name) as unknown as FreeTable)(kernel, cpu, entryAt(kernel, pointer)),
  };
}

const MAPPED =
  'unsigned long addr, unsigned long end, phys_addr_t phys_addr, pgprot_t prot, unsigned int max_page_shift';

type TryHuge = Routine<[Kernel, number, vmalloc.VmapDesign, EntryPointer], number>;

/**
 * vmap_try_huge_pud() and vmap_try_huge_pmd(): the whole range of an entry, aligned, as vmap_range() asks for it here.
 */
function tryHugeRoutine(name: string, level: 'pud' | 'pmd'): ReplaceableRoutine<Kernel> {
  const designs = new WeakMap<Kernel, vmalloc.VmapDesign>();
  return {
    enter(kernel: Kernel, cpu: number, design: vmalloc.VmapDesign, entry: EntryPointer) {
      designs.set(kernel, design);
      const size = shifts(kernel.tree.pmds, kernel.tree.ptes);
      const addr = addressOf(kernel, entry);
      const args = [entry.address, addr, addr + 2 ** size[level], addr, 0, size[design.largest]];
      return { kernel, cpu, args };
    },
    call({ kernel, cpu, own, where }: Call<Kernel>, pointer: number) {
      const design = designs.get(kernel);
      if (!design) throw new ModelError(`${where}: ${name}() is not called by the mapping here`);
      return (own(name) as unknown as TryHuge)(kernel, cpu, design, entryAt(kernel, pointer));
    },
  };
}

/** A table is freed a grace period later. */
const defer: CFunction<Kernel> = ({ kernel }: Call<Kernel>, _mm: object, table: number) =>
  kernel.rcu.call_rcu(kernel.freeTableRcu, entryAt(kernel, table).frame);

/** Entries of page tables, which C may read and write through pointers. */
function tables(kernel: Kernel): Memory {
  const { base, cells } = kernel.frames.entries;
  const at = (address: number): EntryPointer => entryAt(kernel, address);
  return {
    base,
    cells,
    load: (address) => kernel.get(at(address), `*${levelOf(kernel, at(address))}p`),
    store: (address, word) => kernel.set(at(address), word, levelOf(kernel, at(address))),
    atomic: (address, { operation, name }, [a = 0, b = 0]) => {
      const entry = at(address);
      return operation === 'xchg'
        ? kernel.frames.xchg(entry, a, { label: name })
        : kernel.frames.cmpxchg(entry, a, b, { label: name });
    },
  };
}

export const vmallocOffer: KernelOffer<Kernel> = {
  header,
  structs: { 'struct mm_struct': { mmap_lock: (mm: vmalloc.MmStruct) => mm.mmap_lock } },
  objects: (kernel) => ({
    init_mm: kernel.init_mm,
    arm64_ptdump_lock_key: kernel.arm64_ptdump_lock_key,
    ...kernel.parts,
    ...Object.fromEntries(kernel.ptdumps.map((ptdump, i) => [`ptdump_state ${i}`, ptdump])),
  }),
  functions: {
    'pte_t ptep_get(pte_t *ptep)': get('ptep_get'),
    'pmd_t pmdp_get(pmd_t *pmdp)': get('pmdp_get'),
    'pud_t pudp_get(pud_t *pudp)': get('pudp_get'),
    'void pmd_clear(pmd_t *pmdp)': clear('pmd'),
    'void pud_clear(pud_t *pudp)': clear('pud'),
    'void set_pte(pte_t *ptep, pte_t pte)': set('pte'),
    'void set_pmd(pmd_t *pmdp, pmd_t pmd)': set('pmd'),
    'void set_pud(pud_t *pudp, pud_t pud)': set('pud'),
    'pmd_t *pmd_offset(pud_t *pudp, unsigned long addr)': offset('pmd_offset', 'pmd'),
    'pte_t *pte_offset_kernel(pmd_t *pmdp, unsigned long addr)': offset('pte_offset_kernel', 'pte'),
    'pmd_t *pud_pgtable(pud_t pud)': pgtable('pud_pgtable'),
    'pte_t *pmd_page_vaddr(pmd_t pmd)': pgtable('pmd_page_vaddr'),
    'int pud_set_huge(pud_t *pudp, phys_addr_t phys, pgprot_t prot)': setHuge('pud'),
    'int pmd_set_huge(pmd_t *pmdp, phys_addr_t phys, pgprot_t prot)': setHuge('pmd'),
    'void pmd_free(struct mm_struct *mm, pmd_t *pmdp)': free('pmd_free'),
    'void pte_free_kernel(struct mm_struct *mm, pte_t *ptep)': free('pte_free_kernel'),
    'void __flush_tlb_kernel_pgtable(unsigned long addr)': ({ kernel }) => kernel.__flush_tlb_kernel_pgtable(),
    'bool static_branch_unlikely(struct static_key_false *key)': keyTest,
    'bool static_branch_likely(struct static_key_false *key)': keyTest,
    'void mmap_read_lock(struct mm_struct *mm)': mmap(vmalloc.mmap_read_lock),
    'bool mmap_read_trylock(struct mm_struct *mm)': mmap(vmalloc.mmap_read_trylock),
    'void mmap_read_unlock(struct mm_struct *mm)': mmap(vmalloc.mmap_read_unlock),
    'void mmap_write_lock(struct mm_struct *mm)': mmap(vmalloc.mmap_write_lock),
    'void mmap_write_unlock(struct mm_struct *mm)': mmap(vmalloc.mmap_write_unlock),
    'void percpu_down_read(struct percpu_rw_semaphore *sem)': ({ cpu }, sem: PercpuRwsem) => percpu_down_read(sem, cpu),
    'void percpu_up_read(struct percpu_rw_semaphore *sem)': ({ cpu }, sem: PercpuRwsem) => percpu_up_read(sem, cpu),
    'void static_branch_inc(struct static_key_false *key)': ({ cpu }, key: StaticKey) => static_branch_inc(key, cpu),
    'void static_branch_dec(struct static_key_false *key)': ({ cpu }, key: StaticKey) => static_branch_dec(key, cpu),
    'void static_branch_enable(struct static_key_false *key)': ({ cpu }, key: StaticKey) =>
      static_branch_enable(key, cpu),
    'void static_branch_disable(struct static_key_false *key)': ({ cpu }, key: StaticKey) =>
      static_branch_disable(key, cpu),
    'void ptdump_walk_pgd(struct ptdump_state *st, struct mm_struct *mm, void *pgd)': (
      { kernel },
      st: Ptdump,
      mm: vmalloc.MmStruct,
    ) => st.ptdump_walk_pgd(vmalloc.walked(kernel, mm)),
    'bool arch_vmap_pud_supported(pgprot_t prot)': () => true,
    'bool arch_vmap_pmd_supported(pgprot_t prot)': () => true,
    'void pte_free_defer(struct mm_struct *mm, pte_t *table)': defer,
    'void pmd_free_defer(struct mm_struct *mm, pmd_t *table)': defer,
    'void rcu_read_lock(void)': ({ kernel }) => kernel.rcu.rcu_read_lock(),
    'void rcu_read_unlock(void)': ({ kernel, cpu }) => kernel.rcu.rcu_read_unlock(cpu),
    'void synchronize_rcu(void)': ({ kernel, cpu }) => kernel.rcu.synchronize_rcu(cpu),
  },
  nullable: ['pmd_free', 'pte_free_kernel'],
  routines: {
    'int pud_free_pmd_page(pud_t *pudp, unsigned long addr)': entryRoutine('pud_free_pmd_page'),
    'int pmd_free_pte_page(pmd_t *pmdp, unsigned long addr)': entryRoutine('pmd_free_pte_page'),
    [`int vmap_try_huge_pud(pud_t *pud, ${MAPPED})`]: tryHugeRoutine('vmap_try_huge_pud', 'pud'),
    [`int vmap_try_huge_pmd(pmd_t *pmd, ${MAPPED})`]: tryHugeRoutine('vmap_try_huge_pmd', 'pmd'),
    'void arm64_ptdump_walk_pgd(struct ptdump_state *st, struct mm_struct *mm)': {
      enter: (kernel: Kernel, st: Ptdump, cpu: number) => ({ kernel, cpu, args: [st, kernel.init_mm] }),
      *around(body: () => Steps<CArgument | void>, _kernel: Kernel, st: Ptdump): Steps {
        yield* st.open();
        yield* body();
        yield* st.release();
      },
      *call({ where }: Call<Kernel>): Steps {
        yield* assertThat(false, A_TABLE, `${where}: nobody but the reader of the file calls this`);
      },
    },
  },
  memories: (kernel) => [tables(kernel)],
};
