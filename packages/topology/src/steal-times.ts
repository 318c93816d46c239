/**
 * Steal time of a host's vCPUs: how long each was runnable while another had its physical CPU
 * (current->sched_info.run_delay, which record_steal_time() adds to kvm_steal_time.steal). A vCPU that halts steals
 * from nobody.
 */
import type { Executor, TimedStep } from '@shootdown/machine';
import { HypervisorCounter } from '@shootdown/hypervisor';
import type { AssembledMachine } from './assemble.ts';

const RUNNING = -1;

/** What is counted when a vCPU begins or ends to wait for its CPU. */
export const STEAL_COUNTERS: ReadonlySet<string> = new Set([
  HypervisorCounter.schedOut,
  HypervisorCounter.woken,
  HypervisorCounter.schedIn,
]);

/** Watches the scheduler of a host. One object per run. */
export class StealTimes {
  readonly #cycles: number[];
  /** Since when a processor waits for its CPU; -1: it does not. */
  readonly #since: number[];
  /** Heard of in the step under way, whose time is not known before it is over. */
  readonly #heard: { readonly processor: number; readonly waits: boolean }[] = [];

  constructor({ system, vms }: Pick<AssembledMachine, 'system' | 'vms'>, executor: Executor) {
    this.#cycles = system.processors.map(() => 0);
    this.#since = system.processors.map(() => RUNNING);
    for (const { member } of vms.flatMap((vm) => vm.vcpus)) {
      if (member && executor.store.read(member.words.ready) === 1) this.#since[member.processor] = 0;
    }
  }

  /** Takes note of an event that was counted: one of {@link STEAL_COUNTERS}. */
  counted(processor: number, counter: string): void {
    this.#heard.push({ processor, waits: counter !== HypervisorCounter.schedIn });
  }

  /** Takes note of when it happened. */
  observe({ startCycles, durationCycles }: TimedStep): void {
    if (this.#heard.length === 0) return;
    const now = startCycles + durationCycles;
    for (const { processor, waits } of this.#heard) {
      const since = this.#since[processor] as number;
      if (!waits && since !== RUNNING)
        this.#cycles[processor] = (this.#cycles[processor] as number) + Math.max(0, now - since);
      this.#since[processor] = waits ? now : RUNNING;
    }
    this.#heard.length = 0;
  }

  /** Cycles by processor; who still waits has waited until `now`. */
  upTo(now: number): readonly number[] {
    return this.#cycles.map(
      (cycles, p) => cycles + (this.#since[p] === RUNNING ? 0 : Math.max(0, now - (this.#since[p] as number))),
    );
  }
}
