/**
 * How the fault handler of a secondary MMU finds a page in the primary one.
 *
 * Mirrors virt/kvm/kvm_main.c, hva_to_pfn_fast() and hva_to_pfn_slow(), and mm/gup.c, v6.18. A driver that calls
 * get_user_pages() comes to the same.
 */
import {
  ModelError,
  notedMethods,
  point,
  routine,
  type EntryPointer,
  type Steps,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_pfn, pte_present, pte_protnone, pte_write, formatEntry } from '@shootdown/mmu';
import type { FaultHandler, PrimaryMmu, PrimaryPage } from '@shootdown/mmu-notifier';
import { handle_mm_fault } from '../fault.ts';
import { folio_try_get } from '../folio.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { pte_offset } from '../pgtable.ts';

/** How pages are looked up. */
export interface LookupOptions {
  /**
   * A page that is not there is faulted in, as long as there is memory; otherwise there is none to be had. Default
   * true.
   */
  readonly faultsIn?: boolean;
  /** mmap_lock is taken for it: that matters where somebody takes it for writing. Default false. */
  readonly takesMmapLock?: boolean;
  /** See `PrimaryMmu.fault`. */
  readonly fault?: FaultHandler;
}

const LOOKUP_VALUES: OptionValues<LookupOptions> = {
  faultsIn: is.flag,
  takesMmapLock: is.flag,
  fault: is.anything,
};

/** The primary MMU of an address space, as the thread on a CPU finds pages in it: pinned until they are released. */
export function primaryMmu(kernel: Kernel, cpu: Cpu, mm: Mm, options: LookupOptions = {}): PrimaryMmu {
  checkValues('mm: primaryMmu', options, LOOKUP_VALUES);
  if (options.fault) refuseShared(options.fault, cpu);
  return notedMethods({
    ...(options.fault && { fault: options.fault }),
    lookup: (vpn, write) => hva_to_pfn(kernel, cpu, mm, vpn, write, options),
    *release({ pfn }) {
      yield* kernel.frames.put(pfn, { label: `put_page(0x${pfn.toString(16)})` });
    },
  });
}

/** Whose faults an actor stands for. */
const cpusOfFaults = new WeakMap<FaultHandler, Cpu>();

/** Two threads that tell one actor how far they are leave it in a state that neither is in. */
function refuseShared(fault: FaultHandler, cpu: Cpu): void {
  const other = cpusOfFaults.get(fault) ?? cpu;
  if (other !== cpu)
    throw new ModelError(
      `mm: primaryMmu: ${fault.name} stands for the faults of ${other.name} and of ${cpu.name}: addFaultHandler() makes one for each thread`,
    );
  cpusOfFaults.set(fault, cpu);
}

const hva_to_pfn = routine(
  'hva_to_pfn',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    mm: Mm,
    vpn: number,
    write: boolean,
    options: LookupOptions,
  ): Steps<PrimaryPage | null> {
    const fast = yield* get_user_page_fast_only(kernel, mm, vpn);
    if (fast) return fast;
    const { faultsIn = true, takesMmapLock = false } = options;
    if (takesMmapLock) yield* mm.mmap_read_lock();
    const slow = yield* hva_to_pfn_slow(kernel, cpu, mm, vpn, write, faultsIn);
    if (takesMmapLock) yield* mm.mmap_read_unlock();
    return slow;
  },
);

/** Without a lock: pin, then look again. With FOLL_WRITE whatever the access is: what it finds is mapped writable. */
const get_user_page_fast_only = routine(
  'get_user_page_fast_only',
  function* (kernel: Kernel, mm: Mm, vpn: number): Steps<PrimaryPage | null> {
    const { frames } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return null;
    const pte = yield* lockless(kernel, ptep);
    if (!serves(pte, true) || !(yield* folio_try_get(frames, pte_pfn(pte)))) return null;
    if ((yield* lockless(kernel, ptep)) === pte) return pageOf(pte);
    yield* frames.put(pte_pfn(pte), { label: `gup_put_folio(0x${pte_pfn(pte).toString(16)})` });
    return null;
  },
);

/** Under the page-table lock, faulting until the entry serves. */
const hva_to_pfn_slow = routine(
  'hva_to_pfn_slow',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    mm: Mm,
    vpn: number,
    write: boolean,
    faultsIn: boolean,
  ): Steps<PrimaryPage | null> {
    const { frames } = kernel;
    for (;;) {
      yield* point('hva_to_pfn_slow');
      const ptep = yield* pte_offset(kernel, mm, vpn);
      if (ptep) {
        yield* pte_lock(kernel, ptep.frame);
        const pte = yield* frames.read(ptep, { label: 'ptep_get(ptep)', fact: formatEntry });
        if (serves(pte, write))
          yield* frames.ref(pte_pfn(pte), 1, { label: `try_grab_folio(0x${pte_pfn(pte).toString(16)})` });
        yield* pte_unlock(kernel, ptep.frame);
        if (serves(pte, write)) return pageOf(pte);
      }
      if (!faultsIn || (yield* handle_mm_fault(kernel, cpu, mm, vpn, write)) !== 'retry') return null;
    }
  },
);

function* lockless({ frames }: Kernel, ptep: EntryPointer): Steps<number> {
  return yield* frames.read(ptep, { label: 'ptep_get_lockless(ptep)', fact: formatEntry });
}

/** FOLL_HONOR_NUMA_FAULT: a PROT_NONE entry of NUMA balancing faults for KVM as it does for the program. */
function serves(pte: number, write: boolean): boolean {
  return pte_present(pte) && !pte_protnone(pte) && (!write || pte_write(pte));
}

function pageOf(pte: number): PrimaryPage {
  return { pfn: pte_pfn(pte), writable: pte_write(pte) };
}
