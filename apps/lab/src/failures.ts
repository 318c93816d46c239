/** Accesses that came to nothing: a run goes on after them, so that its end does not tell. */
import type { MachineRun } from '@shootdown/topology';

/** What `user_access` counts when a fault is not resolved, and what that means. */
const REASONS = { oom: 'out of memory', sigsegv: 'not permitted' } as const;

function failed({ total }: Pick<MachineRun, 'total'>, counter: keyof typeof REASONS): number {
  return (total[counter] ?? []).reduce((a, b) => a + b, 0);
}

/** How many accesses of a run failed. */
export function failedAccesses(run: Pick<MachineRun, 'total'>): number {
  return failed(run, 'oom') + failed(run, 'sigsegv');
}

/** A line for each way in which accesses failed. */
export function failureLines(run: Pick<MachineRun, 'total'>): string[] {
  return Object.entries(REASONS).flatMap(([counter, reason]) => {
    const n = failed(run, counter as keyof typeof REASONS);
    return n === 0 ? [] : [`  *** ${n} access${n === 1 ? '' : 'es'} failed: ${reason}\n`];
  });
}
