/**
 * vCPUs in a system: the actor, the steal-time record that guest and host share, and the host's scheduler.
 *
 * Mirrors arch/x86/kvm/x86.c, v6.18: record_steal_time(), kvm_steal_time_set_preempted(), kvm_vcpu_flush_tlb_guest();
 * and, as options, what stood there before the fixes of CVE-2019-3016 and CVE-2022-39189.
 */
import { defineOperation, operation, type Address, type Effect, type Message, type OperationContext, type Steps, type SystemBuilder } from '@shootdown/machine';
import { PREEMPTIONS_UNLIMITED, vcpuMachine, type VcpuEntry } from './vcpu.machine.ts';

/** Bits of kvm_steal_time.preempted (arch/x86/include/uapi/asm/kvm_para.h). */
export const KVM_VCPU_PREEMPTED = 1 << 0;
export const KVM_VCPU_FLUSH_TLB = 1 << 1;

/** The translation hardware of a guest's CPU, as KVM deals with it: tagged by VPID, so it survives an exit. */
export interface GuestMmu {
  /** Index of the MMU actor. */
  readonly component: number;
  /** The CPU is not in guest mode from now on: its hardware walks no guest tables. */
  suspend(cx: OperationContext): void;
  /** It is again. */
  resume(cx: OperationContext): void;
}

/** What KVM's instruction emulator does for one instruction of the guest: translate first, access later. */
export interface Emulator {
  /** gva_to_gpa(): the software walk whose result the emulator holds from now on. */
  translate(cx: OperationContext): void;
  /** The access, with the translation held. */
  access(cx: OperationContext): void;
}

/** How the host treats a vCPU; the defaults are v6.18. */
export interface VcpuOptions {
  /** Without it, nothing is flushed and nothing walks. */
  readonly mmu?: GuestMmu;
  /** How often an exploration preempts the vCPU at most. Default: any number of times. */
  readonly exploreBound?: number;
  /** See {@link VcpuEntry}. Default `atomic`. */
  readonly entry?: VcpuEntry;
  /** False: before v5.6, a vCPU preempted again before it entered the guest has its record overwritten. Default true. */
  readonly keepsPendingFlush?: boolean;
  /** False: before v5.19, KVM_VCPU_PREEMPTED is set wherever the vCPU is preempted, in the emulator too. Default true. */
  readonly onlyAtInstructionBoundary?: boolean;
  /** False: KVM_VCPU_FLUSH_TLB is not looked at on the way into the guest. Default true. */
  readonly honoursFlush?: boolean;
  readonly emulator?: Emulator;
  /** The vCPU begins preempted, for machines with an {@link addHost}. Default: it begins in guest mode. */
  readonly waits?: boolean;
}

/** A vCPU of a system. */
export interface Vcpu {
  readonly name: string;
  /** What {@link SystemBuilder.processor} wants as `gate`. */
  readonly gateName: string;
  /** Index of the actor. */
  readonly component: number;
  /** steal_time.preempted, in the guest's memory. */
  readonly stealTime: Address;
  /** vcpu->arch.st.preempted, the host's own copy. */
  readonly st_preempted: Address;
}

const FLUSH_GUEST: Message = { type: 'invpcid', kind: 2, asid: 0, vpn: 0 };

/**
 * Adds the vCPU behind a guest's CPU, which the host may preempt and resume at any time (`host` choices). The CPU's processor
 * takes {@link Vcpu.gateName} as its gate.
 */
export function addVcpu(builder: SystemBuilder, cpu: { readonly id: number }, options: VcpuOptions = {}): Vcpu {
  const name = `vCPU${cpu.id}`;
  const { entry = 'atomic', waits = false } = options;
  const record = { format: formatPreempted, initial: waits ? KVM_VCPU_PREEMPTED : 0 };
  const stealTime = builder.region(`${name}.steal_time.preempted`, 1, record).at(0);
  const st_preempted = builder.region(`${name}.arch.st.preempted`, 1, record).at(0);
  const component = builder.component({
    name,
    machine: vcpuMachine,
    input: { preemptions: options.exploreBound ?? PREEMPTIONS_UNLIMITED, entry, waits },
    effects: effectsOf(stealTime, st_preempted, options),
  });
  const vcpu: Vcpu = { name, gateName: name, component, stealTime, st_preempted };
  addChoices(builder, vcpu, entry, options);
  return vcpu;
}

function addChoices(builder: SystemBuilder, { name }: Vcpu, entry: VcpuEntry, { emulator }: VcpuOptions): void {
  const host = (text: string, type: string): void => {
    builder.spontaneous({ name: text, kind: 'host', component: name, message: { type } });
  };
  host(`host preempts ${name}`, 'preempt');
  host(`host resumes ${name}`, 'resume');
  if (entry === 'read_then_clear') host(`${name}: record_steal_time() reads`, 'read');
  if (entry === 'read_then_clear') host(`${name}: record_steal_time() clears, VM entry`, 'enter');
  else if (entry === 'xchg' || emulator) host(`${name}: record_steal_time(), VM entry`, 'enter');
  if (emulator) host(`${name}: emulated access`, 'emulated_access');
}

/** What the actor's steps do to memory and to the guest's TLB. */
function effectsOf(stealTime: Address, st_preempted: Address, options: VcpuOptions): Record<string, Effect> {
  const { mmu, keepsPendingFlush = true, onlyAtInstructionBoundary = true, honoursFlush = true, emulator } = options;
  const flushIfAsked = (cx: OperationContext, preempted: number): void => {
    cx.write(st_preempted, 0);
    if ((preempted & KVM_VCPU_FLUSH_TLB) !== 0 && honoursFlush && mmu) cx.tell(mmu.component, FLUSH_GUEST);
  };
  return {
    left_guest: (cx) => mmu?.suspend(cx),
    entered_guest: (cx) => mmu?.resume(cx),
    kvm_steal_time_set_preempted: (cx, event) => {
      if (onlyAtInstructionBoundary && event['at_instruction_boundary'] !== true) return;
      // The guest may have asked for a flush already: to write the record again would lose it.
      if (keepsPendingFlush && cx.read(st_preempted) !== 0) return;
      cx.write(stealTime, KVM_VCPU_PREEMPTED);
      cx.write(st_preempted, KVM_VCPU_PREEMPTED);
    },
    record_steal_time: (cx) => {
      const preempted = cx.read(stealTime);
      cx.write(stealTime, 0);
      flushIfAsked(cx, preempted);
    },
    'record_steal_time.read': (cx) => flushIfAsked(cx, cx.read(stealTime)),
    'record_steal_time.clear': (cx) => cx.write(stealTime, 0),
    gva_to_gpa: (cx) => emulator?.translate(cx),
    emulated_access: (cx) => emulator?.access(cx),
  };
}

const EMULATE: Message = { type: 'emulate' };

const EXIT = defineOperation({
  name: 'vm_exit',
  perform: (cx, op) => (cx.tell(op.a, EMULATE) ? 0 : -1),
});

/** The guest executes an instruction that KVM emulates: the CPU goes on when KVM has performed its access. */
export function* emulated_instruction(vcpu: Vcpu, what: string): Steps {
  yield operation(EXIT, vcpu.component, 0, 0, undefined, { label: what, fact: () => 'exit to the emulator' });
}

/** `PREEMPTED|FLUSH_TLB`, or `0`. */
export function formatPreempted(value: number): string {
  const names = [(value & KVM_VCPU_PREEMPTED) !== 0 ? 'PREEMPTED' : '', (value & KVM_VCPU_FLUSH_TLB) !== 0 ? 'FLUSH_TLB' : ''];
  return names.filter((text) => text !== '').join('|') || '0';
}
