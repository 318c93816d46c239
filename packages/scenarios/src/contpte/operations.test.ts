/** What operations of the contpte layer do where no scenario has a use for it. */
import { explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { DirectExecutor, point, RandomScheduler, routine, runScheduler, type Steps } from '@shootdown/machine';
import { Arm64Counter, contpte } from '@shootdown/mm';
import { expect, it } from 'vitest';
import * as contpteScenarios from './index.ts';
import { contpteMachine, startContpte, type ContpteMachine, type InitialMapping } from './machine.ts';

const all = Object.values(contpteScenarios) as unknown as Scenario[];
const BLOCK = 4;
const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE, PTE_RDONLY } = contpte;

/** Runs one operation on a folio that is mapped like this; what its entries are then, and what was counted. */
function performed(
  mapped: readonly Omit<InitialMapping, 'folio'>[],
  body: (cpu: contpte.ContpteCpu, machine: ContpteMachine) => Steps<unknown>,
  pages = BLOCK,
) {
  const machine = contpteMachine({
    request: {
      variant: { name: 'operation', expected: 'safe', source: '', summary: '' },
      parameters: { block: BLOCK, reader: 0, device: 0 },
      memoryModel: 'sc',
    },
    mms: 2,
    folios: [{ nr_pages: pages }],
    mapped: mapped.map((mapping) => ({ ...mapping, folio: 0, from: mapping.page })),
  });
  const task = contpte.fork(function* (asked: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    yield* body(cpu, asked);
  });
  const executor = new DirectExecutor(startContpte(machine, [task]));
  const counted: string[] = [];
  executor.observe = true;
  executor.onCount = (_, counter) => counted.push(counter);
  expect(runScheduler(executor, new RandomScheduler(1), 1000)).toMatchObject({ end: 'rest', violation: null });
  const entries = (table: number): number[] =>
    Array.from({ length: pages }, (_, page) => executor.store.read(machine.kernel.frames.entry(table, page).address));
  return { parent: entries(0), child: entries(1), counted };
}

const forks = (pages: number, shared = false) =>
  function* (cpu: contpte.ContpteCpu, { vma, mms }: ContpteMachine): Steps {
    yield* cpu.k.dup_mmap(cpu, { ...vma, shared, vm_mm: mms[1]! }, { ...vma, shared }, 0, pages * PAGE_SIZE);
  };

it('fork() of half a block that is read-only already leaves the block as it is', () => {
  const { parent, child } = performed([{ page: 0, nr: BLOCK, prot: PAGE_READONLY, cont: true }], forks(BLOCK / 2));
  expect(parent.map(contpte.pte_cont)).toEqual([true, true, true, true]);
  expect(child.map(contpte.pte_valid)).toEqual([true, true, false, false]);
});

it('fork() of a batch that begins with a read-only entry protects the writable ones in it', () => {
  const { parent, child } = performed(
    [
      { page: 0, nr: BLOCK - 1, prot: PAGE_READONLY },
      { page: BLOCK - 1, nr: 1, prot: PAGE_SHARED },
    ],
    forks(BLOCK),
  );
  for (const entries of [parent, child]) {
    expect(entries.map(contpte.pte_valid)).toEqual([true, true, true, true]);
    expect(entries.map(contpte.pte_write)).toEqual([false, false, false, false]);
  }
});

it.each([
  ['private: each page is as dirty for the child as for the parent', false, [false, true, true, true], false],
  ['shared: all are clean for the child, and so it gets a block', true, [false, false, false, false], true],
])('fork() of pages some of which are dirty, %s', (_, shared, dirty, block) => {
  const { child } = performed(
    [
      { page: 0, nr: 1, prot: PAGE_SHARED },
      { page: 1, nr: BLOCK - 1, prot: PAGE_SHARED & ~PTE_RDONLY },
    ],
    forks(BLOCK, shared),
  );
  expect(child.map(contpte.pte_dirty)).toEqual(dirty);
  expect(child.every(contpte.pte_cont)).toBe(block);
});

it.each([
  ['the whole block', true, BLOCK],
  ['a plain entry', false, 1],
])('the page was young: %s is invalidated', (_, cont, old) => {
  const { parent, counted } = performed([{ page: 0, nr: BLOCK, prot: PAGE_SHARED, cont }], (cpu, { vma }) =>
    cpu.k.folio_referenced_one(cpu, 0, vma, 0),
  );
  expect(parent.filter((pte) => !contpte.pte_young(pte))).toHaveLength(old);
  expect(counted).toEqual([Arm64Counter.tlbiPage]);
});

it('a lockless reader to whom an entry of a block that stays always looks gone begins again for ever', async () => {
  const { __ptep_get } = contpte;
  const sees_nothing = routine(
    'contpte_ptep_get_lockless',
    function* (cpu: contpte.ContpteCpu, ptep: contpte.Ptep): Steps<number> {
      for (;;) {
        yield* point('retry');
        const pte = yield* __ptep_get(cpu, ptep);
        if (!contpte.pte_valid_cont(pte)) return pte;
      }
    },
  );
  const replace = { contpte_ptep_get_lockless: sees_nothing };
  const judged = async (scenario: string, variant: string) => {
    const parameters = { block: 2, device: 0 };
    const resolved = resolveScenario(all, { scenario, variant, parameters, replace });
    return (await explore(resolved.build(), { interleavingsStatesMax: 0 })).kind;
  };
  expect(await judged('contpte-young', 'cold')).toBe('livelock');
  // Here the block is gone in the end.
  expect(await judged('contpte-zap', 'whole')).toBeNull();
});

it('zapping a block and a half unfolds the second one', () => {
  const { parent, counted } = performed(
    [{ page: 0, nr: 2 * BLOCK, prot: PAGE_SHARED, cont: true }],
    (cpu, { vma }) => cpu.k.zap_page_range_single(cpu, vma, 0, (BLOCK + BLOCK / 2) * PAGE_SIZE),
    2 * BLOCK,
  );
  expect(parent.map(contpte.pte_valid)).toEqual([false, false, false, false, false, false, true, true]);
  expect(parent.some(contpte.pte_cont)).toBe(false);
  // The first one is cleared as it is.
  expect(counted.filter((counter) => counter === 'contpte_unfold')).toHaveLength(1);
});

it('pages that are moved to the start of a block, and whose frames are not at that of one, get plain entries', () => {
  const { parent } = performed(
    [{ page: 0, nr: BLOCK, prot: PAGE_READONLY }],
    function* (cpu, { vma, kernel }) {
      const pte = contpte.pfn_pte(kernel.folio(0).pfn + BLOCK / 2, PAGE_READONLY);
      yield* contpte.pte_offset_map_lock(cpu, vma.vm_mm, 0);
      yield* cpu.k.set_ptes(cpu, vma.vm_mm, BLOCK * PAGE_SIZE, { table: 0, index: BLOCK }, pte, BLOCK);
      yield* contpte.pte_unmap_unlock(cpu, vma.vm_mm);
    },
    2 * BLOCK,
  );
  expect(parent.slice(BLOCK).every(contpte.pte_valid)).toBe(true);
  expect(parent.some(contpte.pte_cont)).toBe(false);
});
