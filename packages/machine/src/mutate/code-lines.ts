/**
 * The lines of a system's code, found out by watching its routines run: which operations and calls each routine makes,
 * in the order of the code, and what could become of each.
 */
import type { Operation, SourceLine, Steps } from '../routine/operation.ts';
import type { System } from '../system/specs.ts';
import { labelOf } from '../trace/trace.ts';
import { alwaysReads, Change } from './mutation.ts';
import {
  isLine,
  isOperation,
  knownTo,
  nameOf,
  Rewriting,
  swappableWith,
  type Call,
  type Frame,
  type Next,
  type Rewritten,
} from './rewriting.ts';
import { comparePositions, NOWHERE, positionOf, firstWordOf, type Position } from './source-order.ts';

/** A line of a routine: an operation or a call. */
export interface CodeLine {
  readonly routine: string;
  /** The word it begins with, and `.2` for the second line that begins with it. */
  readonly step: string;
  readonly word: string;
  /** Tells it from lines with the same word; null: there are none. */
  readonly position: Position | null;
  /** Where it is made: file, line and column of each function from the routine inwards. Empty: not known. */
  readonly place: Position;
  /** As traces show it; what differs from run to run is `*`. */
  readonly text: string;
  /** Where it stands, if that is not the TypeScript. */
  readonly source: SourceLine | null;
  /** What can become of it. */
  readonly changes: readonly string[];
  /** The line that follows it and may change places with it, as traces show it. */
  readonly next: string | null;
  /** What of the line, and of the one that follows it, is not modelled. */
  readonly unmodelled: readonly string[];
  /** It is there for the order that it keeps. */
  readonly isBarrier: boolean;
  /** Processors that run the routine. */
  readonly processors: readonly string[];
  /** The line costs time and does nothing else in this model. */
  readonly onlyCost: boolean;
}

const TEXTS_MAX = 64;
const RESULTS_MAX = 4;
/** Values of a read that may be branches. */
const BRANCHES_MAX = 3;

/** What is known of one line. */
class Sighting {
  readonly routine: string;
  readonly word: string;
  readonly position: Position;
  readonly isCall: boolean;
  readonly texts = new Set<string>();
  readonly nexts = new Set<string>();
  readonly nextUnmodelled = new Set<string>();
  readonly results = new Set<unknown>();
  readonly weaker = new Set<string>();
  readonly programs = new Set<number>();
  /** Order of the routine: program, and operations that this had performed when it came here first. */
  program = Number.POSITIVE_INFINITY;
  steps = Number.POSITIVE_INFINITY;
  op: Operation | null = null;
  readonly opens = new Set<string>();
  readonly closes = new Set<string>();
  rereads = false;
  /** Per value read: the addresses at which it was, and what came next. */
  readonly values = new Map<number, { readonly addresses: Set<number>; readonly nexts: Set<string> }>();

  constructor(routine: string, word: string, position: Position, isCall: boolean) {
    this.routine = routine;
    this.word = word;
    this.position = position;
    this.isCall = isCall;
  }

  get key(): string {
    return `${this.routine}\n${this.word}\n${this.isCall}\n${this.position.join()}`;
  }

  /** @param opened all that is opened anywhere */
  changes(opened: ReadonlySet<string>): string[] {
    if (this.isCall) return this.#changesOfCall;
    const { op } = this;
    if (op === null || !isLine(op)) return [];
    const { role, leftOut, halves } = op.definition;
    const changes: string[] = [];
    if (this.opens.size > 0) changes.push(Change.leaveOutPair);
    else if (role === 'read' && leftOut === undefined) {
      changes.push(...(this.rereads ? [Change.recheck] : this.#branches.map(alwaysReads)));
    } else if (![...this.closes].some((of) => opened.has(of))) changes.push(Change.leaveOut);
    if (halves) changes.push(Change.loadThenStore);
    changes.push(...this.weaker);
    if (this.nexts.size > 0 && this.#alwaysSwappable) changes.push(Change.swap);
    return changes;
  }

  /** The values of a read that decides where the code goes on, if each of them was seen at every address. */
  get #branches(): number[] {
    const seen = [...this.values.values()];
    const same = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean =>
      a.size === b.size && [...a].every((x) => b.has(x));
    const [first] = seen;
    if (!first || seen.length < 2 || seen.length > BRANCHES_MAX) return [];
    if (!seen.every(({ addresses }) => same(addresses, first.addresses))) return [];
    return seen.every(({ nexts }) => same(nexts, first.nexts)) ? [] : [...this.values.keys()].sort((a, b) => a - b);
  }

  get #changesOfCall(): string[] {
    const returnsNothing = this.results.size === 1 && this.results.has(undefined);
    if (!returnsNothing) return [];
    return this.nexts.size > 0 ? [Change.leaveOut, Change.swap] : [Change.leaveOut];
  }

  get #alwaysSwappable(): boolean {
    const { role, halves } = this.op?.definition ?? {};
    return role !== 'read' && !halves && this.results.size === 1 && this.results.has(0);
  }
}

/** Watches the routines of a system. Explore {@link system}; {@link lines} says what was seen. */
export class LineWatcher {
  /** The system with its routines watched: what they do is not changed. */
  readonly system: System;
  readonly #sightings = new Map<string, Sighting>();

  constructor(system: System) {
    const sightings = this.#sightings;
    const programs = system.programs.map((program, index) => ({
      ...program,
      start: () => new Watching(system, index, sightings).run(program),
    }));
    this.system = { ...system, programs };
  }

  /** Every line that was reached, by routine in the order of first calls, then in the order of the code. */
  lines(): CodeLine[] {
    const byRoutine = new Map<string, Sighting[]>();
    for (const sighting of this.#sightings.values())
      byRoutine.set(sighting.routine, [...(byRoutine.get(sighting.routine) ?? []), sighting]);
    const first = (sightings: readonly Sighting[]): Sighting =>
      sightings.reduce((a, b) => (compareArrival(a, b) <= 0 ? a : b));
    const opened = new Set([...this.#sightings.values()].flatMap(({ opens }) => [...opens]));
    return [...byRoutine.values()]
      .sort((a, b) => compareArrival(first(a), first(b)))
      .flatMap((sightings) => inOrder(this.system, sightings, opened));
  }
}

function compareArrival(a: Sighting, b: Sighting): number {
  return a.program - b.program || a.steps - b.steps;
}

/** The lines of one routine. */
function inOrder(system: System, sightings: readonly Sighting[], opened: ReadonlySet<string>): CodeLine[] {
  const programs = new Set(sightings.flatMap((sighting) => [...sighting.programs]));
  const processors = system.processors
    .filter(({ tasks, handlers }) => [...tasks, ...Object.values(handlers)].some((program) => programs.has(program)))
    .map(({ name }) => name);
  const sorted = [...sightings].sort((a, b) => comparePositions(a.position, b.position) || compareArrival(a, b));
  return sorted.map((sighting): CodeLine => {
    const same = sorted.filter(({ word }) => word === sighting.word);
    const which = same.indexOf(sighting);
    const { op, word } = sighting;
    return {
      routine: sighting.routine,
      step: which === 0 ? word : `${word}.${which + 1}`,
      word,
      position: same.length === 1 ? null : sighting.position,
      place: sighting.position,
      text: mergedTexts([...sighting.texts]),
      source: op?.source ?? null,
      changes: sighting.changes(opened),
      next: sighting.nexts.size === 0 ? null : mergedTexts([...sighting.nexts]),
      unmodelled: [...new Set([...(op ? unmodelledIn(op) : []), ...sighting.nextUnmodelled])],
      isBarrier: op?.definition.role === 'barrier',
      processors,
      onlyCost: op?.definition.role === 'cost',
    };
  });
}

/** One text for all: words that differ become `*`. */
function mergedTexts([first = '', ...others]: readonly string[]): string {
  const words = first.split(/\b/);
  for (const other of others) {
    const theirs = other.split(/\b/);
    if (theirs.length !== words.length) return `${first} ...`;
    theirs.forEach((word, i) => {
      if (word !== words[i]) words[i] = '*';
    });
  }
  return words.join('');
}

/** One execution of a program that is watched. */
class Watching extends Rewriting {
  readonly #system: System;
  readonly #program: number;
  readonly #sightings: Map<string, Sighting>;
  #steps = 0;

  constructor(system: System, program: number, sightings: Map<string, Sighting>) {
    super();
    this.#system = system;
    this.#program = program;
    this.#sightings = sightings;
  }

  protected override locate(): (made: object) => boolean {
    return () => true;
  }

  protected override *operation(op: Operation, frame: Frame, steps: Steps<unknown>): Rewritten<Next> {
    const sighting = this.#sight(frame, firstWordOf(op), op, false, labelOf(this.#system, op));
    const pair = op.definition.pair?.(op);
    sighting.op ??= op;
    if (pair) (pair.end === 'open' ? sighting.opens : sighting.closes).add(pair.of);
    if (op.definition.role === 'read' && knownTo(frame, op) !== undefined) sighting.rereads = true;
    for (const { change } of op.definition.weaker?.(op, this.#system.memoryModel) ?? []) sighting.weaker.add(change);
    const result = yield* this.performed(op, frame);
    this.#steps++;
    noteResult(sighting.results, result);
    const next = yield* this.peek(steps, result, frame);
    if (op.definition.role === 'read') note(sighting, op, result, next);
    this.#noteNext(sighting, swappableWith(op, next));
    return next;
  }

  protected override *call(call: Call, caller: Frame, steps: Steps<unknown>): Rewritten<Next> {
    if (call.name === null || caller.caller === null)
      return this.resume(steps, yield* this.called(call, caller), caller);
    const sighting = this.#sight(caller, call.name, call, true, `${call.name}()`);
    const result = yield* this.called(call, caller);
    noteResult(sighting.results, result);
    const next = yield* this.peek(steps, result, caller);
    this.#noteNext(sighting, swappableWith(call, next));
    return next;
  }

  #noteNext({ nexts, nextUnmodelled }: Sighting, following: Operation | Call | null): void {
    if (following === null || nexts.size >= TEXTS_MAX) return;
    nexts.add(isOperation(following) ? labelOf(this.#system, following) : `${following.name ?? ''}()`);
    if (isOperation(following)) for (const what of unmodelledIn(following)) nextUnmodelled.add(what);
  }

  #sight(frame: Frame, word: string, made: object, isCall: boolean, text: string): Sighting {
    const seen = new Sighting(frame.routine, word, positionOf(made, frame.position), isCall);
    let sighting = this.#sightings.get(seen.key);
    if (!sighting) this.#sightings.set(seen.key, (sighting = seen));
    sighting.programs.add(this.#program);
    if (this.#program < sighting.program) sighting.steps = Number.POSITIVE_INFINITY;
    if (this.#program <= sighting.program) {
      sighting.program = this.#program;
      sighting.steps = Math.min(sighting.steps, this.#steps);
    }
    if (sighting.texts.size < TEXTS_MAX) sighting.texts.add(text);
    return sighting;
  }
}

/** What a read has seen, and where that led. */
function note({ values }: Sighting, op: Operation, value: number, next: IteratorResult<unknown, unknown>): void {
  if (values.size > BRANCHES_MAX) return;
  let seen = values.get(value);
  if (!seen) values.set(value, (seen = { addresses: new Set(), nexts: new Set() }));
  seen.addresses.add(op.definition.reads?.(op) ?? op.a);
  const { done, value: following } = next;
  if (done === true) seen.nexts.add('(returns)');
  else
    seen.nexts.add(
      `${isOperation(following) ? firstWordOf(following) : nameOf(following as object)} ${positionOf(following as object, NOWHERE).join()}`,
    );
}

function unmodelledIn({ unmodelled, definition }: Operation): string[] {
  const what = unmodelled ?? definition.unmodelled;
  return what === undefined ? [] : [what];
}

function noteResult(results: Set<unknown>, result: unknown): void {
  if (results.size < RESULTS_MAX) results.add(result);
}
