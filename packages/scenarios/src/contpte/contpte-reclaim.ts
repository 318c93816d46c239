/**
 * `contpte-reclaim`: a folio of a file is unmapped to be reclaimed while user code writes to it. Does its dirt arrive
 * at the folio, and does the batch end where the page table does?
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
  returns,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_SHARED, PAGE_SIZE } = contpte;

interface Design extends ContpteVariant {
  /** The folio begins in the last half block of the table, and goes on in the next table. */
  readonly atTheEnd?: boolean;
}

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'per-entry',
    expected: 'safe',
    source: 'try_to_unmap_one(), v6.9',
    summary: 'one entry at a time: the first one unfolds the block',
    replace: { folio_unmap_pte_batch: contpte.folio_unmap_pte_batch_one },
  },
  {
    name: 'batched',
    expected: 'safe',
    source: 'folio_unmap_pte_batch(), v6.17',
    summary: 'a whole block at once: cleared as it is, one TLBI',
  },
  {
    name: 'batched/at-the-end',
    expected: 'safe',
    source: 'ddd05742b45b, v6.16',
    summary: 'half of the folio is in the next table: the batch ends with this one',
    atTheEnd: true,
  },
  {
    name: 'batch-past-table',
    expected: 'violation',
    source: 'ddd05742b45b, v6.16',
    summary: 'the batch is as long as the folio and reads on where the table has ended',
    atTheEnd: true,
    replace: { folio_unmap_pte_batch: contpte.folio_unmap_pte_batch_as_long_as_the_folio },
  },
]);

/** shrink_folio_list(): unmaps the folio from the address space. */
function unmaps(first: number, nr: number): ContpteTask {
  return routine('kswapd', function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    yield* cpu.k.try_to_unmap_one(cpu, 0, machine.vma, first * PAGE_SIZE);
    yield* returns(machine, first * PAGE_SIZE, (first + nr) * PAGE_SIZE);
  });
}

/** A folio is unmapped for reclaim while it is written to: does its dirt arrive, and does the batch end in time? */
export const contpteReclaim: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-reclaim',
  title:
    'A folio is unmapped for reclaim while it is written to: does its dirt arrive, and does the batch end in time?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { atTheEnd = false } = request.variant;
    const first = atTheEnd ? 2 * block - block / 2 : 0;
    const nr = atTheEnd ? block / 2 : block;
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block, file: true }],
      mapped: [{ page: first, folio: 0, nr, prot: PAGE_SHARED, cont: !atTheEnd }],
      device: {},
      readerPage: first,
    });
    const last = (): number[] => [first + nr - 1];
    const tasks = [unmaps(first, nr), accesses(last), readsLockless, deviceAccesses(() => [first], true)];
    return startContpte(machine, tasks, [
      ...machine.invariants.properties,
      ofEntries(machine, 'finally', 'the folio is not mapped in the end', 'it is to be reclaimed', (entries) =>
        entries.every(contpte.pte_none),
      ),
    ]);
  },
};
