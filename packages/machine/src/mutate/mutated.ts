/**
 * A system with one line of its code changed. Nothing but the routines is touched: a wrapper stands between them and whoever
 * runs them, and changes what they yield.
 */
import { ModelError } from '../state/errors.ts';
import { hashString } from '../state/hash.ts';
import type { Mark, Operation, Steps } from '../routine/operation.ts';
import type { Program } from '../routine/routine.ts';
import type { System } from '../system/system.ts';
import { leftOut, loaded, noCall, remembered, storedLater } from './left-out.ts';
import { Change, valueAlwaysRead, type Mutation } from './mutation.ts';
import { NOWHERE, positionOf, resumeLocating, firstWordOf, type Position } from './source-order.ts';

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

type Next = IteratorResult<unknown, unknown>;
type Call = Extract<Mark, { readonly mark: 'call' }>;

/** What a wrapper does with what a routine yields. */
export abstract class Rewriting {
  /** One execution of a program. */
  *run(program: Program): Steps<unknown> {
    const frame: Frame = { routine: program.name, caller: null, position: NOWHERE, read: new Map() };
    yield* this.begin(frame);
    return yield* this.#drive(program.start(), frame);
  }

  *#drive(steps: Steps<unknown>, frame: Frame): Steps<unknown> {
    for (let next = this.resume(steps, undefined, frame); ;) {
      if (next.done) return next.value;
      const said = next.value as Operation | Mark;
      if (isOperation(said)) next = yield* this.operation(said, frame, steps);
      else if (isCall(said)) next = this.resume(steps, yield* this.call(said, frame), frame);
      else next = this.resume(steps, yield said, frame);
    }
  }

  /** Called at the start of every frame, for what it remembers to be declared. */
  *begin(_frame: Frame): Steps {}

  resume(steps: Steps<unknown>, input: unknown, frame: Frame): Next {
    return resumeLocating(steps, input, this.locate(frame));
  }

  /** Which of the things made in a frame are to be located. */
  protected locate(_frame: Frame): ((made: object) => boolean) | null {
    return null;
  }

  /** Performs an operation, or something else, and gives the routine the result. */
  abstract operation(op: Operation, frame: Frame, steps: Steps<unknown>): Generator<Operation | Mark, Next, number>;

  /** Makes a call; what it returns is the result. */
  *call(call: Call, caller: Frame): Generator<Operation | Mark, unknown, number> {
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

function isCall(value: Mark): value is Call {
  return typeof value === 'object' && value !== null && value.mark === 'call';
}

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
    name: program.name,
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
  override *begin(frame: Frame): Steps {
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

  override *operation(op: Operation, frame: Frame, steps: Steps<unknown>): Generator<Operation | Mark, Next, number> {
    if (this.#closesWhatWasNotOpened(op)) return this.resume(steps, yield leftOut(op), frame);
    if (!this.#isMeant(firstWordOf(op), op, frame)) return this.resume(steps, yield* performed(op, frame), frame);
    if (this.#options.mutation.change === Change.swap) return yield* this.#swap(op, frame, steps);
    return this.resume(steps, yield* this.#changed(op, frame), frame);
  }

  override *call(call: Call, caller: Frame): Generator<Operation | Mark, unknown, number> {
    const { change } = this.#options.mutation;
    const isMeant = call.name !== null && change === Change.leaveOut && this.#isMeant(call.name, call, caller);
    if (!isMeant) return yield* super.call(call, caller);
    this.#options.onReached();
    // Its steps have been made, and are ended rather than forgotten.
    call.steps[Symbol.iterator]();
    call.steps.return(undefined);
    yield noCall(call.name ?? '');
    return undefined;
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

  #closesWhatWasNotOpened({ definition, ...op }: Operation): boolean {
    if (this.#open.size === 0) return false;
    const pair = definition.pair?.({ definition, ...op });
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
        return yield* performed(weaker.operation, frame);
      }
    }
    return yield* performed(op, frame);
  }

  /** Lets the routine go on as if the operation had been performed, and performs it after the one that follows. */
  *#swap(op: Operation, frame: Frame, steps: Steps<unknown>): Generator<Operation | Mark, Next, number> {
    let next = this.resume(steps, SWAPPABLE_RESULT, frame);
    while (!next.done && (next.value as Mark | undefined)?.mark === 'count')
      next = this.resume(steps, yield next.value as Mark, frame);
    const following = !next.done && isOperation(next.value) ? next.value : null;
    if (following && maySwap(op, following)) {
      this.#options.onReached();
      const result = yield* performed(following, frame);
      checkResult(op, yield* performed(op, frame));
      return this.resume(steps, result, frame);
    }
    checkResult(op, yield* performed(op, frame));
    return next;
  }
}

function* performed(op: Operation, frame: Frame): Steps<number> {
  const result = yield op;
  remember(frame, op, result);
  return result;
}

/** What an operation must always return for the next one to be known before it is performed. */
export const SWAPPABLE_RESULT = 0;

function checkResult(op: Operation, result: number): void {
  if (result !== SWAPPABLE_RESULT)
    throw new ModelError(`mutation: ${op.label ?? op.definition.name} returned ${result}: it cannot change places`);
}

/** Whether two neighbours may change places: both are lines of the code, and not the two ends of one thing. */
export function maySwap(first: Operation, second: Operation): boolean {
  if (!isLine(first) || !isLine(second)) return false;
  if (first.definition.role === 'barrier' && second.definition.role === 'barrier') return false;
  const opened = first.definition.pair?.(first);
  const closed = second.definition.pair?.(second);
  return !opened || !closed || opened.of !== closed.of;
}

/** Whether an operation is a line of the code whose effect is modelled. */
export function isLine({ definition }: Operation): boolean {
  const { role, rests, user } = definition;
  return rests !== true && user !== true && role !== 'part' && role !== 'cost' && role !== 'environment';
}

export function nameOf(made: object): string | null {
  return 'name' in made && typeof made.name === 'string' ? made.name : null;
}

function samePosition(a: Position, b: Position): boolean {
  return a.length === b.length && a.every((where, i) => where === b[i]);
}
