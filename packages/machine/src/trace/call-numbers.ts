/**
 * Which call is which: a stack of names looks the same in two calls in a row of one routine. A number is given to every
 * call of a run when it begins, and stays with it while others are called from it, while an interrupt handler runs
 * above it, and where its task goes on on another processor.
 */
import type { TabulatedExecutor } from '../execute/tabulated.ts';
import type { Processor } from '../system/specs.ts';

/** The routine of a task or handler: its local state, and its calls, outermost first. */
interface Place {
  readonly node: number;
  readonly calls: readonly number[];
}

const NOTHING: Place = { node: 0, calls: [] };

/** Numbers the calls of one run, from its initial state on. */
export class CallNumbers {
  readonly #executor: TabulatedExecutor;
  /** By the words of tasks and interrupt handlers. */
  #places = new Map<number, Place>();
  #next = 0;

  constructor(executor: TabulatedExecutor) {
    this.#executor = executor;
    this.follow(null);
  }

  /** The word of the routine on top of a processor's stack. */
  topOf(processor: number): number {
    return this.#executor.topAddress(this.#executor.system.processors[processor] as Processor);
  }

  /** Numbers of the calls on a processor's stack, as `wholeStackOf` names them. */
  of({ interruptAddress, currentAddress, taskBase, index }: Processor): readonly number[] {
    const slot = currentAddress < 0 ? 0 : this.#executor.store.read(currentAddress);
    const task = this.#callsAt(taskBase + slot);
    return this.topOf(index) === interruptAddress ? [...task, ...this.#callsAt(interruptAddress)] : task;
  }

  #callsAt(address: number): readonly number[] {
    return this.#places.get(address)?.calls ?? [];
  }

  /** Takes note of a step. @param advanced the word of the routine that has gone on in it; null: none has */
  follow(advanced: number | null): void {
    const before = this.#places;
    const after = new Map<number, Place>();
    for (const { interruptAddress, taskBase, tasks } of this.#executor.system.processors) {
      const words = tasks.map((_, slot) => taskBase + slot);
      for (const address of interruptAddress < 0 ? words : [...words, interruptAddress])
        after.set(address, this.#placeAt(address, before, address === advanced));
    }
    this.#places = after;
  }

  #placeAt(address: number, before: ReadonlyMap<number, Place>, hasAdvanced: boolean): Place {
    const { nodes, store, lastResult } = this.#executor;
    const node = store.read(address);
    const old = before.get(address) ?? NOTHING;
    const edge = hasAdvanced
      ? nodes.edgesOf(old.node).find(({ result, child }) => result === lastResult && child === node)
      : undefined;
    if (edge) return { node, calls: this.#grown(old.calls.slice(0, edge.staying), node) };
    if (old.node === node && !hasAdvanced) return old;
    // A task that goes on on another processor, or a call that has just begun.
    const moved = [...before].find(([from, place]) => place.node === node && store.read(from) !== node)?.[1];
    return moved && node !== 0 ? moved : { node, calls: this.#grown([], node) };
  }

  #grown(calls: number[], node: number): number[] {
    const depth = this.#executor.nodes.stacks[node]?.length ?? 0;
    while (calls.length < depth) calls.push(this.#next++);
    return calls;
  }
}
