/** A kernel in which one address space has notifiers, and the locks of those who subscribe. */
import type { Region, SystemBuilder } from '@shootdown/machine';
import { MmuNotifierSubscriptions, type Lock } from '@shootdown/mmu-notifier';
import { Mutex, mutex_lock, mutex_unlock, spin_lock, spin_unlock, Spinlock } from '@shootdown/sync';
import type { Kernel, Mm } from '../kernel.ts';
import { notifierRules, notifyingArch, type NotifierDesign } from '../notify.ts';

/**
 * A kernel that tells those who have subscribed to the mm what it does to it; the first frames are the tables of the
 * mm.
 */
export function notifyingKernel(
  kernel: Kernel,
  mm: Mm,
  design: NotifierDesign,
  tables: number,
): { readonly kernel: Kernel; readonly subscriptions: MmuNotifierSubscriptions } {
  const spinlocks = Array.from({ length: tables }, (_, table) => (kernel.ptl as Region).at(table));
  const subscriptions = new MmuNotifierSubscriptions(kernel.builder, 'mm', { spinlocks, ...notifierRules(design) });
  const told = { mm, subscriptions, design };
  return { kernel: { ...kernel, arch: notifyingArch(kernel.arch, () => told), secondary: told }, subscriptions };
}

/** A lock of a secondary MMU that spins. */
export function spinlock(builder: SystemBuilder, name: string): Lock {
  const lock = new Spinlock(builder, name);
  return { lock: () => spin_lock(lock), unlock: () => spin_unlock(lock), word: lock.word };
}

/** A lock of a secondary MMU that sleeps. */
export function mutex(builder: SystemBuilder, name: string): Lock {
  const lock = new Mutex(builder, name);
  return { lock: () => mutex_lock(lock), unlock: () => mutex_unlock(lock) };
}
