/** Which CPUs of a kernel have a scheduler. */
import { sleepsForATime } from './actions.ts';
import type { KernelDescription } from './description.ts';

/** CPUs with a run queue: those with several threads, whose thread sleeps for a time, or to which one may come. */
export function sharedCpus({ processes, kernelThreads = [] }: KernelDescription): ReadonlySet<number> {
  const threads = [...processes.flatMap((process) => process.threads), ...kernelThreads];
  const shares = (cpu: number): boolean => threads.filter((t) => t.cpu === cpu).length > 1;
  return new Set([
    ...threads.filter(({ cpu, run }) => shares(cpu) || sleepsForATime(run)).map(({ cpu }) => cpu),
    ...processes.flatMap((process) => process.threads.flatMap(({ cpus = [] }) => cpus)),
  ]);
}
