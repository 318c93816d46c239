/**
 * `pae-lockless-read`: can ptep_get_lockless() return a value that was never in the table? (32-bit x86 with PAE, 2022)
 *
 * An entry has two words. The read takes low, high, low and is content when low has not changed. Its comment says that
 * a present entry does not become another present one without a flush, and that interrupts are off. See
 * docs/kvm-gup-fast.md.
 */
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { addVcpu, type Vcpu } from '@shootdown/hypervisor';
import { program, SystemBuilder, type Property, type Steps, type System } from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, gup, Smp } from '@shootdown/mm';
import { elided } from './flush-machine.ts';
import { asUser } from './tasks.ts';

type Call = 'dontneed' | 'touch';

/** A variant with the parts it is built from. */
interface PaeVariant extends Variant {
  readonly flush: 'native' | 'kvm-pv' | 'hypercall';
  readonly design: gup.PaeDesign;
  /** What the other CPUs do, one list each. */
  readonly others: readonly (readonly Call[])[];
}

type Parts = Partial<gup.PaeDesign> & Pick<PaeVariant, 'flush' | 'others' | 'parameters'>;

const THREAD = '"mm: Update ptep_get_lockless()s comment", October 2022';
const HORN =
  'Jann Horn, "ptep_get_lockless() on 32-bit x86/mips/sh looks wrong", 6 October 2022, CAG48ez1Oz4tT-N2Y=Zs6jumu=zOp7SQRZ=V2c+b5bT9P4retJA@mail.gmail.com';
const DEFAULTS: gup.PaeDesign = {
  reader: 'low-high-low',
  flushPosition: 'after-ptl',
  clear: 'cmpxchg8b',
  fault: 'anonymous',
  recheck: 'none',
  irqs: 'off',
  counted: 'after the clear',
};

/** Operations in a row without a point: more than a flush by IPI of four CPUs. */
const HISTORY_MAX = 64;
const WALKER = 0;

/** Two zappers whose flushes wait for the walker, and the faults in between, each on a CPU that is still free. */
const TWO_ZAPPERS: PaeVariant['others'] = [['dontneed'], ['touch', 'dontneed'], ['touch']];
const ONE_ZAPPER: PaeVariant['others'] = [['dontneed'], ['touch']];

function replacements(count: number): PaeVariant['others'] {
  return [Array.from({ length: count }, (): readonly Call[] => ['dontneed', 'touch']).flat()];
}

/** The first page, whichever is mapped later. Left out, it is a parameter of the scenario. */
const BELOW = { parameters: { high: 0 } } as const;
const ABOVE = { parameters: { high: 1 } } as const;
const TWICE = { others: replacements(2) } as const;
const KVM_TWICE = { ...TWICE, flush: 'kvm-pv' } as const;

function variant(
  name: string,
  expected: Variant['expected'],
  source: string,
  summary: string,
  { flush, others, parameters, ...parts }: Parts,
): PaeVariant {
  return {
    name,
    expected,
    source,
    summary,
    flush,
    others,
    ...(parameters && { parameters }),
    design: { ...DEFAULTS, ...parts },
  };
}

const OWN = 'no outside authority';
const RECHECKED = `${THREAD}: the second look in gup_fast_pte_range() is two loads as well`;

const paeVariants: readonly PaeVariant[] = [
  variant(
    'one-replacement',
    'safe',
    "derived: low differs, or high is that of the old page, of the new one, or 0, which is the old one's",
    'KVM guest, a page below 4 GiB is replaced once',
    {
      ...BELOW,
      flush: 'kvm-pv',
      others: replacements(1),
    },
  ),
  variant(
    'one-replacement/above-4g',
    'violation',
    `${OWN}: between clear and set the high word is 0, which is neither page's`,
    'the same with a page above 4 GiB',
    { ...ABOVE, flush: 'kvm-pv', others: replacements(1) },
  ),
  variant('native/flush-after-ptl', 'violation', `${HORN}: four threads`, 'bare metal, two zappers and two faults', {
    flush: 'native',
    others: TWO_ZAPPERS,
  }),
  variant(
    'native/one-zapper',
    'violation',
    `${OWN}: as one-replacement/above-4g, the flush is still outstanding`,
    'bare metal, one zapper and one fault, a page above 4 GiB',
    { ...ABOVE, flush: 'native', others: ONE_ZAPPER },
  ),
  variant(
    'native/one-zapper/below-4g',
    'safe',
    'derived: as one-replacement',
    'bare metal, one zapper and one fault, a page below 4 GiB',
    { ...BELOW, flush: 'native', others: ONE_ZAPPER },
  ),
  variant(
    'native/refault',
    'violation',
    `${OWN}: as native/one-zapper; the page cache has the page still, so the entry comes back as it was`,
    'bare metal, one zapper and one fault, a page of a file above 4 GiB',
    {
      ...ABOVE,
      flush: 'native',
      others: ONE_ZAPPER,
      fault: 'page-cache',
    },
  ),
  variant(
    'native/refault/recheck',
    'violation',
    `${OWN}: the second look is torn by a second clear`,
    'the same with a second look, and one more zapper',
    {
      ...ABOVE,
      flush: 'native',
      others: [['dontneed'], ['touch', 'dontneed']],
      fault: 'page-cache',
      recheck: 'low-high',
    },
  ),
  variant(
    'native/refault/recheck-high-first',
    'violation',
    `${OWN}: the second look is torn by a second clear and refault`,
    'the same with the loads of the second look the other way round, and one more fault',
    {
      ...ABOVE,
      flush: 'native',
      others: [['dontneed'], ['touch', 'dontneed'], ['touch']],
      fault: 'page-cache',
      recheck: 'high-low',
    },
  ),
  variant(
    'native/flush-under-ptl',
    'safe',
    'derived: the fault waits for the lock, the flush for the walk',
    'bare metal, MADV_DONTNEED flushes before it drops the lock',
    {
      flush: 'native',
      others: TWO_ZAPPERS,
      flushPosition: 'under-ptl',
    },
  ),
  variant(
    'native/flush-under-ptl/irqs-on',
    'violation',
    'derived: the flush does not wait for the walk',
    'the walk leaves interrupts on; one other CPU replaces a page above 4 GiB once',
    {
      ...ABOVE,
      flush: 'native',
      others: replacements(1),
      flushPosition: 'under-ptl',
      irqs: 'on',
    },
  ),
  variant(
    'kvm-pv',
    'violation',
    'derived: a preempted reader holds no flush up, so one other vCPU is enough',
    'KVM guest, one other vCPU replaces the page twice',
    KVM_TWICE,
  ),
  variant(
    'kvm-pv/flush-under-ptl',
    'violation',
    'derived: the flush completes without the reader',
    'the same, flushing before the lock is dropped',
    { ...KVM_TWICE, flushPosition: 'under-ptl' },
  ),
  variant(
    'kvm-pv/split-clear',
    'violation',
    'derived: as kvm-pv',
    'the same before v6.2: the words are cleared one after the other',
    { ...KVM_TWICE, clear: 'split' },
  ),
  variant(
    'hypercall/flush-after-ptl',
    'violation',
    `${HORN}: paravirtual flushes without IPI`,
    'a guest of Hyper-V or Xen, one other vCPU replaces the page twice',
    { ...TWICE, flush: 'hypercall' },
  ),
  variant(
    'hypercall/flush-under-ptl',
    'violation',
    'derived: the flush completes without the reader, preempted or not',
    'the same, flushing before the lock is dropped',
    { ...TWICE, flush: 'hypercall', flushPosition: 'under-ptl' },
  ),
  variant(
    'clear-counter',
    'safe',
    '__get_spte_lockless(), arch/x86/kvm/mmu/mmu.c',
    'KVM guest, the reader also looks at a counter of clears',
    { ...KVM_TWICE, reader: 'clear-counter' },
  ),
  variant(
    'clear-counter/split-clear',
    'safe',
    '__get_spte_lockless(), arch/x86/kvm/mmu/mmu.c',
    'the same with words cleared one after the other, as KVM does',
    { ...KVM_TWICE, reader: 'clear-counter', clear: 'split' },
  ),
  variant(
    'clear-counter/counted-first',
    'violation',
    'comment in count_spte_clear(), arch/x86/kvm/mmu/mmu.c: the entry is set before the counter moves',
    'the same counting before the words are cleared; a page above 4 GiB is replaced once',
    {
      ...ABOVE,
      flush: 'kvm-pv',
      others: replacements(1),
      reader: 'clear-counter',
      clear: 'split',
      counted: 'before the clear',
    },
  ),
  variant('cmpxchg8b', 'safe', `${THREAD}: the cleanest fix, at a cost`, 'KVM guest, both words are read at once', {
    ...KVM_TWICE,
    reader: 'cmpxchg8b',
  }),
  variant(
    'recheck/two-replacements',
    'safe',
    RECHECKED,
    'KVM guest, the page is only believed after a second look; a page below 4 GiB is replaced twice',
    { ...BELOW, ...KVM_TWICE, recheck: 'low-high' },
  ),
  variant(
    'recheck/three-replacements',
    'violation',
    RECHECKED,
    'the first of three moves the page above 4 GiB, the others tear both looks',
    { ...BELOW, flush: 'kvm-pv', others: replacements(3), recheck: 'low-high' },
  ),
  variant(
    'recheck/two-replacements/above-4g',
    'violation',
    `${OWN}: as one-replacement/above-4g, twice`,
    'a page above 4 GiB is replaced twice: the second look is torn too',
    { ...ABOVE, ...KVM_TWICE, recheck: 'low-high' },
  ),
];

/** Builds the machine of a variant: CPU0 reads, the others zap and fault. */
function buildPaeLocklessRead({
  variant: { flush, design, others },
  memoryModel,
  parameters: { high },
}: BuildRequest<PaeVariant, 'high'>): System {
  const builder = new SystemBuilder({ memoryModel, maxHistory: HISTORY_MAX });
  const cpus = Array.from({ length: 1 + others.length }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const smp = new Smp(builder, cpus);
  const walker = cpus[WALKER] as Cpu;
  const vcpu = flush === 'kvm-pv' ? addVcpu(builder, walker, { entry: 'atomic' }) : null;
  const everybody = (1 << cpus.length) - 1;
  const kernel = new gup.PaeKernel(builder, backEnd(flush, smp, everybody, vcpu), high);
  for (const cpu of cpus) {
    const body =
      cpu.id === WALKER
        ? program(gup.gup_fast_pte, kernel, cpu, design)
        : program(user, kernel, cpu, design, others[cpu.id - 1] ?? []);
    startCpu(
      builder,
      cpu,
      [body],
      { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) },
      cpu.id === WALKER && vcpu ? { gate: vcpu.gateName } : {},
    );
  }
  for (const property of propertiesOf(kernel, vcpu)) builder.property(property);
  return builder.build();
}

function backEnd(flush: PaeVariant['flush'], smp: Smp, everybody: number, vcpu: Vcpu | null): gup.FlushBackEnd {
  if (flush === 'kvm-pv') return gup.kvmPv(smp, everybody, { stealTime: [vcpu?.stealTime] });
  return flush === 'hypercall' ? gup.hypercall(smp, everybody) : gup.nativeIpi(smp, everybody);
}

const user = asUser(function* (kernel: gup.PaeKernel, cpu: Cpu, design: gup.PaeDesign, calls: readonly Call[]): Steps {
  for (const call of calls) {
    if (call === 'touch') yield* gup.handle_mm_fault(kernel, design);
    else yield* gup.madvise_dontneed(kernel, cpu, design);
  }
});

function propertiesOf({ entry, monitor }: gup.PaeKernel, vcpu: Vcpu | null): Property[] {
  const [walking, low] = [monitor.walking.at(0), entry.low];
  const cleared: Property = {
    name: 'the entry is cleared during a walk',
    kind: 'sometimes',
    why: 'otherwise the two never meet',
    reads: [walking, low],
    check: (read) => read(walking) === 1 && read(low) === 0,
  };
  return vcpu ? [cleared, elided(vcpu)] : [cleared];
}

/** ptep_get_lockless() on PAE: can it return a value that was never in the table? */
export const paeLocklessRead: Scenario<PaeVariant, 'high'> = {
  name: 'pae-lockless-read',
  title: 'ptep_get_lockless() on PAE: can it return a value that was never in the table?',
  seed: 'S1',
  parameters: {
    high: { default: 0, min: 0, max: 1, meaning: 'high word of the first page: 0 is a frame below 4 GiB' },
  },
  variants: paeVariants,
  build: buildPaeLocklessRead,
};
