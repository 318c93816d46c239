/**
 * What systems are assembled from, and what they are made of when they are: {@link System} is everything that an
 * executor needs.
 */
import type { WeakMemoryOptions } from '../memory/weak-memory.ts';
import type { Message, OperationContext, Replacements } from '../routine/operation.ts';
import type { Program } from '../routine/routine.ts';
import type { Address, Layout, Region } from '../state/words.ts';
import type { AnyStateMachine } from '../execute/xstate-adapter.ts';

/**
 * `sc`: every store is visible at once. `tso`: one FIFO store buffer per processor (x86). `arm`: messages and views
 * (see `memory/`).
 */
export type MemoryModel = 'sc' | 'tso' | 'arm';

/** A component's output that changes shared state: performed at once, as part of the component's step. */
export type Effect = (cx: OperationContext, event: Message) => void;

/** A component to assemble. */
export interface ComponentSpec {
  readonly name: string;
  /** A closed machine: no children, no delays, every output through `emit`. */
  readonly machine: AnyStateMachine;
  readonly input?: unknown;
  /** What the machine's emitted events do to the shared state, by event type. */
  readonly effects?: Readonly<Record<string, Effect>> | undefined;
}

/**
 * How a channel orders its messages. `level`: at most one of each, like an IRR bit; sending it again is absorbed.
 * `synchronous`: none is ever in flight, for hardware does both halves in one step: the component takes it within the
 * step that sends it. It has no words and is no choice, so that it adds no state.
 */
export type ChannelPolicy = 'fifo' | 'unordered' | 'level' | 'synchronous';

/** A channel to assemble: messages in flight to one component. */
export interface ChannelSpec {
  readonly name: string;
  readonly to: string;
  readonly policy: ChannelPolicy;
  /** The component that alone sends on it. Left out: anybody does. */
  readonly from?: string | undefined;
  /**
   * Type of the message that tells the sender of a delivery: the sender waits until the channel is empty. Needs `from`.
   */
  readonly answer?: string | undefined;
  /**
   * Messages in flight at most; more is an error of the model, reported as such. Default 4; a level channel holds one.
   */
  readonly capacity?: number | undefined;
  /** Cost-table entry for the time a message is under way. Default `message`. */
  readonly latency?: string | undefined;
  /** See {@link SpontaneousSpec.drained}. */
  readonly drained?: boolean | undefined;
}

/** A processor to assemble. */
export interface ProcessorSpec {
  readonly name: string;
  /** Routines it runs as tasks; more than one needs a component that emits `switch`. */
  readonly tasks: readonly Program[];
  /**
   * Processors to which its component may have a task migrate. Default: none. Such a system is explored without
   * reduction.
   */
  readonly migratesTo?: readonly string[];
  /** Interrupt handlers by vector: what an emitted `{type: 'interrupt', vector}` of its component starts. */
  readonly handlers?: Readonly<Record<string, Program>>;
  /** The component that decides whether the processor executes (tag `executes`) and takes interrupts. */
  readonly component?: string;
  /**
   * A second component whose state must have the tag `executes` too, for the processor to execute and for anything to
   * be delivered to its component: the host's view of a virtual CPU.
   */
  readonly gate?: string;
}

/** Something that may happen by itself: a tick, a speculative walk, a vCPU being preempted. */
export interface SpontaneousSpec {
  readonly name: string;
  readonly kind: 'hardware' | 'host';
  /** The component that is told; the choice is enabled when it accepts the message. */
  readonly component: string;
  readonly message: Message;
  /** Virtual time between two occurrences in a run; left out: it does not happen by itself in a run. */
  readonly periodCycles?: number | undefined;
  /** Virtual time of the first occurrence in a run. Default: after one period. */
  readonly firstCycles?: number | undefined;
  /**
   * True: it waits until the store buffer of the processor that its component controls, or is the gate of, is empty.
   * Taking an interrupt and leaving the guest do (Intel SDM vol. 3A, 12.10 "Store Buffer"; AMD APM vol. 2, 7.5).
   * Default false.
   */
  readonly drained?: boolean | undefined;
  /**
   * In a run it happens whenever this processor has spun (see `OperationDefinition.spins`) for as many cycles as the
   * word says.
   */
  readonly afterSpinning?: { readonly processor: string; readonly cycles: Address } | undefined;
}

/**
 * Called after a write to a watched word has reached memory: what hardware derives from memory by itself. `old` is what
 * the word was before.
 */
export type Watcher = (cx: OperationContext, address: number, old: number) => void;

/** A named sentence about the system. */
export interface Property {
  /** The sentence: `no walker reads a freed table`. */
  readonly name: string;
  /**
   * `always`: holds in every state. `sometimes`: some state satisfies it. `finally`: holds when everything has come to
   * rest.
   */
  readonly kind: 'always' | 'sometimes' | 'finally';
  /** Why it must hold, or what a witness guards against. */
  readonly why: string;
  /** Words the check reads, for partial-order reduction; left out: it may read any word. */
  readonly reads?: readonly number[];
  check(read: (address: number) => number): boolean;
  /**
   * The same of all the words in `reads`, which must follow one another: what is asked after every step and looks at
   * hundreds of words need not call a function for each. See {@link ofWords}.
   */
  checkWords?(words: ArrayLike<number>): boolean;
  /** What is wrong in a state that violates it, with values: `page 0 was written, pte is 0x1 P RW, not dirty`. */
  detail?(read: (address: number) => number): string;
}

/** A check of all words of a region: what goes into a {@link Property} whose check looks at many. */
export function ofWords(
  { base, cells }: Pick<Region, 'base' | 'cells'>,
  checkWords: (words: ArrayLike<number>) => boolean,
): Required<Pick<Property, 'reads' | 'check' | 'checkWords'>> {
  const reads = Array.from({ length: cells }, (_, i) => base + i);
  return { reads, checkWords, check: (read) => checkWords(reads.map(read)) };
}

/** One thing a scheduler can choose. */
export type Choice =
  | { readonly kind: 'advance'; readonly processor: number; readonly name: string }
  | { readonly kind: 'deliver'; readonly channel: number; readonly name: string }
  | { readonly kind: 'drain'; readonly processor: number; readonly name: string }
  | { readonly kind: 'spontaneous'; readonly spontaneous: number; readonly name: string };

/** An assembled processor. */
export interface Processor {
  readonly name: string;
  readonly index: number;
  readonly tasks: readonly number[];
  /** Processors to which a task may migrate. */
  readonly migratesTo: readonly number[];
  readonly handlers: Readonly<Record<string, number>>;
  /** Index of its component, or -1. */
  readonly component: number;
  /** Index of its gate, or -1. */
  readonly gate: number;
  /** Words: node of each task, node of the running interrupt handler, which task is current (-1: only one task). */
  readonly taskBase: number;
  readonly interruptAddress: number;
  readonly currentAddress: number;
  /** Store buffer: a count, then address and value per entry; -1 under `sc`. */
  readonly bufferBase: number;
}

/** An assembled component. */
export interface Component extends ComponentSpec {
  readonly index: number;
  /** The word that holds its interned local state. */
  readonly address: number;
  /** The processor it controls, or -1. */
  readonly processor: number;
  /** The processor it is the gate of, or -1: what it does counts as done on that processor. */
  readonly gates: number;
}

/** An assembled channel. Words: the messages in flight, oldest first, 0 for none. */
export interface Channel extends ChannelSpec {
  readonly index: number;
  readonly base: number;
  readonly capacity: number;
  readonly toComponent: number;
  /** Index of `from`, or -1. */
  readonly fromComponent: number;
}

/** An assembled channel whose messages are taken within the step that sends them. */
export interface SynchronousChannel extends ChannelSpec {
  /** What {@link SystemBuilder.channel} has returned. */
  readonly index: number;
  readonly toComponent: number;
  /** Index of `from`, or -1. */
  readonly fromComponent: number;
}

/** An assembled spontaneous choice. */
export interface Spontaneous extends SpontaneousSpec {
  readonly index: number;
  readonly toComponent: number;
  /** Index of the processor of `afterSpinning`, or -1. */
  readonly spinner: number;
}

/** A range of words and who is told of writes to it. */
export interface Watch {
  readonly base: number;
  readonly cells: number;
  readonly watcher: Watcher;
}

/** Everything an executor needs; immutable. */
export interface System {
  readonly memoryModel: MemoryModel;
  readonly storeBufferEntries: number;
  readonly layout: Layout;
  readonly programs: readonly Program[];
  /** What stands in for routines that run within a step (`performInOneStep`); programs have their own. */
  readonly replacements: Replacements | undefined;
  readonly processors: readonly Processor[];
  readonly components: readonly Component[];
  /** Channels with messages in flight. */
  readonly channels: readonly Channel[];
  /** Channels whose messages are taken at once: {@link synchronousChannel} finds one by its index. */
  readonly synchronous: readonly SynchronousChannel[];
  readonly spontaneous: readonly Spontaneous[];
  readonly properties: readonly Property[];
  readonly choices: readonly Choice[];
  /** Watched ranges of words. */
  readonly watches: readonly Watch[];
  /** Who is told of every store that leaves a store buffer. */
  readonly drainWatchers: readonly Watcher[];
  /** Groups of processors that are interchangeable; explorers may treat states as equal up to such a permutation. */
  readonly symmetric: readonly (readonly number[])[];
  /** Operations a routine may perform without a `point`. */
  readonly maxHistory: number;
  /** Names of routines that readers want to see as one line, if nothing of interest happens meanwhile. */
  readonly rounds: readonly string[];
  /** How the weak memory is set up; null but for `arm`. */
  readonly weak: WeakMemoryOptions | null;
  /** The word that holds the number of its state, or -1. */
  readonly weakAddress: number;
  /** What each word is there: a `WordClass`. Those of the machine itself, which come last, are left out. */
  readonly wordClasses: Uint8Array;
}

/** Options of a system as a whole. */
export interface SystemOptions {
  readonly memoryModel?: MemoryModel;
  /** Stores a processor may have in its buffer under `tso`. Default 4. */
  readonly storeBufferEntries?: number;
  /** Operations a routine may perform without a `point`. Default: no limit; explorers should set one. */
  readonly maxHistory?: number;
  /** How the weak memory of `arm` is set up. A function is asked when the layout is complete. */
  readonly weak?: WeakMemoryOptions | (() => WeakMemoryOptions);
}
