/** Threads that share CPUs: which they are, and the scheduler under which they take turns. */
import { load, type Address, type Steps } from '@shootdown/machine';
import { IDLE_TASK, Scheduler, type Cpu } from '@shootdown/cpu';
import type { Kernel, Mm } from '@shootdown/mm';
import type { KernelParts } from './kernel.ts';
import type { KernelDescription } from './schema.ts';
import { sharedCpus } from './shared-cpus.ts';
import type { Task } from './script.ts';

/** Ticks per second of a scheduler on a machine whose timer does not say another number. */
const SCHEDULER_HZ = 1000;
const MICROSECONDS = 1_000_000;

/** In place of a process: the threads are the kernel's own. */
export const KERNEL = -1;

/** The scheduler of a kernel and its tasks. */
export interface Tasks {
  readonly scheduler: Scheduler;
  /** How many tasks have work left. */
  readonly unfinished: Address;
  /** The task that a thread of a process is; null: it has its CPU to itself. Kernel threads are of {@link KERNEL}. */
  of(process: number, thread: number): Task | null;
}

/** Adds a kernel's scheduler, if it needs one. */
export function addScheduler(
  description: KernelDescription,
  { builder, cpus, hz, hertz, timesliceMicroseconds }: KernelParts,
  kernel: Kernel,
  mms: readonly Mm[],
): Tasks | null {
  const shared = sharedCpus(description);
  if (shared.size === 0) return null;
  const ids = new Map<string, number>();
  const on: Cpu[] = [];
  const affinity: (ReadonlySet<number> | undefined)[] = [];
  description.processes.forEach(({ threads }, p) =>
    threads.forEach((thread, t) => {
      if (!shared.has(thread.cpu)) return;
      const task = on.push(cpus[thread.cpu] as Cpu) - 1;
      ids.set(`${p}.${t}`, task);
      affinity[task] = thread.cpus && new Set(thread.cpus);
    }),
  );
  const ofProcesses = on.length;
  description.kernelThreads?.forEach(({ cpu }, t) => {
    if (shared.has(cpu)) ids.set(`${KERNEL}.${t}`, on.push(cpus[cpu] as Cpu) - 1);
  });
  const mm = builder.region('task.mm', on.length);
  const unfinished = builder.region('tasks.unfinished', 1, { initial: ofProcesses }).at(0);
  const ticksPerSecond = hz > 0 ? hz : SCHEDULER_HZ;
  const tickMicroseconds = MICROSECONDS / ticksPerSecond;
  const scheduler = new Scheduler(builder, cpus, {
    tickCycles: Math.round(hertz / ticksPerSecond),
    sliceTicks: Math.max(1, Math.round(timesliceMicroseconds / tickMicroseconds)),
    tasks: on,
    affinity,
    *switch_mm(cpu, next): Steps {
      const id = next === IDLE_TASK ? 0 : yield* load(mm.at(next), { label: 'next->mm' });
      const to = mms[id - 1];
      if (to) yield* kernel.arch.switch_mm(cpu, to);
      else yield* kernel.arch.enter_lazy_tlb(cpu);
    },
  });
  const tasks = [...ids.values()].map((id): Task => ({ scheduler, id, mm: mm.at(id), unfinished, tickMicroseconds }));
  return { scheduler, unfinished, of: (process, thread) => tasks[ids.get(`${process}.${thread}`) ?? -1] ?? null };
}
