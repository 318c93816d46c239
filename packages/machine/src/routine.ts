/**
 * Routines: kernel code as generators that yield one atomic operation at a time.
 *
 * A routine's local state is the list of results it has received; nodes (`nodes.ts`) and actors (`live.ts`) both walk it
 * with the {@link RoutineCursor} below, so that they agree by construction on what a local state is and hashes to.
 */
import { ModelError } from './errors.ts';
import { hashExtend, hashString, type Hash64 } from './hash.ts';
import type { Mark, Operation, Steps } from './operation.ts';

/** A named routine. Calling it gives the steps, so that one routine can be part of another: `yield* pud_clear(pudp)`. */
export interface Routine<A extends readonly unknown[] = readonly unknown[], T = unknown> {
  (...args: A): Steps<T>;
  readonly routineName: string;
}

/**
 * Names a generator function.
 * @param name the kernel's own name: it heads columns and names the routine in errors
 */
export function routine<A extends readonly unknown[], T>(name: string, body: (...args: A) => Steps<T>): Routine<A, T> {
  const named = function* (...args: A): Steps<T> {
    // Handed over, not delegated to: an operation of a routine does not pass through all of its callers then.
    const result: unknown = yield { mark: 'call', name, steps: body(...args) };
    return result as T;
  };
  return Object.assign(named, { routineName: name });
}

/**
 * Says what the routine's future depends on from here: two histories that reach the same point with the same values are
 * one local state. Put it at every loop head, directly before the operation. In a routine that others call, the values must
 * also say where the callers go on from: a point knows nothing of its callers. The claim can be checked: `verifyPoints`.
 */
export function* point(label: string, ...values: number[]): Steps {
  yield { mark: 'point', label, values };
}

/** Counts an event (nr_tlb_remote_flush and the like) under the processor's name. No step, no state. */
export function* count(counter: string, amount = 1): Steps {
  yield { mark: 'count', counter, amount };
}

/** Fails the property when `condition` does not hold. The check itself is no step. */
export function* assertThat(condition: boolean, property: string, detail = ''): Steps {
  if (!condition) yield { mark: 'fail', property, detail };
}

/** A routine with its arguments, ready to run on a processor. */
export interface Program {
  readonly name: string;
  readonly start: () => Steps<unknown>;
}

/** Binds a routine to its arguments. Processors that share one Program object run the same code: symmetry needs that. */
export function program<A extends readonly unknown[]>(body: Routine<A>, ...args: A): Program {
  return { name: body.routineName, start: () => body(...args) };
}

const MARKS_MAX = 100_000;

/** Walks one execution of a program: the pending operation, the call stack, and the content hash of the local state. */
export class RoutineCursor {
  readonly program: Program;
  /** The operation waiting to be performed; null when the routine has returned. */
  pending: Operation | null = null;
  /** Content hash of the local state. */
  hash: Hash64;
  /** The point this local state stands at, `label(values)`, or null if it is known by its history only. */
  pointKey: string | null = null;
  /** Counts and failures said since the previous operation. */
  said: Mark[] = [];
  /** Names of the routines being executed, outermost first. */
  stack: readonly string[] = [];
  /** Operations performed so far. */
  steps = 0;
  readonly #seed: Hash64;
  /** The routines being executed, outermost first: the last one goes on. */
  readonly #calls: Steps<unknown>[];

  /** @param identity distinguishes programs of one system from one another; part of every content hash */
  constructor(body: Program, identity: number) {
    this.program = body;
    this.#seed = hashExtend(hashString(body.name), identity);
    this.hash = this.#seed;
    this.#calls = [body.start()];
    this.#run(undefined);
  }

  /** Gives the routine the result of its pending operation and runs it to the next one. */
  advance(result: number): void {
    this.hash = hashExtend(this.hash, result);
    this.steps++;
    this.#run(result);
  }

  #run(result: number | undefined): void {
    this.said = [];
    this.pointKey = null;
    let input: unknown = result ?? 0;
    for (let marks = 0; ; marks++) {
      if (marks > MARKS_MAX) throw new ModelError(`${this.#where()}: ${MARKS_MAX} marks without an operation: an endless loop`);
      const next = this.#next(input);
      input = 0;
      if (next.done) {
        this.#calls.pop();
        if (this.#calls.length === 0) {
          this.pending = null;
          this.hash = underSeed(RETURNED, this.#seed);
          return;
        }
        this.stack = this.stack.slice(0, -1);
        input = next.value;
        continue;
      }
      const value = next.value;
      if (isOperation(value)) {
        this.pending = value;
        return;
      }
      this.#hear(value);
    }
  }

  #next(input: unknown): IteratorResult<Operation | Mark> {
    try {
      // A routine gets numbers for its operations, and for a call whatever the callee returns.
      return (this.#calls.at(-1) as Steps<unknown>).next(input as number);
    } catch (error) {
      if (error instanceof ModelError) throw error;
      throw new ModelError(`${this.#where()}: threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
    }
  }

  #hear(mark: Mark): void {
    switch (mark?.mark) {
      case 'call':
        this.stack = [...this.stack, mark.name];
        this.#calls.push(mark.steps);
        return;
      case 'point': {
        this.pointKey = `${mark.label}(${mark.values.join(',')})`;
        let hash = hashExtend(hashString(mark.label), mark.values.length);
        for (const value of mark.values) hash = hashExtend(hash, value);
        this.hash = underSeed(hash, this.#seed);
        return;
      }
      case 'count':
      case 'fail':
        this.said.push(mark);
        return;
      default:
        throw new ModelError(`${this.#where()}: yielded something that is no operation (${printable(mark)}): use yield* with the operations`);
    }
  }

  #where(): string {
    const after = this.pending ? ` (after ${this.pending.label ?? this.pending.definition.name})` : '';
    return `routine: ${this.stack.at(-1) ?? this.program.name}: step ${this.steps}${after}`;
  }
}

/** The local state of a routine that has returned: what it received on the way no longer matters, and no result hashes to it. */
const RETURNED = hashString('return');

/** A content that does not depend on the history, made the program's own. */
function underSeed(content: Hash64, seed: Hash64): Hash64 {
  return { lo: content.lo ^ seed.lo, hi: (content.hi + seed.hi) | 0 };
}

function isOperation(value: Operation | Mark): value is Operation {
  return typeof value === 'object' && value !== null && 'definition' in value && typeof value.definition?.perform === 'function';
}

function printable(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 60);
  } catch {
    return typeof value;
  }
}
