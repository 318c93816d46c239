/**
 * `kvm-fault-vs-invalidate`: which steps of KVM's page fault keep it from mapping a page that is being taken away?
 * (2008 to 2026)
 *
 * CPU0 gives a page back with MADV_DONTNEED. A guest accesses it at any time, and faults whenever it has not mapped it.
 * See docs/mmu-notifier.md.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { program, routine, type Property, type System } from '@shootdown/machine';
import { FAULT_PROTOCOL, secondary, type FaultProtocol, type Kvm, type KvmMutant, type Memslots } from '@shootdown/mm';
import { pte_present } from '@shootdown/mmu';
import {
  buildSecondaryMachine,
  entryPair,
  zaps,
  type InitialPage,
  type PrimaryCpu,
  type SecondaryMachine,
} from './secondary-machine.ts';

/** A variant with the parts it is built from. */
interface FaultVariant extends Variant {
  readonly protocol?: Partial<FaultProtocol>;
  readonly rmapLock?: boolean;
  readonly mutant?: KvmMutant;
  /** User space adds the memslot meanwhile; see `GuestOptions`. */
  readonly memslots?: 'waits' | 'at once';
  /** Another thread gives the page beside it back meanwhile. */
  readonly twoRanges?: boolean;
  /** See `GuestOptions`. */
  readonly rangeGrows?: boolean;
  /** Another thread gives the same page back meanwhile. */
  readonly twoInvalidators?: boolean;
}

type FaultParameter = 'accesses' | 'writable' | 'faults';

const [PAGE, PAGE_BESIDE] = [0, 1];
const NOBODY = 'no outside authority';
const PROTOCOL = 'virt/kvm/kvm_main.c, v6.18: mmu_invalidate_retry_gfn()';
const REAL_MODE = 'arch/powerpc/kvm/book3s_hv_rm_mmu.c, v6.18: kvmppc_do_h_enter()';

const faultVariants: readonly FaultVariant[] = [
  { name: 'protocol', expected: 'safe', source: PROTOCOL, summary: 'v6.18' },
  {
    name: 'early-check',
    expected: 'safe',
    source: 'd02c357e5bfa ("KVM: x86/mmu: Retry fault before acquiring mmu_lock if mapping is changing")',
    summary: 'with the unlocked look before the lookup',
    protocol: { checksEarly: true },
  },
  {
    name: 'no-seq-check',
    expected: 'violation',
    source: PROTOCOL,
    summary: 'the sequence is not looked at: the page was looked up before the invalidation',
    protocol: { looksAtSequence: false },
  },
  {
    name: 'no-in-progress-check',
    expected: 'violation',
    source: PROTOCOL,
    summary: 'the counter is not looked at: the page was looked up during the invalidation',
    protocol: { looksAtInProgress: false },
  },
  {
    name: 'snapshot-after-lookup',
    expected: 'violation',
    source: PROTOCOL,
    summary: 'the sequence is remembered after the lookup',
    protocol: { snapshot: 'after the lookup' },
  },
  {
    name: 'check-outside-lock',
    expected: 'violation',
    source: PROTOCOL,
    summary: 'the check is made before mmu_lock is taken',
    protocol: { check: 'before the lock' },
  },
  {
    name: 'lock-dropped-before-install',
    expected: 'violation',
    source: PROTOCOL,
    summary: 'mmu_lock is dropped between check and installation',
    protocol: { dropsLock: true },
  },
  {
    name: 'end-order-swapped',
    expected: 'safe',
    source: 'derived: both are written, and read, under mmu_lock',
    summary: 'invalidate_range_end() counts down before it counts the sequence',
    mutant: 'counts down first',
  },
  {
    name: 'rmap-lock',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: REAL_MODE,
    summary: 'Book3S HV in real mode: check and installation under the lock of the rmap chain, without mmu_lock',
    rmapLock: true,
  },
  {
    name: 'rmap-lock/no-wmb',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: 'virt/kvm/kvm_main.c, v6.18: the comment on smp_wmb() in invalidate_range_end()',
    summary: 'the same, without smp_wmb() between seq++ and in_progress--',
    rmapLock: true,
    mutant: 'no write barrier',
  },
  {
    name: 'rmap-lock/no-rmb',
    expected: 'safe',
    expectedOn: { arm: 'violation' },
    source: 'include/linux/kvm_host.h, v6.18: the comment on smp_rmb() in mmu_invalidate_retry()',
    summary: 'the same, without smp_rmb() between the looks at in_progress and at seq',
    rmapLock: true,
    mutant: 'no read barrier',
  },
  {
    name: 'mmu-lock/no-wmb',
    expected: 'safe',
    expectedOn: { arm: 'safe' },
    source: 'derived: both are read under mmu_lock',
    summary: 'faults hold mmu_lock: smp_wmb() is not needed',
    mutant: 'no write barrier',
  },
  {
    name: 'rmap-lock/end-order-swapped',
    expected: 'violation',
    expectedOn: { arm: 'violation' },
    source: `${REAL_MODE} and the comment in mmu_invalidate_retry()`,
    summary: 'the same, counting down first',
    rmapLock: true,
    mutant: 'counts down first',
  },
  {
    name: 'rmap-lock/no-seq-check',
    expected: 'violation',
    source: REAL_MODE,
    summary: 'the same, without looking at the sequence',
    rmapLock: true,
    protocol: { looksAtSequence: false },
  },
  {
    name: 'rmap-lock/no-in-progress-check',
    expected: 'violation',
    source: REAL_MODE,
    summary: 'the same, without looking at the counter',
    rmapLock: true,
    protocol: { looksAtInProgress: false },
  },
  {
    name: 'two-ranges',
    expected: 'safe',
    source: 'virt/kvm/kvm_main.c, v6.18: kvm_mmu_invalidate_range_add()',
    summary: 'another thread gives the page beside it back: the range covers both until both have ended',
    twoRanges: true,
  },
  {
    name: 'two-ranges/range-replaced',
    expected: 'violation',
    source: NOBODY,
    summary: 'the second range replaces the first',
    twoRanges: true,
    rangeGrows: false,
  },
  {
    name: 'two-invalidators',
    expected: 'safe',
    source: 'virt/kvm/kvm_main.c, v6.18: kvm_handle_hva_range() flushes under mmu_lock',
    summary: 'another thread gives the same page back: who finds no entry may rely on it that nobody has cached one',
    twoInvalidators: true,
  },
  {
    name: 'two-invalidators/flush-after-unlock',
    expected: 'violation',
    source: 'derived: the second invalidation ends, and the page is freed, before the flush of the first',
    summary: 'the vCPUs flush when mmu_lock has been dropped',
    twoInvalidators: true,
    mutant: 'flush after unlock',
  },
  {
    name: 'memslot-added',
    expected: 'safe',
    source: 'virt/kvm/kvm_main.c, v6.18: kvm_swap_active_memslots()',
    summary: 'user space adds the memslot meanwhile, which waits until no invalidation is under way',
    memslots: 'waits',
  },
  {
    name: 'memslot-added/no-active-count',
    expected: 'violation',
    source: '52ac8b358b0c ("KVM: Block memslot updates across range_start() and range_end()")',
    summary: 'it is added at once: an invalidation ends that has not begun',
    memslots: 'at once',
  },
  {
    name: 'mutant-no-flush',
    expected: 'violation',
    source: NOBODY,
    summary: 'the entry is removed, and no vCPU is told',
    mutant: 'no flush',
  },
];

/** ioctl(KVM_SET_USER_MEMORY_REGION). */
const addsMemslot: PrimaryCpu = { accesses: false, run: ({ kvm }) => program(kvm_set_memory_region, kvm as Kvm) };

const kvm_set_memory_region = routine('kvm_set_memory_region', (kvm: Kvm) =>
  (kvm.memslots as Memslots).kvm_swap_active_memslots(),
);

function buildFaultVsInvalidate({
  variant,
  memoryModel,
  parameters,
}: BuildRequest<FaultVariant, FaultParameter>): System {
  const { protocol, rmapLock, memslots, twoRanges = false, twoInvalidators = false, rangeGrows, mutant } = variant;
  const page: InitialPage = { writable: parameters.writable === 1, references: 1, established: twoInvalidators };
  const second = twoRanges ? [zaps(PAGE_BESIDE)] : twoInvalidators ? [zaps(PAGE)] : [];
  return buildSecondaryMachine(
    {
      memoryModel,
      pages: twoRanges ? [page, page] : [page],
      freePages: 1,
      design: secondary.NotifierEra.E5,
      cpus: [zaps(PAGE), ...second, ...(memslots ? [addsMemslot] : [])],
      guest: {
        accesses: Array.from({ length: parameters.accesses }, () => ({ page: PAGE, version: 0 })),
        lookup: { faultsIn: parameters.faults !== 0 },
        protocol: { ...FAULT_PROTOCOL, ...protocol },
        ...(rmapLock && { rmapLock }),
        ...(memslots && { memslots }),
        ...(mutant && { mutant }),
        ...(rangeGrows !== undefined && { rangeGrows }),
      },
    },
    propertiesOf,
  );
}

function propertiesOf(machine: SecondaryMachine): Property[] {
  const { kvm } = machine;
  if (!kvm) return [];
  const pair = entryPair(machine, PAGE, kvm.entryAddress(PAGE));
  return [
    secondary.secondaryAgreesAtRest('kvm', pair),
    secondary.secondaryIsNoMoreWritable('kvm', pair),
    {
      name: 'the guest maps the page',
      kind: 'sometimes',
      why: 'otherwise there is nothing to invalidate',
      reads: [pair.secondary],
      check: (read) => pte_present(read(pair.secondary)),
    },
  ];
}

/** KVM page faults against invalidations: what keeps a guest from mapping a page that is being freed? */
export const kvmFaultVsInvalidate: Scenario<FaultVariant, FaultParameter> = {
  name: 'kvm-fault-vs-invalidate',
  title: 'KVM page faults against invalidations: what keeps a guest from mapping a page that is being freed?',
  seed: 'S3',
  parameters: {
    accesses: { default: 2, min: 1, max: 4, meaning: 'accesses of the guest' },
    writable: { default: 0, min: 0, max: 1, meaning: '1: the page is writable, and the guest maps it so' },
    faults: {
      default: 1,
      min: 0,
      max: 1,
      meaning: '1: a guest fault maps a new page; 0: the area is gone and there is none',
    },
  },
  variants: faultVariants,
  build: buildFaultVsInvalidate,
};
