/**
 * The vCPU actor: whether a guest CPU is in guest mode, and what KVM does with it otherwise.
 *
 * ```
 *            preempt             resume              enter
 *  in_guest ---------> preempted -------> entering ---------> in_guest
 *     |                    ^                |  |  record          ^
 *     |                    +--- preempt ----+  +----> recording --+ enter
 *     |
 *     +-- exit ------> exiting -------- handled --------> entering
 *     |                 |    ^
 *     |         preempt v    | resume
 *     |            preempted_exiting
 *     |
 *     +-- hlt -------> halted -- wake --> woken -- resume --> entering
 *     |
 *     +-- emulate --> in_emulator -- emulated_access --> entering
 *                       |    ^
 *               preempt v    | resume
 *                 preempted_in_emulator
 * ```
 *
 * What KVM does to memory on the way (the steal-time record, the guest's TLB) is emitted, one access to shared memory
 * per transition, in the order of the code. Mirrors arch/x86/kvm/x86.c, v6.18: vcpu_run(), vcpu_enter_guest(),
 * kvm_arch_vcpu_load(), kvm_arch_vcpu_put(), kvm_emulate_halt().
 */
import { assign, emit, enqueueActions, setup } from 'xstate';

/**
 * One access of record_steal_time() to the record: it is exchanged with 0, read, or set to 0. KVM flushes if what it
 * gets by `exchange` or `read` asks for it.
 */
export type RecordStep = 'exchange' | 'read' | 'clear';

/**
 * How the way from `resume` into guest mode is cut into steps. `atomic`: not at all, which hides nothing as long as
 * record_steal_time() is one exchange and nobody looks at a second preemption on the way. `xchg`: the vCPU may be
 * preempted again before record_steal_time(). `read_then_clear`: the record is read in one step and cleared in another
 * (before v5.6). A list: what a kernel of one's own does, in its order; the last is one step with VM entry, and an
 * empty list is an entry that looks at nothing.
 */
export type VcpuEntry = 'atomic' | 'xchg' | 'read_then_clear' | readonly RecordStep[];

/** The accesses of record_steal_time() of a {@link VcpuEntry}. */
export function recordSteps(entry: VcpuEntry): readonly RecordStep[] {
  if (entry === 'read_then_clear') return ['read', 'clear'];
  return typeof entry === 'string' ? ['exchange'] : entry;
}

/**
 * Why a vCPU leaves guest mode to come back, by the names of KVM's tracepoint kvm_exit. `external_interrupt` is the
 * host's (its tick, an IPI that kicks the vCPU); `msr_write` is the guest's write to its x2APIC ICR.
 */
export type ExitReason = 'external_interrupt' | 'ept_violation' | 'msr_write' | 'pause';

/** {@link VcpuContext.preemptions} of a vCPU that is preempted any number of times. */
export const PREEMPTIONS_UNLIMITED = -1;

/** What a vCPU knows of its host and its guest. */
export interface VcpuContext {
  /** How often the host will still preempt this vCPU, or {@link PREEMPTIONS_UNLIMITED}. */
  readonly preemptions: number;
  readonly entersAtOnce: boolean;
  readonly steps: readonly RecordStep[];
  /** How many of them are done on this way into the guest. */
  readonly done: number;
  /** Another vCPU has the physical CPU to begin with. */
  readonly waits: boolean;
  /**
   * vcpu->arch.at_instruction_boundary: the guest left for an interrupt of the host, and nothing has been done since.
   * Cleared at the top of vcpu_run()'s loop, so a vCPU that is preempted again on its way in is not at one. (Here it is
   * cleared when it has been looked at, which is the same: nobody looks again before that loop.)
   */
  readonly at_instruction_boundary: boolean;
  /** The exit that KVM is handling. */
  readonly reason: ExitReason | 'none';
}

/** What the host or the guest does to a vCPU. */
export type VcpuEvent =
  /** The host's scheduler takes the physical CPU away: kvm_sched_out(). */
  | { readonly type: 'preempt' }
  /** It gives it back: kvm_sched_in(). */
  | { readonly type: 'resume' }
  /** record_steal_time() accesses the record, where that is a step of its own. */
  | { readonly type: 'record'; readonly step: RecordStep }
  /** VM entry, with what is left of record_steal_time() before it. */
  | { readonly type: 'enter' }
  /** The guest leaves for something that KVM handles without user space. */
  | { readonly type: 'exit'; readonly reason: ExitReason }
  /** KVM has handled the exit. */
  | { readonly type: 'handled' }
  /** An IPI of the host that makes the vCPU look at its requests: kvm_vcpu_kick(), and KVM_REQUEST_WAIT's. */
  | { readonly type: 'kick' }
  /** The guest executes HLT with no interrupt pending: the vCPU blocks. */
  | { readonly type: 'hlt' }
  /** An interrupt has become pending: kvm_vcpu_wake_up(). */
  | { readonly type: 'wake' }
  /** The guest's instruction exits: KVM translates its address in software. */
  | { readonly type: 'emulate' }
  /** KVM performs the access of the emulated instruction, with the translation it holds. */
  | { readonly type: 'emulated_access' };

/** What a vCPU tells the machine: where it is, and why it left the guest. */
export type VcpuEmitted =
  | { readonly type: 'left_guest' }
  | { readonly type: 'entered_guest' }
  | { readonly type: 'vm_exit'; readonly reason: string }
  /** KVM handles an exit, where that is a step of its own. */
  | { readonly type: 'handle_exit'; readonly reason: string }
  /** kvm_sched_out(): still runnable (`preempted`), or blocked. */
  | { readonly type: 'sched_out'; readonly preempted: boolean }
  | { readonly type: 'sched_in' }
  | { readonly type: 'woken' }
  | { readonly type: 'kvm_steal_time_set_preempted'; readonly at_instruction_boundary: boolean }
  | { readonly type: 'record_steal_time' }
  | { readonly type: 'record_steal_time.read' }
  | { readonly type: 'record_steal_time.clear' }
  | { readonly type: 'gva_to_gpa' }
  | { readonly type: 'emulated_access' };

/**
 * The tag `executes` marks guest mode: the only state in which the guest's CPU performs operations and takes
 * interrupts.
 */
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
    entersAtOnce: ({ context }) => context.entersAtOnce,
    comesNext: ({ context, event }) =>
      event.type === 'record' && context.done < context.steps.length - 1 && context.steps[context.done] === event.step,
    onlyLastLeft: ({ context }) => context.done >= context.steps.length - 1,
  },
  actions: {
    countPreemption: assign({
      preemptions: ({ context }) => (context.preemptions > 0 ? context.preemptions - 1 : context.preemptions),
    }),
    exitAtBoundary: assign({ at_instruction_boundary: true }),
    passBoundary: assign({ at_instruction_boundary: false }),
    exitFor: assign(({ event }) => {
      const reason: ExitReason = event.type === 'exit' ? event.reason : 'external_interrupt';
      return { reason, at_instruction_boundary: reason === 'external_interrupt' };
    }),
    exitDone: assign({ reason: 'none' as const, at_instruction_boundary: false }),
    stay: assign({}),
    leftGuest: emit({ type: 'left_guest' as const }),
    enteredGuest: emit({ type: 'entered_guest' as const }),
    vmExit: emit(({ context }) => ({ type: 'vm_exit' as const, reason: context.reason })),
    vmExitFor: emit((_, params: { reason: string }) => ({ type: 'vm_exit' as const, reason: params.reason })),
    handleExit: emit(({ context }) => ({ type: 'handle_exit' as const, reason: context.reason })),
    schedOut: emit((_, params: { preempted: boolean }) => ({
      type: 'sched_out' as const,
      preempted: params.preempted,
    })),
    schedIn: emit({ type: 'sched_in' as const }),
    woken: emit({ type: 'woken' as const }),
    setPreempted: emit(({ context }) => ({
      type: 'kvm_steal_time_set_preempted' as const,
      at_instruction_boundary: context.at_instruction_boundary,
    })),
    record: enqueueActions(({ context, enqueue }) => {
      const step = context.steps[context.done];
      if (step === undefined) return;
      enqueue.emit({ type: step === 'exchange' ? 'record_steal_time' : `record_steal_time.${step}` });
    }),
    oneMore: assign({ done: ({ context }) => context.done + 1 }),
    noneDone: assign({ done: 0 }),
    translate: emit({ type: 'gva_to_gpa' as const }),
    access: emit({ type: 'emulated_access' as const }),
  },
}).createMachine({
  id: 'vcpu',
  context: ({ input }) => ({
    preemptions: input?.preemptions ?? PREEMPTIONS_UNLIMITED,
    entersAtOnce: input?.entry === 'atomic',
    steps: recordSteps(input?.entry ?? 'xchg'),
    done: 0,
    waits: input?.waits ?? false,
    at_instruction_boundary: false,
    reason: 'none',
  }),
  initial: 'created',
  // Outside guest mode a kick finds nothing to do: requests are looked at on the way in.
  on: { kick: { actions: 'stay' } },
  states: {
    created: { always: [{ guard: 'waits', target: 'preempted' }, { target: 'in_guest' }] },
    in_guest: {
      tags: ['executes'],
      on: {
        preempt: {
          guard: 'mayPreempt',
          target: 'preempted',
          actions: [
            'countPreemption',
            'exitAtBoundary',
            'leftGuest',
            { type: 'vmExitFor', params: { reason: 'external_interrupt' } },
            { type: 'schedOut', params: { preempted: true } },
            'setPreempted',
            'passBoundary',
          ],
        },
        exit: { target: 'exiting', actions: ['exitFor', 'leftGuest', 'vmExit'] },
        kick: { target: 'exiting', actions: ['exitFor', 'leftGuest', 'vmExit'] },
        hlt: {
          target: 'halted',
          actions: [
            'leftGuest',
            { type: 'vmExitFor', params: { reason: 'hlt' } },
            { type: 'schedOut', params: { preempted: false } },
            'setPreempted',
            'passBoundary',
          ],
        },
        emulate: {
          target: 'in_emulator',
          actions: ['leftGuest', { type: 'vmExitFor', params: { reason: 'emulation' } }, 'translate'],
        },
      },
    },
    preempted: {
      on: {
        resume: [
          {
            guard: 'entersAtOnce',
            target: 'in_guest',
            actions: ['exitDone', 'schedIn', 'record', 'enteredGuest'],
          },
          { target: 'entering', actions: 'schedIn' },
        ],
      },
    },
    entering: {
      on: {
        preempt: {
          guard: 'mayPreempt',
          target: 'preempted',
          actions: [
            'countPreemption',
            { type: 'schedOut', params: { preempted: true } },
            'setPreempted',
            'passBoundary',
          ],
        },
        record: { guard: 'comesNext', target: 'recording', actions: ['record', 'oneMore'] },
        enter: { guard: 'onlyLastLeft', target: 'in_guest', actions: ['record', 'enteredGuest'] },
      },
    },
    recording: {
      on: {
        record: { guard: 'comesNext', actions: ['record', 'oneMore'] },
        enter: { guard: 'onlyLastLeft', target: 'in_guest', actions: ['record', 'enteredGuest', 'noneDone'] },
      },
    },
    exiting: {
      on: {
        handled: [
          { guard: 'entersAtOnce', target: 'in_guest', actions: ['exitDone', 'enteredGuest'] },
          { target: 'entering', actions: ['handleExit', 'exitDone'] },
        ],
        preempt: [
          {
            guard: 'entersAtOnce',
            target: 'preempted',
            actions: [{ type: 'schedOut', params: { preempted: true } }, 'setPreempted', 'passBoundary'],
          },
          {
            guard: 'mayPreempt',
            target: 'preempted_exiting',
            actions: [
              'countPreemption',
              { type: 'schedOut', params: { preempted: true } },
              'setPreempted',
              'passBoundary',
            ],
          },
        ],
      },
    },
    preempted_exiting: { on: { resume: { target: 'exiting', actions: 'schedIn' } } },
    halted: { on: { wake: { target: 'woken', actions: 'woken' } } },
    woken: {
      on: {
        resume: [
          { guard: 'entersAtOnce', target: 'in_guest', actions: ['schedIn', 'record', 'enteredGuest'] },
          { target: 'entering', actions: 'schedIn' },
        ],
      },
    },
    in_emulator: {
      on: {
        preempt: {
          guard: 'mayPreempt',
          target: 'preempted_in_emulator',
          actions: [
            'countPreemption',
            { type: 'schedOut', params: { preempted: true } },
            'setPreempted',
            'passBoundary',
          ],
        },
        emulated_access: { target: 'entering', actions: 'access' },
      },
    },
    preempted_in_emulator: { on: { resume: { target: 'in_emulator', actions: 'schedIn' } } },
  },
});
