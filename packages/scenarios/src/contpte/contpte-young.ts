/**
 * `contpte-young`: reclaim asks whether a block was used, and madvise() declares a part of it cold or free, while
 * hardware sets accessed and dirty bits. Is nothing lost that hardware has said, and nothing touched beside the block?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { defineOperation, operation, point, type Property, type Steps } from '@shootdown/machine';
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
import { kernelWork } from '../tasks.ts';

const { PAGE_SHARED, PAGE_SIZE, PTE_RDONLY, pte_young } = contpte;

/** Entries of the other block are nobody's business. */
const OUTSIDE = 'no entry outside the block is changed';

interface Design extends ContpteVariant {
  readonly calls: 'referenced' | 'referenced, then cold' | 'cold' | 'free';
}

const variants: readonly Design[] = alsoOnArm([
  {
    name: 'current',
    expected: 'safe',
    source: 'contpte_ptep_clear_flush_young(), v6.9; contpte_clear_young_dirty_ptes(), v6.10',
    summary: 'reclaim asks for the block, then half of it is declared cold: accessed bits of all of it, by cmpxchg',
    calls: 'referenced, then cold',
  },
  {
    name: 'referenced',
    expected: 'safe',
    source: 'contpte_ptep_clear_flush_young(), v6.9',
    summary: 'reclaim asks for the block, and nobody else clears an accessed bit',
    calls: 'referenced',
  },
  {
    name: 'cold',
    expected: 'safe',
    source: 'contpte_clear_young_dirty_ptes(), v6.10, with 9b73a966e4eb',
    summary: 'half of a block that is young is declared cold: all of it becomes old, and nothing beside it',
    calls: 'cold',
  },
  {
    name: 'clean-old-nonatomic',
    expected: 'violation',
    source: '1b68112c40395, v6.10; accepted for MADV_FREE, whose stores may come before or after',
    summary: 'MADV_FREE reads an entry and stores it old and clean: what hardware sets in between is gone',
    calls: 'free',
  },
  {
    name: 'clean-old-atomic',
    expected: 'safe',
    source: 'asked for in the review of 1b68112c40395',
    summary: 'the same with a cmpxchg',
    calls: 'free',
    replace: { __clear_young_dirty_ptes: contpte.__clear_young_dirty_ptes_atomic },
  },
  {
    name: 'byte-length',
    expected: 'violation',
    source: '9b73a966e4eb, v6.10',
    summary: 'the end of the range is computed in bytes: aligned up to the block it is a count of thousands',
    calls: 'cold',
    replace: { contpte_clear_young_dirty_ptes: contpte.contpte_clear_young_dirty_ptes_by_bytes },
  },
]);

/** MADV_FREE has returned: what was written to the pages of the first folio before means nothing any more. */
const GIVEN_AWAY = defineOperation({
  name: 'return',
  cost: 'choose',
  perform(cx, { b: pages, data }) {
    const { kernel, invariants } = data as ContpteMachine;
    const { pfn } = kernel.folio(0);
    for (let frame = pfn; frame < pfn + pages; frame++)
      if (cx.read(invariants.written.at(frame)) !== 0) cx.write(invariants.written.at(frame), 0);
    return 0;
  },
});

/** What is asked of the block, or of the first half of it. */
function ages({ calls }: Design): ContpteTask {
  return kernelWork(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const { vma, block } = machine;
    if (calls === 'free') {
      // All of the folio: of a part of it madvise_free_pte_range() splits it first.
      yield* cpu.k.madvise_free_pte_range(cpu, vma, 0, block);
      yield operation(GIVEN_AWAY, 0, block, 0, machine, { label: 'return' });
      return;
    }
    if (calls !== 'cold') yield* cpu.k.folio_referenced_one(cpu, 0, vma, PAGE_SIZE);
    if (calls === 'referenced') return;
    if (calls === 'referenced, then cold') yield* point('referenced');
    yield* cpu.k.madvise_cold_or_pageout_pte_range(cpu, vma, 0, block / 2);
  });
}

/** What folio_referenced() is for: the block was young to begin with. */
const isReferenced = ({ kernel }: ContpteMachine): Property => ({
  name: 'reclaim learns that the folio was used',
  kind: 'finally',
  why: 'or it would throw away what is in use',
  reads: [kernel.referenced.at(0)],
  check: (read) => read(kernel.referenced.at(0)) !== 0,
});

/** Nobody else clears an accessed bit: each entry has been old at some moment, and may be young again. */
function hasBeenOld({ builder, kernel, block }: ContpteMachine): Property {
  const { entries } = kernel.frames;
  const old = builder.region('entry.has_been_old', block, { memory: 'strong' });
  builder.watch(entries, (cx, address) => {
    const page = address - entries.base;
    if (page < block && !pte_young(cx.read(address)) && cx.read(old.at(page)) === 0) cx.write(old.at(page), 1);
  });
  const reads = Array.from({ length: block }, (_, page) => old.at(page));
  return {
    name: 'every entry of the block has been old',
    kind: 'finally',
    why: 'that is what was asked for; hardware may have used it since',
    reads,
    check: (read) => reads.every((address) => read(address) === 1),
  };
}

const ends = ({ block }: ContpteMachine): number[] => [0, block - 1];

/** Accessed and dirty bits of a block are cleared while hardware sets them: is anything lost, or touched beside it? */
export const contpteYoung: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-young',
  title:
    'Accessed and dirty bits of a block are cleared while hardware sets them: is anything lost, or touched beside it?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { calls } = request.variant;
    const asks = calls === 'referenced' || calls === 'referenced, then cold';
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block }, { nr_pages: block }],
      mapped: [
        { page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true },
        // Dirty already: a TLB that has the block by this entry marks nothing dirty, until it is invalidated.
        ...(calls === 'free'
          ? [{ page: block - 1, folio: 0, from: block - 1, nr: 1, prot: PAGE_SHARED & ~PTE_RDONLY, cont: true }]
          : []),
        { page: block, folio: 1, nr: block, prot: PAGE_SHARED, cont: true },
      ],
      ...(asks ? { device: {} } : { readerPage: 0 }),
    });
    const reads = machine.reader ? readsLockless : null;
    const device = machine.deviceNumber < 0 ? null : deviceAccesses(() => [block - 1], true);
    return startContpte(
      machine,
      [ages(request.variant), accesses(ends), reads, device],
      [
        ...machine.invariants.properties,
        ofEntries(
          machine,
          'always',
          OUTSIDE,
          'it belongs to another folio',
          (entries) => entries.every(pte_young),
          block,
        ),
        ofEntries(machine, 'sometimes', 'the block is old', 'that is what was asked for', (entries) =>
          entries.slice(0, block).every((pte) => !pte_young(pte)),
        ),
        ...(asks ? [isReferenced(machine)] : []),
        ...(calls === 'referenced' || calls === 'cold' ? [hasBeenOld(machine)] : []),
      ],
    );
  },
};
