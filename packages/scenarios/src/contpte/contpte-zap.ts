/**
 * `contpte-zap`: MADV_DONTNEED on a part of a contiguous block, and on all of it, while user code writes through the
 * block. Are the pages that stay still mapped, dirty if they were, and by themselves?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { type Steps } from '@shootdown/machine';
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
  returns,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';
import { madvises } from '../tasks.ts';

const { PAGE_SIZE, PAGE_SHARED } = contpte;

interface Design extends ContpteVariant {
  readonly whole?: boolean;
  /** The folio is one of a file. */
  readonly file?: boolean;
}

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'part',
    expected: 'safe',
    source: 'contpte_try_unfold_partial(), 6b1e4efb6f54, v6.9',
    summary: 'half of a block is given back: it is unfolded first',
  },
  {
    name: 'whole',
    expected: 'safe',
    source: 'contpte_clear_full_ptes(), 6b1e4efb6f54, v6.9',
    summary: 'all of a block is given back: cleared as it is, no TLBI but the one at the end',
    whole: true,
  },
  {
    name: 'file',
    expected: 'safe',
    source: 'contpte_get_and_clear_full_ptes(), 6b1e4efb6f54, v6.9',
    summary: 'half of a block of a file is given back: what hardware has said of it goes to the folio',
    file: true,
  },
  {
    name: 'clear-one-without-unfold',
    expected: 'violation',
    source: 'Barry Song, review of the first versions, 2023',
    summary: 'the entries are cleared, the rest of the block keeps the contiguous bit',
    replace: { clear_full_ptes: contpte.clear_full_ptes_without_unfold },
  },
  {
    name: 'ad-not-gathered',
    expected: 'violation',
    source: 'Alistair Popple, review of ptep_get_and_clear_full() in v2, November 2023',
    summary: 'the dirty bit of the block may be in an entry that is cleared before anybody gathers',
    replace: { clear_full_ptes: contpte.clear_full_ptes_unfolded_after },
  },
]);

/** MADV_DONTNEED. */
function zaps({ whole = false }: Design): ContpteTask {
  return madvises(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const end = (whole ? machine.block : machine.block / 2) * PAGE_SIZE;
    yield* cpu.k.zap_page_range_single(cpu, machine.vma, 0, end);
    yield* returns(machine, 0, end);
  });
}

const ends = ({ block }: ContpteMachine): number[] => [0, block - 1];

/** MADV_DONTNEED on part of a contiguous block: is what stays still mapped, and dirty if it was? */
export const contpteZap: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-zap',
  title: 'MADV_DONTNEED on part of a contiguous block: is what stays still mapped, and dirty if it was?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { whole = false, file = false } = request.variant;
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block, file }],
      mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true }],
      device: {},
      readerPage: block - 1,
    });
    const zapped = whole ? block : block / 2;
    const referenced = machine.kernel.referenced.at(0);
    const tasks = [zaps(request.variant), accesses(ends), readsLockless, deviceAccesses(ends)];
    return startContpte(machine, tasks, [
      ...machine.invariants.properties,
      ofEntries(
        machine,
        'finally',
        'what was given back is not mapped, and the rest is',
        'that is what was asked for',
        (entries) => entries.slice(0, block).every((pte, page) => contpte.pte_none(pte) === page < zapped),
      ),
      {
        name: 'a folio of a file counts as used',
        kind: 'finally',
        why: 'its entries said so',
        reads: [referenced],
        check: (read) => !file || read(referenced) !== 0,
      },
    ]);
  },
};
