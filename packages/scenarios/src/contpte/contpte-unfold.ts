/**
 * `contpte-unfold`: one page of a contiguous block is made read-only, so that the block is unfolded. When is a TLBI
 * needed between the old entries and the new ones?
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

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE } = contpte;

interface Design extends ContpteVariant {
  readonly bbml2?: boolean;
}

const WIRED_UP = 'contpte_convert(), 4602e5757bcc, v6.9';
const ELIDED = '83bbd6be7d17, v6.17';

const variants: readonly Design[] = alsoOnArm([
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
    replace: { contpte_convert: contpte.contpte_convert_on_any_cpu(true) },
  },
  {
    name: 'bbml0-no-tlbi',
    expected: 'violation',
    source: ELIDED,
    summary: 'the TLBI is left out, and a TLB may hold the block and a page of it at once',
    replace: { contpte_convert: contpte.contpte_convert_on_any_cpu(false) },
  },
  {
    name: 'bbml2-no-tlbi',
    expected: 'safe',
    source: ELIDED,
    summary: 'BBML2 without conflict aborts: an access uses one or the other until the flush at the end',
    bbml2: true,
  },
]);

/** mprotect(PROT_READ) of the first page. */
const protects: ContpteTask = contpte.mprotect(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
  yield* cpu.k.change_protection(cpu, machine.vma, 0, PAGE_SIZE, PAGE_READONLY);
  yield* returns(machine, 0, PAGE_SIZE);
});

const written = ({ block }: ContpteMachine): number[] => [0, block - 1];
const first = (): number[] => [0];

/** One page of a contiguous block changes: what must happen between the old entries and the new ones? */
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
    return startContpte(withVma(machine, { shared: true }), tasks);
  },
};
