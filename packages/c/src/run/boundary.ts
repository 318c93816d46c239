/** Between C and the scenario's own code: what each hands to the other. */
import type { Steps } from '@shootdown/machine';
import type { Value } from '../compile/code.ts';
import { wrapped } from '../compile/conversions.ts';
import { isInt, scalarOf, typeName, type CType } from '../types/types.ts';
import type { CArgument } from './offer.ts';
import type { Loaded } from './program.ts';
import { fromWord, kindOf, PointerBase, toWord } from './words.ts';

/** A value as the scenario's functions take it; why it cannot be handed over, if it cannot. */
export function toArgument<K extends object>(
  value: Value,
  type: CType | undefined,
  loaded: Loaded<K>,
  nullable = false,
): CArgument | string {
  if (type?.kind === 'pointer') return nullable && value === 0 ? 0 : pointed(Number(value), type.to, loaded);
  const held = type && scalarOf(type);
  // Words of page tables are signed, as the machine's are.
  if (type?.kind === 'struct' && held) return toWord(value) ?? `0x${value.toString(16)} has more than 32 bits`;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : `0x${value.toString(16)} is too big`;
}

function pointed<K extends object>(pointer: number, to: CType, { heap, memoryAt }: Loaded<K>): CArgument | string {
  const kind = kindOf(pointer);
  const object = heap.object(pointer);
  if (object) return object;
  // NULL is only handed on where there may be none: C says so by not saying what it points to.
  if (kind === 'null') return to.kind === 'void' ? 0 : `NULL where ${typeName(to)} is expected`;
  if (kind !== 'shared') return `a ${kind} pointer where ${typeName(to)} of the kernel is expected`;
  const address = pointer - PointerBase.shared;
  return memoryAt(address) ? address : `a pointer beyond the memory of this scenario`;
}

/** What the scenario's function returned, as C has it. */
export function fromResult<K extends object>(
  result: CArgument | boolean | void,
  type: CType,
  loaded: Loaded<K>,
): Value | undefined {
  if (result === undefined || type.kind === 'void') return undefined;
  if (typeof result === 'boolean') return fromResult(result ? 1 : 0, type, loaded);
  if (type.kind === 'pointer') return result === 0 ? 0 : loaded.heap.pointer(result);
  const held = scalarOf(type);
  if (!held || typeof result !== 'number') return undefined;
  return isInt(type) ? wrapped(BigInt(Math.trunc(result)), type) : fromWord(result, held);
}

export function isSteps(value: unknown): value is Steps<CArgument | boolean | void> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'next' in value;
}
