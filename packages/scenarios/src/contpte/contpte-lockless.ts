/**
 * `contpte-lockless`: GUP-fast reads a contiguous entry, and gathers accessed and dirty bits from its whole block,
 * while the block is unfolded under it. Is what it returns the state of that entry at any moment?
 */
import type { OffersC } from '@shootdown/c';
import type { Scenario } from '@shootdown/explorer';
import { type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
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
  withVma,
} from './machine.ts';
import { userCode } from '../tasks.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE } = contpte;

const variants: readonly ContpteVariant[] = [
  {
    name: 'restart',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'contpte_ptep_get_lockless(), 4602e5757bcc, v6.9',
    summary: 'the whole block is read, and read again if it changes meanwhile',
    replace: { contpte_ptep_get_lockless: contpte.contpte_ptep_get_lockless_scanning(true) },
  },
  {
    name: 'no-restart',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'contpte_ptep_get_lockless(), 4602e5757bcc, v6.9, its comment',
    summary: 'bits are gathered from entries that are no longer part of the block',
    replace: { contpte_ptep_get_lockless: contpte.contpte_ptep_get_lockless_scanning(false) },
  },
  {
    name: 'early-exit-2025',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'derived: 093ae7a033cf, v6.17; every entry that a bit is taken from is compared',
    summary: 'the rest of the block is not read once both bits are found',
  },
];

/** mprotect(PROT_READ) of the last page unfolds the block. */
const protects: ContpteTask = contpte.mprotect(function* (
  { vma, block }: ContpteMachine,
  cpu: contpte.ContpteCpu,
): Steps {
  yield* cpu.k.change_protection(cpu, vma, (block - 1) * PAGE_SIZE, block * PAGE_SIZE, PAGE_READONLY);
});

/** Two stores: to a page of the block that stays writable, and to another one. */
const writes: ContpteTask = userCode(function* ({ block }: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
  yield* cpu.mmu.access(block - 2, true);
  yield* cpu.mmu.access(1, true);
});

/** GUP-fast reads a contiguous entry while its block is unfolded: is what it returns consistent? */
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
    const shared = withVma(machine, { shared: true });
    return startContpte(shared, [protects, writes, readsLockless]);
  },
};
