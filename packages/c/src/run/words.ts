/**
 * Values and words. Shared memory holds words of 32 bits; the numbers of pointers say what kind of thing they point to.
 */
import type { Scalar, Value } from '../compile/code.ts';
import type { IntType } from '../types/types.ts';

/** Pointers: the beginning of each kind, and what follows from there. */
export const PointerBase = {
  /** An address of the machine. */
  shared: 0x1000_0000,
  /** An object of the scenario: an mm, a lock. */
  object: 0x4000_0000,
  function: 0x5000_0000,
  /** A local variable: processor and cell. */
  stack: 0x6000_0000,
} as const;

const STACK_BITS = 16;
export const STACK_CELLS_MAX = 1 << STACK_BITS;

export type PointerKind = keyof typeof PointerBase | 'null' | 'wild';

/** What a pointer points to. */
export function kindOf(pointer: number): PointerKind {
  if (pointer === 0) return 'null';
  if (pointer < PointerBase.shared) return 'wild';
  if (pointer < PointerBase.object) return 'shared';
  if (pointer < PointerBase.function) return 'object';
  return pointer < PointerBase.stack ? 'function' : 'stack';
}

/** A pointer to a cell of the stack of one processor. */
export function stackPointer(cpu: number, cell: number): number {
  return PointerBase.stack + (cpu << STACK_BITS) + cell;
}

export function stackOwner(pointer: number): number {
  return (pointer - PointerBase.stack) >> STACK_BITS;
}

export function stackCell(pointer: number): number {
  return (pointer - PointerBase.stack) & (STACK_CELLS_MAX - 1);
}

/** What a word of memory is as a value of a type. */
export function fromWord(word: number, type: Scalar): Value {
  if (type.kind === 'pointer') return word;
  if (type.bits === 64) return type.signed ? BigInt(word | 0) : BigInt(word >>> 0);
  return cut(word, type);
}

function cut(word: number, type: IntType): number {
  if (type.bool) return word === 0 ? 0 : 1;
  if (type.bits === 32) return type.signed ? word | 0 : word >>> 0;
  const unsigned = word & (type.bits === 8 ? 0xff : 0xffff);
  const negative = type.signed && unsigned >> (type.bits - 1) === 1;
  return negative ? unsigned - (1 << type.bits) : unsigned;
}

/** The word that holds a value; undefined if it needs more than 32 bits. */
export function toWord(value: Value): number | undefined {
  if (typeof value === 'number') return value | 0;
  const fits = value >= -(2n ** 31n) && value < 2n ** 32n;
  return fits ? Number(BigInt.asIntN(32, value)) : undefined;
}

/** A value that no variable has: what was never set. */
const UNSET = 2 ** 33;

/** A value as words that tell it from every other one. */
export function distinct(value: Value | undefined): readonly number[] {
  if (value === undefined) return [UNSET];
  if (typeof value === 'number') return [value];
  return [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))];
}
