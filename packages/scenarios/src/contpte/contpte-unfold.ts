/**
 * `contpte-unfold`: one page of a contiguous block is made read-only, so that the block is unfolded. When is a TLBI
 * needed between the old entries and the new ones?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { point, routine, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { pte_pfn } from '@shootdown/mmu';
import {
  accesses,
  contpteMachine,
  contpteParameters,
  deviceAccesses,
  readsLockless,
  routinesOf,
  returns,
  startContpte,
  type ContpteMachine,
  type ContpteParameter,
  type ContpteTask,
  type ContpteVariant,
} from './machine.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE } = contpte;

interface Design extends ContpteVariant {
  readonly bbml2?: boolean;
}

/** contpte_convert(), with the TLBI in the middle or without, whatever the CPUs can do. */
const converting = (invalidates: boolean) =>
  routine(
    'contpte_convert',
    function* (
      cpu: contpte.ContpteLayerCpu,
      mm: contpte.ContpteMm,
      addr: number,
      ptep: contpte.Ptep,
      pte: number,
    ): Steps {
      const { CONT_PTES, CONT_PTE_SIZE } = cpu.kernel;
      const start_ptep = contpte.contpte_align_down(cpu, ptep);
      const start_addr = addr - (addr % CONT_PTE_SIZE);
      pte = contpte.pfn_pte(pte_pfn(pte) - (pte_pfn(pte) % CONT_PTES), contpte.pte_pgprot(pte));
      for (let i = 0; i < CONT_PTES; i++) {
        yield* point('convert', i, pte);
        const ptent = yield* contpte.__ptep_get_and_clear(cpu, contpte.ptep_plus(start_ptep, i));
        if (contpte.pte_dirty(ptent)) pte = contpte.pte_mkdirty(pte);
        if (contpte.pte_young(ptent)) pte = contpte.pte_mkyoung(pte);
      }
      if (invalidates)
        yield* cpu.k.__flush_tlb_range(cpu, mm, start_addr, start_addr + CONT_PTE_SIZE, contpte.TLBF_NOWALKCACHE);
      yield* cpu.k.__set_ptes(cpu, start_ptep, pte, CONT_PTES);
    },
  );

const WIRED_UP = 'contpte_convert(), 4602e5757bcc, v6.9';
const ELIDED = '83bbd6be7d17, v6.17';

const variants: readonly Design[] = [
  {
    name: 'bbml0',
    expected: 'safe',
    source: WIRED_UP,
    summary: 'break-before-make: cleared, invalidated, written again',
  },
  {
    name: 'bbml2',
    expected: 'safe',
    source: WIRED_UP,
    summary: 'the same on CPUs that could do without',
    bbml2: true,
    replace: { contpte_convert: converting(true) },
  },
  {
    name: 'bbml0-no-tlbi',
    expected: 'violation',
    source: ELIDED,
    summary: 'the TLBI is left out, and a TLB may hold the block and a page of it at once',
    replace: { contpte_convert: converting(false) },
  },
  {
    name: 'bbml2-no-tlbi',
    expected: 'safe',
    source: ELIDED,
    summary: 'BBML2 without conflict aborts: an access uses one or the other until the flush at the end',
    bbml2: true,
  },
];

/** mprotect(PROT_READ) of the first page. */
const protects: ContpteTask = routine('mprotect', function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
  yield* cpu.k.change_protection(cpu, machine.vma, 0, PAGE_SIZE, PAGE_READONLY);
  yield* returns(machine, 0, PAGE_SIZE);
});

const written = ({ block }: ContpteMachine): number[] => [0, block - 1];
const first = (): number[] => [0];

export const contpteUnfold: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-unfold',
  title: 'One page of a contiguous block changes: what must happen between the old entries and the new ones?',
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
      mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true }],
      bbml2: request.variant.bbml2 ?? false,
      device: {},
      readerPage: 0,
    });
    const tasks = [protects, accesses(written), readsLockless, deviceAccesses(first)];
    return startContpte({ ...machine, vma: { ...machine.vma, shared: true } }, tasks);
  },
};
