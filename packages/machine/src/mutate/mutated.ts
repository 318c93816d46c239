/**
 * A system with one line of its code changed. Nothing but the routines is touched: a wrapper stands between them and
 * whoever runs them, and changes what they yield.
 */
import { ModelError } from '../state/errors.ts';
import { hashString } from '../state/hash.ts';
import type { Operation, Steps } from '../routine/operation.ts';
import type { System } from '../system/specs.ts';
import { leftOut, loaded, noCall, remembered, storedLater } from './left-out.ts';
import { Change, valueAlwaysRead, type Mutation } from './mutation.ts';
import {
  isOperation,
  knownTo,
  nameOf,
  remember,
  Rewriting,
  swappableResult,
  swappableWith,
  type Call,
  type Frame,
  type Next,
  type Rewritten,
} from './rewriting.ts';
import { firstWordOf, positionOf, type Position } from './source-order.ts';

/** The system with a change, and whether any run has come to the changed line. */
export interface Mutated {
  readonly system: System;
  /** Looked at after a search: a line that was never reached was never changed. */
  readonly reached: () => boolean;
}

/**
 * Changes a line of a system's code.
 * @param inForce false: everything but the change itself, so that the states can be compared
 */
export function mutated(system: System, mutation: Mutation, inForce = true): Mutated {
  let reached = false;
  const options: Options = { mutation, inForce, memoryModel: system.memoryModel, onReached: () => (reached = true) };
  const programs = system.programs.map((program) => ({
    ...program,
    start: () => new Mutating(options).run(program),
  }));
  return { system: { ...system, programs }, reached: () => reached };
}

interface Options {
  readonly mutation: Mutation;
  readonly inForce: boolean;
  readonly memoryModel: string;
  readonly onReached: () => void;
}

/** One execution of a program with the change. */
class Mutating extends Rewriting {
  readonly #options: Options;
  /** What has been left open, how many times: its end is left out as well. */
  readonly #open = new Map<string, number>();

  constructor(options: Options) {
    super();
    this.#options = options;
  }

  /** What is remembered here is part of the local state, as far as the change asks for it. */
  protected override *begin(frame: Frame): Steps {
    const { change } = this.#options.mutation;
    const open = this.#open;
    const { read } = frame;
    if (change === Change.recheck) {
      yield {
        mark: 'local',
        object: {
          get words() {
            return [...read].flat();
          },
        },
      };
    }
    if (change !== Change.leaveOutPair || frame.caller !== null) return;
    yield {
      mark: 'local',
      object: {
        get words() {
          return [...open].flatMap(([of, times]) => [hashString(of).lo, times]);
        },
      },
    };
  }

  protected override locate(frame: Frame): ((made: object) => boolean) | null {
    const { position, routine, word } = this.#options.mutation;
    if (position === null || frame.routine !== routine) return null;
    return (made) => {
      const name = isOperation(made) ? firstWordOf(made) : nameOf(made);
      return name === word || name === null;
    };
  }

  protected override *operation(op: Operation, frame: Frame, steps: Steps<unknown>): Rewritten<Next> {
    if (this.#closesWhatWasNotOpened(op)) return this.resume(steps, yield leftOut(op), frame);
    if (!this.#isMeant(firstWordOf(op), op, frame)) return this.resume(steps, yield* this.performed(op, frame), frame);
    if (this.#options.mutation.change === Change.swap) return yield* this.#swap(op, frame, steps);
    return this.resume(steps, yield* this.#changed(op, frame), frame);
  }

  protected override *call(call: Call, caller: Frame, steps: Steps<unknown>): Rewritten<Next> {
    const { change } = this.#options.mutation;
    const isMeant = call.name !== null && this.#isMeant(call.name, call, caller);
    if (isMeant && change === Change.swap) return yield* this.#swap(call, caller, steps);
    if (!isMeant || change !== Change.leaveOut) return this.resume(steps, yield* this.called(call, caller), caller);
    this.#options.onReached();
    // Its steps have been made, and are ended rather than forgotten.
    call.steps[Symbol.iterator]();
    call.steps.return(undefined);
    yield noCall(call.name ?? '');
    return this.resume(steps, undefined, caller);
  }

  #isMeant(word: string, made: object, { routine, position }: Frame): boolean {
    const { mutation, inForce } = this.#options;
    return (
      inForce &&
      routine === mutation.routine &&
      word === mutation.word &&
      (mutation.position === null || samePosition(positionOf(made, position), mutation.position))
    );
  }

  #closesWhatWasNotOpened(op: Operation): boolean {
    if (this.#open.size === 0) return false;
    const pair = op.definition.pair?.(op);
    const times = pair?.end === 'close' ? (this.#open.get(pair.of) ?? 0) : 0;
    if (!pair || times === 0) return false;
    if (times === 1) this.#open.delete(pair.of);
    else this.#open.set(pair.of, times - 1);
    return true;
  }

  /** The operation in its changed form; returns its result. */
  *#changed(op: Operation, frame: Frame): Steps<number> {
    const { mutation, memoryModel, onReached } = this.#options;
    switch (mutation.change) {
      case Change.leaveOut:
        onReached();
        return yield leftOut(op);
      case Change.leaveOutPair: {
        const pair = op.definition.pair?.(op);
        if (pair?.end !== 'open') break;
        onReached();
        const result = yield leftOut(op);
        this.#open.set(pair.of, (this.#open.get(pair.of) ?? 0) + 1);
        return result;
      }
      case Change.recheck: {
        const known = op.definition.role === 'read' ? knownTo(frame, op) : undefined;
        if (known === undefined) break;
        onReached();
        return yield remembered(op, known);
      }
      case Change.loadThenStore: {
        if (!op.definition.halves) break;
        onReached();
        const result = yield loaded(op);
        const store = storedLater(op, result);
        if (store) yield store;
        remember(frame, op, result);
        return result;
      }
      default: {
        const value = valueAlwaysRead(mutation.change);
        if (value !== undefined) {
          onReached();
          return yield remembered(op, value);
        }
        const weaker = op.definition.weaker?.(op, memoryModel).find(({ change }) => change === mutation.change);
        if (!weaker) break;
        onReached();
        return yield* this.performed(weaker.operation, frame);
      }
    }
    return yield* this.performed(op, frame);
  }

  /** Lets the routine go on as if the line had been done, and does it after the one that follows. */
  *#swap(line: Operation | Call, frame: Frame, steps: Steps<unknown>): Rewritten<Next> {
    const next = yield* this.peek(steps, swappableResult(line), frame);
    const following = swappableWith(line, next);
    if (following === null) {
      checkResult(line, yield* this.#done(line, frame));
      return next;
    }
    this.#options.onReached();
    const result = yield* this.#done(following, frame);
    checkResult(line, yield* this.#done(line, frame));
    return this.resume(steps, result, frame);
  }

  #done(line: Operation | Call, frame: Frame): Rewritten<unknown> {
    return isOperation(line) ? this.performed(line, frame) : this.called(line, frame);
  }
}

function checkResult(line: Operation | Call, result: unknown): void {
  if (result === swappableResult(line)) return;
  const what = isOperation(line) ? (line.label ?? line.definition.name) : `${line.name ?? ''}()`;
  throw new ModelError(`mutation: ${what} returned ${String(result)}: it cannot change places`);
}

function samePosition(a: Position, b: Position): boolean {
  return a.length === b.length && a.every((where, i) => where === b[i]);
}
