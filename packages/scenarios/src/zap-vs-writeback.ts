/**
 * `zap-vs-writeback`: is a write lost that goes through a stale TLB entry while its page of a file is unmapped? (2014
 * and 2022)
 *
 * munmap() moves the dirty bit from the entry to the folio and flushes the TLB later. Until then a CPU whose TLB has
 * the entry with the dirty bit set writes on, and tells nobody. Writeback that comes in between cleans the folio: what
 * is written after that reaches the disk only if writeback had to wait for the flush. See docs/kvm-gup-fast.md, claim
 * 10.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import type { Cpu } from '@shootdown/cpu';
import { point, routine, type Property, type Steps, type System } from '@shootdown/machine';
import { filemap, type Mm } from '@shootdown/mm';
import { Fault, pte_dirty, pte_write, type SaturatedMmu } from '@shootdown/mmu';
import { flushMachine, PAGE, startMachine, type CpuRoutine, type FlushMachine } from './flush-machine.ts';
import { userCode } from './tasks.ts';

interface Design extends Variant {
  readonly writeback: filemap.WritebackDesign;
  /** Another process maps the page too, and does nothing with it. */
  readonly mappedTwice?: boolean;
}

const { v3_14, v3_15, flushAfterPtl, notMarked, readThenClear } = filemap.zapVersions;
/** What the scenario's kernel has unless a variant replaces it: v6.2 and later. */
const V6_2: filemap.ZapDesign = { flushUnderPtl: true, delayedRmap: true };
const SYNC: filemap.WritebackDesign = { sync: true };

const FLUSH_FIX = '1cf35d47712d, v3.15';
const RMAP_FIX = '5df397dec7c4, v6.2';
const NOBODY = 'no outside authority';

const designs: readonly Design[] = [
  {
    name: 'v3.14',
    expected: 'violation',
    source: FLUSH_FIX,
    summary: 'the flush comes after the page-table lock is dropped',
    replace: { zap_pte_range: v3_14 },
    writeback: SYNC,
  },
  {
    name: 'v3.14/mapped-twice',
    expected: 'violation',
    source: FLUSH_FIX,
    summary: 'the same while another process maps the page too',
    replace: { zap_pte_range: v3_14 },
    writeback: SYNC,
    mappedTwice: true,
  },
  {
    name: 'v3.15',
    expected: 'violation',
    source: RMAP_FIX,
    summary: 'flushed under the lock, but the folio no longer counts as mapped: writeback does not even try the lock',
    replace: { zap_pte_range: v3_15 },
    writeback: SYNC,
  },
  {
    name: 'v3.15/mapped-twice',
    expected: 'safe',
    source: FLUSH_FIX,
    summary: 'while another process maps the page too, writeback waits for the lock',
    replace: { zap_pte_range: v3_15 },
    writeback: SYNC,
    mappedTwice: true,
  },
  {
    name: 'v6.2',
    expected: 'safe',
    source: RMAP_FIX,
    summary: 'delayed rmap: the folio counts as mapped until the flush',
    writeback: SYNC,
  },
  {
    name: 'v6.2/mapped-twice',
    expected: 'safe',
    source: RMAP_FIX,
    summary: 'the same while another process maps the page too',
    writeback: SYNC,
    mappedTwice: true,
  },
  {
    name: 'v6.2/flush-after-ptl',
    expected: 'violation',
    source: 'derived: both halves of the protocol are needed',
    summary: 'delayed rmap, but the flush comes after the lock is dropped',
    replace: { zap_pte_range: flushAfterPtl },
    writeback: SYNC,
  },
  {
    name: 'v6.2/no-pvmw-sync',
    expected: 'violation',
    source: '479db0bf408e, v2.6.27',
    summary: 'writeback takes an entry that looks empty for empty, without the lock',
    writeback: { sync: false },
  },
  {
    name: 'mutant-not-marked',
    expected: 'violation',
    source: NOBODY,
    summary: 'zap_pte_range() forgets the dirty bit of the entry',
    replace: { zap_pte_range: notMarked },
    writeback: SYNC,
  },
  {
    name: 'mutant-read-then-clear',
    expected: 'violation',
    source: NOBODY,
    summary: 'the entry is read and then cleared, so that hardware may set its dirty bit in between',
    replace: { zap_pte_range: readThenClear },
    writeback: SYNC,
  },
];

/** Stores of the writer: the first may find the entry clean, the second dirty. */
const STORES = 2;

/**
 * What the CPUs do. CPU 0 unmaps; CPU 1 stores at any time and gives up when it faults; CPU 2 writes back what is
 * dirty, then tries to reclaim.
 */
function tasks(folio: filemap.FileFolio, { writeback }: Design): readonly CpuRoutine[] {
  return [
    routine('unmap_vmas', (_: FlushMachine, cpu: Cpu) => filemap.zap_page_range(folio, cpu, PAGE, V6_2)),
    userCode(function* ({ kernel }: FlushMachine, cpu: Cpu): Steps {
      const mmu = kernel.mmus[cpu.id] as SaturatedMmu;
      for (let value = 1; value <= STORES; value++) {
        yield* point('store', value);
        if ((yield* mmu.store(PAGE, () => folio.data.at(0), value)) !== Fault.none) return;
      }
    }),
    routine('kworker', function* (_: FlushMachine, cpu: Cpu): Steps {
      yield* filemap.writeback(folio, cpu, PAGE, writeback);
      yield* point('reclaim');
      yield* filemap.shrink_folio_list(folio);
    }),
  ];
}

/** Builds the machine of a variant. */
function buildZapVsWriteback({ variant: design, memoryModel }: BuildRequest<Design>): System {
  const machine = flushMachine({ memoryModel, mms: 1, loaded: [1, 1, 0], file: true });
  const { kernel, mms } = machine;
  const folio = new filemap.FileFolio(kernel, mms[0] as Mm, kernel.frames.tables, design.mappedTwice ? 2 : 1);
  for (const property of [folio.nothingIsLost, ...witnesses(machine, folio)]) kernel.builder.property(property);
  return startMachine(machine, tasks(folio, design));
}

function witnesses({ tlb, kernel: { frames } }: FlushMachine, { data, disk }: filemap.FileFolio): Property[] {
  const pte = frames.entry(0, PAGE).address;
  return [
    {
      name: 'CPU1 may write through an entry that memory no longer has',
      kind: 'sometimes',
      why: 'otherwise no write could be lost',
      reads: [...tlb.words, pte],
      check: (read) =>
        read(pte) === 0 && tlb.leaves(read, 1, PAGE).some((entry) => pte_write(entry) && pte_dirty(entry)),
    },
    {
      name: 'every store is written back',
      kind: 'sometimes',
      why: 'otherwise writeback comes too early, always',
      reads: [data.at(0), disk.at(0)],
      check: (read) => read(disk.at(0)) === STORES && read(data.at(0)) === STORES,
    },
  ];
}

/** munmap of a dirty file page against writeback: is a write through a stale TLB entry lost? */
export const zapVsWriteback: Scenario<Design> = {
  name: 'zap-vs-writeback',
  title: 'munmap of a dirty file page against writeback: is a write through a stale TLB entry lost?',
  seed: 'S1',
  variants: designs,
  build: buildZapVsWriteback,
};
