/**
 * A routine within one step: what somebody else does to its end before anybody moves.
 *
 * A component whose machine is of no more interest than its outcome runs the same code so as a processor does in steps,
 * and the interleavings in between are not explored: whoever uses this says why none of them matters.
 */
import { ModelError } from '../state/errors.ts';
import { BLOCKED, type Explanation, type Message, type Operation, type OperationContext } from './operation.ts';
import type { Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';

/**
 * Performs every operation of a program within the step under way, on memory: the store buffer of the processor of the
 * step belongs to what it executes, not to this. Throws ModelError if one of them blocks, or may go more than one way.
 */
export function performInOneStep(cx: OperationContext, program: Program): void {
  const cursor = new RoutineCursor(program, 0);
  const memory = new Memory(cx);
  for (;;) {
    for (const mark of cursor.said) {
      if (mark.mark === 'fail') cx.fail(mark.property, () => mark.detail);
      else if (mark.mark === 'count') cx.count(mark.counter, mark.amount);
    }
    const op = cursor.pending;
    if (op === null) return;
    const ways = op.definition.branches?.(memory, op) ?? 1;
    const result = ways === 1 ? op.definition.perform(memory, op, 0) : BLOCKED;
    if (result === BLOCKED)
      throw new ModelError(`${cursor.at}: ${op.label ?? op.definition.name}: cannot be had in one step`);
    cursor.advance(result);
  }
}

/** What an operation sees that is part of another step. */
class Memory implements OperationContext {
  readonly #cx: OperationContext;

  constructor(cx: OperationContext) {
    this.#cx = cx;
  }

  get processor(): number {
    return this.#cx.processor;
  }

  load(address: number): number {
    return this.#cx.read(address);
  }

  read(address: number): number {
    return this.#cx.read(address);
  }

  storeBuffered(address: number, value: number): boolean {
    this.#cx.write(address, value);
    return true;
  }

  write(address: number, value: number): void {
    this.#cx.write(address, value);
  }

  drained(): boolean {
    return true;
  }

  buffered(): number {
    return 0;
  }

  fail(property: string, detail: () => string): void {
    this.#cx.fail(property, detail);
  }

  send(channel: number, message: Message, from?: number): boolean {
    return this.#cx.send(channel, message, from);
  }

  tell(component: number, message: Message, from?: number): boolean {
    return this.#cx.tell(component, message, from);
  }

  note(channel: number, type: string, back?: boolean): void {
    this.#cx.note(channel, type, back);
  }

  channelEmpty(channel: number): boolean {
    return this.#cx.channelEmpty(channel);
  }

  channelFull(channel: number): boolean {
    return this.#cx.channelFull(channel);
  }

  operationOf(processor: number): Operation | null {
    return this.#cx.operationOf(processor);
  }

  spend(cost: string, times?: number): void {
    this.#cx.spend(cost, times);
  }

  count(counter: string, amount?: number): void {
    this.#cx.count(counter, amount);
  }

  explain(what: () => Explanation | null): void {
    this.#cx.explain(what);
  }
}
