/**
 * `secondary-tlb-order`: when must hardware that walks the primary page table be told of a new page?
 * (Documentation/mm/mmu_notifier.rst)
 *
 * CPU0 and CPU1 write to pages A and B, which are shared and read-only, so each gets a copy. CPU2 runs another thread,
 * which writes to A and then to B. A device reads B and then A. And: a device writes to a page that its translation has
 * read-only. See docs/mmu-notifier.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import type { Cpu } from '@shootdown/cpu';
import { program, type Property, type Steps, type System } from '@shootdown/machine';
import { secondary, type IpiTlbOptions } from '@shootdown/mm';
import { pte_write } from '@shootdown/mmu';
import {
  buildSecondaryMachine,
  faults,
  isMerged,
  merges,
  type InitialPage,
  type SecondaryMachine,
  type SecondaryMachineOptions,
} from './secondary-machine.ts';
import { otherThread } from './tasks.ts';

/** A variant with the parts it is built from. */
interface OrderVariant extends Variant {
  readonly secondaryTlbs: secondary.NotifierDesign['secondaryTlbs'];
  /**
   * What happens to the pages: a copy that is then written to, KSM with an equal page, or the device may write to its
   * own read-only page.
   */
  readonly how: 'copy' | 'merge' | 'upgrade';
  readonly tlb?: IpiTlbOptions;
}

const [A, B] = [0, 1];
const VERSION = 1;
const UPGRADE = '"Invalidate secondary IOMMU TLB on permission upgrade", Alistair Popple, July 2023';
const ARM64: IpiTlbOptions = { flushesUpgrades: true };
const RST = 'Documentation/mm/mmu_notifier.rst, v6.18';

/** The stores are to A, then B; the loads of B, then A. */
const READS_IN_ORDER = {
  property: 'a device that reads the newer of two stores reads the older one too',
  holds: ([b = 0, a = 0]: readonly number[]): boolean => b < VERSION || a >= VERSION,
};

const orderVariants: readonly OrderVariant[] = [
  {
    name: 'notify-under-ptl',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: RST,
    summary: 'the device is told between clearing and setting the entry',
    secondaryTlbs: 'under the lock',
    how: 'copy',
  },
  {
    name: 'notify-with-flush',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: '1af5a8109904 (v6.6)',
    summary: 'the flush of the CPUs tells it',
    secondaryTlbs: 'with the flush',
    how: 'copy',
  },
  {
    name: 'notify-at-end-only',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: RST,
    summary: 'the device is told by invalidate_range_end(), after the lock has been dropped',
    secondaryTlbs: 'at the end',
    how: 'copy',
  },
  {
    name: 'never',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'no outside authority',
    summary: 'the device is not told',
    secondaryTlbs: 'never',
    how: 'copy',
  },
  {
    name: 'ksm/notify-at-end-only',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: RST,
    summary: 'KSM replaces a read-only page by an equal one: the end is early enough',
    secondaryTlbs: 'at the end',
    how: 'merge',
  },
  {
    name: 'ksm/never',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: 'no outside authority',
    summary: 'the same, and the device is not told',
    secondaryTlbs: 'never',
    how: 'merge',
  },
  {
    name: 'upgrade/notify-under-ptl',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: UPGRADE,
    summary:
      'until v6.5: a fault of the device makes the entry writable, CPUs are flushed (arm64), and the device keeps its read-only translation',
    secondaryTlbs: 'under the lock',
    how: 'upgrade',
    tlb: ARM64,
  },
  {
    name: 'upgrade/notify-with-flush',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: UPGRADE,
    summary: 'v6.6: the flush tells the device',
    secondaryTlbs: 'with the flush',
    how: 'upgrade',
    tlb: ARM64,
  },
];

/** Writes to A, then to B, if it can at once: whoever has no writable entry yet gives up. */
const writes_in_order = otherThread(function* ({ kernel }: SecondaryMachine, cpu: Cpu): Steps {
  if ((yield* secondary.cpu_access(kernel, cpu, A, VERSION)) < 0) return;
  yield* secondary.cpu_access(kernel, cpu, B, VERSION);
});

function buildTlbOrder({ variant: { secondaryTlbs, how, tlb }, memoryModel }: BuildRequest<OrderVariant>): System {
  return buildSecondaryMachine(
    {
      memoryModel,
      freePages: 2,
      stablePage: how === 'merge',
      design: { ...secondary.NotifierEra.E3, secondaryTlbs },
      ...(tlb && { tlb }),
      ...PARTS[how],
    },
    WITNESSES[how],
  );
}

const SHARED: InitialPage = { writable: false, references: 2, established: true };
const OWN: InitialPage = { writable: true, references: 1, established: true };
const OWN_READ_ONLY: InitialPage = { ...OWN, writable: false };
const load = (page: number): secondary.SecondaryAccess => ({ page, version: 0 });
const store = (page: number): secondary.SecondaryAccess => ({ page, version: VERSION });

const PARTS: Readonly<Record<OrderVariant['how'], Pick<SecondaryMachineOptions, 'pages' | 'cpus' | 'device'>>> = {
  copy: {
    pages: [SHARED, SHARED],
    cpus: [faults(A), faults(B), { accesses: true, run: (machine, cpu) => program(writes_in_order, machine, cpu) }],
    device: { kind: 'tlb', accesses: [load(B), load(A)], mustHold: READS_IN_ORDER },
  },
  merge: { pages: [OWN], cpus: [merges(A)], device: { kind: 'tlb', accesses: [load(A), store(A), load(A)] } },
  upgrade: {
    pages: [OWN_READ_ONLY],
    cpus: [],
    device: { kind: 'tlb', accesses: [load(A), store(A)], faultsOnce: true },
  },
};

function orderWitness({ contents }: SecondaryMachine): Property[] {
  const newest = [A, B].map((page) => contents.newest.at(page));
  return [
    {
      name: 'the thread writes to both pages',
      kind: 'sometimes',
      why: 'otherwise there is no order to see',
      reads: newest,
      check: (read) => newest.every((word) => read(word) > 0),
    },
  ];
}

function upgradeWitness({ kernel }: SecondaryMachine): Property[] {
  const entry = kernel.frames.entry(0, A).address;
  return [
    {
      name: 'the entry becomes writable',
      kind: 'sometimes',
      why: 'otherwise nothing has been upgraded',
      reads: [entry],
      check: (read) => pte_write(read(entry)),
    },
  ];
}

const WITNESSES: Readonly<Record<OrderVariant['how'], (machine: SecondaryMachine) => readonly Property[]>> = {
  copy: orderWitness,
  merge: (machine) => [isMerged(machine, A)],
  upgrade: upgradeWitness,
};

/** Devices that walk the primary page table: when must they be told of a new page? */
export const secondaryTlbOrder: Scenario<OrderVariant> = {
  name: 'secondary-tlb-order',
  title: 'Devices that walk the primary page table: when must they be told of a new page?',
  seed: 'S3',
  variants: orderVariants,
  build: buildTlbOrder,
};
