/**
 * How long grace periods of RCU take: from the step that starts one, for synchronize_rcu() or for the callbacks of
 * call_rcu(), to the one after which whoever waits for it goes on.
 */
import type { TimedStep } from '@shootdown/machine';

const START = 'rcu_start_grace_period';
const WAIT = 'rcu_wait_grace_period';

/** Watches the steps of a run. One object per run. */
export class GracePeriods {
  readonly #onOver: (cycles: number) => void;
  /** By RCU and number of the grace period: when it was started. */
  readonly #since = new Map<unknown, Map<number, number>>();

  constructor(onOver: (cycles: number) => void) {
    this.#onOver = onOver;
  }

  /** Takes note of a step. */
  observe({ choice, operation, startCycles, durationCycles }: TimedStep): void {
    if (choice.kind !== 'advance' || operation === null) return;
    const { name } = operation.definition;
    if (name === START) {
      const started = this.#since.get(operation.data) ?? new Map<number, number>();
      this.#since.set(operation.data, started.set(operation.a, startCycles));
    } else if (name === WAIT) {
      const since = this.#since.get(operation.data)?.get(operation.a);
      if (since !== undefined) this.#onOver(startCycles + durationCycles - since);
    }
  }
}
