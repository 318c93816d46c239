/** How long routines of a run took and what its processors waited for: the histograms that `shootdown run` shows. */
import type { Operation } from '@shootdown/machine';
import { Histogram } from '@shootdown/report';
import { waitOf } from '@shootdown/topology';

/** Routines whose latency is worth a histogram. */
export const TIMED_ROUTINES: ReadonlySet<string> = new Set([
  'flush_tlb_mm_range',
  '__flush_tlb_range',
  'exc_page_fault',
  'munmap',
  'mprotect',
  'madvise_dontneed',
  'fork',
  'arch_tlbbatch_flush',
  'kvm_flush_remote_tlbs',
  'handle_ept_violation',
  'synchronize_rcu',
]);

/** Histograms by what they are of, in cycles. */
export class Latencies {
  readonly histograms = new Map<string, Histogram>();

  /** A routine has returned. */
  readonly onRoutine = (routine: string, _processor: number, cycles: number): void => {
    if (TIMED_ROUTINES.has(routine)) this.#add(routine, cycles);
  };

  /** A processor has waited. */
  readonly onWait = (operation: Operation, _processor: number, cycles: number): void => {
    const kind = waitOf(operation);
    if (kind !== null) this.#add(kind, cycles);
  };

  /** A grace period of RCU is over. */
  readonly onGracePeriod = (cycles: number): void => this.#add('grace period', cycles);

  #add(kind: string, cycles: number): void {
    const histogram = this.histograms.get(kind) ?? new Histogram();
    this.histograms.set(kind, histogram);
    histogram.add(Math.round(cycles));
  }
}
