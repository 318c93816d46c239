/**
 * What the contpte layer costs and saves, in operations on 2 MB of memory mapped by ptes (order 9, 4 KB pages, blocks
 * of 16 entries): the four steps of the series for fork() and munmap(), batching of mprotect() and mremap(), and what
 * BBML2 leaves out.
 *
 * One CPU runs the routines of the scenarios in virtual time; every row has the same cost table.
 */
import { arm64Costs, DirectExecutor, point, runVirtualTime, type Steps } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { everyRow, isOff, type Comparison, type ComparisonTable, type EachRow, type Patch } from '../comparison.ts';
import {
  contpteMachine,
  startContpte,
  withVma,
  type ContpteMachine,
  type ContpteTask,
  type InitialMapping,
} from './machine.ts';
import { kernelWork } from '../tasks.ts';

const { PAGE_READONLY, PAGE_SHARED, PAGE_SIZE } = contpte;

/** 4 KB pages: a block of 64 KB. */
const CONT_PTES = 16;
const PAGES = 512;
const CYCLES_PER_MICROSECOND = arm64Costs.hertz / 1e6;

type Routines = Partial<contpte.ContpteRoutines>;

/** What is measured. */
interface Case {
  readonly replace: Routines;
  /** The memory is mapped by contiguous entries to begin with. */
  readonly folded: boolean;
  readonly bbml2?: boolean;
  readonly mms?: number;
  readonly blocks?: number;
  readonly body: (machine: ContpteMachine, cpu: contpte.ContpteCpu) => Steps;
}

/** Before the series: the public operations are the raw ones, and no entry is ever contiguous. */
const before: Routines = { set_ptes: contpte.set_ptes_raw };

/** A folio is given back once, whatever it consists of. */
const freedOnce: Routines = { tlb_finish_mmu: contpte.tlb_finish_mmu_put_once };

/** The first step: blocks, but no operation on a range of entries. */
const basic: Routines = {
  wrprotect_ptes: contpte.wrprotect_ptes_each_page,
  clear_full_ptes: contpte.clear_full_ptes_each_page,
};

/** mprotect() and mremap() as they were up to v6.16. */
const oneByOne: Routines = {
  mprotect_folio_pte_batch: contpte.mprotect_folio_pte_batch_one,
  mremap_folio_pte_batch: contpte.mremap_folio_pte_batch_one,
};

/** Cycles of one case. */
function cycles({ replace, folded, bbml2 = false, mms = 1, blocks = PAGES / CONT_PTES, body }: Case): number {
  const mapped: InitialMapping = { page: 0, folio: 0, nr: PAGES, prot: PAGE_SHARED, cont: folded };
  const variant = {
    name: 'cost',
    expected: 'safe',
    source: '',
    summary: '',
    replace: { ...freedOnce, ...replace },
  } as const;
  const machine = contpteMachine({
    request: { variant, memoryModel: 'sc', parameters: { block: CONT_PTES, reader: 1, device: 1 } },
    blocks,
    mms,
    folios: [{ nr_pages: PAGES }],
    mapped: [mapped],
    bbml2,
  });
  const task: ContpteTask = kernelWork(body);
  const executor = new DirectExecutor(startContpte(withVma(machine, { shared: mms === 1 }), [task], []));
  return runVirtualTime(executor, { costs: arm64Costs }).cycles;
}

const forks: Case['body'] = function* ({ vma, mms }, cpu) {
  yield* cpu.k.copy_pte_range(cpu, { ...vma, vm_mm: mms[1] as contpte.ContpteMm }, vma, 0, PAGES * PAGE_SIZE);
};
const unmaps: Case['body'] = function* ({ vma }, cpu) {
  yield* cpu.k.zap_page_range_single(cpu, vma, 0, PAGES * PAGE_SIZE);
};
const toggles: Case['body'] = function* ({ vma }, cpu) {
  yield* cpu.k.change_protection(cpu, vma, 0, PAGES * PAGE_SIZE, PAGE_READONLY);
  yield* point('and back');
  yield* cpu.k.change_protection(cpu, vma, 0, PAGES * PAGE_SIZE, PAGE_SHARED);
};
const moves: Case['body'] = function* ({ vma }, cpu) {
  yield* cpu.k.move_ptes(cpu, vma, 0, PAGES * PAGE_SIZE, PAGES * PAGE_SIZE);
};
/** Every block is unfolded by a change of one page, and the change is flushed later. */
const unfolds: Case['body'] = function* ({ vma, kernel }, cpu) {
  yield* contpte.pte_offset_map_lock(cpu, vma.vm_mm, 0);
  for (let page = 0; page < PAGES; page += CONT_PTES) {
    yield* point('block', page);
    const ptep = kernel.pte_offset(vma.vm_mm, page * PAGE_SIZE);
    yield* cpu.k.wrprotect_ptes(cpu, vma.vm_mm, page * PAGE_SIZE, ptep, 1);
  }
  yield* contpte.pte_unmap_unlock(cpu, vma.vm_mm);
};

const percent = (now: number, base: number): number => Math.round(1000 * (now / base - 1)) / 10;

/** The comparison: the steps of the series for fork() and munmap(), then what came later. */
export async function compareContpte(each: EachRow = everyRow, patch?: Patch): Promise<Comparison> {
  if (patch) return await comparePatched(each, patch);
  const steps = [
    { variant: 'before', replace: before, folded: false, fork: [], munmap: [] },
    { variant: 'basic', replace: basic, folded: true, fork: [1948.7, 469.4], munmap: [1104.8, 233.6] },
    { variant: 'batch', replace: {}, folded: true, fork: [-1.9, -8.9], munmap: [2.7, -3.9] },
    { variant: 'inline', replace: {}, folded: true, fork: [-1, -6], munmap: [0.9, -1.6] },
    { variant: 'fold', replace: {}, folded: true, fork: [-1.8, -6.4], munmap: [0.8, -1.7] },
  ];
  const measured = await each(steps, ({ replace, folded }) => ({
    fork: cycles({ replace, folded, mms: 2, body: forks }),
    munmap: cycles({ replace, folded, body: unmaps }),
  }));
  const [first] = measured;
  return {
    name: 'contpte',
    title: 'fork() and munmap() of 2 MB mapped by ptes, in the four steps of the contpte series',
    columns: [
      { key: 'forkMicroseconds', heading: 'fork', unit: 'us' },
      { key: 'fork', heading: 'fork', unit: '%, ours' },
      { key: 'forkPublished', heading: 'fork', unit: '%, Altra / M2' },
      { key: 'munmapMicroseconds', heading: 'munmap', unit: 'us' },
      { key: 'munmap', heading: 'munmap', unit: '%, ours' },
      { key: 'munmapPublished', heading: 'munmap', unit: '%, Altra / M2' },
      { key: 'reason', heading: 'off by more than 2x', unit: '' },
    ],
    rows: measured.map((row, i) => {
      const { variant = '', fork = [], munmap = [] } = steps[i] ?? {};
      const ours = { fork: percent(row.fork, first?.fork ?? 1), munmap: percent(row.munmap, first?.munmap ?? 1) };
      return {
        variant,
        forkMicroseconds: row.fork / CYCLES_PER_MICROSECOND,
        fork: ours.fork,
        forkPublished: published(fork),
        munmapMicroseconds: row.munmap / CYCLES_PER_MICROSECOND,
        munmap: ours.munmap,
        munmapPublished: published(munmap),
        reason: reasonOf(variant, [
          ['fork', ours.fork, fork],
          ['munmap', ours.munmap, munmap],
        ]),
      };
    }),
    more: [later()],
    notes: [
      'Costs are those of the arm64 table in packages/machine/src/schedule/cost.ts, the same in every row, and nothing is fitted. Published: cover letter of v5 (20240202080756.1453939-1).',
      'basic: each operation is for one page, so that the first one of every block unfolds it: 32 times 16 exchanges, a TLBI with DSB, and 16 stores. batch: whole blocks are changed as they are.',
      'inline and fold are about calls and branches. The model counts operations on memory, of which they save none: the same numbers as batch.',
      'basic costs more on real machines than here: a TLBI with DSB is 1,100 cycles in the table, as measured on few CPUs. On an Altra with 80 of them 8,600 would give the published number for fork(), on an M2 1,800.',
      'mprotect() and mremap() gain more here than published: system calls, areas and the test program itself are not counted, which the row without blocks shows to be about half of the time there; and an M3 has a cheap TLBI.',
      'TLB reach and misses of a real trace: shootdown tlb apps/lab/data/traces/sort-3m.u64.gz --contpte.',
    ],
  };
}

/** Today's kernel, and the same with routines of a user's own. */
async function comparePatched(each: EachRow, patch: Patch): Promise<Comparison> {
  const patched = (await patch.routines({ block: CONT_PTES })) as Routines;
  const kernels = [
    { variant: 'as it is', replace: {} },
    { variant: patch.name, replace: patched },
  ];
  const measured = { folded: true } as const;
  const microseconds = (one: Omit<Case, 'folded'>): number => cycles({ ...measured, ...one }) / CYCLES_PER_MICROSECOND;
  const column = (key: string) => ({ key, heading: key, unit: 'us', ratio: true });
  return {
    name: 'contpte',
    title: 'Operations on 2 MB mapped by contiguous entries',
    columns: [
      column('fork'),
      column('munmap'),
      column('mprotect'),
      column('mremap'),
      { ...column('unfold'), heading: 'unfold 32 blocks' },
    ],
    rows: await each(kernels, ({ variant, replace }) => ({
      variant,
      fork: microseconds({ replace, mms: 2, body: forks }),
      munmap: microseconds({ replace, body: unmaps }),
      mprotect: microseconds({ replace, body: toggles }),
      mremap: microseconds({ replace, blocks: (2 * PAGES) / CONT_PTES, body: moves }),
      unfold: microseconds({ replace, body: unfolds }),
    })),
    notes: ['Costs are those of the arm64 table in packages/machine/src/schedule/cost.ts.'],
  };
}

const MACHINES = ['Altra', 'M2'];

const signed = (value: number): string => `${value > 0 ? '+' : ''}${value}`;
const published = (values: readonly number[]): string => values.map(signed).join(' / ');

/** Where ours is off, and why. */
function reasonOf(
  variant: string,
  effects: readonly (readonly [what: string, ours: number, published: readonly number[]])[],
): string {
  const off = effects.flatMap(([what, ours, values]) =>
    values.flatMap((value, i) => (isOff(ours, value) ? [`${what} on ${MACHINES[i] ?? ''}`] : [])),
  );
  if (off.length === 0) return '';
  const why = variant === 'basic' ? 'what a TLBI with DSB costs there' : 'calls and branches are not counted';
  return `${off.join(', ')}: ${why}`;
}

/** What came after the series, as pairs. */
function later(): ComparisonTable {
  const rows = [
    {
      variant: 'unfold 32 blocks, BBML2 without TLBI',
      before: cycles({ replace: {}, folded: true, body: unfolds }),
      after: cycles({ replace: {}, folded: true, bbml2: true, body: unfolds }),
      published: -80,
      of: 'contpte_convert() alone',
      why: '',
    },
    {
      variant: 'mprotect() and back, 64 KB blocks, batched',
      before: cycles({ replace: oneByOne, folded: true, body: toggles }),
      after: cycles({ replace: {}, folded: true, body: toggles }),
      published: -72.2,
      of: '7.9 to 2.2 s',
      why: '',
    },
    {
      variant: 'mprotect() and back, no blocks, batched',
      before: cycles({ replace: { ...before, ...oneByOne }, folded: false, body: toggles }),
      after: cycles({ replace: before, folded: false, body: toggles }),
      published: 2.4,
      of: '4.2 to 4.3 s, folios of 4 KB',
      why: 'a folio of 4 KB has no batch: here it is one of 2 MB, whose batch saves a look at each page',
    },
    {
      variant: 'mremap(), 64 KB blocks, batched',
      before: cycles({ replace: oneByOne, folded: true, blocks: (2 * PAGES) / CONT_PTES, body: moves }),
      after: cycles({ replace: {}, folded: true, blocks: (2 * PAGES) / CONT_PTES, body: moves }),
      published: -37,
      of: '1.9 to 1.2 s',
      why: 'the test program, the system call and the areas are not counted',
    },
  ];
  return {
    title: 'What came later: v6.17',
    columns: [
      { key: 'beforeMicroseconds', heading: 'before', unit: 'us' },
      { key: 'afterMicroseconds', heading: 'after', unit: 'us' },
      { key: 'change', heading: 'change', unit: '%, ours' },
      { key: 'published', heading: 'change', unit: '%, published' },
      { key: 'of', heading: 'published', unit: 'of what' },
      { key: 'reason', heading: 'off by more than 2x', unit: '' },
    ],
    rows: rows.map(({ variant, before: base, after, published: theirs, of, why }) => ({
      variant,
      beforeMicroseconds: base / CYCLES_PER_MICROSECOND,
      afterMicroseconds: after / CYCLES_PER_MICROSECOND,
      change: percent(after, base),
      published: theirs,
      of,
      reason: isOff(percent(after, base), theirs) ? why : '',
    })),
  };
}
