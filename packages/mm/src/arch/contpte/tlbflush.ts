/**
 * Invalidation of user translations on arm64. Mirrors arch/arm64/include/asm/tlbflush.h, v6.19: __flush_tlb_range()
 * with its flags.
 */
import { count, routine, type Steps } from '@shootdown/machine';
import type { FlushMonitor } from '@shootdown/mmu';
import { Arm64Counter } from '../arm64-tlb.ts';
import { PAGE_SIZE, type ContpteLayerCpu, type ContpteMm, type ContpteVma } from './kernel.ts';

/** tlbf_t. */
export const TLBF_NONE = 0;
/** Caches of table walks stay: only last-level entries have changed. */
export const TLBF_NOWALKCACHE = 1;
/** The caller waits later, or not at all. */
export const TLBF_NOSYNC = 2;
/** Secondary TLBs are not told. */
export const TLBF_NONOTIFY = 4;
/** This CPU only. */
export const TLBF_NOBROADCAST = 8;

/** MAX_DVM_OPS: without FEAT_TLBIRANGE more pages than this become one invalidation of the address space. */
const MAX_DVM_OPS = 512;
/** MAX_TLBI_RANGE_PAGES: the same with it. */
const MAX_TLBI_RANGE_PAGES = 32 * 2 ** (5 * 3 + 1);

/** __flush_tlb_range_limit_excess(). The number of pages is unsigned: an end before the start is too many. */
function exceeds(pages: number, tlbiRange: boolean): boolean {
  return pages < 0 || pages > MAX_TLBI_RANGE_PAGES || (!tlbiRange && pages >= MAX_DVM_OPS);
}

/** Invalidates [start, end) of an address space. */
export const __flush_tlb_range = routine(
  '__flush_tlb_range',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, start: number, end: number, flags: number): Steps {
    const { mmu, kernel } = cpu;
    const [vpn, pages] = [start / PAGE_SIZE, (end - start) / PAGE_SIZE];
    const local = (flags & TLBF_NOBROADCAST) !== 0;
    const leafOnly = (flags & TLBF_NOWALKCACHE) !== 0;
    yield* mmu.dsb(local ? 'nshst' : 'ishst');
    const tlbi = (request: { scope: 'page' | 'asid'; vpn: number; pages?: number }): Steps =>
      local
        ? mmu.tlbi_local({ ...request, asid: mm.asid, leafOnly })
        : mmu.tlbi_is({ ...request, asid: mm.asid, leafOnly });
    const all = exceeds(pages, kernel.tlbiRange);
    if (all) yield* tlbi({ scope: 'asid', vpn: 0 });
    else if (kernel.tlbiRange && pages > 1) yield* tlbi({ scope: 'page', vpn, pages });
    else for (let page = vpn; page < vpn + pages; page++) yield* tlbi({ scope: 'page', vpn: page });
    const range = all ? { vpn: 0, pages: kernel.PTRS_PER_PTE } : { vpn, pages };
    if ((flags & TLBF_NONOTIFY) === 0 && kernel.smmu)
      yield* kernel.smmu.arm_smmu_tlb_inv_range_asid(cpu.id, { ...range, asid: mm.asid, leafOnly: true });
    if (!local) yield* count(Arm64Counter.tlbiPage, all || kernel.tlbiRange ? 1 : pages);
    if ((flags & TLBF_NOSYNC) === 0) yield* mmu.dsb(local ? 'nsh' : 'ish');
    if (!local && (flags & TLBF_NOSYNC) === 0) yield* count(Arm64Counter.dsb);
  },
);

type FlushTlbRange = typeof __flush_tlb_range;

/**
 * The same where flushes report to monitors, by mm: when one begins that reaches everybody and is waited for, and when
 * it is complete.
 */
export function monitoredFlush(
  flush: FlushTlbRange,
  monitorOf: (mm: ContpteMm) => FlushMonitor | undefined,
): FlushTlbRange {
  const body = flush.body ?? flush;
  return routine('__flush_tlb_range', function* (...args: Parameters<FlushTlbRange>): Steps {
    const [cpu, mm, start, end, flags] = args;
    const complete = (flags & (TLBF_NOSYNC | TLBF_NOBROADCAST | TLBF_NONOTIFY)) === 0;
    const monitor = complete ? monitorOf(mm) : undefined;
    if (monitor) yield* monitor.begin(cpu.id, start / PAGE_SIZE, end / PAGE_SIZE);
    yield* body(...args);
    if (monitor) yield* monitor.end(cpu.id, start / PAGE_SIZE, end / PAGE_SIZE);
  });
}

/** flush_tlb_range(). */
export const flush_tlb_range = routine(
  'flush_tlb_range',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, start: number, end: number): Steps {
    yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, start, end, TLBF_NONE);
  },
);

/** local_flush_tlb_page(): stale entries may remain on other CPUs, which fault and come here too. */
export const local_flush_tlb_page = routine(
  'local_flush_tlb_page',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number): Steps {
    yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, addr, addr + PAGE_SIZE, TLBF_NOBROADCAST | TLBF_NOWALKCACHE);
  },
);

/** local_flush_tlb_contpte(): the whole block. */
export const local_flush_tlb_contpte = routine(
  'local_flush_tlb_contpte',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number): Steps {
    const start = addr - (addr % cpu.kernel.CONT_PTE_SIZE);
    const end = start + cpu.kernel.CONT_PTE_SIZE;
    yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, start, end, TLBF_NOBROADCAST | TLBF_NOWALKCACHE);
  },
);

/** flush_tlb_fix_spurious_fault(): this CPU may have an old entry of what another has repaired already. */
export const flush_tlb_fix_spurious_fault = routine(
  'flush_tlb_fix_spurious_fault',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number): Steps {
    const flags = TLBF_NOBROADCAST | TLBF_NONOTIFY | TLBF_NOWALKCACHE;
    yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, addr, addr + PAGE_SIZE, flags);
  },
);

export const flushes_nothing = (name: string) =>
  routine(name, function* (_cpu: ContpteLayerCpu, _vma: ContpteVma, _addr: number): Steps {});
