/**
 * `contpte-mprotect`: protections of a block, or of half of it, are changed while it is in use. Does every page get the
 * protection that it may have, and is the block contiguous again in the end?
 */
import type { OffersC } from '@shootdown/c';
import type { BuildRequest, Scenario } from '@shootdown/explorer';
import { point, type Steps, type System } from '@shootdown/machine';
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
  withVma,
} from './machine.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE, PTE_UXN, pte_user_exec, pte_valid_cont, pte_write } = contpte;

/** A page that another process has too stays read-only. */
const NOT_EXCLUSIVE = 'no page that another process has too becomes writable';

interface Design extends ContpteVariant {
  /** What mprotect() is called with, in order: protections of the first pages of the block, or of others. */
  readonly calls:
    | 'half read-only'
    | 'whole read-only'
    | 'half and back'
    | 'private, from the second page on'
    /** On CPUs with erratum 2645198. */
    | 'half not executable'
    | 'half not executable, high';
  /** Whether the block is contiguous in the end; left out: not asked. */
  readonly folded?: boolean;
}

const BATCHED = 'cac1db8c3aad, v6.17';
const ERRATUM = 'arm64 erratum 2645198, arch/arm64/mm/mmu.c';

const variants: readonly Design[] = [
  {
    name: 'half',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'the question of the thread, June 2023; contpte_try_unfold_partial()',
    summary: 'half of a block becomes read-only: it is unfolded before anything changes',
    calls: 'half read-only',
    folded: false,
  },
  {
    name: 'whole',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: BATCHED,
    summary: 'all of a block becomes read-only: cleared as it is, and set with the contiguous bit',
    calls: 'whole read-only',
    folded: true,
  },
  {
    name: 'batch-anon-exclusive',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'syzbot 57bcc752f0df8bb1365c, 2025',
    summary: 'a batch that begins in the middle of a folio goes by the pages at its beginning',
    calls: 'private, from the second page on',
    replace: { commit_anon_folio_batch: contpte.commit_anon_folio_batch_from_the_first },
  },
  {
    name: 'batch-anon-exclusive/fixed',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'the fix of syzbot 57bcc752f0df8bb1365c',
    summary: 'it goes by the pages that it maps',
    calls: 'private, from the second page on',
  },
  {
    name: 'half-toggled-back-v6.16',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'contpte_try_fold(), f0c2264958e1, v6.9',
    summary: 'half read-only and back, one entry at a time: the last one folds the block again',
    calls: 'half and back',
    folded: true,
    replace: { mprotect_folio_pte_batch: contpte.mprotect_folio_pte_batch_one },
  },
  {
    name: 'half-toggled-back-v6.17',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: `derived: ${BATCHED}; contpte_set_ptes() never looks at neighbours`,
    summary: 'half read-only and back, in batches: the block stays unfolded',
    calls: 'half and back',
    folded: false,
  },
  {
    name: 'erratum-2645198/no-workaround',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: ERRATUM,
    summary: 'half of a block is no longer executable, on CPUs that need break-before-make for that',
    calls: 'half not executable',
    replace: { modify_prot_start_ptes: contpte.modify_prot_start_ptes_without_flush },
  },
  {
    name: 'erratum-2645198/to-the-end',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: `${ERRATUM}: as ptep_clear_flush() did it up to v6.16`,
    summary: 'the entries that change are invalidated before they are set again',
    calls: 'half not executable',
    replace: { modify_prot_start_ptes: contpte.modify_prot_start_ptes_to_the_end },
  },
  {
    name: 'erratum-2645198/length-as-end',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'derived: modify_prot_start_ptes(), v6.17',
    summary: 'a length where the end is meant: nothing is invalidated at an address that is as long as the batch',
    calls: 'half not executable',
  },
  {
    name: 'erratum-2645198/length-as-end-high',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'derived: modify_prot_start_ptes(), v6.17',
    summary: 'the same further up, where most memory is: the end is before the start, and all is invalidated',
    calls: 'half not executable, high',
  },
];

/** The second half of the block: its last entry is the one that folds it. */
function protects({ calls }: Design): ContpteTask {
  return contpte.mprotect(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const first = calls === 'half not executable, high' ? machine.block : 0;
    const half = (first + machine.block / 2) * PAGE_SIZE;
    const end = (first + machine.block) * PAGE_SIZE;
    const mprotect = function* (start: number, newprot: number): Steps {
      yield* cpu.k.change_protection(cpu, machine.vma, start, end, newprot);
      yield* returns(machine, start, end);
    };
    switch (calls) {
      case 'whole read-only':
        return yield* mprotect(0, PAGE_READONLY);
      case 'half read-only':
        return yield* mprotect(half, PAGE_READONLY);
      case 'half and back':
        yield* mprotect(half, PAGE_READONLY);
        yield* point('and back');
        return yield* mprotect(half, PAGE_SHARED);
      case 'private, from the second page on':
        return yield* mprotect(PAGE_SIZE, PAGE_SHARED);
      case 'half not executable':
      case 'half not executable, high':
        return yield* mprotect(half, PAGE_READONLY | PTE_UXN);
    }
  });
}

/** The first page and the last are this process's own; of a block of two only the first, as the batch is one page. */
function isExclusive(page: number, block: number): boolean {
  return page === 0 || (page === block - 1 && block > 2);
}

/** Whether a page of the block is writable in the end. */
function isWritable({ calls }: Design, page: number, block: number): boolean {
  switch (calls) {
    case 'whole read-only':
    case 'half not executable':
    case 'half not executable, high':
      return false;
    case 'half read-only':
      return page < block / 2;
    case 'half and back':
      return true;
    case 'private, from the second page on':
      return page === block - 1 && isExclusive(page, block);
  }
}

/** Pages of the half that changes: a load of the last one, or a store to either. */
const half = ({ block }: ContpteMachine): number[] => [block - 1, block / 2];
const first = (): number[] => [0];
const ends = ({ block }: ContpteMachine): number[] => [0, block - 1];

/** On a Cortex-A715: no store, so what matters is who may hold the old entries. */
function notExecutable(request: BuildRequest<Design, ContpteParameter>): System {
  const { block } = request.parameters;
  const page = request.variant.calls === 'half not executable, high' ? block : 0;
  const machine = contpteMachine({
    request,
    folios: [{ nr_pages: block }],
    mapped: [{ page, folio: 0, nr: block, prot: PAGE_READONLY, cont: true }],
    erratum2645198: true,
  });
  const read = (): number[] => [page + block - 1];
  return startContpte(
    withVma(machine, { shared: true }),
    [protects(request.variant), accesses(read, false)],
    [
      ...machine.invariants.properties,
      ofEntries(
        machine,
        'finally',
        'what was asked for is not executable, and the rest is',
        'or mprotect() is for nothing',
        (entries) =>
          entries
            .slice(page, page + block)
            .every((pte, i) => contpte.pte_valid(pte) && pte_user_exec(pte) === i < block / 2),
      ),
    ],
  );
}

/** mprotect() of a contiguous block or half of it: right for every page, and contiguous again in the end? */
export const contpteMprotect: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-mprotect',
  title: 'mprotect() of a contiguous block or half of it: right for every page, and contiguous again in the end?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const { calls, folded } = request.variant;
    if (calls === 'half not executable' || calls === 'half not executable, high') return notExecutable(request);
    const isPrivate = calls === 'private, from the second page on';
    const exclusive = Array.from({ length: block }, (_, page) => isExclusive(page, block));
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block, exclusive }],
      mapped: [{ page: 0, folio: 0, nr: block, prot: isPrivate ? PAGE_READONLY : PAGE_SHARED, cont: true }],
      device: {},
      ...(calls !== 'half and back' && { readerPage: 0 }),
    });
    const shared = withVma(machine, { shared: !isPrivate });
    const tasks = [protects(request.variant), accesses(ends), readsLockless, deviceAccesses(first)];
    return startContpte(shared, calls === 'half and back' ? [tasks[0] ?? null, accesses(half)] : tasks, [
      ...machine.invariants.properties,
      ...(isPrivate
        ? [
            ofEntries(machine, 'always', NOT_EXCLUSIVE, 'its stores would be seen there', (entries) => {
              const { pfn } = machine.kernel.folio(0);
              return entries.every((pte) => !pte_write(pte) || exclusive[pte_pfn(pte) - pfn] === true);
            }),
          ]
        : []),
      ...(calls === 'half and back'
        ? [
            ofEntries(
              machine,
              'sometimes',
              'half of the block is read-only in between',
              'otherwise nothing is toggled',
              (entries) =>
                entries
                  .slice(0, block)
                  .every((pte, page) => contpte.pte_valid(pte) && pte_write(pte) === page < block / 2),
            ),
          ]
        : []),
      ...(folded === undefined
        ? []
        : [
            ofEntries(
              machine,
              'finally',
              folded ? 'the block is folded in the end' : 'the block is not folded in the end',
              'that is what the variant is about',
              (entries) => entries.slice(0, block).every(pte_valid_cont) === folded,
            ),
          ]),
      ofEntries(
        machine,
        'finally',
        'every page has the protection that was asked for',
        'or mprotect() is for nothing',
        (entries) =>
          entries.slice(0, block).every((pte, page) => pte_write(pte) === isWritable(request.variant, page, block)),
      ),
    ]);
  },
};
