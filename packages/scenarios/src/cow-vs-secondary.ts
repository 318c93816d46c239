/**
 * `cow-vs-secondary`: may a guest or a device use the old page after the process has been given a new one? (2009 to
 * 2024)
 *
 * CPU0 writes to a page that is shared and read-only, so it gets a copy. CPU1 runs another thread of the process, which
 * writes to the page as soon as it can, or reads it. A guest, or a device, has the old page mapped and reads at any
 * time. See docs/mmu-notifier.md.
 */
import type { BuildRequest, Scenario } from '@shootdown/explorer';
import type { Cpu } from '@shootdown/cpu';
import { point, program, type Property, type Region, type Steps, type System } from '@shootdown/machine';
import { handle_mm_fault, secondary, type Kvm } from '@shootdown/mm';
import { pte_pfn, pte_present, type SaturatedTlb } from '@shootdown/mmu';
import { cowVariants, type CowVariant } from './cow-vs-secondary.variants.ts';
import {
  buildSecondaryMachine,
  entryPair,
  faults,
  zaps,
  type DeviceOptions,
  type PrimaryCpu,
  type SecondaryMachine,
} from './secondary-machine.ts';
import { otherThread } from './tasks.ts';

const VERSION = 1;
const PAGE = 0;
/** Its place among the CPUs that access the page. */
const OTHER_THREAD = 1;
const READ = { page: PAGE, version: 0 } as const;

const other_thread = otherThread(function* (
  { kernel, mm }: SecondaryMachine,
  cpu: Cpu,
  does: CowVariant['other'],
): Steps {
  if (does === 'reads twice') yield* secondary.user_reads_twice(kernel, cpu, mm, PAGE);
  else if ((yield* secondary.cpu_access(kernel, cpu, PAGE, VERSION)) < 0 && does === 'faults') {
    yield* point('other thread');
    yield* handle_mm_fault(kernel, cpu, mm, PAGE, true);
    yield* secondary.cpu_access(kernel, cpu, PAGE, VERSION);
  }
});

const cow: PrimaryCpu = {
  accesses: true,
  run: ({ kernel, mm }, cpu) => program(secondary.user_write, kernel, cpu, mm, PAGE, VERSION),
};

/** What runs on the CPUs of the process. */
function programsOf({ does, other }: CowVariant): readonly PrimaryCpu[] {
  const thread: PrimaryCpu = { accesses: true, run: (machine, cpu) => program(other_thread, machine, cpu, other) };
  const collapse: PrimaryCpu = {
    accesses: false,
    run: ({ kernel, mm }, cpu) =>
      program(secondary.collapse_pte_mapped_thp, kernel, cpu, mm, PAGE, does === 'collapse'),
  };
  if (does === 'cow') return other === 'faults' ? [faults(PAGE), thread] : [cow, thread];
  if (does === 'zap') return [zaps(PAGE)];
  return does === 'cow and zap' ? [zaps(PAGE), faults(PAGE)] : [collapse];
}

function buildCowVsSecondary({ variant, memoryModel, parameters }: BuildRequest<CowVariant, 'established'>): System {
  const { era, who, does, other, change_pte, kvm, tlb, reuse } = variant;
  const design = { ...secondary.NotifierEra[era], ...variant.design };
  const collapses = does.startsWith('collapse');
  const accesses = Array.from({ length: who === 'guest and device' || other === 'faults' ? 1 : 2 }, () => READ);
  const device: DeviceOptions = { accesses, kind: who === 'device TLB' ? 'tlb' : 'table' };
  // What is gone is gone: a collapsed page would come back as part of a huge one, a zapped one as another page.
  const lookup = { faultsIn: does === 'cow', takesMmapLock: collapses };
  return buildSecondaryMachine(
    {
      memoryModel,
      levels: collapses ? 2 : 1,
      pages: [
        { writable: false, references: collapses || does === 'zap' ? 1 : 2, established: parameters.established !== 0 },
      ],
      freePages: 2,
      design,
      ...(tlb && { tlb }),
      ...(reuse && { reuse }),
      cpus: programsOf(variant),
      ...(who.startsWith('guest') && {
        guest: { accesses, lookup, ...(change_pte && { change_pte }), ...(kvm && { mutant: kvm }) },
      }),
      ...((who.startsWith('device') || who === 'guest and device') && { device }),
    },
    (machine) => propertiesOf(machine, variant),
  );
}

function propertiesOf(machine: SecondaryMachine, { does, other }: CowVariant): Property[] {
  const { kernel, contents } = machine;
  const primary = kernel.frames.entry(0, PAGE).address;
  const properties: Property[] = [];
  for (const [name, mmu] of [
    ['kvm', machine.kvm],
    ['odp', machine.odp],
  ] as const) {
    if (!mmu) continue;
    const pair = entryPair(machine, PAGE, mmu.entryAddress(PAGE));
    properties.push(secondary.secondaryAgreesAtRest(name, pair), secondary.secondaryIsNoMoreWritable(name, pair));
    if (does !== 'cow') continue;
    properties.push({
      name: `the new page is mapped (${name})`,
      kind: 'sometimes',
      why: 'otherwise nobody reads it there, and nothing is shown',
      reads: [primary, pair.secondary, contents.newest.at(PAGE)],
      check: (read) =>
        pte_present(read(pair.secondary)) &&
        pte_pfn(read(pair.secondary)) === pte_pfn(read(primary)) &&
        read(contents.newest.at(PAGE)) > 0,
    });
  }
  if (does === 'collapse') {
    const kvm = machine.kvm as Kvm;
    const entry = kvm.entryAddress(PAGE);
    properties.push({
      name: 'the guest maps the page when the collapse begins',
      kind: 'sometimes',
      why: 'otherwise there is nothing to tell it',
      reads: [kvm.in_progress, entry],
      check: (read) => read(kvm.in_progress) > 0 && pte_present(read(entry)),
    });
  }
  const { cpus, device } = machine.tlbs;
  if (does === 'zap' && device) properties.push(isStale(machine, device, 'the device', 0));
  if (other === 'reads twice' && cpus) properties.push(isStale(machine, cpus, 'the reader', OTHER_THREAD));
  if (does === 'cow and zap') {
    const { in_progress } = machine.kvm as Kvm;
    properties.push({
      name: 'both brackets are open at once',
      kind: 'sometimes',
      why: 'otherwise neither is inside of the other',
      reads: [in_progress],
      check: (read) => read(in_progress) === 2,
    });
  }
  if (does === 'cow' && machine.subscriptions.any) {
    const lock = (kernel.ptl as Region).at(0);
    const counters = [machine.kvm, machine.odp].flatMap((mmu) => (mmu ? [mmu.in_progress] : []));
    properties.push({
      name: 'the other thread writes to the new page while its replacement is under way',
      kind: 'sometimes',
      why: 'otherwise the two never meet',
      reads: [lock, contents.newest.at(PAGE), ...counters],
      check: (read) =>
        read(contents.newest.at(PAGE)) > 0 && (read(lock) !== 0 || counters.some((counter) => read(counter) > 0)),
    });
  }
  return properties;
}

/** Without a stale translation nobody needs to be told. */
function isStale({ kernel: { frames } }: SecondaryMachine, tlb: SaturatedTlb, who: string, index: number): Property {
  return {
    name: `${who} may use a translation that is no longer in memory`,
    kind: 'sometimes',
    why: 'otherwise there is nothing to flush',
    reads: [...tlb.words, ...Array.from({ length: frames.entries.cells }, (_, i) => frames.entries.base + i)],
    check: (read) => tlb.isStale(read, index, PAGE),
  };
}

/**
 * Copy-on-write against secondary MMUs: does a guest or a device use the old page after the process has written to the
 * new one?
 */
export const cowVsSecondary: Scenario<CowVariant, 'established'> = {
  name: 'cow-vs-secondary',
  title:
    'Copy-on-write against secondary MMUs: does a guest or a device use the old page after the process has written to the new one?',
  seed: 'S3',
  parameters: {
    established: {
      default: 1,
      min: 0,
      max: 1,
      meaning: '1: the old page is mapped to begin with; 0: a fault must map it',
    },
  },
  variants: cowVariants,
  build: buildCowVsSecondary,
};
