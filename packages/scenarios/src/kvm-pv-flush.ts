/**
 * `kvm-pv-flush`: is a flush complete when it has only been asked of a preempted vCPU? (KVM on x86, 2018 to 2022)
 *
 * A guest that unmaps a page sends no IPI to a vCPU that the host has preempted: it sets KVM_VCPU_FLUSH_TLB in that
 * vCPU's steal-time record, and the host flushes before it enters the guest again. That holds only if no request is
 * lost, and if nobody goes on with a translation that was read before.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { user_mode, type Cpu } from '@shootdown/cpu';
import { emulated_instruction, type Emulator, type Vcpu, type VcpuOptions } from '@shootdown/hypervisor';
import { FrameKind, routine, type Property, type Steps, type System } from '@shootdown/machine';
import type { KvmTlbOptions } from '@shootdown/mm';
import { NO_TRANSLATION, offered, pte_pfn } from '@shootdown/mmu';
import { accesses, elided, flushMachine, PAGE, startMachine, unmap, type FlushMachine } from './flush-machine.ts';

/** How host and guest go about it. */
interface Design extends Variant {
  readonly host: VcpuOptions;
  readonly guest?: KvmTlbOptions['mutant'];
  /** vCPU 0 accesses the page by an instruction that KVM emulates. */
  readonly emulated?: boolean;
}

const CVE_2019_3016 = 'CVE-2019-3016, fixed in v5.6 by b043138246a4 and 8c6de56a42e0';
const CVE_2022_39189 = 'CVE-2022-39189, fixed in v5.19 by 6cd88243c7e0';
const NOBODY = 'no outside authority';

/** Of 2019: whether the vCPU stands between two instructions is not looked at. */
const OF_2019: VcpuOptions = { entry: 'xchg', onlyAtInstructionBoundary: false };

const designs: readonly Design[] = [
  {
    name: 'xchg',
    expected: 'safe',
    source: CVE_2019_3016,
    summary: 'record_steal_time() exchanges the record with 0',
    host: { entry: 'xchg' },
  },
  {
    name: 'read-then-clear',
    expected: 'violation',
    source: CVE_2019_3016,
    summary: 'record_steal_time() reads the record, then writes 0',
    host: { ...OF_2019, entry: 'read_then_clear' },
  },
  {
    name: 'second-preempt-guarded',
    expected: 'safe',
    source: CVE_2019_3016,
    summary: 'a vCPU preempted again before VM entry keeps its record',
    host: OF_2019,
  },
  {
    name: 'second-preempt-overwrites',
    expected: 'violation',
    source: CVE_2019_3016,
    summary: 'a vCPU preempted again before VM entry has its record written again',
    host: { ...OF_2019, keepsPendingFlush: false },
  },
  {
    name: 'instruction-boundary',
    expected: 'safe',
    source: CVE_2022_39189,
    summary: 'KVM_VCPU_PREEMPTED is set only between two instructions',
    host: { entry: 'xchg' },
    emulated: true,
  },
  {
    name: 'preempted-in-emulator',
    expected: 'violation',
    source: CVE_2022_39189,
    summary: 'KVM_VCPU_PREEMPTED is set in the emulator too',
    host: OF_2019,
    emulated: true,
  },
  {
    name: 'mutant-flag-ignored',
    expected: 'violation',
    source: NOBODY,
    summary: 'the host does not look at KVM_VCPU_FLUSH_TLB',
    host: { entry: 'xchg', honoursFlush: false },
  },
  {
    name: 'mutant-plain-store',
    expected: 'violation',
    source: NOBODY,
    summary: 'the guest stores KVM_VCPU_FLUSH_TLB without comparing',
    host: { entry: 'xchg' },
    guest: 'plain store',
  },
];

/** The task of vCPU 0 accesses the page by an instruction that exits to KVM's emulator, at any time, then computes. */
const emulated_access = routine('emulated access', function* ({ vcpus }: FlushMachine, cpu: Cpu): Steps {
  yield* emulated_instruction(vcpus[cpu.id] as Vcpu, `movs (page 0x${PAGE.toString(16)})`);
  yield* user_mode(cpu);
});

/** Builds the machine of a variant. */
function buildKvmPvFlush({
  variant: design,
  memoryModel,
  parameters: { preemptions },
}: BuildRequest<Design, 'preemptions'>): System {
  const held = { translation: -1 };
  const machine = flushMachine({
    memoryModel,
    mms: 1,
    loaded: [1, 1],
    ...(design.guest !== undefined && { kvm: { mutant: design.guest } }),
    host: [
      (under) => {
        const host = { ...design.host, exploreBound: preemptions };
        if (!design.emulated) return host;
        held.translation = under.builder.region('emulator.translation', 1).at(0);
        return { ...host, emulator: emulatorOf(under, held.translation) };
      },
      undefined,
    ],
  });
  for (const property of propertiesOf(machine, held.translation)) machine.builder.property(property);
  return startMachine(machine, [design.emulated ? emulated_access : accesses('guest access'), unmap]);
}

/** KVM's emulator: walks the guest's tables in software, and accesses what it found, later. */
function emulatorOf({ kernel: { frames, shape }, monitor }: FlushMachine, held: number): Emulator {
  const root = 0;
  return {
    translate: (cx) =>
      cx.write(
        held,
        offered((address) => cx.read(address), frames, shape, root, PAGE),
      ),
    access(cx) {
      const entry = cx.read(held);
      cx.write(held, NO_TRANSLATION);
      if (entry === NO_TRANSLATION) return;
      frames.check(cx, pte_pfn(entry), FrameKind.page, 'emulated access to');
      monitor.used(cx, root, PAGE, entry);
    },
  };
}

function propertiesOf({ kernel: { frames }, vcpus }: FlushMachine, held: number): Property[] {
  const witness = elided(vcpus[0] as Vcpu);
  const pte = frames.entry(0, PAGE).address;
  const stale: Property = {
    name: 'the emulator holds a translation that memory no longer has',
    kind: 'sometimes',
    why: 'otherwise its access could not go wrong',
    reads: [held, pte],
    check: (read) => read(held) !== NO_TRANSLATION && read(pte) === 0,
  };
  return held < 0 ? [witness] : [witness, stale];
}

/** KVM paravirtual flush: does a vCPU that was preempted while others flushed use an old translation? */
export const kvmPvFlush: Scenario<Design, 'preemptions'> = {
  name: 'kvm-pv-flush',
  title: 'KVM paravirtual flush: does a vCPU that was preempted while others flushed use an old translation?',
  seed: 'S1',
  parameters: { preemptions: { default: 2, min: 0, max: 6, meaning: 'times the host preempts vCPU 0 at most' } },
  variants: designs,
  build: buildKvmPvFlush,
};
