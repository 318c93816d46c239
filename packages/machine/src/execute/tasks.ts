/** Which task a processor goes on with, and when all of them are over. */
import { ModelError } from '../state/errors.ts';
import type { Component, Processor, System } from '../system/specs.ts';
import type { WordStore } from '../state/words.ts';
import type { RoutineKeeper } from './keepers.ts';

/** The tasks of the processors of one system. */
export class Tasks {
  readonly #system: System;
  readonly #store: WordStore;
  readonly #routines: RoutineKeeper;

  constructor(system: System, store: WordStore, routines: RoutineKeeper) {
    this.#system = system;
    this.#store = store;
    this.#routines = routines;
  }

  /** True when every task of the processor has returned. */
  areDone({ tasks, taskBase }: Processor): boolean {
    return tasks.every((_, slot) => this.#routines.operationAt(taskBase + slot) === null);
  }

  /** True when its tasks have returned or reached `rest`, and it is in no interrupt handler. */
  rest({ tasks, taskBase, interruptAddress }: Processor): boolean {
    if (interruptAddress >= 0 && this.#store.read(interruptAddress) !== 0) return false;
    for (let slot = 0; slot < tasks.length; slot++) {
      const op = this.#routines.operationAt(taskBase + slot);
      if (op !== null && op.definition.rests !== true) return false;
    }
    return true;
  }

  /** The processor goes on with the task of a slot, or with the next in turn that has not returned. */
  switch(component: Component, slot?: number): void {
    const processor = this.#system.processors[component.processor];
    if (!processor || processor.currentAddress < 0)
      throw new ModelError(
        `component: ${component.name}: emitted switch, but it controls no processor with several tasks`,
      );
    const tasks = processor.tasks.length;
    if (slot !== undefined) {
      if (!(slot >= 0 && slot < tasks))
        throw new ModelError(`component: ${component.name}: emitted switch to task ${slot} of ${tasks}`);
      this.#store.write(processor.currentAddress, slot);
      return;
    }
    const current = this.#store.read(processor.currentAddress);
    for (let i = 1; i <= tasks; i++) {
      const next = (current + i) % tasks;
      if (this.#routines.operationAt(processor.taskBase + next) !== null) {
        this.#store.write(processor.currentAddress, next);
        return;
      }
    }
  }

  /** Nothing happens where no task of the target has returned. Either processor goes on with a task that has not. */
  migrate(component: Component, to: string): void {
    const from = this.#system.processors[component.processor];
    const target = this.#system.processors.find(({ name }) => name === to);
    if (!from || !target || !from.migratesTo.includes(target.index))
      throw new ModelError(`component: ${component.name}: emitted migrate to ${to}, where its tasks may not migrate`);
    const slotOf = (p: Processor): number => (p.currentAddress < 0 ? 0 : this.#store.read(p.currentAddress));
    const leaving = from.taskBase + slotOf(from);
    const free = target.tasks.findIndex((_, slot) => this.#routines.operationAt(target.taskBase + slot) === null);
    if (free < 0 || this.#routines.operationAt(leaving) === null) return;
    const targetIsIdle = this.#routines.operationAt(target.taskBase + slotOf(target)) === null;
    this.#routines.swap(leaving, target.taskBase + free);
    if (targetIsIdle && target.currentAddress >= 0) this.#store.write(target.currentAddress, free);
    if (from.currentAddress >= 0) this.switch(component);
  }
}
