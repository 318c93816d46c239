/**
 * One execution of a program: what it would do next, and what its local state is and hashes to.
 *
 * Nodes (`nodes.ts`) and actors both walk it with the {@link RoutineCursor} below, so that they agree by construction.
 */
import { inOtherWords, ModelError, printable, thrown } from '../state/errors.ts';
import { canonicalJson, hashName, hashString, RunningHash, type Hash64 } from '../state/hash.ts';
import { faultOf, isOperation, type Mark, type Operation, type Steps } from './operation.ts';
import { beginCalls } from './replacing.ts';
import { Local, type Program } from './routine.ts';
import { begin, isSteps } from './noted.ts';
import {
  beginNoting,
  endNoting,
  faultOfUnbegun,
  forgetHanded,
  hasStrays,
  isForgotten,
  nameOfSteps,
  NOTHING,
  performedAlready,
  refuseHandedAside,
  refuseStrays,
  unbegun,
  type Noted,
} from './unbegun.ts';
const MARKS_MAX = 100_000;
/** Calls within one another. A kernel stack has room for a tenth of them. */
const CALLS_MAX = 1_000;

/** Where it may come from that a routine does not do what it did before with the same results. */
export const OUTSIDE = 'a variable that routines share or that outlives a run, Math.random, Date?';

/** What is asked of a {@link Local}. */
type Words = Pick<Local, 'words'>;

/** Steps that a program has begun with. */
const started = new WeakSet<Steps<unknown>>();

type Resume = (this: Steps<unknown>, input: unknown) => IteratorResult<Operation | Mark, unknown>;

/** One call that has not returned. */
interface Frame {
  readonly steps: Steps<unknown>;
  /** Its way on, looked up once: steps of each generator function look different. */
  readonly next: Resume;
  /** Null: not on the stack that is shown. */
  readonly name: string | null;
  /** Combined content of the frames below. */
  readonly below: Hash64;
  /** Content of what it has received, or of the point it was at and what it has received since. */
  readonly hash: RunningHash;
  /** The point it was at last. */
  point: Extract<Mark, { mark: 'point' }> | null;
  /** Results and calls since. */
  length: number;
  locals: Words[];
  /** What it has made and not begun, and where. */
  idle: Idle[] | null;
}

const NONE: Words[] = [];
const SILENT: Mark[] = [];
/** Content of a call that has no name. */
const CALLED = hashString('inlined');

/** The named routines being executed. There is one object for each sequence of calls, so that none has to be copied. */
class Stack {
  /** Of the innermost; undefined: none is. */
  readonly name: string | undefined;
  readonly caller: Stack | null;
  /** How many there are. */
  readonly depth: number;
  /** Content of the name. */
  readonly hash: Hash64;
  readonly #callees = new Map<string, Stack>();
  #names: readonly string[] | null = null;
  /** What {@link with} returned last: a loop calls the same again. */
  #last: Stack | null = null;

  constructor(caller: Stack | null, name: string | undefined) {
    this.caller = caller;
    this.name = name;
    this.depth = caller === null ? 0 : caller.depth + 1;
    this.hash = name === undefined ? CALLED : hashName(name);
  }

  get names(): readonly string[] {
    return (this.#names ??= this.name === undefined ? [] : [...(this.caller?.names ?? []), this.name]);
  }

  with(callee: string): Stack {
    if (this.#last?.name === callee) return this.#last;
    let stack = this.#callees.get(callee);
    if (stack === undefined) this.#callees.set(callee, (stack = new Stack(this, callee)));
    return (this.#last = stack);
  }
}

const NO_CALLS = new Stack(null, undefined);

/** Steps that were made and not begun so far. */
interface Idle {
  readonly steps: Noted;
  readonly where: string;
}

/** Walks one execution of a program: the pending operation, the call stack, and the content hash of the local state. */
export class RoutineCursor {
  readonly program: Program;
  /** The operation waiting to be performed; null when the routine has returned. */
  pending: Operation | null = null;
  /** Operations performed so far. */
  steps = 0;
  readonly #seed: Hash64;
  /** The routines being executed, outermost first: the last one goes on. */
  readonly #frames: Frame[] = [];
  /** Objects declared local, over all frames. */
  #locals = 0;
  #stack: Stack = NO_CALLS;
  #staying = 0;
  #said = SILENT;

  readonly #words: number;

  /**
   * @param identity distinguishes programs of one system from one another; part of every content hash
   * @param words how many the machine has; left out: addresses are not checked
   */
  constructor(body: Program, identity: number, words = Number.POSITIVE_INFINITY) {
    this.program = body;
    this.#words = words;
    this.#seed = new RunningHash(hashName(body.name)).extend(identity);
    this.#call(null, this.#start());
    this.#run(0);
  }

  /** Gives the routine the result of its pending operation and runs it to the next one. */
  advance(result: number): void {
    const top = this.#frames[this.#frames.length - 1];
    if (top === undefined)
      throw new ModelError(`${this.at}: not deterministic: it ends here, and went on before (${OUTSIDE})`);
    top.hash.extend(result);
    top.length++;
    this.steps++;
    this.#run(result);
  }

  /** Counts, failures and messages said since the previous operation. */
  get said(): readonly Mark[] {
    return this.#said;
  }

  /** Content hash of the local state. */
  get hash(): Hash64 {
    const top = this.#frames[this.#frames.length - 1];
    return top ? new RunningHash(top.below).join(top.hash) : underSeed(RETURNED, this.#seed);
  }

  /** Results received and calls returned that are not yet behind a point, over all frames. */
  get length(): number {
    return this.#frames.reduce((sum, frame) => sum + frame.length, 0);
  }

  /** Names of the routines being executed, outermost first. The same object for the same names. */
  get stack(): readonly string[] {
    return this.#stack.names;
  }

  /** Where it stands, frame by frame, for messages. */
  get where(): string {
    if (this.pending === null) return '(returned)';
    return this.#frames
      .slice(1)
      .map(
        ({ name, point: at, length }) =>
          `${name ?? ''}${at ? `@${at.label}(${at.values.join(',')})` : ''}${length === 0 ? '' : `+${length}`}`,
      )
      .join(' > ');
  }

  /**
   * How many calls of {@link stack}, from the outermost on, were there before the last operation: the others are new,
   * also where they have the names of those that have returned.
   */
  get staying(): number {
    return this.#staying;
  }

  get #top(): Frame {
    return this.#frames[this.#frames.length - 1] as Frame;
  }

  #call(name: string | null, steps: Steps<unknown>): void {
    if (this.#frames.length > CALLS_MAX)
      throw new ModelError(`${this.at}: ${CALLS_MAX} calls within one another: a routine that calls itself for ever`);
    const caller = this.#frames[this.#frames.length - 1];
    const below = caller ? new RunningHash(caller.below).join(caller.hash) : this.#seed;
    if (name !== null) this.#stack = this.#stack.with(name);
    const hash = new RunningHash(name === null ? CALLED : this.#stack.hash);
    this.#seen(hash);
    const begun = begin(steps);
    this.#frames.push({
      steps: begun,
      next: (begun as unknown as { readonly next: Resume }).next,
      name,
      below,
      hash,
      point: null,
      length: 0,
      locals: NONE,
      idle: null,
    });
  }

  #return(value: unknown): void {
    const callee = this.#frames.pop() as Frame;
    this.#locals -= callee.locals.length;
    const caller = this.#frames[this.#frames.length - 1];
    if (!caller) return;
    const called = callee.name === null ? CALLED : this.#stack.hash;
    if (callee.name !== null) {
      this.#stack = this.#stack.caller ?? NO_CALLS;
      this.#staying = Math.min(this.#staying, this.#stack.depth);
    }
    // Its content is part of the local state from now on, so that it need not be part of the history.
    const isLocal = value instanceof Local && callee.locals.includes(value);
    if (isLocal) this.#declare(caller, value);
    // What is no data may hide anything that the callee has received.
    caller.hash
      .extend(RETURN)
      .join(called)
      .join(isLocal ? VOID : (contentOf(value) ?? callee.hash));
    this.#seen(caller.hash);
    caller.length++;
  }

  #run(result: number): void {
    this.#said = SILENT;
    if (hasStrays()) refuseStrays(this.at);
    this.#staying = this.#stack.depth;
    beginNoting();
    try {
      this.#goOn(result);
    } catch (error) {
      throw this.#blamed(error);
    } finally {
      endNoting();
      unbegun();
    }
  }

  /** To the next operation, or to the end. */
  #goOn(result: number): void {
    let input: unknown = result;
    for (let marks = 0; ; marks++) {
      if (marks > MARKS_MAX)
        throw new ModelError(`${this.at}: ${MARKS_MAX} marks without an operation: an endless loop`);
      beginCalls(this.program.replace, this.#stack.name);
      // A routine gets numbers for its operations, and for a call whatever the callee returns.
      forgetHanded(input);
      const { steps, next } = this.#top;
      const { value, done } = next.call(steps, input);
      refuseHandedAside(value, done === true);
      const left = unbegun();
      if (left !== NOTHING) this.#noteIdle(left);
      input = 0;
      if (done === true) {
        this.#refuseIdle(true);
        if (isSteps(value))
          throw new ModelError(
            `${this.at}: returns ${nameOfSteps(value)}, which was never begun: write yield* before it`,
          );
        this.#return(value);
        if (this.#frames.length === 0) {
          this.pending = null;
          return;
        }
        input = value;
        continue;
      }
      if (isOperation(value)) {
        const fault = faultOf(value, this.#words);
        if (fault !== null) throw new ModelError(`${this.at}: ${fault}`);
        if (value.definition.rests === true) this.#refuseIdle();
        this.pending = value;
        return;
      }
      this.#hear(value);
    }
  }

  /**
   * What a routine may have seen of objects that others change too: when it begins, when it goes on after a call, and
   * from a point on. What it does to them itself follows from its history.
   */
  #seen(hash: RunningHash): void {
    if (this.#locals === 0) return;
    for (const { locals } of this.#frames) for (const { words } of locals) for (const word of words) hash.extend(word);
  }

  #declare(frame: Frame, object: Words): void {
    if (frame.locals === NONE) frame.locals = [];
    frame.locals.push(object);
    this.#locals++;
  }

  #start(): Steps<unknown> {
    beginNoting();
    try {
      const steps = this.program.start();
      if (!isIterator(steps)) return steps;
      if (started.has(steps)) throw performedAlready(`what start() of ${this.program.name} returns`);
      started.add(steps);
      return steps;
    } catch (error) {
      throw this.#blamed(error);
    } finally {
      // The steps of the program itself are begun by the cursor.
      endNoting();
      unbegun();
    }
  }

  #blamed(error: unknown): ModelError {
    const said = error instanceof ModelError ? error.message : `threw ${thrown(error)}`;
    return inOtherWords(said.startsWith('routine: ') ? said : `${this.at}: ${said}`, error);
  }

  #noteIdle(left: readonly Noted[]): void {
    const top = this.#frames.at(-1);
    if (top) (top.idle ??= []).push(...left.map((steps) => ({ steps, where: this.at })));
  }

  /** Throws ModelError if the routine on top has made steps that it has not begun so far. */
  refuseUnbegun(): void {
    if (this.#frames.length > 0) this.#refuseIdle();
  }

  /** What the routine on top has made must have been begun by now: here it forgets. */
  #refuseIdle(ends = false): void {
    const top = this.#top;
    if (top.idle === null) return;
    const forgotten = top.idle.find(({ steps }) => isForgotten(steps, ends));
    const waiting = ends ? [] : top.idle.filter(({ steps }) => !steps.begun);
    top.idle = waiting.length > 0 ? waiting : null;
    if (forgotten) throw new ModelError(`${forgotten.where}: ${faultOfUnbegun(forgotten.steps)}`);
  }

  #hear(mark: Mark): void {
    switch (mark?.mark) {
      case 'call':
        if (!isIterator(mark.steps))
          throw new ModelError(
            `${this.at}: ${mark.name ?? 'inlined'}: expected a generator function (it returned ${printable(mark.steps)})`,
          );
        this.#call(mark.name, mark.steps);
        return;
      case 'point': {
        this.#refuseIdle();
        const top = this.#top;
        top.hash.restart(hashOfPoint(mark.label)).extend(mark.values.length);
        for (const value of mark.values) top.hash.extend(value);
        this.#seen(top.hash);
        top.point = mark;
        top.length = 0;
        return;
      }
      case 'local':
        this.#declare(this.#top, mark.object);
        return;
      case 'count':
      case 'fail':
      case 'tell':
        if (this.#said === SILENT) this.#said = [];
        this.#said.push(mark);
        return;
      default:
        throw new ModelError(
          `${this.at}: yielded something that is no operation (${isSteps(mark) ? nameOfSteps(mark) : printable(mark)}): use yield* with the operations`,
        );
    }
  }

  /** Routine and step, as messages begin. */
  get at(): string {
    const after = this.pending ? ` (after ${this.pending.label ?? this.pending.definition.name})` : '';
    return `routine: ${this.#stack.name ?? this.program.name}: step ${this.steps}${after}`;
  }
}

/**
 * The local state of a routine that has returned: what it received on the way no longer matters, and no result hashes
 * to it.
 */
const RETURNED = hashString('return');
/** No result of an operation: those have 32 bits. */
const RETURN = 2 ** 40;
const VOID = hashString('undefined');
const NUMBER = hashString('number');
const JSON_DATA = 'data ';
const TRUE = hashString(`${JSON_DATA}true`);
const FALSE = hashString(`${JSON_DATA}false`);

/** By label of a point; it is no routine's name. */
const pointHashes = new Map<string, Hash64>();

function hashOfPoint(label: string): Hash64 {
  let hash = pointHashes.get(label);
  if (hash === undefined) pointHashes.set(label, (hash = hashString(`${label}()`)));
  return hash;
}

/** A content that does not depend on the history, made the program's own. */
function underSeed(content: Hash64, seed: Hash64): Hash64 {
  return { lo: content.lo ^ seed.lo, hi: (content.hi + seed.hi) | 0 };
}

/** The content of plain data; null for anything else. */
function contentOf(value: unknown): Hash64 | null {
  if (value === undefined) return VOID;
  if (typeof value === 'number') return new RunningHash(NUMBER).extend(value);
  if (typeof value === 'boolean') return value ? TRUE : FALSE;
  if (typeof value === 'string') return contentOfText(value);
  return isData(value) ? hashString(JSON_DATA + canonicalJson(value)) : null;
}

/** Routines return few texts, again and again: words such as `retry`. */
const textContents = new Map<string, Hash64>();
const TEXTS_MAX = 1_000;

function contentOfText(text: string): Hash64 {
  const known = textContents.get(text);
  if (known !== undefined) return known;
  const hash = hashString(JSON_DATA + canonicalJson(text));
  if (textContents.size < TEXTS_MAX) textContents.set(text, hash);
  return hash;
}

/** Whether a value is plain data: it has a content that can be compared. */
export function isData(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (typeof value !== 'object')
    return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string';
  if (Array.isArray(value)) return value.every(isData);
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isData);
}

function isIterator(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { next?: unknown }).next === 'function';
}
