/**
 * `contpte-fault`: hardware that manages dirty state, and hardware that does not, write to pages of one block. Does
 * the fault handler find out what the one that faulted is missing, or does it fault for ever?
 */
import type { OffersC } from '@shootdown/c';
import type { BuildRequest, Scenario } from '@shootdown/explorer';
import { type Steps, type System } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import type { ContiguousMmu } from '@shootdown/mmu';
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
  withVma,
} from './machine.ts';
import { dma, userCode } from '../tasks.ts';

const { PAGE_READONLY, PAGE_SHARED, pte_write } = contpte;

interface Design extends ContpteVariant {
  /** All hardware manages dirty state. Default: the device and CPU0 do not. */
  readonly allDbm?: boolean;
  /** CPU0 loads, by hardware that does not set access flags either. There is no device. */
  readonly accessFlag?: boolean;
  /** There is no device. */
  readonly cpuOnly?: boolean;
  /** The block is read-only, as after fork(), and its last page is this process's own again. */
  readonly reuse?: boolean;
}

/** Another process has them too, and would see a store. */
const NOT_EXCLUSIVE = 'no page that another process has too becomes writable';
const WRITTEN = 'nobody writes to a page that another process has too';

const FAULT_LOOP = '97c5550b7631, March 2026';

const variants: readonly Design[] = [
  {
    name: 'current',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: FAULT_LOOP,
    summary: 'every entry of the block is looked at, and repaired',
  },
  {
    name: 'access-flag',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: '__ptep_set_access_flags(): a cmpxchg, as other hardware may set the dirty bit meanwhile',
    summary: 'the block is old, and hardware that does not set access flags loads from it while other hardware stores',
    accessFlag: true,
  },
  {
    name: 'reuse',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'contpte_ptep_set_access_flags(), 4602e5757bcc, v6.9: a change of the write bit unfolds',
    summary:
      'a page of a read-only block is reused after fork(): the block is unfolded, and that page becomes writable',
    reuse: true,
  },
  {
    name: 'reuse/no-unfold',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'no outside authority',
    summary: 'the write bit is set in every entry of the block, as accessed and dirty bits are',
    reuse: true,
    replace: { contpte_ptep_set_access_flags: contpte.contpte_ptep_set_access_flags_without_unfold },
  },
  {
    name: 'gathered-noop-test-no-dbm',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: FAULT_LOOP,
    summary: 'the gathered entry is dirty already: nothing is done, and the hardware that cannot set it faults again',
    replace: { contpte_ptep_set_access_flags: contpte.contpte_ptep_set_access_flags_gathered },
  },
  {
    name: 'gathered-noop-test-dbm',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: FAULT_LOOP,
    summary: 'the same where all hardware marks entries dirty by itself',
    allDbm: true,
    replace: { contpte_ptep_set_access_flags: contpte.contpte_ptep_set_access_flags_gathered },
  },
  {
    name: 'set-access-flags-no-tlbi',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'Catalin Marinas, review of v1, 2023; derived: it is a livelock',
    summary: 'entries are repaired and no TLB is told, not even after a fault that finds nothing to do (up to v6.18)',
    replace: {
      local_flush_tlb_contpte: contpte.flushes_nothing('local_flush_tlb_contpte'),
      local_flush_tlb_page: contpte.flushes_nothing('local_flush_tlb_page'),
      flush_tlb_fix_spurious_fault: contpte.flushes_nothing('flush_tlb_fix_spurious_fault'),
    },
  },
  {
    name: 'set-access-flags-no-tlbi/cpu-only',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'derived: flush_tlb_fix_spurious_fault() of v6.19 does it at the next fault',
    summary: 'the same with the flush after a spurious fault, and no device: one fault more, and no loop',
    cpuOnly: true,
    replace: {
      local_flush_tlb_contpte: contpte.flushes_nothing('local_flush_tlb_contpte'),
      local_flush_tlb_page: contpte.flushes_nothing('local_flush_tlb_page'),
    },
  },
];

/** A thread that writes to a page, or reads it, until that goes through. */
const accessesUntilDone = (pageOf: (machine: ContpteMachine) => number, write: boolean): ContpteTask =>
  userCode(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    yield* contpte.access_until_done(cpu, cpu.mmu, machine.vma, pageOf(machine), write);
  });

/** A device that does: its fault is handled by iommu_sva_handle_mm(), in a worker of the kernel on CPU1. */
const deviceWrites = (pageOf: (machine: ContpteMachine) => number): ContpteTask =>
  dma(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const mmu = machine.tlb.mmus[machine.deviceNumber] as ContiguousMmu;
    yield* contpte.access_until_done(cpu, mmu, machine.vma, pageOf(machine), true);
  });

const last = ({ block }: ContpteMachine): number => block - 1;
const first = (): number => 0;
const second = (): number => 1;

/** A thread stores to its own page, another to one that is shared, and a device loads from the block. */
function reusesOne(request: BuildRequest<Design, ContpteParameter>): System {
  const { block } = request.parameters;
  const exclusive = Array.from({ length: block }, (_, page) => page === block - 1);
  const machine = contpteMachine({
    request,
    folios: [{ nr_pages: block, exclusive }],
    mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_READONLY, cont: true }],
    kernelHardware: { keeps: true },
    device: {},
    readerPage: 0,
  });
  const { tlb, kernel } = machine;
  const { onStore } = tlb;
  const { pfn } = kernel.folio(0);
  tlb.onStore = (cx, frame) => {
    onStore(cx, frame);
    if (exclusive[frame - pfn] !== true) cx.fail(WRITTEN, () => `a store to frame 0x${frame.toString(16)}`);
  };
  const writable = withVma(machine, { writable: true });
  return startContpte(
    writable,
    [accessesUntilDone(last, true), accesses(() => [0]), readsLockless, deviceAccesses(() => [block - 1])],
    [
      ...machine.invariants.properties,
      ofEntries(machine, 'always', NOT_EXCLUSIVE, 'its stores would be seen there', (entries) =>
        entries.slice(0, block).every((pte, page) => !pte_write(pte) || exclusive[page] === true),
      ),
      ofEntries(machine, 'finally', 'the own page is writable', 'it was stored to', (entries) =>
        pte_write(entries[block - 1] as number),
      ),
    ],
  );
}

/** Stores to a clean contiguous block by hardware of different kinds: does each fault make progress? */
export const contpteFault: Scenario<Design, ContpteParameter> & OffersC = {
  name: 'contpte-fault',
  title: 'Stores to a clean contiguous block by hardware of different kinds: does each fault make progress?',
  seed: 'S4',
  architecture: 'arm64',
  parameters: contpteParameters,
  variants,
  routines: routinesOf,
  c: async () => (await import('./contpte.c.ts')).contpteOffer,
  build(request) {
    const { block } = request.parameters;
    if (request.variant.reuse) return reusesOne(request);
    const { allDbm: hardwareDirty = false, accessFlag = false, cpuOnly = accessFlag } = request.variant;
    const machine = contpteMachine({
      request,
      folios: [{ nr_pages: block }],
      mapped: [{ page: 0, folio: 0, nr: block, prot: PAGE_SHARED, cont: true, old: accessFlag }],
      kernelHardware: { hardwareDirty, hardwareAccess: !accessFlag, keeps: true, ignoresContiguous: true },
      ...(!cpuOnly && { device: { hardwareDirty, keeps: true } }),
    });
    return startContpte(machine, [
      accessesUntilDone(last, !accessFlag),
      accessesUntilDone(first, true),
      null,
      cpuOnly ? null : deviceWrites(second),
    ]);
  },
};
