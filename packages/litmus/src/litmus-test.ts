/** A litmus test as all dialects deliver it: shared variables, programs that become routines, and a condition. */
import type { MemoryModel, Address, Steps, SystemBuilder, Translation } from '@shootdown/machine';
import type { Condition, Filter, Observable } from './condition.ts';

/** The dialects that are read. */
export type Dialect = 'AArch64' | 'X86_64' | 'C';

/** A shared word. */
export interface Variable {
  readonly name: string;
  readonly initial: number;
}

/** Where a test's variables are in the machine that runs it. */
export interface Memory {
  readonly model: MemoryModel;
  /** The address of a variable. Throws RangeError on a name the test does not have. */
  at(variable: string): Address;
}

/** What a program leaves behind: its registers (or local variables), by name. */
export type Registers = Readonly<Record<string, number>>;

/** One program. */
export interface Thread {
  /** `P0`. */
  readonly name: string;
  /**
   * The program as a routine of the machine: it yields the machine's operations and returns its registers. It must be
   * deterministic in the results it receives, and have a `point` at every loop head.
   */
  readonly start: (memory: Memory) => Steps<Registers>;
}

/** What hardware may do by itself in a test: a program without end that is not waited for. */
export type Hardware = Omit<Thread, 'start'> & { readonly start: (memory: Memory) => Steps };

/** A litmus test, read and checked. */
export interface LitmusTest {
  readonly name: string;
  readonly dialect: Dialect;
  readonly variables: readonly Variable[];
  readonly threads: readonly Thread[];
  readonly hardware: readonly Hardware[];
  readonly condition: Condition;
  /** What a final state shows, in the order in which it is printed. */
  readonly observables: readonly Observable[];
  /** Which final states count. Left out: all. */
  readonly filter?: Filter | undefined;
  /** How a value is printed. */
  show(value: number): string;
  /** How the fault of a thread is printed: `Fault(P0:L0,x,MMU:Translation)`, `~Fault(P0)`. */
  showFault(thread: number, value: number): string;
  /** Page tables, if the test has any. Such a test runs on `arm` only. */
  readonly translation: ((memory: Memory, options: { readonly ets2: boolean }) => Translation) | null;
  /** Adds to the machine what a test has besides its variables; called once per machine, before its programs start. */
  readonly prepare?: (builder: SystemBuilder, memory: Memory) => void;
  /** Whether replacing one value of a descriptor by another while it is in use breaks a rule of the architecture. */
  readonly needsBreak: ((before: number, after: number) => boolean) | null;
  /** Things to be said about the test that are no part of its answer. */
  readonly warnings: readonly string[];
}

/** Reads one dialect. */
export interface FrontEnd {
  readonly dialect: Dialect;
  /** The memory model such a test is meant for. */
  readonly memoryModel: MemoryModel;
  /**
   * Throws `Unsupported` on what it cannot read or what is not modelled. May be asynchronous (a parser that must be
   * loaded).
   */
  read(text: string): LitmusTest | Promise<LitmusTest>;
}
