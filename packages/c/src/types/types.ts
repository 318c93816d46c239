/** Types of C, as far as kernel functions need them. */

export interface IntType {
  readonly kind: 'int';
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
  /** `_Bool`: any value but 0 becomes 1. */
  readonly bool?: true;
  readonly name: string;
}

export interface VoidType {
  readonly kind: 'void';
}

export interface PointerType {
  readonly kind: 'pointer';
  readonly to: CType;
}

export interface ArrayType {
  readonly kind: 'array';
  readonly of: CType;
  readonly length: number;
}

export interface Field {
  readonly name: string;
  readonly type: CType;
  /** Words before it. */
  readonly offset: number;
}

/** A struct or union. One object per type: two structs are the same if they are the same object. */
export interface StructType {
  readonly kind: 'struct';
  readonly union: boolean;
  name: string;
  /** Null: declared, not defined. */
  fields: readonly Field[] | null;
  /** Words, one per scalar. */
  cells: number;
  /** Its fields are the scenario's to find: an object there, no words in a row. */
  modelled: boolean;
}

export interface FunctionType {
  readonly kind: 'function';
  readonly returns: CType;
  readonly parameters: readonly Parameter[];
  readonly variadic: boolean;
}

export interface Parameter {
  readonly name: string;
  readonly type: CType;
}

export type CType = IntType | VoidType | PointerType | ArrayType | StructType | FunctionType;

const int = (name: string, bits: IntType['bits'], signed: boolean): IntType => ({ kind: 'int', name, bits, signed });

export const VOID: VoidType = { kind: 'void' };
export const BOOL: IntType = { ...int('bool', 8, false), bool: true };
export const INT = int('int', 32, true);
export const UNSIGNED = int('unsigned int', 32, false);
export const LONG = int('long', 64, true);
export const UNSIGNED_LONG = int('unsigned long', 64, false);
export const CHAR = int('char', 8, true);

/**
 * `char`, `unsigned long int` and so on, by their words; undefined if they name no type. LP64, as on x86-64 and arm64.
 */
export function basicType(words: readonly string[]): CType | undefined {
  const count = (word: string): number => words.filter((w) => w === word).length;
  const text = words.join(' ');
  if (text === 'void') return VOID;
  if (text === 'bool' || text === '_Bool') return BOOL;
  if (words.some((word) => !BASIC_WORDS.has(word)) || words.length === 0) return undefined;
  const signed = count('unsigned') === 0;
  const sign = signed ? '' : 'unsigned ';
  if (count('char') > 0) return int(`${sign}char`, 8, signed);
  if (count('short') > 0) return int(`${sign}short`, 16, signed);
  if (count('long') > 0) return int(`${sign}${count('long') > 1 ? 'long long' : 'long'}`, 64, signed);
  return signed ? INT : UNSIGNED;
}

const BASIC_WORDS = new Set(['char', 'short', 'int', 'long', 'signed', 'unsigned']);

export function pointerTo(to: CType): PointerType {
  return { kind: 'pointer', to };
}

export function isInt(type: CType): type is IntType {
  return type.kind === 'int';
}

/** What a value of the type is held as: an integer or a pointer; null if it takes several words, or none. */
export function scalarOf(type: CType): IntType | PointerType | null {
  if (type.kind === 'int' || type.kind === 'pointer') return type;
  // A struct of one word, such as pte_t, is held as that word.
  if (type.kind === 'struct' && type.cells === 1 && !type.modelled) {
    const first = type.fields?.[0];
    return first ? scalarOf(first.type) : null;
  }
  return null;
}

/** Words that a value takes in memory: one per scalar. */
export function cellsOf(type: CType): number {
  switch (type.kind) {
    case 'void':
    case 'int':
    case 'pointer':
    case 'function':
      return 1;
    case 'array':
      return type.length * cellsOf(type.of);
    case 'struct':
      return type.cells;
  }
}

/** sizeof(), where it is what the kernel would say; null where only some fields are modelled. */
export function sizeOf(type: CType): number | null {
  switch (type.kind) {
    case 'int':
      return type.bits / 8;
    case 'pointer':
      return 8;
    case 'array': {
      const size = sizeOf(type.of);
      return size === null ? null : size * type.length;
    }
    case 'struct': {
      const only = type.fields?.length === 1 && !type.modelled ? type.fields[0] : undefined;
      return only ? sizeOf(only.type) : null;
    }
    default:
      return null;
  }
}

/** As it is written in C. */
export function typeName(type: CType): string {
  switch (type.kind) {
    case 'void':
      return 'void';
    case 'int':
    case 'struct':
      return type.name;
    case 'pointer':
      return type.to.kind === 'pointer' ? `${typeName(type.to)}*` : `${typeName(type.to)} *`;
    case 'array':
      return `${typeName(type.of)}[${type.length}]`;
    case 'function':
      return `${typeName(type.returns)} (${type.parameters.map((p) => typeName(p.type)).join(', ')})`;
  }
}

/** True if a value of one type may stand where the other is expected, without any conversion. */
export function sameType(a: CType, b: CType): boolean {
  if (a === b) return true;
  if (a.kind === 'int' && b.kind === 'int') return a.bits === b.bits && a.signed === b.signed && a.bool === b.bool;
  if (a.kind === 'pointer' && b.kind === 'pointer') return sameType(a.to, b.to);
  if (a.kind === 'array' && b.kind === 'array') return a.length === b.length && sameType(a.of, b.of);
  if (a.kind === 'function' && b.kind === 'function')
    return (
      sameType(a.returns, b.returns) &&
      a.variadic === b.variadic &&
      a.parameters.length === b.parameters.length &&
      a.parameters.every((p, i) => sameType(p.type, b.parameters[i]?.type ?? VOID))
    );
  return a.kind === 'void' && b.kind === 'void';
}
