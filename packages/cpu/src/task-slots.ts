/**
 * Where the tasks of a kernel may run: each CPU's processor has a slot for every task that begins or may come there.
 */
import type { Cpu } from './cpu.ts';

/** The slots of all CPUs. A task keeps its slot of a CPU for the time it comes back. */
export class TaskSlots {
  /** The CPU each task begins on, by task. */
  readonly #tasks: readonly Cpu[];
  /** By CPU: its own tasks, for the processor begins with its first slot, then those that may come from others. */
  readonly #tasksOf: readonly (readonly number[])[];

  /** @param affinity the CPUs that each task may run on, by task; left out: its own */
  constructor(
    cpus: readonly Cpu[],
    tasks: readonly Cpu[],
    affinity: readonly (ReadonlySet<number> | undefined)[] = [],
  ) {
    this.#tasks = tasks;
    const numbers = tasks.map((_, task) => task);
    this.#tasksOf = cpus.map((cpu) => [
      ...numbers.filter((task) => tasks[task] === cpu),
      ...numbers.filter((task) => tasks[task] !== cpu && affinity[task]?.has(cpu.id)),
    ]);
  }

  /** The tasks that may run on a CPU, its own first. */
  tasksOf(cpu: Cpu): readonly number[] {
    return this.#tasksOf[cpu.id] as readonly number[];
  }

  /** The tasks that begin on a CPU. */
  beginningOn(cpu: Cpu): readonly number[] {
    return this.tasksOf(cpu).filter((task) => this.#tasks[task] === cpu);
  }

  /** Which slot of a CPU's processor is a task's. On a CPU that begins idle the idle task has the first. */
  of(task: number, cpu: Cpu): number {
    return this.tasksOf(cpu).indexOf(task) + (this.beginsIdle(cpu) ? 1 : 0);
  }

  /** Which slot is the idle task's. */
  ofIdle(cpu: Cpu): number {
    return this.beginsIdle(cpu) ? 0 : this.tasksOf(cpu).length;
  }

  /** No task begins there. */
  beginsIdle(cpu: Cpu): boolean {
    return !this.#tasks.includes(cpu);
  }
}
