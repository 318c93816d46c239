/** The atomic steps of the scheduler's routines: each tells a run queue, or looks at its words. */
import { BLOCKED, defineOperation, messageFor, type Message, type OperationContext } from '@shootdown/machine';
import type { Cpu } from './cpu.ts';
import { IDLE_TASK } from './runqueue.machine.ts';
import { SchedulerCounter, type RunQueues } from './run-queues.ts';

/** The data of these operations. */
export interface OnCpu {
  readonly queues: RunQueues;
  readonly cpu: Cpu;
}

const PICK: Message = { type: 'pick' };
const ENTER_IDLE: Message = { type: 'enter_idle' };
/** The current task sleeps for so many ticks; 0: for good, or until it is woken. */
export const blockMessage = messageFor((ticks: number) => ({ type: 'block', ticks }));
const wakeMessage = messageFor((task: number) => ({ type: 'wake', task }));
const switchMessage = messageFor((slot: number, halts: number) => ({
  type: halts === 1 ? 'switch_to_idle' : 'switch_to',
  slot,
}));

/** Result 1: the task that was interrupted shall give its CPU away, and can. */
export const INTERRUPTED = defineOperation({
  name: 'irqentry_exit',
  cost: 'load',
  perform(cx, op) {
    const { queues, cpu } = op.data as OnCpu;
    if (cx.read(queues.need_resched.at(cpu.id)) === 0) return 0;
    const task = cx.read(queues.curr.at(cpu.id)) - 1;
    return task === IDLE_TASK || cx.read(queues.user.at(task)) !== 0 ? 1 : 0;
  },
});

/** Before a CPU idles it takes a task that waits elsewhere. */
export const NEWIDLE = defineOperation({
  name: 'sched_balance_newidle',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { queues, cpu } = op.data as OnCpu;
    return queues.balance(cx, cpu);
  },
});

/**
 * With prepare_task(): who is next is on_cpu from now on. Result -1: the task that has the CPU keeps it; otherwise who
 * gets it, plus one: 0 is the idle task.
 */
export const PICK_NEXT = defineOperation({
  name: 'pick_next_task',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { queues, cpu } = op.data as OnCpu;
    cx.write(queues.need_resched.at(cpu.id), 0);
    cx.send(queues.portOf(cpu.id), PICK);
    const next = cx.read(queues.picked.at(cpu.id));
    if (next === cx.read(queues.curr.at(cpu.id))) return -1;
    cx.write(queues.curr.at(cpu.id), next);
    if (next > 0) cx.write(queues.on_cpu.at(next - 1), 1);
    return next;
  },
});

/**
 * The processor goes on with task `a` in place of task `b`, with interrupts on: finish_task_switch(), finish_task().
 */
export const SWITCH_TO = defineOperation({
  name: 'switch_to',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { queues, cpu } = op.data as OnCpu;
    cx.count(SchedulerCounter.switches);
    const idle = op.a === IDLE_TASK;
    const slot = idle ? queues.slots.ofIdle(cpu) : cx.read(queues.slot.at(op.a));
    const halts = idle ? cx.read(queues.idle.at(cpu.id)) : 0;
    if (!cx.send(cpu.port, switchMessage(slot, halts))) return BLOCKED;
    if (op.b !== IDLE_TASK) cx.write(queues.on_cpu.at(op.b), 0);
    return 0;
  },
});

/** The idle task of a CPU that begins idle comes to where it rests: the CPU halts. */
export const BEGIN_IDLE = defineOperation({
  name: 'do_idle',
  role: 'environment',
  cost: 'nop',
  perform(cx, op) {
    const { queues, cpu } = op.data as OnCpu;
    if (!cx.drained()) return BLOCKED;
    if (!cx.send(cpu.port, ENTER_IDLE)) return BLOCKED;
    cx.write(queues.idle.at(cpu.id), 1);
    return 0;
  },
});

/** Result 1: the task is asked to call schedule(). Otherwise it is in user mode, if it stays there (operand b). */
export const EXIT_TO_USER = defineOperation({
  name: 'exit_to_user_mode',
  cost: 'load',
  perform(cx, op) {
    const { queues, cpu } = op.data as OnCpu;
    if (cx.read(queues.need_resched.at(cpu.id)) !== 0) return 1;
    if (op.b === 1) cx.write(queues.user.at(op.a), 1);
    return 0;
  },
});

/** Result: the number of the task's CPU, which it keeps from here on. */
export const ENTER_FROM_USER = defineOperation({
  name: 'enter_from_user_mode',
  cost: 'load',
  perform(cx, op) {
    const { user, task_cpu } = op.data as RunQueues;
    cx.write(user.at(op.a), 0);
    return cx.read(task_cpu.at(op.a));
  },
});

/** prepare_to_wait(), and the condition is looked at. Result 1: it holds. */
export const PREPARE_TO_WAIT = defineOperation({
  name: 'prepare_to_wait',
  cost: 'xchg',
  addressed: true,
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    if (cx.read(op.a) === op.b) return 1;
    const { queues, cpu } = op.data as OnCpu;
    cx.write(queues.waits.at(op.c), 1 + op.a);
    cx.send(queues.portOf(cpu.id), blockMessage(0));
    return 0;
  },
});

/** The current task has its run queue know that it sleeps or ends. */
export const TELL_QUEUE = defineOperation({
  name: 'set_current_state',
  cost: 'xchg',
  perform: (cx: OperationContext, op) => (cx.drained() ? (cx.send(op.a, op.data as Message) ? 1 : 0) : BLOCKED),
});

/** Result 1: the task slept for the word of operand a, and is woken: on its CPU, to which it stays. */
export const WAKE = defineOperation({
  name: 'try_to_wake_up',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const queues = op.data as RunQueues;
    if (cx.read(queues.waits.at(op.b)) !== 1 + op.a) return 0;
    cx.write(queues.waits.at(op.b), 0);
    cx.send(queues.portOf(cx.read(queues.task_cpu.at(op.b))), wakeMessage(op.b));
    return 1;
  },
});
