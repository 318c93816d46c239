/**
 * `break-before-make`: a valid entry is changed in place while others may hold it. Which changes need an invalid entry
 * and a completed TLBI in between? (Arm ARM D8.16.1; an illumos bug of 2026 changed an output address by a
 * compare-and-swap)
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { routine, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { _PAGE_GLOBAL, _PAGE_NC } from '@shootdown/mmu';
import { alsoOnArm } from '../on-arm.ts';
import {
  accesses,
  contpteMachine,
  contpteParameters,
  deviceAccesses,
  routinesOf,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE, PTE_AF, ptep_plus } = contpte;

interface Design extends ContpteVariant {
  /** What the entry becomes, of what it was and the frame beside. */
  readonly change: (pte: number) => number;
  readonly breaks?: boolean;
  readonly readOnly?: boolean;
  readonly sameContents?: boolean;
}

const RULE = 'Arm ARM D8.16.1';
const ILLUMOS = 'illumos arm64, April 2026';
const moved = (pte: number): number => contpte.pte_advance_pfn(pte, 1);

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'address-by-cmpxchg',
    expected: 'violation',
    source: ILLUMOS,
    summary: 'a live entry is made to point elsewhere by one compare-and-swap',
    change: moved,
  },
  {
    name: 'address-by-break-before-make',
    expected: 'safe',
    source: ILLUMOS,
    summary: 'cleared, invalidated, then made to point elsewhere',
    change: moved,
    breaks: true,
  },
  {
    name: 'address-read-only-same-contents',
    expected: 'safe',
    source: RULE,
    summary: 'both entries are read-only and the pages hold the same: it does not matter which is read',
    change: moved,
    readOnly: true,
    sameContents: true,
  },
  {
    name: 'address-read-only',
    expected: 'violation',
    source: RULE,
    summary: 'both entries are read-only, but the pages do not hold the same',
    change: moved,
    readOnly: true,
  },
  {
    name: 'memory-type',
    expected: 'violation',
    source: RULE,
    summary: 'cached memory becomes memory that is not cached',
    change: (pte) => pte | _PAGE_NC,
  },
  {
    name: 'global',
    expected: 'violation',
    source: RULE,
    summary: 'a non-global entry becomes a global one',
    change: (pte) => pte | _PAGE_GLOBAL,
  },
  {
    name: 'permission',
    expected: 'safe',
    source: RULE,
    summary: 'a permission is taken away in place: what was held may be used until the flush',
    change: contpte.pte_wrprotect,
  },
]);

/** Changes the first entry. */
function changes({ change, breaks = false }: Design): ContpteTask {
  return routine('remap', function* ({ vma }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const ptep = yield* contpte.pte_offset_map_lock(cpu, vma.vm_mm, 0);
    if (breaks) {
      const pte = yield* contpte.__ptep_get_and_clear(cpu, ptep);
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, 0, PAGE_SIZE, contpte.TLBF_NOWALKCACHE);
      yield* contpte.__set_pte(cpu, ptep_plus(ptep, 0), change(pte));
    } else {
      yield* contpte.cmpxchg_loop(cpu, ptep, 'remap', change);
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, 0, PAGE_SIZE, contpte.TLBF_NOWALKCACHE);
    }
    yield* contpte.pte_unmap_unlock(cpu, vma.vm_mm);
  });
}

const first = (): number[] => [0];

/** A live entry is changed in place: what must be invalid, and invalidated, first? */
export const breakBeforeMake: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'break-before-make',
  title: 'A live entry is changed in place: what must be invalid, and invalidated, first?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { readOnly = false, sameContents = false } = request.variant;
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: 1 }, { nr_pages: 1 }],
      mapped: [{ page: 0, folio: 0, nr: 1, prot: (readOnly ? PAGE_READONLY : PAGE_SHARED) | PTE_AF }],
      device: {},
      ...(sameContents && { sameContents: () => true }),
    });
    // Where the page goes that is no longer mapped is not the question here.
    const kept = machine.invariants.properties.filter(({ name }) => name !== contpte.LOST_DIRTY);
    return startContpte(
      machine,
      [changes(request.variant), accesses(first, !readOnly), null, deviceAccesses(first)],
      kept,
    );
  },
};
