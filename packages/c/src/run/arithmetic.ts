/** Operators on values. Everything is exact: what has no value in C is undefined here, and the caller says so. */
import { wrapped } from '../compile/conversions.ts';
import type { Value } from '../compile/code.ts';
import type { IntType } from '../types/types.ts';

/** A binary operator on two values of a type; undefined where C gives it no meaning. */
export function binary(operator: string, a: Value, b: Value, type: IntType): Value | undefined {
  switch (operator) {
    case '==':
      return a === b ? 1 : 0;
    case '!=':
      return a === b ? 0 : 1;
    case '<':
      return a < b ? 1 : 0;
    case '>':
      return a > b ? 1 : 0;
    case '<=':
      return a <= b ? 1 : 0;
    case '>=':
      return a >= b ? 1 : 0;
    default: {
      const value = whole(operator, BigInt(a), BigInt(b), type);
      return value === undefined ? undefined : wrapped(value, type);
    }
  }
}

function whole(operator: string, a: bigint, b: bigint, type: IntType): bigint | undefined {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? undefined : a / b;
    case '%':
      return b === 0n ? undefined : a % b;
    case '&':
      return a & b;
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '<<':
      return b < 0n || b >= type.bits ? undefined : a << b;
    case '>>':
      return b < 0n || b >= type.bits ? undefined : a >> b;
    default:
      throw new Error(`c: no operator ${operator}`);
  }
}

/** `-a` and `~a`. */
export function unary(operator: string, a: Value, type: IntType): Value {
  const value = BigInt(a);
  return wrapped(operator === '-' ? -value : ~value, type);
}

/** A comparison of two addresses. */
export function compared(operator: string, a: Value, b: Value): number {
  const known = binary(operator, a, b, { kind: 'int', bits: 32, signed: true, name: 'int' });
  return Number(known ?? 0);
}
