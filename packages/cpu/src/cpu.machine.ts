/**
 * The CPU actor: what a processor is doing and whether it takes interrupts.
 *
 * ```
 *            local_irq_disable                 ipi
 *   irqs_on <-----------------> irqs_off   any but irqs_off ----> hardirq
 *      |      local_irq_enable                  <---------------  iret
 *      +--> user / idle  (wake: back to irqs_on)
 * ```
 *
 * A handler runs with interrupts off and is not interrupted (Linux hard interrupt context). The routines themselves,
 * and an IPI that nobody has taken yet, are no part of this machine: they are words of the machine around it.
 */
import { assign, emit, setup } from 'xstate';

/** What the CPU goes back to when its handler returns. */
export type Interrupted = 'irqs_on' | 'user' | 'idle';

/** What a CPU knows of the task and of the interrupt that it runs. */
export interface CpuContext {
  /** preempt_count() of the current task, without the hard interrupt part. */
  readonly preempt_count: number;
  readonly interrupted: Interrupted;
}

/** What happens to a CPU, by its own instructions or from outside. */
export type CpuEvent =
  | { readonly type: 'local_irq_disable' }
  | { readonly type: 'local_irq_enable' }
  | { readonly type: 'preempt_disable' }
  | { readonly type: 'preempt_enable' }
  | { readonly type: 'enter_user' }
  | { readonly type: 'enter_idle' }
  /** The task goes on in the kernel: a system call or fault from user mode, or a wake-up from idle. */
  | { readonly type: 'enter_kernel' }
  /** The scheduler's tick: accepted where the kernel would preempt. */
  | { readonly type: 'reschedule' }
  /**
   * context_switch(), with interrupts off: another of the CPU's tasks goes on, with interrupts on, or the idle task.
   */
  | { readonly type: 'switch_to' | 'switch_to_idle'; readonly slot: number }
  /** The load balancer pulls the task to another CPU, by name: accepted where it may be preempted. */
  | { readonly type: 'migrate'; readonly to: string }
  /** The scheduler takes a task that waits in a slot to a slot of another CPU. */
  | { readonly type: 'give'; readonly to: string; readonly slot: number; readonly into: number }
  | { readonly type: 'ipi'; readonly vector: string }
  | { readonly type: 'iret' };

/** What a CPU tells the machine to do, or has done. */
export type CpuEmitted =
  | { readonly type: 'interrupt'; readonly vector: string }
  | { readonly type: 'switch'; readonly slot?: number }
  | { readonly type: 'migrate'; readonly to: string }
  | { readonly type: 'give'; readonly to: string; readonly slot: number; readonly into: number }
  /** The idle loop halts the CPU until an interrupt comes. */
  | { readonly type: 'hlt' };

/** The tag `executes` marks the states in which the processor performs operations of its routines. */
export const cpuMachine = setup({
  types: {
    context: {} as CpuContext,
    events: {} as CpuEvent,
    emitted: {} as CpuEmitted,
    input: {},
    tags: {} as 'executes' | 'irqs_on',
  },
  guards: {
    preemptible: ({ context }) => context.preempt_count === 0,
    nested: ({ context }) => context.preempt_count > 0,
    fromUser: ({ context }) => context.interrupted === 'user',
    fromIdle: ({ context }) => context.interrupted === 'idle',
  },
  actions: {
    takeInterrupt: emit(({ event }) => ({
      type: 'interrupt' as const,
      vector: event.type === 'ipi' ? event.vector : '',
    })),
    remember: assign({ interrupted: (_, params: { from: Interrupted }) => params.from }),
    forget: assign({ interrupted: 'irqs_on' as const }),
    halt: emit({ type: 'hlt' as const }),
    switchTask: emit({ type: 'switch' as const }),
    switchTo: emit(({ event }) => ({
      type: 'switch' as const,
      slot: event.type === 'switch_to' || event.type === 'switch_to_idle' ? event.slot : 0,
    })),
    migrateTask: emit(({ event }) => ({ type: 'migrate' as const, to: event.type === 'migrate' ? event.to : '' })),
    giveTask: emit(({ event }) =>
      event.type === 'give' ? { ...event } : { type: 'give' as const, to: '', slot: 0, into: 0 },
    ),
    raise: assign({ preempt_count: ({ context }) => context.preempt_count + 1 }),
    lower: assign({ preempt_count: ({ context }) => context.preempt_count - 1 }),
  },
}).createMachine({
  id: 'cpu',
  context: { preempt_count: 0, interrupted: 'irqs_on' },
  initial: 'irqs_on',
  on: {
    preempt_disable: { actions: 'raise' },
    preempt_enable: { guard: 'nested', actions: 'lower' },
    give: { actions: 'giveTask' },
  },
  states: {
    irqs_on: {
      tags: ['executes', 'irqs_on'],
      on: {
        local_irq_disable: 'irqs_off',
        ipi: { target: 'hardirq', actions: [{ type: 'remember', params: { from: 'irqs_on' } }, 'takeInterrupt'] },
        enter_user: 'user',
        enter_idle: { target: 'idle', actions: 'halt' },
        reschedule: { guard: 'preemptible', actions: 'switchTask' },
        migrate: { guard: 'preemptible', actions: 'migrateTask' },
      },
    },
    irqs_off: {
      tags: ['executes'],
      on: {
        local_irq_enable: 'irqs_on',
        switch_to: { target: 'irqs_on', actions: 'switchTo' },
        switch_to_idle: { target: 'idle', actions: ['switchTo', 'halt'] },
      },
    },
    hardirq: {
      tags: ['executes'],
      on: {
        iret: [
          { guard: 'fromUser', target: 'user', actions: 'forget' },
          { guard: 'fromIdle', target: 'idle', actions: ['forget', 'halt'] },
          { target: 'irqs_on' },
        ],
        switch_to: { actions: [{ type: 'remember', params: { from: 'irqs_on' } }, 'switchTo'] },
        switch_to_idle: { actions: [{ type: 'remember', params: { from: 'idle' } }, 'switchTo'] },
      },
    },
    user: {
      tags: ['irqs_on'],
      on: {
        ipi: { target: 'hardirq', actions: [{ type: 'remember', params: { from: 'user' } }, 'takeInterrupt'] },
        enter_kernel: 'irqs_on',
        reschedule: { target: 'irqs_on', actions: 'switchTask' },
      },
    },
    idle: {
      tags: ['irqs_on'],
      on: {
        ipi: { target: 'hardirq', actions: [{ type: 'remember', params: { from: 'idle' } }, 'takeInterrupt'] },
        enter_kernel: 'irqs_on',
      },
    },
  },
});
