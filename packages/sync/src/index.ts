/**
 * Synchronization primitives of the kernel, under the kernel's names.
 * @packageDocumentation
 */
export { LOCK_MISUSE, type Task } from './misuse.ts';
export { Mutex, mutex_lock, mutex_trylock, mutex_unlock } from './mutex.ts';
export { percpu_down_read, percpu_down_write, percpu_up_read, percpu_up_write, PercpuRwsem } from './percpu-rwsem.ts';
export {
  gracePeriodMachine,
  type GracePeriodContext,
  type GracePeriodEmitted,
  type GracePeriodEvent,
} from './rcu.machine.ts';
export { Rcu, type RcuCallback, type RcuOptions } from './rcu.ts';
export {
  Refcount,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  REFCOUNT_SATURATED,
} from './refcount.ts';
export {
  down_read,
  down_read_trylock,
  down_write,
  down_write_trylock,
  downgrade_write,
  Rwsem,
  RWSEM_FLAG_WAITERS,
  RWSEM_READER_BIAS,
  RWSEM_WRITER_LOCKED,
  up_read,
  up_write,
} from './rwsem.ts';
export {
  raw_read_seqcount,
  read_seqcount_begin,
  read_seqcount_retry,
  Seqcount,
  write_seqcount_begin,
  write_seqcount_end,
} from './seqcount.ts';
export { spin_lock, spin_trylock, spin_unlock, Spinlock } from './spinlock.ts';
export {
  JumpLabels,
  static_branch_dec,
  static_branch_disable,
  static_branch_enable,
  static_branch_inc,
  static_branch_unlikely,
  StaticKey,
  type JumpLabelOptions,
} from './static-key.ts';
