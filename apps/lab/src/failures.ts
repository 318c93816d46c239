/** What went wrong in a run, in lines. Accesses that came to nothing do not end it. */
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

/** A line for each way in which accesses failed, and for whoever waits in a deadlock. */
export function failureLines(run: Pick<MachineRun, 'total' | 'violation' | 'waiting'>): string[] {
  const accesses = Object.entries(REASONS).flatMap(([counter, reason]) => {
    const n = failed(run, counter as keyof typeof REASONS);
    return n === 0 ? [] : [`${n} access${n === 1 ? '' : 'es'} failed: ${reason}`];
  });
  const said = [...(run.violation === null ? [] : [run.violation]), ...accesses, ...run.waiting];
  return said.map((line) => `  *** ${line}\n`);
}
