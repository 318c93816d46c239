export { cpuMachine, type CpuContext, type CpuEmitted, type CpuEvent, type Interrupted } from './cpu.machine.ts';
export {
  addCpu,
  do_idle,
  interruptPending,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
  send_IPI,
  startCpu,
  swapper,
  swapper_done,
  user_mode,
  type Cpu,
  type GuestHooks,
  type StartOptions,
} from './cpu.ts';
export {
  IDLE_TASK,
  runQueueMachine,
  type Entity,
  type RunQueueContext,
  type RunQueueEmitted,
  type RunQueueEvent,
  type RunQueueInput,
} from './runqueue.machine.ts';
export { RESCHEDULE_VECTOR, RunQueues, SchedulerCounter, type RunQueueOptions } from './run-queues.ts';
export { Scheduler, schedules, type SchedulerOptions } from './scheduler.ts';
export { TaskSlots } from './task-slots.ts';
