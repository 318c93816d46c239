/**
 * Operations: the atomic steps that routines yield.
 *
 * An operation is a definition (what it does to the shared state) with operands. Packages define their own with
 * {@link defineOperation}; the ones every machine has are in `operations.ts`.
 */

import type { Access, BarrierKind, Request } from '../memory/requests.ts';
import { checkOptions, keysOf, printable } from '../state/errors.ts';
import { isWord, wordOf } from '../state/words.ts';
import { noteSite } from './sites.ts';
import { isSteps } from './noted.ts';
import { nameOfSteps, stepOf } from './unbegun.ts';

/**
 * Returned by `perform` when the operation cannot happen now: nothing was changed, the processor waits. No word has
 * this value.
 */
export const BLOCKED = 2 ** 40;

/**
 * What an operation may do. One object per executor; an operation must not keep it.
 *
 * `load` and `storeBuffered` go through the processor's store buffer (they are what the program sees); `read` and
 * `write` go to memory itself (what atomic read-modify-writes, hardware walkers and other agents see).
 */
export interface OperationContext {
  /** Index of the processor that performs the operation. */
  readonly processor: number;
  /** A plain load: the newest buffered store of this processor to that address, otherwise memory. */
  load(address: number): number;
  /** A plain store: buffered under `tso`. False when the buffer is full: return {@link BLOCKED} then. */
  storeBuffered(address: number, value: number): boolean;
  read(address: number): number;
  write(address: number, value: number): void;
  /** True when this processor has no store in its buffer (always, under `sc`). */
  drained(): boolean;
  /** Stores this processor has in its buffer (always 0 under `sc`). */
  buffered(): number;
  /** Reports that a property is violated by this step. `detail` is only evaluated when a trace is written. */
  fail(property: string, detail: () => string): void;
  /**
   * Puts a message on a channel (by its index). On a synchronous channel its component takes the message within this
   * step; false: it does not accept it now.
   * @param from the component that sends it. Default: the one whose step this is, otherwise the processor's
   */
  send(channel: number, message: Message, from?: number): boolean;
  /**
   * A component's own business: it takes the message within this step, with no channel between. False: it does not
   * accept it now. Between components of two packages there is a channel: see {@link send}.
   * @param from as for {@link send}
   */
  tell(component: number, message: Message, from?: number): boolean;
  /**
   * A message on a synchronous channel that its receiver answers from words alone, so that no machine has to step: a
   * translation, a line of a bus. It changes nothing; who watches messages sees it.
   * @param back it goes the other way: from the channel's component to the processor's
   */
  note(channel: number, type: string, back?: boolean): void;
  /** True while no message is in flight on the channel. */
  channelEmpty(channel: number): boolean;
  /** True while the channel has no room for another message. */
  channelFull(channel: number): boolean;
  /**
   * The operation on top of a processor's stack, whether or not it may perform it now; null if its task has returned.
   */
  operationOf(processor: number): Operation | null;
  /** Something this step costs beyond the operation itself: `times` times that entry of the cost table. */
  spend(cost: string, times?: number): void;
  /** Counts an event under this processor's name. Counters are outside the state. */
  count(counter: string, amount?: number): void;
  /** Says something for readers of a trace; asked only when one is written. Nothing may depend on it. */
  explain(what: () => Explanation | null): void;
  /** What stands in for routines in this system; undefined: nothing does. */
  readonly replacements: Replacements | undefined;
}

/** What a step has to say to readers of a trace. */
export type Explanation =
  /** Of itself, in brackets behind it. */
  | { readonly kind: 'fact'; readonly text: string }
  /**
   * Something that hardware may do by itself from here on, such as caching a translation. It is shown, in the column of
   * a component (by name), only if a later step relies on it.
   */
  | { readonly kind: 'offers'; readonly key: string; readonly component: string; readonly text: string }
  /** The step was possible because hardware did what was offered under this key, or had done so from the start. */
  | { readonly kind: 'relies'; readonly key: string; readonly text: string };

/**
 * What an operation orders on a weakly ordered machine (`arm`). `full`: a full barrier before and after, as of an
 * atomic that returns a value and says nothing else.
 */
export type OperationOrder = 'relaxed' | 'acquire' | 'release' | 'acquire-release' | 'full';

/** The weak memory as operations see it. */
export interface WeakContext {
  /** Has it do something for the processor of the step, in one of the ways it may go; returns the result. */
  request(request: Request): number;
  /** A load, store or atomic, plain where nothing else is said. */
  access(access: Partial<Access> & Pick<Access, 'kind' | 'address'>): number;
  load(address: number, acquire?: Access['acquire']): number;
  store(address: number, value: number, release?: boolean): void;
  dmb(type: BarrierKind): void;
  /** What those have seen who have told a component something is seen by this processor, too. */
  receiveFrom(component: number): void;
  /** What this processor has seen is handed on to those who wait for a component's answer. */
  handOnTo(component: number): void;
  /** The component at the other end of a channel has answered: what has been handed on to it is seen here, too. */
  receiveAcross(channel: number): void;
}

/** A message to a component. Plain data: it is interned by content. */
export interface Message {
  readonly type: string;
  readonly [key: string]: string | number | boolean;
}

/**
 * Makes messages of one kind, one object per content: executors know a message again by its object faster than by what
 * is in it.
 *
 * ```ts
 * const ipiMessage = messageFor((vector: string) => ({ type: 'ipi', vector }));
 * ```
 */
export function messageFor<A extends readonly (string | number)[]>(
  make: (...args: A) => Message,
): (...args: A) => Message {
  const messages = new Map<string | number | undefined, Message>();
  return (...args) => {
    // One argument is a key by itself, and needs no text.
    const key = args.length === 1 ? args[0] : args.join();
    let message = messages.get(key);
    if (!message) messages.set(key, (message = make(...args)));
    return message;
  };
}

/** The words an operation may read and write, for partial-order reduction. */
export interface Footprint {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

/**
 * One of two operations that belong together, as lock and unlock do: leaving out half of them would only show misuse.
 */
export interface PairEnd {
  readonly end: 'open' | 'close';
  /** What is opened and closed: the same text at both ends. */
  readonly of: string;
}

/** The two halves of an atomic read-modify-write: code that is not atomic reads, and stores later. */
export interface Halves {
  readonly address: (op: Operation) => number;
  /** What is stored, by what the operation returned; null: nothing, as by a cmpxchg that failed. */
  readonly stored: (op: Operation, result: number) => number | null;
}

/** An operation one step weaker than another. */
export interface Weaker {
  /** The change in a word or two, with hyphens: `smp_wmb-instead`. */
  readonly change: string;
  readonly operation: Operation;
}

/**
 * What an operation is to whoever changes the code (see `mutated.ts`). `read`: its result is the word at an address.
 * `part`: a further step of the line before it. `cost`: it stands for a line whose effect is not modelled.
 * `environment`: no line of the code that is put to the test, but what watches it or happens to it.
 */
export type Role = 'read' | 'store' | 'barrier' | 'part' | 'cost' | 'environment';

/**
 * The words of {@link OperationDefinition.ordering}: what is kept in order. `context`: instruction fetch and system
 * registers (ISB).
 */
export type Ordering = 'full' | 'read' | 'write' | 'acquire' | 'release' | 'dependency' | 'context';

/** What an operation is. Define it once, at module level. */
export interface OperationDefinition {
  /** Name in traces, errors and cost tables. */
  readonly name: string;
  /** Cost-table entry; default: `name`. */
  readonly cost?: string;
  /**
   * Performs the operation and returns its result (a 32-bit integer), or {@link BLOCKED} without having changed
   * anything.
   * @param branch which of `branches` outcomes to take, 0 for a deterministic operation.
   */
  perform(cx: OperationContext, op: Operation, branch: number): number;
  /**
   * What it does instead of `perform` on a weakly ordered machine. Left out: `perform`, whose loads and stores are
   * plain, and whose reads and writes are those of {@link order}.
   */
  readonly weak?: (cx: OperationContext, memory: WeakContext, op: Operation, branch: number) => number;
  /** What it orders there. Default: `full` if it asks whether the store buffer has drained, otherwise `relaxed`. */
  readonly order?: OperationOrder;
  /** Number of outcomes hardware or the allocator may choose between. Default 1. */
  readonly branches?: (cx: OperationContext, op: Operation) => number;
  /** Words touched; left out: everything, which is always sound. Blocking depends on `reads` only. */
  readonly footprint?: (op: Operation, processor: number) => Footprint;
  /**
   * Words of which one must change before it can happen, if it cannot now: a run does not try it again before. Default:
   * those that its footprint reads.
   */
  readonly waitsFor?: (read: (address: number) => number, op: Operation, processor: number) => readonly number[];
  /** The operation never happens: the processor rests here (user mode, idle) and that is no deadlock. */
  readonly rests?: boolean;
  /**
   * While it is blocked the processor spins in a loop with a PAUSE instruction (cpu_relax()), which a host can notice.
   */
  readonly spins?: boolean;
  /** It is performed in user mode (CPL 3); everything else is kernel code. */
  readonly user?: boolean;
  /** What it is to whoever changes the code. Left out: a line that does something and may return something. */
  readonly role?: Role;
  /** The word that a `read` reads. Default: operand `a`. */
  readonly reads?: (op: Operation) => number;
  /**
   * What the code receives when the operation is left out. Default: what the operation would have returned if it could
   * change nothing and waited for no store of its own; one that waits for others still waits.
   */
  readonly leftOut?: (cx: OperationContext, op: Operation) => number;
  /**
   * What it opens or closes; null: nothing, with these operands. What closes something that nobody opens is a line like
   * any other.
   */
  readonly pair?: (op: Operation) => PairEnd | null;
  /** It is an atomic read-modify-write of one word. */
  readonly halves?: Halves;
  /** What of the line it stands for is not modelled: `the TLB invalidation`. */
  readonly unmodelled?: string;
  /** What a careless author might write instead, on the given memory model. */
  readonly weaker?: (op: Operation, memoryModel: string) => readonly Weaker[];
  /** The first operand is the address of a word: an executor checks that there is one. No operand may be left out. */
  readonly addressed?: boolean;
  /** True for a mark of a checker, which no kernel has: a trace need not print it. */
  readonly ghost?: boolean;
  /** True for what rounds of messages are for, such as INVLPG: see {@link SystemBuilder.round}. */
  readonly effect?: boolean;
  /** The architecture whose instruction it is; left out: of any. */
  readonly architecture?: 'x86' | 'arm64';
  /** The order it stands for, so that a verdict can say where the memory model makes nothing of it. */
  readonly ordering?: Ordering;
  /** Built-in code, so that executors can inline the commonest operations. */
  readonly code?: number;
}

/** An operation with its operands: what a routine yields. */
export interface Operation {
  readonly definition: OperationDefinition;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Operands that are no word-sized integers: virtual page numbers, ranges, messages. */
  readonly data: unknown;
  /** Text in the trace; default made from the definition and the operands. */
  readonly label: string | undefined;
  /** Bracketed state fact for the trace, from the result. */
  readonly fact: ((result: number) => string | undefined) | undefined;
  /** Where its line stands, if that is not the line of TypeScript that made it. */
  readonly source: SourceLine | undefined;
  /** What of the line is not modelled, if the definition does not say so. */
  readonly unmodelled: string | undefined;
}

/** A line of a source file. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
}

/** What the trace shall say of an operation. */
export interface Saying {
  readonly label?: string | undefined;
  readonly fact?: ((result: number) => string | undefined) | undefined;
  readonly source?: SourceLine | undefined;
  /** What of the line it stands for is not modelled. */
  readonly unmodelled?: string | undefined;
}

/**
 * Told of every operation and call that is made while a routine runs, so that it can look where: see `source-order.ts`.
 */
let listener: ((made: object) => void) | null = null;

/** Runs `work` with a listener to what it makes, besides those that there are. */
export function listening<T>(heard: ((made: object) => void) | null, work: () => T): T {
  if (heard === null) return work();
  const before = listener;
  listener =
    before === null
      ? heard
      : (thing) => {
          before(thing);
          heard(thing);
        };
  try {
    return work();
  } finally {
    listener = before;
  }
}

/** Tells the listener; returns what was made. */
export function made<T extends object>(thing: T): T {
  if (listener !== null) listener(thing);
  return thing;
}

const SAYING_KEYS = keysOf<Saying>()('label', 'fact', 'source', 'unmodelled');

/** Builds an operation. All operations are made here, so that they share one shape. */
export function operation(
  definition: OperationDefinition,
  a?: number,
  b?: number,
  c?: number,
  data?: unknown,
  saying?: Saying,
): Operation {
  if (definition.ordering !== undefined) noteSite('ordering', definition.name, definition.ordering);
  return made(
    new MadeOperation(
      definition,
      // A truth value is a value, and no address.
      ((a as number) | 0) === a || (typeof a === 'boolean' && definition.addressed) ? a : operandOf(definition, a),
      ((b as number) | 0) === b ? b : operandOf(definition, b),
      ((c as number) | 0) === c ? c : operandOf(definition, c),
      data,
      saying,
    ),
  );
}

/** What {@link operation} makes: they share one shape, and are known by their class. */
class MadeOperation implements Operation {
  readonly definition: OperationDefinition;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly data: unknown;
  readonly label: string | undefined = undefined;
  readonly fact: Operation['fact'] = undefined;
  readonly source: SourceLine | undefined = undefined;
  readonly unmodelled: string | undefined = undefined;

  /** Throws ModelError on what says nothing: a misspelt `label` would be missed by nobody. */
  constructor(
    definition: OperationDefinition,
    a: number,
    b: number,
    c: number,
    data: unknown,
    saying: Saying | undefined,
  ) {
    this.definition = definition;
    this.a = a;
    this.b = b;
    this.c = c;
    this.data = data;
    if (!saying) return;
    if (typeof saying !== 'object') checkOptions(`operation: ${definition.name}`, saying, SAYING_KEYS);
    // What is said has many shapes: going through what there is takes less time than asking for each of four.
    for (const key in saying) {
      const said: unknown = saying[key as keyof Saying];
      if (key === 'label') this.label = said as string | undefined;
      else if (key === 'fact') this.fact = said as Operation['fact'];
      else if (key === 'source') this.source = said as SourceLine | undefined;
      else if (key === 'unmodelled') this.unmodelled = said as string | undefined;
      else checkOptions(`operation: ${definition.name}`, saying, SAYING_KEYS);
    }
  }
}

/** Whether a routine has yielded an operation. What {@link operation} has not made, such as a copy, may be one. */
export function isOperation(value: unknown): value is Operation {
  if (value instanceof MadeOperation) return isPerformable(value);
  return typeof value === 'object' && value !== null && isPerformable(value);
}

function isPerformable({ definition }: Partial<Operation>): boolean {
  return typeof definition?.perform === 'function';
}

/** The same operands for another operation. */
export function withDefinition(op: Operation, definition: OperationDefinition): Operation {
  const { label, fact, source, unmodelled } = op;
  return made(new MadeOperation(definition, op.a, op.b, op.c, op.data, { label, fact, source, unmodelled }));
}

/**
 * Operands left out are 0, except in an operation on a word: whoever passes `undefined` for an address or value meant
 * another one.
 */
function operandOf(definition: OperationDefinition, operand: number | undefined): number {
  return operand === undefined && definition.addressed !== true ? 0 : wordOf(operand as number);
}

/** What is wrong with an operation, in words; null if nothing is. @param words how many the machine has */
export function faultOf({ definition, a, b, c }: Operation, words: number): string | null {
  if ((a | 0) === a && (b | 0) === b && (c | 0) === c) {
    if (definition.addressed !== true || (a >= 0 && a < words)) return null;
    return `${definition.name}: ${a} is the address of no word (there are ${words})`;
  }
  const operand: unknown = [a, b, c].find((value) => !isWord(value));
  if (isSteps(operand))
    return `${definition.name}: ${nameOfSteps(operand)} gives steps and no value: write yield* before it`;
  if (definition.addressed === true && operand === a) return `${definition.name}: ${printable(a)} is no address`;
  return `${definition.name}: ${printable(operand)} is no 32-bit integer`;
}

const OPERATION_KEYS = keysOf<OperationDefinition>()(
  'name',
  'cost',
  'perform',
  'branches',
  'footprint',
  'waitsFor',
  'rests',
  'spins',
  'user',
  'addressed',
  'ordering',
  'architecture',
  'ghost',
  'effect',
  'role',
  'reads',
  'leftOut',
  'pair',
  'halves',
  'unmodelled',
  'weaker',
  'weak',
  'order',
  'code',
);

/** Every definition has every key: whoever looks at one after another finds what it looks for in the same place. */
const UNSAID: object = Object.fromEntries(OPERATION_KEYS.map((key) => [key, undefined]));

/**
 * Declares an operation. Throws ModelError on one without a name or `perform`, and on names of options that are none.
 */
export function defineOperation(definition: OperationDefinition): OperationDefinition {
  checkOptions('operation: define', definition, OPERATION_KEYS, ['name', 'perform']);
  return { ...UNSAID, ...definition };
}

/** Things a routine says between two operations: they take no time and are no step. */
export type Mark =
  | {
      readonly mark: 'call';
      readonly name: string | null;
      readonly steps: Steps<unknown>;
      /** Where its line stands, if that is not the line of TypeScript that made it. */
      readonly source?: SourceLine | undefined;
    }
  | { readonly mark: 'local'; readonly object: { readonly words: readonly number[] } }
  | { readonly mark: 'point'; readonly label: string; readonly values: readonly number[] }
  | { readonly mark: 'count'; readonly counter: string; readonly amount: number }
  | { readonly mark: 'tell'; readonly port: number; readonly message: Message }
  | { readonly mark: 'fail'; readonly property: string; readonly detail: string };

/** What stands in for the routine of a name. Made with `routine()`, it is taken by its body. */
export interface Replacement {
  (...args: never[]): Steps<unknown>;
  readonly body?: (...args: never[]) => Steps<unknown>;
}

/** Stand-ins by kernel identifier. Same arguments, same result. */
export type Replacements = Readonly<Record<string, Replacement>>;

/** A part of a routine: yields operations and marks, is resumed with each operation's result, and returns a `T`. */
export type Steps<T = void> = Generator<Operation | Mark, T, number>;

/** Performs one operation: the usual way to write a new primitive. */
export function perform(op: Operation): Steps<number> {
  return stepOf(op);
}
