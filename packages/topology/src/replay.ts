/** Threads that make the memory references of a real program, as valgrind and its like have recorded them. */
import { ModelError, type Steps } from '@shootdown/machine';
import { kindBits, referenceKinds, type ReferenceTrace } from '@shootdown/mmu';
import { user_access, VM_DATA_DEFAULT_FLAGS } from '@shootdown/mm';
import { MMAP_BASE_PAGE, returns, VDSO_PAGES, type ThreadContext } from './script.ts';

const PAGE_SHIFT = 12;
const PAGE_BYTES = 1 << PAGE_SHIFT;
/** Pages per unit of the upper half of an address. */
const PAGES_PER_HIGH_WORD = 2 ** (32 - PAGE_SHIFT);
/** User addresses have 47 bits; what lies above is the kernel's, or [vsyscall]. */
const USER_PAGES = 2 ** (47 - PAGE_SHIFT);
/** More areas than this are joined with the gaps between them. */
const AREAS_MAX = 128;

interface Area {
  readonly start: number;
  readonly end: number;
}

/** A thread that maps what a trace refers to, and then makes its references. Throws ModelError if it has none. */
export function replayOf(trace: ReferenceTrace, source: string): (context: ThreadContext) => Steps {
  const areas = areasOf(trace);
  if (areas.length === 0) throw new ModelError(`topology: ${source}: no reference to memory of a process in it`);
  return (context) => replays(context, trace, areas);
}

function* replays(context: ThreadContext, trace: ReferenceTrace, areas: readonly Area[]): Steps {
  const { kernel, mm } = context;
  yield* mm.mmap_write_lock();
  for (const { start, end } of areas)
    yield* mm.vmas.insert(start, end, VM_DATA_DEFAULT_FLAGS, { label: `(memory of the trace, ${end - start} pages)` });
  yield* mm.mmap_write_unlock();
  for (let i = 0; i < trace.length; i++) {
    const kind = (trace.sizeAndKind[i] as number) & ((1 << kindBits) - 1);
    for (const vpn of pagesOf(trace, i)) {
      if (vpn >= USER_PAGES || isSpecial(vpn)) continue;
      if (kind !== referenceKinds.store) yield* user_access(kernel, context.cpu, mm, vpn, false);
      if (kind >= referenceKinds.store) yield* user_access(kernel, context.cpu, mm, vpn, true);
    }
    yield* returns(context);
  }
}

/** The page of a reference, and the next one if it goes on there. */
function pagesOf({ addressLow, addressHigh, sizeAndKind }: ReferenceTrace, index: number): number[] {
  const low = addressLow[index] as number;
  const page = (addressHigh[index] as number) * PAGES_PER_HIGH_WORD + (low >>> PAGE_SHIFT);
  const bytes = Math.max(1, (sizeAndKind[index] as number) >>> kindBits);
  return (low & (PAGE_BYTES - 1)) + bytes > PAGE_BYTES ? [page, page + 1] : [page];
}

/** [vvar] and [vdso] are there from the start. */
function isSpecial(vpn: number): boolean {
  return vpn >= MMAP_BASE_PAGE - VDSO_PAGES && vpn < MMAP_BASE_PAGE;
}

function areasOf(trace: ReferenceTrace): readonly Area[] {
  const pages = new Set<number>();
  for (let i = 0; i < trace.length; i++)
    for (const vpn of pagesOf(trace, i)) if (vpn < USER_PAGES && !isSpecial(vpn)) pages.add(vpn);
  const sorted = [...pages].sort((a, b) => a - b);
  for (let gap = 1; ; gap *= 2) {
    const areas: { start: number; end: number }[] = [];
    for (const vpn of sorted) {
      const last = areas.at(-1);
      const joins =
        last !== undefined &&
        vpn - last.end < gap &&
        !(last.end <= MMAP_BASE_PAGE - VDSO_PAGES && vpn >= MMAP_BASE_PAGE);
      if (joins) last.end = vpn + 1;
      else areas.push({ start: vpn, end: vpn + 1 });
    }
    if (areas.length <= AREAS_MAX) return areas;
  }
}
