/** A linked program: compiled functions, what the scenario offers, and both together on one kernel. */
import type { KernelRoutines } from '@shootdown/explorer';
import type { FunctionCode } from '../compile/code.ts';
import type { Scope } from '../types/scope.ts';
import type { FunctionType } from '../types/types.ts';
import { Heap } from './heap.ts';
import type { Memory } from './memory.ts';
import type { CFunction, KernelOffer } from './offer.ts';

/** A function of the scenario. */
export interface Binding<K> {
  readonly name: string;
  readonly type: FunctionType;
  readonly run: CFunction<K>;
}

export interface LinkedProgram<K extends object> {
  readonly offer: KernelOffer<K>;
  /** Names of the offer's header. */
  readonly scope: Scope;
  readonly functions: ReadonlyMap<string, FunctionCode>;
  readonly bindings: ReadonlyMap<string, Binding<K>>;
  /** What the variant has by kernel identifier. */
  readonly own: KernelRoutines;
  /** Some call has memory of its own. */
  readonly usesStack: boolean;
  /** Functions by number: what pointers to functions hold. */
  readonly names: readonly string[];
  /** Lines are said with their file where there are several. */
  readonly files: number;
}

/** A program on one kernel. */
export class Loaded<K extends object> {
  readonly program: LinkedProgram<K>;
  readonly kernel: K;
  readonly heap: Heap<K>;
  readonly #memories: readonly Memory[];

  constructor(program: LinkedProgram<K>, kernel: K) {
    this.program = program;
    this.kernel = kernel;
    this.heap = new Heap(program.offer, kernel, program.scope);
    this.#memories = program.offer.memories(kernel);
  }

  /** The memory that holds an address of the machine. */
  readonly memoryAt = (address: number): Memory | undefined =>
    this.#memories.find(({ base, cells }) => address >= base && address < base + cells);
}
