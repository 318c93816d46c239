/** Which virtual CPU each physical one of a host runs, as the messages of its scheduler say. */
import type { TraceStep } from '@shootdown/machine';
import { endOf, type Event } from './trace-event.ts';

/** Senders that stand for what happens by itself. */
const NOBODY = new Set(['host', 'hardware']);

/** A stay of a virtual CPU; null: the physical one is idle. */
interface Stay {
  readonly column: number | null;
  readonly since: number;
}

/**
 * A component of no processor that resumes and preempts processors is a physical CPU. Who runs on it when the trace
 * begins is known when it leaves. `emit` gets a slice per stay.
 */
export class PhysicalCpus {
  readonly #emit: (cpu: string, event: Event) => void;
  readonly #stays = new Map<string, Stay>();
  #first: number | null = null;
  #nameOf: (column: number) => string = String;

  constructor(emit: (cpu: string, event: Event) => void) {
    this.#emit = emit;
  }

  step(step: TraceStep, start: number, end: number, nameOf: (column: number) => string): void {
    this.#first ??= start;
    this.#nameOf = nameOf;
    for (const { from, to, type, fromColumn, toColumn } of step.messages ?? []) {
      if (fromColumn < 0 && toColumn >= 0 && !NOBODY.has(from)) {
        if (type === 'preempt') this.#leave(from, toColumn, start);
        else if (type === 'resume') this.#enter(from, toColumn, end);
      } else if (type === 'block' && fromColumn >= 0 && toColumn < 0) this.#leave(to, fromColumn, start);
    }
  }

  end(now: number): void {
    for (const [cpu, { column }] of this.#stays) if (column !== null) this.#leave(cpu, column, now);
  }

  #enter(cpu: string, column: number, now: number): void {
    const before = this.#stays.get(cpu);
    if (before && before.column !== null) this.#leave(cpu, before.column, now);
    this.#stays.set(cpu, { column, since: Math.max(now, this.#stays.get(cpu)?.since ?? now) });
  }

  #leave(cpu: string, column: number, now: number): void {
    const stay = this.#stays.get(cpu) ?? { column, since: this.#first ?? now };
    const until = Math.max(now, stay.since);
    if (stay.column === column && until > stay.since) {
      const slice = { ph: 'B', ts: stay.since, name: this.#nameOf(column), cat: 'runs', args: { since: stay.since } };
      this.#emit(cpu, slice);
      this.#emit(cpu, endOf(slice, until));
    }
    this.#stays.set(cpu, { column: null, since: until });
  }
}
