/**
 * What the mm routines of one machine share: its CPUs, MMUs, frames, and the architecture's way of flushing.
 */
import type { Frames, Region, Steps, SystemBuilder } from '@shootdown/machine';
import { acquireWord, atomicAdd } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions, WalkShape } from '@shootdown/mmu';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';
import type { PageContents } from './secondary/contents.ts';
import type { SecondaryMmus } from './secondary/notify.ts';
import { VmaList, VMAS_MAX_DEFAULT } from './vma.ts';

/** How an architecture switches address spaces and invalidates translations. */
export interface TlbArch {
  readonly name: string;
  /**
   * flush_tlb_mm_range(): when it returns, no CPU uses a translation of [start, end) (page numbers) that was removed before
   * the call. `freed_tables`: the range had page tables that are about to be freed.
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
  /** pte_needs_flush(): whether an entry that mprotect changed from `old` to `entry` may be cached in a way that matters. */
  pte_needs_flush(old: number, entry: number): boolean;
  /** ptep_set_access_flags() flushes what it has made more permissive: arm64. Left out: it does not, a stale translation costs a spurious fault: x86. */
  readonly flushesUpgrades?: boolean;
}

/** One machine's kernel. */
export interface Kernel {
  readonly builder: SystemBuilder;
  readonly cpus: readonly Cpu[];
  /** By CPU number. */
  readonly mmus: readonly MmuInstructions[];
  readonly frames: Frames;
  readonly shape: WalkShape;
  readonly arch: TlbArch;
  /** What becomes of unlinked tables after their flush (see rcuTableFree()). Left out: they are freed at once, without MMU_GATHER_RCU_TABLE_FREE. */
  readonly tlb_remove_table_free?: ((tables: readonly number[]) => Steps) | undefined;
  /** tlb_finish_mmu() does not look whether other gathers are open (a mutant). Default false. */
  readonly ignoresNestedGathers?: boolean;
  /** Page-table lock per table frame (split PTLs): words as those of a `Spinlock`. */
  readonly ptl: Region;
  /** Whom changes of an address space must be told. Left out: mm_has_notifiers() is false. */
  readonly secondary?: SecondaryMmus;
  /** What is in the pages, where that matters. */
  readonly contents?: PageContents;
}

/** The writer's share of an mmap_lock word. */
const WRITER = 1 << 16;

/** An mm that exists from the start. */
export interface MmInitial {
  /** Frame of its root table. */
  readonly root: number;
  /** CPUs that run it, a bit each. */
  readonly cpumask: number;
  /** x86 with INVLPGB: the global ASID that it and the CPUs that run it have already. */
  readonly globalAsid?: number;
}

/** Areas of an mm that exists from the start: such machines are explored, and every word of a state is copied over and over. */
const VMAS_MAX_INITIAL = 4;

/** An address space: mm_struct. */
export class Mm {
  /** 1 and up; 0 is init_mm. */
  readonly id: number;
  readonly initial: MmInitial | undefined;
  readonly vmas: VmaList;
  /** Frame of the root table plus one; 0 until the mm exists. */
  readonly pgd: Region;
  readonly mmap_lock: Region;
  /** mm->context.tlb_gen. */
  readonly tlb_gen: Region;
  /** mm->context.next_trim_cpumask, in jiffies. */
  readonly next_trim_cpumask: Region;
  /** mm->context.global_asid (x86 with INVLPGB): 0 or the ASID of this mm on every CPU. */
  readonly global_asid: Region;
  /** mm->context.asid_transition: there may be CPUs that do not use the global ASID yet. */
  readonly asid_transition: Region;
  /** mm_cpumask(mm): a bit per CPU. */
  readonly cpumask: Region;
  /** mm->tlb_flush_pending: open mmu_gathers. */
  readonly tlb_flush_pending: Region;
  /** mm->mm_count: one for the users together, one per CPU that may walk the tree; with the last reference the root goes. */
  readonly mm_count: Region;

  /** @param initial left out: the mm comes into being by pgd_alloc() */
  constructor(builder: SystemBuilder, id: number, initial?: MmInitial) {
    const name = `mm${id}`;
    this.id = id;
    this.initial = initial;
    this.vmas = new VmaList(builder, name, initial ? VMAS_MAX_INITIAL : VMAS_MAX_DEFAULT);
    this.pgd = builder.region(`${name}.pgd`, 1, { initial: initial ? initial.root + 1 : 0 });
    this.mmap_lock = builder.region(`${name}.mmap_lock`, 1);
    this.tlb_gen = builder.region(`${name}.tlb_gen`, 1, { initial: 1 });
    this.next_trim_cpumask = builder.region(`${name}.next_trim_cpumask`, 1);
    this.global_asid = builder.region(`${name}.global_asid`, 1, { initial: initial?.globalAsid ?? 0 });
    this.asid_transition = builder.region(`${name}.asid_transition`, 1);
    this.cpumask = builder.region(`${name}.cpumask`, 1, {
      initial: initial?.cpumask ?? 0,
      format: (mask) => `0b${(mask >>> 0).toString(2)}`,
    });
    this.tlb_flush_pending = builder.region(`${name}.tlb_flush_pending`, 1);
    this.mm_count = builder.region(`${name}.mm_count`, 1, { initial: initial ? 1 + bits(initial.cpumask) : 0 });
  }

  /** mmap_write_lock(). */
  *mmap_write_lock(): Steps {
    yield* acquireWord(this.mmap_lock.at(0), -1, WRITER, { label: 'mmap_write_lock(mm)' });
  }

  /** mmap_write_unlock(). */
  *mmap_write_unlock(): Steps {
    yield* atomicAdd(this.mmap_lock.at(0), -WRITER, { label: 'mmap_write_unlock(mm)' });
  }

  /** mmap_write_downgrade(): from here on other readers may come in. */
  *mmap_write_downgrade(): Steps {
    yield* atomicAdd(this.mmap_lock.at(0), 1 - WRITER, { label: 'mmap_write_downgrade(mm)' });
  }

  /** mmap_read_lock(). */
  *mmap_read_lock(): Steps {
    yield* acquireWord(this.mmap_lock.at(0), WRITER, 1, { label: 'mmap_read_lock(mm)' });
  }

  /** mmap_read_unlock(). */
  *mmap_read_unlock(): Steps {
    yield* atomicAdd(this.mmap_lock.at(0), -1, { label: 'mmap_read_unlock(mm)' });
  }
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** A task of the mm comes to run on a CPU: takes the reference that mmdrop() gives back. */
export function* use_mm(kernel: Kernel, cpu: Cpu, mm: Mm): Steps {
  yield* atomicAdd(mm.mm_count.at(0), 1, { label: 'mmgrab(mm)' });
  yield* kernel.arch.switch_mm(cpu, mm);
}

/** spin_lock() of the page-table lock of a table. */
export function pte_lock(kernel: Kernel, table: number): Steps {
  return spin_lock(ptlOf(kernel, table));
}

/** spin_unlock() of the page-table lock of a table. */
export function pte_unlock(kernel: Kernel, table: number): Steps {
  return spin_unlock(ptlOf(kernel, table));
}

function ptlOf(kernel: Kernel, table: number): Spinlock {
  return { name: 'ptl', word: kernel.ptl.at(table) };
}
