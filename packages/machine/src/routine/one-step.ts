/**
 * A routine within one step: what somebody else does to its end before anybody moves.
 *
 * A component whose machine is of no more interest than its outcome runs the same code so as a processor does in steps,
 * and the interleavings in between are not explored: whoever uses this says why none of them matters.
 */
import { ModelError } from '../state/errors.ts';
import { RoutineCursor } from './cursor.ts';
import { ForwardingContext } from './forwarding.ts';
import { BLOCKED, type OperationContext } from './operation.ts';
import type { Program } from './routine.ts';

/** More operations within one step are a routine that never ends. */
const OPERATIONS_MAX = 100_000;

/**
 * Performs every operation of a program within the step under way, on memory: the store buffer of the processor of the
 * step belongs to what it executes, not to this. Routines that are replaced in the system are replaced here, too.
 * Throws ModelError if one of them blocks, or may go more than one way, or if there is no end of them.
 */
export function performInOneStep(cx: OperationContext, program: Program): void {
  const { replacements } = cx;
  const cursor = new RoutineCursor(replacements ? { ...program, replace: replacements } : program, 0);
  const memory = new Memory(cx);
  for (;;) {
    for (const mark of cursor.said) {
      if (mark.mark === 'fail') cx.fail(mark.property, () => mark.detail);
      else if (mark.mark === 'count') cx.count(mark.counter, mark.amount);
      else if (mark.mark === 'tell') cx.send(mark.port, mark.message);
    }
    const op = cursor.pending;
    if (op === null) return;
    const ways = op.definition.branches?.(memory, op) ?? 1;
    const result = ways === 1 ? op.definition.perform(memory, op, 0) : BLOCKED;
    if (result === BLOCKED)
      throw new ModelError(`${cursor.at}: ${op.label ?? op.definition.name}: cannot be had in one step`);
    if (cursor.steps >= OPERATIONS_MAX)
      throw new ModelError(`${cursor.at}: ${OPERATIONS_MAX} operations within one step: does it wait for others?`);
    cursor.advance(result);
  }
}

/** What an operation sees that is part of another step: memory, with no store buffer before it. */
class Memory extends ForwardingContext {
  override load(address: number): number {
    return this.cx.read(address);
  }

  override storeBuffered(address: number, value: number): boolean {
    this.cx.write(address, value);
    return true;
  }

  override drained(): boolean {
    return true;
  }

  override buffered(): number {
    return 0;
  }
}
