/** What a scenario offers to C: its kernel, by kernel identifier. */
import type { Dependencies, Routine, Steps } from '@shootdown/machine';
import type { Memory } from './memory.ts';

/** What C has for an argument or result: a number, an address of the machine, an object of the scenario. */
export type CArgument = number | object;

/** Who calls. */
export interface Call<K> {
  readonly kernel: K;
  /** Processor that the caller runs on. */
  readonly cpu: number;
  /** File and line of the call. */
  readonly where: string;
  /** What the arguments came from, where the machine asks for it. */
  readonly dependencies: Dependencies | null;
  /** What the variant has by a kernel identifier, before anything is replaced. */
  readonly own: (name: string) => Routine<never[]>;
}

/**
 * A function that C may call. Arguments come as the prototype says: numbers for integers and for structs of one word,
 * an address of the machine for a pointer to words (0 for NULL), the object itself for a pointer to one of the
 * scenario's. Steps for what touches shared memory, a plain result for what does not.
 */
export type CFunction<K> = (
  call: Call<K>,
  ...args: never[]
) => Steps<CArgument | boolean | void> | CArgument | boolean | void;

/** Words on the caller's stack: `struct page **pages, int *nr`, a struct that holds what to do. */
export interface FilledWords {
  readonly out: number;
  /** What they hold to begin with. Default 0. */
  readonly first?: readonly CArgument[];
}

/** A call from outside. */
export interface Entered {
  readonly kernel: object;
  readonly cpu: number;
  readonly args: readonly (CArgument | FilledWords)[];
  /** What the routine returns, from what the function returned and filled. Left out: what it returned. */
  readonly leave?: (result: CArgument | undefined, filled: readonly (readonly CArgument[])[]) => CArgument | undefined;
}

/** Runs the C function, with the arguments that `enter` has found or with others. */
export type CBody = (args?: Entered['args']) => Steps<CArgument | void>;

/** How C takes the place of a routine, and how C calls it. */
export interface ReplaceableRoutine<K> {
  /** From the routine's own arguments to kernel, processor and the arguments of the prototype. */
  readonly enter: (...args: never[]) => Entered;
  /** What happens around the function, in the scenario's own routine: opening a file, say. */
  readonly around?: (body: CBody, ...args: never[]) => Steps<CArgument | void>;
  /** Calls what the kernel has by this name. */
  readonly call: CFunction<K>;
}

/** Everything that C in a scenario can name. */
export interface KernelOffer<K extends object = object> {
  /** Types, constants, macros, external objects: C, for parameters of the scenario. */
  header(parameters: Readonly<Record<string, number>>): string;
  /**
   * Structs whose fields are found by the scenario:
   * `{ 'struct mm_struct': { mmap_lock: (mm: MmStruct) => mm.mmap_lock } }`.
   */
  readonly structs?: Readonly<Record<string, Readonly<Record<string, (object: never) => CArgument>>>>;
  /** What the external variables of the header are: objects, or addresses of words. */
  objects(kernel: K): Readonly<Record<string, CArgument>>;
  /** Functions by their C prototypes. */
  readonly functions: Readonly<Record<string, CFunction<K>>>;
  /** Names of the functions that take NULL, as pmd_free() does for its mm. For any other NULL is a violation. */
  readonly nullable?: readonly string[];
  /** Routines that C may replace, by their C prototypes. */
  readonly routines: Readonly<Record<string, ReplaceableRoutine<K>>>;
  /** Memory that C may access through pointers. */
  memories(kernel: K): readonly Memory[];
}

/** An offer with its kernel's type forgotten: what the command handles. */
export type AnyOffer = KernelOffer<never>;

/** A scenario that offers its kernel to C. Loaded when C is given, so that nobody else waits for it. */
export interface OffersC {
  readonly c: () => Promise<AnyOffer>;
}
