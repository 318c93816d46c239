/**
 * `contpte-mremap`: a mapping of contiguous entries is moved, to where it is contiguous again or where it cannot be. Is
 * nothing lost on the way, and nothing gained?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { routine, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { pte_pfn } from '@shootdown/mmu';
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
  type InitialMapping,
} from './machine.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE, pte_valid_cont, pte_write } = contpte;

/** Nobody has asked for it. */
const GAINED_WRITE = 'mremap() makes no page writable';

interface Design extends ContpteVariant {
  readonly moves: 'a block' | 'a block from one page beside' | 'pages of which one is writable';
  /** The file is truncated meanwhile: its pages are unmapped from where they have come to, and freed. */
  readonly truncated?: boolean;
}

const variants: readonly Design[] = [
  {
    name: 'aligned',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'v6.8 to v6.16',
    summary: 'one entry at a time: the first unfolds the old block, the last one folds the new one',
    moves: 'a block',
    replace: { mremap_folio_pte_batch: contpte.mremap_folio_pte_batch_one },
  },
  {
    name: 'unaligned',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'f822a9a81a31, v6.17',
    summary: 'from where it could not be contiguous to where it can: one entry at a time, and folded by the last',
    moves: 'a block from one page beside',
  },
  {
    name: 'batched',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'f822a9a81a31, v6.17, with 04d1c9d60c6e',
    summary: 'a whole block at once: neither unfolded nor folded',
    moves: 'a block',
  },
  {
    name: 'batched/mixed',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: '04d1c9d60c6e',
    summary: 'two blocks of one folio, of which one is writable: two batches',
    moves: 'pages of which one is writable',
  },
  {
    name: 'batched/truncated',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'eb66ae030829, v4.19: the flush comes before the lock is released',
    summary: 'the file is truncated: whoever finds the pages in their new place frees them',
    moves: 'a block',
    truncated: true,
  },
  {
    name: 'batched/flush-after-unlock',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'CVE-2018-18281',
    summary: 'the same where the old place is flushed after the lock is released, as up to v4.18',
    moves: 'a block',
    truncated: true,
    replace: { move_ptes: contpte.move_ptes_flush_after_unlock },
  },
  {
    name: 'batch-ignores-write',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: '04d1c9d60c6e',
    summary: 'two blocks of one folio, of which the first is writable: one batch, all of it writable',
    moves: 'pages of which one is writable',
    replace: { mremap_folio_pte_batch: contpte.mremap_folio_pte_batch_ignoring_write },
  },
];

/** From where, how many, and to where, in pages. */
function moveOf({ moves }: Design, block: number): { from: number; nr: number; to: number; mapped: InitialMapping[] } {
  switch (moves) {
    case 'a block':
      return {
        from: 0,
        nr: block,
        to: block,
        mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true }],
      };
    case 'a block from one page beside':
      return { from: 1, nr: block, to: 2 * block, mapped: [{ page: 1, folio: 0, nr: block, prot: PAGE_SHARED }] };
    case 'pages of which one is writable':
      return {
        from: 0,
        nr: 2 * block,
        to: 2 * block,
        mapped: [
          { page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true },
          { page: block, folio: 0, from: block, nr: block, prot: PAGE_READONLY, cont: true },
        ],
      };
  }
}

/**
 * ftruncate(): unmap_mapping_range() finds both areas by their file, and takes no mmap_lock; truncate_inode_pages()
 * drops the references of the page cache.
 */
const truncates: ContpteTask = routine(
  'ftruncate',
  function* ({ vma, kernel }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    yield* cpu.k.zap_page_range_single(cpu, vma, vma.vm_start, vma.vm_end);
    const { pfn, nr_pages } = kernel.folio(0);
    for (let i = 0; i < nr_pages; i++) yield* kernel.frames.put(pfn + i);
  },
);

/** mremap() of contiguous entries, one by one and in batches: is nothing lost, and nothing gained? */
export const contpteMremap: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-mremap',
  title: 'mremap() of contiguous entries, one by one and in batches: is nothing lost, and nothing gained?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { moves, truncated = false } = request.variant;
    const { from, nr, to, mapped } = moveOf(request.variant, block);
    const machine = contpteMachine({
      request,
      blocks: moves === 'a block' ? 2 : moves === 'a block from one page beside' ? 3 : 4,
      folios: [{ nr_pages: nr, file: truncated }],
      mapped,
      ...(moves === 'a block' && !truncated && { device: {}, readerPage: to }),
    });
    const moving: ContpteTask = routine('mremap', function* (_: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
      const end = (from + nr) * PAGE_SIZE;
      yield* cpu.k.move_ptes(cpu, machine.vma, from * PAGE_SIZE, end, to * PAGE_SIZE);
      // What somebody else has unmapped is flushed when that one is done.
      if (!truncated) yield* returns(machine, from * PAGE_SIZE, end);
    });
    const both = (): number[] => [from, to + block - 1];
    const readOnly = moves === 'pages of which one is writable';
    const { pfn } = machine.kernel.folio(0);
    return startContpte(
      machine,
      [
        moving,
        accesses(both),
        truncated ? truncates : machine.reader ? readsLockless : null,
        machine.deviceNumber < 0 ? null : deviceAccesses(() => [from]),
      ],
      [
        ...machine.invariants.properties,
        ofEntries(
          machine,
          'finally',
          'the block is folded in the end',
          'where it is aligned it may be',
          (entries) =>
            entries.slice(to, to + nr).every(pte_valid_cont) ||
            (truncated && entries.slice(to, to + nr).every(contpte.pte_none)),
        ),
        ofEntries(machine, 'finally', 'nothing is mapped where it was', 'it has been moved', (entries) =>
          entries.slice(from, from + nr).every((pte, i) => from + i >= to || contpte.pte_none(pte)),
        ),
        ofEntries(
          machine,
          'always',
          GAINED_WRITE,
          'the area may be read-only',
          (entries) => !readOnly || entries.every((pte) => !pte_write(pte) || pte_pfn(pte) - pfn < block),
        ),
      ],
    );
  },
};
