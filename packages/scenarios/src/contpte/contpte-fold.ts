/**
 * `contpte-fold`: the last entry of a block is set while the others are in use. May all of them become one contiguous
 * block?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { routine, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { alsoOnArm } from '../on-arm.ts';
import {
  accesses,
  contpteMachine,
  contpteParameters,
  deviceAccesses,
  ofEntries,
  readsLockless,
  routinesOf,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_SHARED, PAGE_SIZE, PTE_AF, pte_valid_cont } = contpte;

interface Design extends ContpteVariant {
  /** The block consists of this many folios. */
  readonly folios: 1 | 2;
  /** Whether the block is folded in the end. */
  readonly folds: boolean;
}

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'one-folio',
    expected: 'safe',
    source: '__contpte_try_fold(), f0c2264958e1, v6.9',
    summary: 'one folio covers the block: it is folded, and what hardware has set is kept',
    folios: 1,
    folds: true,
  },
  {
    name: 'two-folios',
    expected: 'safe',
    source: '__contpte_try_fold(), f0c2264958e1, v6.9',
    summary: 'two folios that lie one after the other: the block stays as it is',
    folios: 2,
    folds: false,
  },
  {
    name: 'across-folios',
    expected: 'violation',
    source: 'the folio test of __contpte_try_fold(), f0c2264958e1, v6.9',
    summary: 'nobody asks which folio the pages belong to',
    folios: 2,
    folds: true,
    replace: { __contpte_try_fold: contpte.__contpte_try_fold_across_folios },
  },
]);

/** The fault that maps the last page of the block. */
const maps: ContpteTask = routine(
  'set_pte_range',
  function* ({ vma, block, kernel }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const addr = (block - 1) * PAGE_SIZE;
    const pfn = (kernel.folios[0]?.pfn ?? 0) + block - 1;
    const ptep = yield* contpte.pte_offset_map_lock(cpu, vma.vm_mm, addr);
    yield* cpu.k.set_ptes(cpu, vma.vm_mm, addr, ptep, contpte.pfn_pte(pfn, PAGE_SHARED | PTE_AF), 1);
    yield* contpte.pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

const first = (): number[] => [0];

/** The last entry of a block is set: when may the block be folded? */
export const contpteFold: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-fold',
  title: 'The last entry of a block is set: when may the block be folded?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { folios, folds } = request.variant;
    const machine = contpteMachine({
      request,
      folios: Array.from({ length: folios }, () => ({ nr_pages: block / folios })),
      mapped: Array.from({ length: folios }, (_, folio) => ({
        page: (folio * block) / folios,
        folio,
        nr: block / folios - (folio === folios - 1 ? 1 : 0),
        prot: PAGE_SHARED,
      })),
      device: {},
      readerPage: 0,
    });
    return startContpte(
      machine,
      [maps, accesses(first), readsLockless, deviceAccesses(first)],
      [
        ...machine.invariants.properties,
        ofEntries(
          machine,
          'finally',
          folds ? 'the block is folded in the end' : 'the block is not folded',
          'that is what the variant is about',
          (entries) => entries.slice(0, block).every(pte_valid_cont) === folds,
        ),
        ofEntries(
          machine,
          'finally',
          'every page of the block is mapped',
          'that is what the fault was for',
          (entries) => entries.slice(0, block).every(contpte.pte_valid),
        ),
      ],
    );
  },
};
