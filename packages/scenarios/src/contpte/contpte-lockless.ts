/**
 * `contpte-lockless`: GUP-fast reads a contiguous entry, and gathers accessed and dirty bits from its whole block,
 * while the block is unfolded under it. Is what it returns the state of that entry at any moment?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { point, routine, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { pte_pfn } from '@shootdown/mmu';
import {
  contpteMachine,
  contpteParameters,
  readsLockless,
  routinesOf,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE } = contpte;

/**
 * contpte_ptep_get_lockless() up to v6.16: the whole block is looked at. `consistent`: what is, ends the attempt where
 * it is not.
 */
const scanning = (restarts: boolean) =>
  routine(
    'contpte_ptep_get_lockless',
    function* (cpu: contpte.ContpteLayerCpu, orig_ptep: contpte.Ptep): Steps<number> {
      const { CONT_PTES } = cpu.kernel;
      const ptep = contpte.contpte_align_down(cpu, orig_ptep);
      retry: for (;;) {
        yield* point('retry');
        let orig_pte = yield* contpte.__ptep_get(cpu, orig_ptep);
        if (!contpte.pte_valid_cont(orig_pte)) return orig_pte;
        const orig_prot = contpte.pte_pgprot(contpte.pte_mkold(contpte.pte_mkclean(orig_pte)));
        const pfn = pte_pfn(orig_pte) - (orig_ptep.index - ptep.index);
        for (let i = 0; i < CONT_PTES; i++) {
          yield* point('gather', i, orig_pte);
          const pte = yield* contpte.__ptep_get(cpu, contpte.ptep_plus(ptep, i));
          if (restarts && !contpte.contpte_is_consistent(pte, pfn + i, orig_prot)) continue retry;
          if (contpte.pte_dirty(pte)) orig_pte = contpte.pte_mkdirty(orig_pte);
          if (contpte.pte_young(pte)) orig_pte = contpte.pte_mkyoung(orig_pte);
        }
        return orig_pte;
      }
    },
  );

const variants: readonly ContpteVariant[] = [
  {
    name: 'restart',
    expected: 'safe',
    source: 'contpte_ptep_get_lockless(), 4602e5757bcc, v6.9',
    summary: 'the whole block is read, and read again if it changes meanwhile',
    replace: { contpte_ptep_get_lockless: scanning(true) },
  },
  {
    name: 'no-restart',
    expected: 'violation',
    source: 'contpte_ptep_get_lockless(), 4602e5757bcc, v6.9, its comment',
    summary: 'bits are gathered from entries that are no longer part of the block',
    replace: { contpte_ptep_get_lockless: scanning(false) },
  },
  {
    name: 'early-exit-2025',
    expected: 'safe',
    source: 'derived: 093ae7a033cf, v6.17; every entry that a bit is taken from is compared',
    summary: 'the rest of the block is not read once both bits are found',
  },
];

/** mprotect(PROT_READ) of the last page unfolds the block. */
const protects: ContpteTask = routine(
  'mprotect',
  function* ({ vma, block }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    yield* cpu.k.change_protection(cpu, vma, (block - 1) * PAGE_SIZE, block * PAGE_SIZE, PAGE_READONLY);
  },
);

/** Two stores: to a page of the block that stays writable, and to another one. */
const writes: ContpteTask = routine('user code', function* ({ block }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
  yield* cpu.mmu.access(block - 2, true);
  yield* cpu.mmu.access(1, true);
});

export const contpteLockless: Scenario<ContpteVariant, ContpteParameter> & OffersC = {
  name: 'contpte-lockless',
  title: 'GUP-fast reads a contiguous entry while its block is unfolded: is what it returns consistent?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block }],
      mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true, old: true }],
      readerPage: 0,
    });
    const shared = { ...machine, vma: { ...machine.vma, shared: true } };
    return startContpte(shared, [protects, writes, readsLockless]);
  },
};
