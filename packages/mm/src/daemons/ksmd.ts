/**
 * ksmd in a run: goes through an address space and merges what it finds with one page. Mirrors mm/ksm.c, v6.18:
 * ksm_do_scan(), cmp_and_merge_page(), for a process with PR_SET_MEMORY_MERGE all of whose pages are equal.
 */
import {
  count,
  FrameKind,
  load,
  NO_FRAME,
  point,
  routine,
  store,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_pfn, pte_present } from '@shootdown/mmu';
import { copy_user_highpage } from '../contents.ts';
import type { Kernel, Mm } from '../kernel.ts';
import { pte_offset } from '../pgtable.ts';
import { try_to_merge_one_page } from '../secondary/ksm.ts';
import type { ScanHand } from './scan.ts';

/** Counters, named as in /proc/vmstat and /sys/kernel/mm/ksm. */
export const KsmCounter = { scanned: 'ksm_pages_scanned', merged: 'ksm_pages_merged' } as const;

/** The stable tree: one page, or none yet. */
export class StableTree {
  /** Its frame plus one. */
  readonly page: Region;

  constructor(builder: SystemBuilder) {
    this.page = builder.region('ksm.stable_tree', 1);
  }
}

/** ksm_do_scan(): so many pages of an address space. */
export const ksm_do_scan = routine(
  'ksm_do_scan',
  function* (kernel: Kernel, cpu: Cpu, tree: StableTree, mm: Mm, hand: ScanHand, scan_npages: number): Steps {
    for (let i = 0; i < scan_npages; i++) {
      yield* point('scan', i);
      yield* mm.mmap_read_lock();
      const vpn = yield* hand.next(mm);
      if (vpn >= 0) yield* cmp_and_merge_page(kernel, cpu, tree, mm, vpn);
      yield* mm.mmap_read_unlock();
      if (vpn < 0) return;
    }
  },
);

const cmp_and_merge_page = routine(
  'cmp_and_merge_page',
  function* (kernel: Kernel, cpu: Cpu, tree: StableTree, mm: Mm, vpn: number): Steps {
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return;
    const entry = yield* kernel.frames.read(ptep, { label: 'ptep_get_lockless()' });
    if (!pte_present(entry)) return;
    yield* count(KsmCounter.scanned);
    const kpage = yield* stable_page(kernel, tree, pte_pfn(entry));
    if (kpage === NO_FRAME || kpage === pte_pfn(entry)) return;
    if (yield* try_to_merge_one_page(kernel, cpu, mm, vpn, kpage)) yield* count(KsmCounter.merged);
  },
);

/**
 * The page to merge with: a copy of the first page that is found. (The kernel makes that page itself the stable one.)
 */
function* stable_page(kernel: Kernel, tree: StableTree, first: number): Steps<number> {
  const known = yield* load(tree.page.at(0), { label: 'stable_tree_search()' });
  if (known !== 0) return known - 1;
  const kpage = yield* kernel.frames.alloc(FrameKind.page);
  if (kpage === NO_FRAME) return NO_FRAME;
  yield* copy_user_highpage(kernel, kpage, first);
  yield* store(tree.page.at(0), kpage + 1, { label: 'stable_tree_insert()' });
  return kpage;
}
