/**
 * Register code with jumps: what a C function is compiled to. (pc, live registers) is all that its future depends on.
 */
import type { CType, FunctionType, IntType, PointerType } from '../types/types.ts';

/** What a register holds: whole numbers up to 32 bits and pointers as a number, those of 64 bits as a bigint. */
export type Value = number | bigint;

export type Scalar = IntType | PointerType;

/** How memory is accessed, by the kernel's name for it. */
export type Access =
  | 'plain'
  | 'READ_ONCE'
  | 'WRITE_ONCE'
  | 'smp_load_acquire'
  | 'smp_store_release'
  | 'rcu_dereference'
  | 'rcu_assign_pointer';

/** Read-modify-writes on a word of any type, by the kernel's name: `xchg_release`, `cmpxchg`. */
export interface AtomicName {
  readonly operation: 'xchg' | 'cmpxchg';
  readonly name: string;
}

export type Instruction =
  | { readonly op: 'constant'; readonly line: number; readonly d: number; readonly value: Value }
  | { readonly op: 'move'; readonly line: number; readonly d: number; readonly a: number }
  | { readonly op: 'convert'; readonly line: number; readonly d: number; readonly a: number; readonly to: IntType }
  | {
      readonly op: 'unary';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly operator: string;
      readonly type: IntType;
    }
  | {
      readonly op: 'binary';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly b: number;
      readonly operator: string;
      readonly type: IntType;
    }
  /** Comparison of pointers, or whether one is there. */
  | {
      readonly op: 'compare';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly b: number;
      readonly operator: string;
    }
  | { readonly op: 'truth'; readonly line: number; readonly d: number; readonly a: number; readonly negated: boolean }
  /** a + b * words: a pointer moved. */
  | {
      readonly op: 'offset';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly b: number;
      readonly cells: number;
    }
  | {
      readonly op: 'distance';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly b: number;
      readonly cells: number;
    }
  /** An index that must be one of an array's, or one further where only an address is taken. */
  | { readonly op: 'within'; readonly line: number; readonly a: number; readonly length: number; readonly text: string }
  /** The address of a field that the scenario has to find; of a pointer, what it holds. */
  | {
      readonly op: 'field';
      readonly line: number;
      readonly d: number;
      readonly a: number;
      readonly struct: string;
      readonly name: string;
    }
  /** The address of memory of this call. */
  | { readonly op: 'frame'; readonly line: number; readonly d: number; readonly cell: number }
  | { readonly op: 'global'; readonly line: number; readonly d: number; readonly name: string }
  | { readonly op: 'function'; readonly line: number; readonly d: number; readonly name: string }
  | { readonly op: 'jump'; readonly line: number; target: number }
  | { readonly op: 'branch'; readonly line: number; readonly a: number; readonly when: boolean; target: number }
  | {
      readonly op: 'load';
      readonly line: number;
      readonly d: number;
      readonly p: number;
      readonly access: Access;
      readonly type: Scalar;
    }
  | {
      readonly op: 'store';
      readonly line: number;
      readonly p: number;
      readonly a: number;
      readonly access: Access;
      readonly type: Scalar;
    }
  | {
      readonly op: 'atomic';
      readonly line: number;
      readonly d: number;
      readonly p: number;
      readonly args: readonly number[];
      readonly atomic: AtomicName;
      readonly type: Scalar;
    }
  | {
      readonly op: 'call';
      readonly line: number;
      readonly d: number;
      readonly name: string;
      readonly args: readonly number[];
      readonly type: FunctionType;
    }
  | {
      readonly op: 'indirect';
      readonly line: number;
      readonly d: number;
      readonly p: number;
      readonly args: readonly number[];
      readonly type: FunctionType;
    }
  /** A condition that must hold: assert(), BUG_ON(). */
  | { readonly op: 'check'; readonly line: number; readonly a: number; readonly property: string }
  | { readonly op: 'return'; readonly line: number; readonly a: number | null };

/** What touches shared memory, or may. */
export type AccessInstruction = Instruction & { op: 'load' | 'store' | 'atomic' | 'call' | 'indirect' };

export function isAccess(i: Instruction): i is AccessInstruction {
  return i.op === 'load' || i.op === 'store' || i.op === 'atomic' || i.op === 'call' || i.op === 'indirect';
}

/** A register that no instruction uses. */
export const NONE = -1;

/** A compiled function. */
export interface FunctionCode {
  readonly name: string;
  readonly file: string;
  readonly type: FunctionType;
  readonly inline: boolean;
  readonly code: readonly Instruction[];
  /** Register of each parameter. */
  readonly parameters: readonly number[];
  readonly registers: number;
  /** Names of registers that hold variables. */
  readonly names: readonly string[];
  /** Words of memory that a call has: variables whose address is taken, arrays, structs. */
  readonly cells: number;
  /** Registers that the future depends on before each instruction. */
  readonly live: readonly (readonly number[])[];
  /** Type of each named register, for what reads them at the end. */
  readonly types: readonly (CType | undefined)[];
}

/** Registers that an instruction reads. */
export function reads(instruction: Instruction): readonly number[] {
  switch (instruction.op) {
    case 'move':
    case 'convert':
    case 'unary':
    case 'truth':
    case 'field':
    case 'branch':
    case 'check':
    case 'within':
      return [instruction.a];
    case 'binary':
    case 'compare':
    case 'offset':
    case 'distance':
      return [instruction.a, instruction.b];
    case 'load':
      return [instruction.p];
    case 'store':
      return [instruction.p, instruction.a];
    case 'atomic':
    case 'indirect':
      return [instruction.p, ...instruction.args];
    case 'call':
      return instruction.args;
    case 'return':
      return instruction.a === null ? [] : [instruction.a];
    default:
      return [];
  }
}

/** The register that an instruction writes; {@link NONE} if it writes none. */
export function writes(instruction: Instruction): number {
  return 'd' in instruction ? instruction.d : NONE;
}
