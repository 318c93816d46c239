/**
 * The vCPU actor: whether a guest CPU is in guest mode, and what KVM does with it otherwise.
 *
 * ```
 *            preempt             resume              enter
 *  in_guest ---------> preempted -------> entering ---------> in_guest
 *     |                    ^                |  |  read            ^
 *     |                    +--- preempt ----+  +-----> clearing --+ enter
 *     |
 *     +-- emulate --> in_emulator -- emulated_access --> entering
 *                       |    ^
 *               preempt v    | resume
 *                 preempted_in_emulator
 * ```
 *
 * What KVM does to memory on the way (the steal-time record, the guest's TLB) is emitted, one access to shared memory per
 * transition, in the order of the code. Mirrors arch/x86/kvm/x86.c, v6.18: vcpu_run(), vcpu_enter_guest(),
 * kvm_arch_vcpu_load(), kvm_arch_vcpu_put().
 */
import { assign, emit, setup } from 'xstate';

/**
 * How the way from `resume` into guest mode is cut into steps. `atomic`: not at all, which hides nothing as long as
 * record_steal_time() is one exchange and nobody looks at a second preemption on the way. `xchg`: the vCPU may be preempted
 * again before record_steal_time(). `read_then_clear`: the record is read in one step and cleared in another (before v5.6).
 */
export type VcpuEntry = 'atomic' | 'xchg' | 'read_then_clear';

/** {@link VcpuContext.preemptions} of a vCPU that is preempted any number of times. */
export const PREEMPTIONS_UNLIMITED = -1;

export interface VcpuContext {
  /** How often the host will still preempt this vCPU, or {@link PREEMPTIONS_UNLIMITED}. */
  readonly preemptions: number;
  readonly entry: VcpuEntry;
  /** Another vCPU has the physical CPU to begin with. */
  readonly waits: boolean;
  /** vcpu->arch.at_instruction_boundary: the guest left for an interrupt of the host, not for an instruction to be emulated. */
  readonly at_instruction_boundary: boolean;
}

export type VcpuEvent =
  /** The host's scheduler takes the physical CPU away: kvm_sched_out(). */
  | { readonly type: 'preempt' }
  /** It gives it back: kvm_sched_in(). */
  | { readonly type: 'resume' }
  /** record_steal_time() reads the record, where that is a step of its own. */
  | { readonly type: 'read' }
  /** VM entry, with what is left of record_steal_time() before it. */
  | { readonly type: 'enter' }
  /** The guest's instruction exits: KVM translates its address in software. */
  | { readonly type: 'emulate' }
  /** KVM performs the access of the emulated instruction, with the translation it holds. */
  | { readonly type: 'emulated_access' };

export type VcpuEmitted =
  | { readonly type: 'left_guest' }
  | { readonly type: 'entered_guest' }
  | { readonly type: 'kvm_steal_time_set_preempted'; readonly at_instruction_boundary: boolean }
  | { readonly type: 'record_steal_time' }
  | { readonly type: 'record_steal_time.read' }
  | { readonly type: 'record_steal_time.clear' }
  | { readonly type: 'gva_to_gpa' }
  | { readonly type: 'emulated_access' };

/** The tag `executes` marks guest mode: the only state in which the guest's CPU performs operations and takes interrupts. */
export const vcpuMachine = setup({
  types: {
    context: {} as VcpuContext,
    events: {} as VcpuEvent,
    emitted: {} as VcpuEmitted,
    input: {} as { readonly preemptions: number; readonly entry: VcpuEntry; readonly waits: boolean } | undefined,
    tags: {} as 'executes',
  },
  guards: {
    mayPreempt: ({ context }) => context.preemptions !== 0,
    waits: ({ context }) => context.waits,
    entersAtOnce: ({ context }) => context.entry === 'atomic',
    exchanges: ({ context }) => context.entry !== 'read_then_clear',
    readsFirst: ({ context }) => context.entry === 'read_then_clear',
  },
  actions: {
    countPreemption: assign({ preemptions: ({ context }) => (context.preemptions > 0 ? context.preemptions - 1 : context.preemptions) }),
    exitAtBoundary: assign({ at_instruction_boundary: true }),
    exitInInstruction: assign({ at_instruction_boundary: false }),
    leftGuest: emit({ type: 'left_guest' as const }),
    enteredGuest: emit({ type: 'entered_guest' as const }),
    setPreempted: emit(({ context }) => ({ type: 'kvm_steal_time_set_preempted' as const, at_instruction_boundary: context.at_instruction_boundary })),
    recordStealTime: emit({ type: 'record_steal_time' as const }),
    readStealTime: emit({ type: 'record_steal_time.read' as const }),
    clearStealTime: emit({ type: 'record_steal_time.clear' as const }),
    translate: emit({ type: 'gva_to_gpa' as const }),
    access: emit({ type: 'emulated_access' as const }),
  },
}).createMachine({
  id: 'vcpu',
  context: ({ input }) => ({ preemptions: input?.preemptions ?? PREEMPTIONS_UNLIMITED, entry: input?.entry ?? 'xchg', waits: input?.waits ?? false, at_instruction_boundary: true }),
  initial: 'created',
  states: {
    created: { always: [{ guard: 'waits', target: 'preempted' }, { target: 'in_guest' }] },
    in_guest: {
      tags: ['executes'],
      on: {
        preempt: { guard: 'mayPreempt', target: 'preempted', actions: ['countPreemption', 'exitAtBoundary', 'leftGuest', 'setPreempted'] },
        emulate: { target: 'in_emulator', actions: ['exitInInstruction', 'leftGuest', 'translate'] },
      },
    },
    preempted: {
      on: {
        resume: [
          { guard: 'entersAtOnce', target: 'in_guest', actions: ['recordStealTime', 'enteredGuest'] },
          { target: 'entering' },
        ],
      },
    },
    entering: {
      on: {
        preempt: { guard: 'mayPreempt', target: 'preempted', actions: ['countPreemption', 'setPreempted'] },
        read: { guard: 'readsFirst', target: 'clearing', actions: 'readStealTime' },
        enter: { guard: 'exchanges', target: 'in_guest', actions: ['recordStealTime', 'enteredGuest'] },
      },
    },
    clearing: { on: { enter: { target: 'in_guest', actions: ['clearStealTime', 'enteredGuest'] } } },
    in_emulator: {
      on: {
        preempt: { guard: 'mayPreempt', target: 'preempted_in_emulator', actions: ['countPreemption', 'setPreempted'] },
        emulated_access: { target: 'entering', actions: 'access' },
      },
    },
    preempted_in_emulator: { on: { resume: 'in_emulator' } },
  },
});
