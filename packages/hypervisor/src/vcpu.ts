/**
 * vCPUs in a system: the actor, the steal-time record that guest and host share, and the host's scheduler.
 *
 * Mirrors arch/x86/kvm/x86.c, v6.18: record_steal_time(), kvm_steal_time_set_preempted(), kvm_vcpu_flush_tlb_guest();
 * and, as options, what stood there before the fixes of CVE-2019-3016 and CVE-2022-39189.
 */
import {
  BLOCKED,
  defineOperation,
  messageFor,
  ModelError,
  operation,
  type Address,
  type Effect,
  type Message,
  type OperationContext,
  type OptionValues,
  type Steps,
  type SystemBuilder,
  noted,
  checkValues,
  is,
  wordsOf,
} from '@shootdown/machine';
import { handle_pause, leaveSpinLoop, shrink_ple_window } from './directed-yield.ts';
import { bookExit, HypervisorCounter } from './exits.ts';
import {
  PREEMPTIONS_UNLIMITED,
  recordSteps,
  vcpuMachine,
  type ExitReason,
  type RecordStep,
  type VcpuEntry,
} from './vcpu.machine.ts';
import { IN_GUEST_MODE, KVM_REQ_TLB_FLUSH, OUTSIDE_GUEST_MODE, type VcpuWords, type Vm, type VmVcpu } from './vm.ts';

/** Bits of kvm_steal_time.preempted (arch/x86/include/uapi/asm/kvm_para.h). */
export const KVM_VCPU_PREEMPTED = 1 << 0;
/** The guest wants its TLB flushed before it is entered again. */
export const KVM_VCPU_FLUSH_TLB = 1 << 1;

/** The translation hardware of a guest's CPU, as KVM deals with it: tagged by VPID, so it survives an exit. */
export interface GuestMmu {
  /** Channel to the MMU actor. */
  readonly port: number;
  /** The CPU is not in guest mode from now on: its hardware walks no guest tables. */
  suspend(cx: OperationContext): void;
  /** It is again. */
  resume(cx: OperationContext): void;
}

/** What KVM has to do with a guest's CPU beyond being its gate. */
export interface VcpuOfVm {
  readonly vm: Vm;
  /** Whether an interrupt has been posted that the guest has not taken. */
  readonly interruptPending: (cx: OperationContext) => boolean;
  /** INVEPT on the physical CPU under the vCPU, if there is a second stage. */
  readonly invept?: (cx: OperationContext) => void;
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
  /** KVM has flushed before an entry, as the guest has asked; for guests whose translations are kept elsewhere. */
  readonly flushed?: (cx: OperationContext) => void;
  /** How often an exploration preempts the vCPU at most. Default: any number of times. */
  readonly exploreBound?: number;
  /** See {@link VcpuEntry}. Default `atomic`. */
  readonly entry?: VcpuEntry;
  /**
   * False: before v5.6, a vCPU preempted again before it entered the guest has its record overwritten. Default true.
   */
  readonly keepsPendingFlush?: boolean;
  /**
   * False: before v5.19, KVM_VCPU_PREEMPTED is set wherever the vCPU is preempted, in the emulator too. Default true.
   */
  readonly onlyAtInstructionBoundary?: boolean;
  /** False: KVM_VCPU_FLUSH_TLB is not looked at on the way into the guest. Default true. */
  readonly honoursFlush?: boolean;
  readonly emulator?: Emulator;
  /** The vCPU begins preempted, for machines with an {@link addHost}. Default: it begins in guest mode. */
  readonly waits?: boolean;
  /** The virtual machine it belongs to: needed for exits that are handled, a second stage and a host that schedules. */
  readonly of?: VcpuOfVm;
}

const ENTRIES = wordsOf<Extract<VcpuEntry, string>>()('atomic', 'xchg', 'read_then_clear');
const RECORD_STEPS = wordsOf<RecordStep>()('exchange', 'read', 'clear');

const VCPU_VALUES: OptionValues<VcpuOptions> = {
  mmu: is.withMethods('suspend', 'resume'),
  flushed: is.callable,
  exploreBound: is.whole(PREEMPTIONS_UNLIMITED),
  entry: (where, entry) =>
    Array.isArray(entry) ? is.listOf(is.oneOf(RECORD_STEPS))(where, entry) : is.oneOf(ENTRIES)(where, entry),
  keepsPendingFlush: is.flag,
  onlyAtInstructionBoundary: is.flag,
  honoursFlush: is.flag,
  emulator: is.withMethods('translate', 'access'),
  waits: is.flag,
  of: is.options<VcpuOfVm>({ vm: is.anything, interruptPending: is.callable, invept: is.callable }, [
    'vm',
    'interruptPending',
  ]),
};

/** A vCPU of a system. */
export interface Vcpu {
  readonly name: string;
  /** What {@link SystemBuilder.processor} wants as `gate`. */
  readonly gateName: string;
  /** Index of the actor. */
  readonly component: number;
  /** Channel to it, for exits: of the guest's CPU, and of the walks of its MMU. */
  readonly port: number;
  /** steal_time.preempted, in the guest's memory. */
  readonly stealTime: Address;
  /** vcpu->arch.st.preempted, the host's own copy. */
  readonly st_preempted: Address;
  /** What its virtual machine knows of it, if it has one. */
  readonly member: VmVcpu | null;
}

const FLUSH_GUEST: Message = { type: 'invpcid', kind: 2, asid: 0, vpn: 0 };

/**
 * Adds the vCPU behind a guest's CPU, which the host may preempt and resume at any time (`host` choices). The CPU's
 * processor takes {@link Vcpu.gateName} as its gate.
 */
export function addVcpu(builder: SystemBuilder, cpu: { readonly id: number }, options: VcpuOptions = {}): Vcpu {
  const name = `vCPU${cpu.id}`;
  checkValues(`hypervisor: ${name}: addVcpu`, options, VCPU_VALUES);
  const { entry = 'atomic', waits = false } = options;
  const record = { format: formatPreempted, initial: waits ? KVM_VCPU_PREEMPTED : 0 };
  const stealTime = builder.region(`${name}.steal_time.preempted`, 1, record).at(0);
  const st_preempted = builder.region(`${name}.arch.st.preempted`, 1, record).at(0);
  const words = options.of?.vm.addWords(name, waits);
  let member: VmVcpu | null = null;
  const port = builder.port(name);
  const component = builder.component({
    name,
    machine: vcpuMachine,
    input: { preemptions: options.exploreBound ?? PREEMPTIONS_UNLIMITED, entry, waits },
    effects: { ...effectsOf(port, stealTime, st_preempted, options, words), ...exitEffects(options, () => member) },
  });
  if (options.of && words) {
    const { vm, interruptPending } = options.of;
    const kick = vm.options.takesMemory
      ? builder.channel({ name: `${name}.kick`, to: name, policy: 'level', latency: 'ipi', drained: true })
      : -1;
    member = { name, component, port, words, kick, processor: -1, placement: null, interruptPending };
    vm.vcpus.push(member);
    vm.ready.push(words.ready);
    if (vm.options.pauseLoopExiting) {
      builder.spontaneous({
        name: `${name}: PAUSE-loop exit`,
        kind: 'hardware',
        component: name,
        message: exitMessage('pause'),
        drained: true,
        afterSpinning: { processor: `CPU${cpu.id}`, cycles: words.ple_window },
      });
    }
  }
  const vcpu: Vcpu = { name, gateName: name, component, port, stealTime, st_preempted, member };
  addChoices(builder, vcpu, entry, options);
  return vcpu;
}

const exitMessage = messageFor((reason: ExitReason) => ({ type: 'exit', reason }));
const blockMessage = messageFor((vcpu: number) => ({ type: 'block', vcpu }));
const wakeMessage = messageFor((vcpu: number) => ({ type: 'wake', vcpu }));

const HANDLED: Message = { type: 'handled' };

/**
 * A guest's CPU leaves guest mode for something that KVM handles: counted, paid for, handled, and unless the vCPU is
 * scheduled out meanwhile it is back in guest mode when this returns. Nothing happens outside guest mode.
 */
export function vm_exit(cx: OperationContext, vcpu: Pick<Vcpu, 'port'>, reason: ExitReason, from?: number): void {
  cx.send(vcpu.port, exitMessage(reason), from);
}

/**
 * An EPT violation: the exit, and what KVM does about it.
 * @param mmu the MMU whose walk it is
 */
export function ept_violation(cx: OperationContext, vcpu: Vcpu, gfn: number, mmu?: number): void {
  if (vcpu.member) cx.write(vcpu.member.words.guest_physical_address, gfn);
  vm_exit(cx, vcpu, 'ept_violation', mmu);
}

const HLT: Message = { type: 'hlt' };
const WAKE: Message = { type: 'wake' };

/**
 * What KVM hears of a guest's CPU: an IPI for it is an exit of the vCPU that sends it, and wakes it if it is halted.
 */
export function guestHooks(vm: Vm, vcpu: Vcpu): { ipi(cx: OperationContext): void; hlt(cx: OperationContext): void } {
  // By processor; known when all vCPUs are there.
  const senders: (VmVcpu | undefined)[] = [];
  return {
    ipi(cx) {
      const sender = (senders[cx.processor] ??= vm.vcpus.find(({ processor }) => processor === cx.processor));
      cx.count(HypervisorCounter.ipisSent);
      if (sender) vm_exit(cx, sender, 'msr_write');
      cx.send(vcpu.port, WAKE);
    },
    hlt: (cx) => void cx.send(vcpu.port, HLT),
  };
}

/** Effects of the actor that matter where the vCPU belongs to a virtual machine. */
function exitEffects({ of, entry = 'atomic' }: VcpuOptions, member: () => VmVcpu | null): Record<string, Effect> {
  const handle = (cx: OperationContext, reason: string): void => {
    const me = member();
    if (!of || !me) return;
    if (reason === 'pause') handle_pause(cx, of.vm, me);
    if (reason === 'ept_violation') handle_ept_violation(cx, of.vm, me);
  };
  return {
    vm_exit(cx, event) {
      const reason = String(event['reason']);
      bookExit(cx, reason);
      const me = member();
      if (!me || entry !== 'atomic') return;
      handle(cx, reason);
      cx.send(me.port, HANDLED);
    },
    handle_exit: (cx, event) => handle(cx, String(event['reason'])),
    sched_out(cx, event) {
      const preempted = event['preempted'] === true;
      cx.count(preempted ? HypervisorCounter.schedOut : HypervisorCounter.blocked);
      const me = member();
      if (!me) return;
      cx.write(me.words.preempted, preempted ? 1 : 0);
      cx.write(me.words.ready, preempted ? 1 : 0);
      if (preempted && me.processor >= 0)
        cx.write(me.words.preempted_in_kernel, cx.operationOf(me.processor)?.definition.user === true ? 0 : 1);
      if (!preempted && me.placement) cx.send(me.placement.host, blockMessage(me.placement.index));
    },
    sched_in(cx) {
      cx.count(HypervisorCounter.schedIn);
      const me = member();
      if (!me) return;
      cx.write(me.words.preempted, 0);
      cx.write(me.words.ready, 0);
      if (cx.read(me.words.in_spin_loop) === 1) leaveSpinLoop(cx, me);
      if (of?.vm.options.pauseLoopExiting) shrink_ple_window(cx, me);
    },
    woken(cx) {
      cx.count(HypervisorCounter.woken);
      const me = member();
      if (!me) return;
      cx.write(me.words.ready, 1);
      if (me.placement) cx.send(me.placement.host, wakeMessage(me.placement.index));
    },
  };
}

/** handle_ept_violation(): the guest frame of the violation gets a host frame, or may be written from now on. */
function handle_ept_violation(cx: OperationContext, { options }: Vm, { words, name }: VmVcpu): void {
  if (!options.page_fault) throw new ModelError(`hypervisor: ${name}: EPT violation without a second stage`);
  options.page_fault(cx, cx.read(words.guest_physical_address), name);
}

const VERBS: Readonly<Record<RecordStep, string>> = { exchange: 'exchanges', read: 'reads', clear: 'clears' };

/** How a column says what comes in one step with VM entry. */
function lastStep(step: RecordStep | undefined): string {
  if (step === undefined) return '';
  return step === 'exchange' ? 'record_steal_time(), ' : `record_steal_time() ${VERBS[step]}, `;
}

function addChoices(builder: SystemBuilder, { name, member }: Vcpu, entry: VcpuEntry, { emulator }: VcpuOptions): void {
  // In guest mode whatever comes is an exit, which older stores of the guest do not outlive; elsewhere none are left.
  const host = (text: string, message: Message): void => {
    builder.spontaneous({ name: text, kind: 'host', component: name, message, drained: true });
  };
  host(`host preempts ${name}`, { type: 'preempt' });
  host(`host resumes ${name}`, { type: 'resume' });
  const steps = recordSteps(entry);
  for (const step of new Set(steps.slice(0, -1)))
    host(`${name}: record_steal_time() ${VERBS[step]}`, { type: 'record', step });
  if (entry !== 'atomic' || emulator) host(`${name}: ${lastStep(steps.at(-1))}VM entry`, { type: 'enter' });
  if (emulator) host(`${name}: emulated access`, { type: 'emulated_access' });
  if (member && entry !== 'atomic') host(`${name}: exit handled`, HANDLED);
}

/** kvm_check_request(KVM_REQ_TLB_FLUSH) in vcpu_enter_guest(), before the first instruction of the guest. */
function serviceRequests(cx: OperationContext, words: VcpuWords, { mmu, of }: VcpuOptions): void {
  cx.write(words.mode, IN_GUEST_MODE);
  const requests = cx.read(words.requests);
  if ((requests & KVM_REQ_TLB_FLUSH) === 0) return;
  cx.write(words.requests, requests & ~KVM_REQ_TLB_FLUSH);
  if (!of?.invept) return;
  if (mmu) cx.note(mmu.port, 'invept');
  of.invept(cx);
}

/** What the actor's steps do to memory and to the guest's TLB. */
function effectsOf(
  port: number,
  stealTime: Address,
  st_preempted: Address,
  options: VcpuOptions,
  words: VcpuWords | undefined,
): Record<string, Effect> {
  const {
    mmu,
    flushed,
    keepsPendingFlush = true,
    onlyAtInstructionBoundary = true,
    honoursFlush = true,
    emulator,
  } = options;
  const flushIfAsked = (cx: OperationContext, preempted: number): void => {
    cx.write(st_preempted, 0);
    if ((preempted & KVM_VCPU_FLUSH_TLB) === 0 || !honoursFlush) return;
    flushed?.(cx);
    if (!mmu) return;
    cx.count(HypervisorCounter.flushOnEntry);
    cx.send(mmu.port, FLUSH_GUEST);
  };
  return {
    left_guest(cx) {
      cx.note(port, 'left_guest', true);
      if (words) cx.write(words.mode, OUTSIDE_GUEST_MODE);
      if (mmu) cx.note(mmu.port, 'suspend');
      mmu?.suspend(cx);
    },
    entered_guest(cx) {
      cx.note(port, 'entered_guest', true);
      if (words) serviceRequests(cx, words, options);
      if (mmu) cx.note(mmu.port, 'resume');
      mmu?.resume(cx);
    },
    kvm_steal_time_set_preempted: (cx, event) => {
      if (onlyAtInstructionBoundary && event['at_instruction_boundary'] !== true) {
        cx.count(HypervisorCounter.preemptionOther);
        return;
      }
      cx.count(HypervisorCounter.preemptionReported);
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
  role: 'environment',
  perform: (cx, op) => (!cx.drained() ? BLOCKED : cx.send(op.a, EMULATE) ? 0 : -1),
});

/** The guest executes an instruction that KVM emulates: the CPU goes on when KVM has performed its access. */
export const emulated_instruction = noted(function* emulated_instruction(vcpu: Vcpu, what: string): Steps {
  yield operation(EXIT, vcpu.port, 0, 0, undefined, { label: what, fact: () => 'exit to the emulator' });
});

/** `PREEMPTED|FLUSH_TLB`, or `0`. */
export function formatPreempted(value: number): string {
  const names = [
    (value & KVM_VCPU_PREEMPTED) !== 0 ? 'PREEMPTED' : '',
    (value & KVM_VCPU_FLUSH_TLB) !== 0 ? 'FLUSH_TLB' : '',
  ];
  return names.filter((text) => text !== '').join('|') || '0';
}
