/**
 * Wrappers between routines and whoever runs them: they see every operation and call, and may do something else
 * instead.
 */
import type { Mark, Operation, Steps } from '../routine/operation.ts';
import { begin } from '../routine/noted.ts';
import type { Program } from '../routine/routine.ts';
import { NOWHERE, positionOf, resumeLocating, type Position } from './source-order.ts';

/** A call that has not returned. */
export interface Frame {
  /** Name of the innermost routine that has one. */
  readonly routine: string;
  readonly caller: Frame | null;
  /** Where a function without a name was called, so that its lines have their place among those of the routine. */
  readonly position: Position;
  /** What it has read, by address. */
  readonly read: Map<number, number>;
}

/** What a routine says next. */
export type Next = IteratorResult<unknown, unknown>;
export type Call = Extract<Mark, { readonly mark: 'call' }>;
/** A part of a wrapper: yields what is done instead. */
export type Rewritten<T> = Generator<Operation | Mark, T, number>;

/** A wrapper around the routines of a program: what it does with what they yield. */
export abstract class Rewriting {
  /** One execution of a program. */
  *run(program: Program): Steps<unknown> {
    const frame: Frame = { routine: program.name, caller: null, position: NOWHERE, read: new Map() };
    yield* this.begin(frame);
    return yield* this.#drive(program.start(), frame);
  }

  *#drive(made: Steps<unknown>, frame: Frame): Steps<unknown> {
    // They are this wrapper's to run.
    const steps = begin(made);
    for (let next = this.resume(steps, undefined, frame); ;) {
      if (next.done) return next.value;
      const said = next.value as Operation | Mark;
      if (isOperation(said)) next = yield* this.operation(said, frame, steps);
      else if (isCall(said)) next = yield* this.call(said, frame, steps);
      else next = this.resume(steps, yield said, frame);
    }
  }

  /** Called at the start of every frame, for what it remembers to be declared. */
  protected *begin(_frame: Frame): Steps {}

  /** Goes on to the next operation or call: what the routine counts and tells on the way is passed on. */
  protected *peek(steps: Steps<unknown>, input: unknown, frame: Frame): Rewritten<Next> {
    let next = this.resume(steps, input, frame);
    while (!next.done && isAside(next.value as Operation | Mark | undefined))
      next = this.resume(steps, yield next.value as Mark, frame);
    return next;
  }

  protected resume(steps: Steps<unknown>, input: unknown, frame: Frame): Next {
    return resumeLocating(steps, input, this.locate(frame));
  }

  /** Which of the things made in a frame are to be located. */
  protected locate(_frame: Frame): ((made: object) => boolean) | null {
    return null;
  }

  /** Performs an operation, or something else, and gives the routine the result. */
  protected abstract operation(op: Operation, frame: Frame, steps: Steps<unknown>): Rewritten<Next>;

  /** Makes a call, or not, and gives the routine what it returns. */
  protected abstract call(call: Call, frame: Frame, steps: Steps<unknown>): Rewritten<Next>;

  /** Performs an operation as it is. */
  protected *performed(op: Operation, frame: Frame): Rewritten<number> {
    const result = yield op;
    remember(frame, op, result);
    return result;
  }

  /** Makes a call as it is; returns what it returns. */
  protected *called(call: Call, caller: Frame): Rewritten<unknown> {
    const position = call.name === null ? positionOf(call, caller.position) : NOWHERE;
    const frame: Frame = { routine: call.name ?? caller.routine, caller, position, read: new Map() };
    const inside = function* (this: Rewriting): Steps<unknown> {
      yield* this.begin(frame);
      return yield* this.#drive(call.steps, frame);
    };
    return yield { ...call, steps: inside.call(this) };
  }
}

/** Notes what an operation has read, or forgets what it has overwritten. */
export function remember(frame: Frame, op: Operation, result: number): void {
  const { role, halves } = op.definition;
  if (role === 'read') frame.read.set(addressRead(op), result);
  const written = role === 'store' ? op.a : halves?.address(op);
  if (written !== undefined) for (let f: Frame | null = frame; f; f = f.caller) f.read.delete(written);
}

/** What the code knows of the word that a read reads, from before. */
export function knownTo(frame: Frame, op: Operation): number | undefined {
  const address = addressRead(op);
  for (let f: Frame | null = frame; f; f = f.caller) {
    const value = f.read.get(address);
    if (value !== undefined) return value;
  }
  return undefined;
}

function addressRead(op: Operation): number {
  return op.definition.reads?.(op) ?? op.a;
}

export function isOperation(value: unknown): value is Operation {
  return typeof value === 'object' && value !== null && 'definition' in value;
}

function isAside(value: Operation | Mark | undefined): boolean {
  return value !== undefined && 'mark' in value && (value.mark === 'count' || value.mark === 'tell');
}

function isCall(value: Mark): value is Call {
  return typeof value === 'object' && value !== null && value.mark === 'call';
}

/** What a line must always give for the next one to be known before it is done. */
export function swappableResult(line: Operation | Call): 0 | undefined {
  return isOperation(line) ? 0 : undefined;
}

/** What a routine says next, if that is a line that may come before the one given. */
export function swappableWith(line: Operation | Call, next: Next): Operation | Call | null {
  const following = next.done ? null : (next.value as Operation | Mark);
  if (following === null || !(isOperation(following) || isCall(following))) return null;
  return maySwap(line, following) ? following : null;
}

/** Whether two neighbours may change places: both are lines of the code, and not the two ends of one thing. */
function maySwap(first: Operation | Call, second: Operation | Call): boolean {
  if (!isOperation(first) || !isOperation(second)) return isNamed(first) && isNamed(second);
  if (!isLine(first) || !isLine(second)) return false;
  if (first.definition.role === 'barrier' && second.definition.role === 'barrier') return false;
  const opened = first.definition.pair?.(first);
  const closed = second.definition.pair?.(second);
  return !opened || !closed || opened.of !== closed.of;
}

function isNamed(line: Operation | Call): boolean {
  return isOperation(line) ? isLine(line) : line.name !== null;
}

/** Whether an operation is a line of the code whose effect is modelled. */
export function isLine({ definition }: Operation): boolean {
  const { role, rests, user } = definition;
  return rests !== true && user !== true && role !== 'part' && role !== 'cost' && role !== 'environment';
}

export function nameOf(made: object): string | null {
  return 'name' in made && typeof made.name === 'string' ? made.name : null;
}
