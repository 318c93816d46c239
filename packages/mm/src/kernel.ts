/**
 * The kernel of one machine: what mm routines share. A scenario assembles it from the parts that it needs; what is left
 * out is not there, and costs neither words nor steps.
 */
import {
  type Frames,
  type Region,
  type Steps,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { atomicAdd, noted } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions, WalkShape } from '@shootdown/mmu';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';
import type { Arm64Contpte } from './arch/arm64-contpte.ts';
import type { AnonRmap } from './anon-rmap.ts';
import type { PageContents } from './contents.ts';
import { BITS_PER_WORD, cpumaskWords, formatCpumask, type CpuMask } from './cpumask.ts';
import type { BatchedUnmaps } from './tlb-batched.ts';
import type { FileFolio } from './file-folio.ts';
import {
  MmStruct,
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_downgrade,
  mmap_write_lock,
  mmap_write_unlock,
} from './mmap-lock.ts';
import type { HugePages } from './huge-pages.ts';
import type { LazyMmu } from './lazy/lazy-mmu.ts';
import type { LocklessWalkers } from './lockless-walkers.ts';
import type { TableFreeing } from './mmu-gather.ts';
import type { NumaBalancing } from './numa-fault.ts';
import type { SecondaryMmus } from './notify.ts';
import type { Tracepoints } from './tracepoint.ts';
import { VmaList, VMAS_MAX_DEFAULT } from './vma.ts';

/** How an architecture switches address spaces and invalidates translations. */
export interface TlbArch {
  readonly name: string;
  /**
   * flush_tlb_mm_range(): when it returns, no CPU uses a translation of [start, end) (page numbers) that was removed
   * before the call. `freed_tables`: the range had page tables that are about to be freed.
   */
  flush_tlb_mm_range(cpu: Cpu, mm: Mm, start: number, end: number, freed_tables: boolean): Steps;
  /** switch_mm(): this CPU runs `next` from now on. */
  switch_mm(cpu: Cpu, next: Mm): Steps;
  /** enter_lazy_tlb(): a kernel thread or the idle loop runs on the address space that happens to be loaded. */
  enter_lazy_tlb(cpu: Cpu): Steps;
  /** leave_mm(): this CPU runs on init_mm from now on, so that it walks no user tree. */
  leave_mm(cpu: Cpu): Steps;
  /** init_new_context(): what the architecture keeps per mm. */
  init_new_context(mm: Mm): Steps;
  /**
   * pte_needs_flush(): whether an entry that mprotect changed from `old` to `entry` may be cached in a way that
   * matters.
   */
  pte_needs_flush(old: number, entry: number): boolean;
  /**
   * ptep_set_access_flags() flushes what it has made more permissive: arm64. Left out: it does not, a stale translation
   * costs a spurious fault: x86.
   */
  readonly flushesUpgrades?: boolean;
  /** What ptep_clear_flush_young() does about TLBs: it does not wait for them (arm64). Left out: nothing (x86). */
  flush_tlb_page_nosync?(cpu: Cpu, mm: Mm, vpn: number): Steps;
  /** Left out: reclaim flushes page by page. */
  readonly tlbbatch?: TlbBatching;
}

/** CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH: one flush for entries of many address spaces. */
export interface TlbBatching {
  /** arch_tlbbatch_should_defer(): whether CPUs other than this one may have entries. */
  should_defer_flush(cpu: Cpu, mm: Mm): Steps<boolean>;
  /** The pages [start, end) have been cleared: whom the flush must reach. */
  arch_tlbbatch_add_pending(cpu: Cpu, mm: Mm, start: number, end: number): Steps<CpuMask>;
  /** When it returns, no CPU uses what was cleared before. */
  arch_tlbbatch_flush(cpu: Cpu, mask: CpuMask): Steps;
}

/**
 * What any kernel may be made of, whatever it maps. Kernels that map user memory add to it as {@link Kernel} does,
 * those of kernel mappings (`vmalloc/kernel.ts`) and of one entry of two words (`gup/pae.ts`) in their own way.
 */
export interface KernelBase {
  readonly builder: SystemBuilder;
  /** Page-table lock per table frame (split PTLs): words as those of a `Spinlock`. Left out: nobody else takes them. */
  readonly ptl?: Region;
  /** What the page-table lock of a table is called. Default: `ptl` all of them. */
  readonly ptlName?: ((table: number) => string) | undefined;
  /** Where checkers watch. */
  readonly tracepoints?: Tracepoints;
}

/** One machine's kernel. */
export interface Kernel extends KernelBase {
  readonly cpus: readonly Cpu[];
  /** By CPU number. */
  readonly mmus: readonly MmuInstructions[];
  readonly frames: Frames;
  readonly shape: WalkShape;
  readonly arch: TlbArch;
  /**
   * What becomes of unlinked tables after their flush (see rcuTableFree()). Left out: they are freed at once, without
   * MMU_GATHER_RCU_TABLE_FREE.
   */
  readonly tlb_remove_table_free?: ((tables: readonly number[]) => Steps) | undefined;
  /** tlb_finish_mmu() does not look whether other gathers are open (a mutant). Default false. */
  readonly ignoresNestedGathers?: boolean;
  /**
   * How unlinked tables are freed ({@link TableFreeing}). Left out: with the next flush, in batches that never fill up.
   */
  readonly tableFreeing?: TableFreeing;
  /** Who walks tables without locks, and how those who free tables wait for them. Left out: nobody walks. */
  readonly walkers?: LocklessWalkers;
  /** Transparent contiguous entries (arm64). Left out: every folio is a page, and every entry one of its own. */
  readonly contpte?: Arm64Contpte;
  /** Lazy MMU mode, a task per CPU. Left out: the architecture has none, and the routines do nothing for it. */
  readonly lazy?: LazyMmu;
  /** vm_normal_folio() of a page of a file, where its dirty bit and mapcount matter. */
  readonly folio?: FileFolio;
  /**
   * What decides whether a write fault copies. Left out: the reference count, v5.9 to v5.18, and nothing else is kept.
   */
  readonly anon?: AnonRmap;
  /** Whom changes of an address space must be told. Left out: mm_has_notifiers() is false. */
  readonly secondary?: SecondaryMmus;
  /** Huge pages. Left out: nobody makes any. */
  readonly thp?: HugePages;
  /** NUMA balancing. Left out: pages stay where they are. */
  readonly numa?: NumaBalancing;
  /** Flushes that reclaim has put off. Left out: nobody reclaims. */
  readonly batched?: BatchedUnmaps;
  /** What is in the pages, where that matters. */
  readonly contents?: PageContents;
}

/** An mm that exists from the start. */
export interface MmInitial {
  /** Frame of its root table. */
  readonly root: number;
  /** CPUs that run it, a bit each: CPUs 0 .. 31. */
  readonly cpumask: number;
  /** x86 with INVLPGB: the global ASID that it and the CPUs that run it have already. */
  readonly globalAsid?: number;
}

/** Choices of an mm. */
export interface MmOptions {
  /** Processors that may take mmap_lock: 0 .. `tasks` - 1. Default 16. */
  readonly tasks?: number;
  /** Areas at most. Default 4 for an mm that exists from the start, otherwise 256. */
  readonly vmasMax?: number;
  /** CPUs of the machine: mm_cpumask() has a word per 32. Default 32. */
  readonly cpus?: number;
}

const MM_VALUES: OptionValues<MmOptions> = {
  tasks: is.whole(1),
  vmasMax: is.whole(1),
  cpus: is.whole(1),
};

const LOCK_TASKS_DEFAULT = 16;
/** 512 bits in a cache line. */
const MASK_WORDS_PER_LINE = 16;

/**
 * Areas of an mm that exists from the start: such machines are explored, and every word of a state is copied over and
 * over.
 */
const VMAS_MAX_INITIAL = 4;

/** An address space: mm_struct. */
export class Mm extends MmStruct {
  /** 1 and up; 0 is init_mm. */
  readonly id: number;
  readonly initial: MmInitial | undefined;
  readonly vmas: VmaList;
  /** Frame of the root table plus one; 0 until the mm exists. */
  readonly pgd: Region;
  /** mm->context.tlb_gen. */
  readonly tlb_gen: Region;
  /** mm->context.next_trim_cpumask, in jiffies. */
  readonly next_trim_cpumask: Region;
  /** mm->context.global_asid (x86 with INVLPGB): 0 or the ASID of this mm on every CPU. */
  readonly global_asid: Region;
  /** mm->context.asid_transition: there may be CPUs that do not use the global ASID yet. */
  readonly asid_transition: Region;
  /** mm_cpumask(mm): a bit per CPU, 32 in a word. */
  readonly cpumask: Region;
  /** mm->tlb_flush_pending: open mmu_gathers. */
  readonly tlb_flush_pending: Region;
  /**
   * mm->mm_count: one for the users together, one per CPU that may walk the tree; with the last reference the root
   * goes.
   */
  readonly mm_count: Region;

  /** @param initial left out: the mm comes into being by pgd_alloc() */
  constructor(builder: SystemBuilder, id: number, initial?: MmInitial, options: MmOptions = {}) {
    checkValues(`mm: mm${id}: new`, options, MM_VALUES);
    const {
      tasks = LOCK_TASKS_DEFAULT,
      vmasMax = initial ? VMAS_MAX_INITIAL : VMAS_MAX_DEFAULT,
      cpus = BITS_PER_WORD,
    } = options;
    const name = `mm${id}`;
    super(builder, name, tasks, 'mm');
    this.id = id;
    this.initial = initial;
    this.vmas = new VmaList(builder, name, vmasMax);
    this.pgd = builder.region(`${name}.pgd`, 1, {
      initial: initial ? initial.root + 1 : 0,
      memory: 'ghost',
      format: (pgd) => (pgd === 0 ? 'none' : `root 0x${(pgd - 1).toString(16)}`),
    });
    this.tlb_gen = builder.region(`${name}.tlb_gen`, 1, { initial: 1, lineWords: 1 });
    this.next_trim_cpumask = builder.region(`${name}.next_trim_cpumask`, 1);
    this.global_asid = builder.region(`${name}.global_asid`, 1, { initial: initial?.globalAsid ?? 0 });
    this.asid_transition = builder.region(`${name}.asid_transition`, 1);
    this.cpumask = builder.region(`${name}.cpumask`, cpumaskWords(cpus), {
      initial: initial?.cpumask ?? 0,
      lineWords: MASK_WORDS_PER_LINE,
      format: formatCpumask,
    });
    this.tlb_flush_pending = builder.region(`${name}.tlb_flush_pending`, 1, { lineWords: 1 });
    this.mm_count = builder.region(`${name}.mm_count`, 1, {
      initial: initial ? 1 + bits(initial.cpumask) : 0,
      lineWords: 1,
    });
  }

  /** mmap_write_lock(). */
  mmap_write_lock(): Steps {
    return mmap_write_lock(this);
  }

  /** mmap_write_unlock(). */
  mmap_write_unlock(): Steps {
    return mmap_write_unlock(this);
  }

  /** mmap_write_downgrade(): from here on other readers may come in. */
  mmap_write_downgrade(): Steps {
    return mmap_write_downgrade(this);
  }

  /** mmap_read_lock(). */
  mmap_read_lock(): Steps {
    return mmap_read_lock(this);
  }

  /** mmap_read_unlock(). */
  mmap_read_unlock(): Steps {
    return mmap_read_unlock(this);
  }
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** A task of the mm comes to run on a CPU: takes the reference that mmdrop() gives back. */
export const use_mm = noted(function* use_mm(kernel: Kernel, cpu: Cpu, mm: Mm): Steps {
  yield* atomicAdd(mm.mm_count.at(0), 1, { label: 'mmgrab(mm)' });
  yield* kernel.arch.switch_mm(cpu, mm);
});

/** spin_lock() of the page-table lock of a table. */
export const pte_lock = noted(function* pte_lock({ ptl, ptlName }: KernelBase, table: number): Steps {
  if (ptl) yield* spin_lock(lockOf(ptl, table, ptlName));
});

/** spin_unlock() of the page-table lock of a table. */
export const pte_unlock = noted(function* pte_unlock({ ptl, ptlName }: KernelBase, table: number): Steps {
  if (ptl) yield* spin_unlock(lockOf(ptl, table, ptlName));
});

function lockOf(ptl: Region, table: number, name: KernelBase['ptlName'] = () => 'ptl'): Spinlock {
  return { name: name(table), word: ptl.at(table) };
}
