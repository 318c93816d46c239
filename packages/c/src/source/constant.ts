/** Integer constants, and the constant expressions of `#if`: C11, 6.4.4 and 6.10.1. */
import type { Token } from './tokens.ts';

/** Binding strength of the binary operators. */
const STRENGTH: Readonly<Record<string, number>> = {
  '||': 1,
  '&&': 2,
  '|': 3,
  '^': 4,
  '&': 5,
  '==': 6,
  '!=': 6,
  '<': 7,
  '>': 7,
  '<=': 7,
  '>=': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
};

/** Thrown at what is no constant expression. */
export class NotConstant extends Error {}

/** The value of an integer literal; undefined if it is none. */
export function integerOf(text: string): bigint | undefined {
  const match = /^(0[xX][\da-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)(?:[uU]?(?:l|L|ll|LL)?|(?:l|L|ll|LL)[uU])$/.exec(text);
  const digits = match?.[1];
  if (digits === undefined) return undefined;
  return BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
}

const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** The value of a character constant of one character. */
export function characterOf(text: string): bigint | undefined {
  const match = /^'(?:([^'\\])|\\(?:([abfnrtv'"?\\])|([0-7]{1,3})|x([\da-fA-F]{1,2})))'$/.exec(text);
  if (!match) return undefined;
  const [, plain, letter = '', octal, hex] = match;
  if (plain !== undefined) return BigInt(plain.codePointAt(0) ?? 0);
  if (octal !== undefined) return BigInt(`0o${octal}`);
  if (hex !== undefined) return BigInt(`0x${hex}`);
  return BigInt(ESCAPES[letter] ?? letter.codePointAt(0) ?? 0);
}

/** Evaluates tokens without spaces, macros expanded. Throws NotConstant. */
export function evaluate(tokens: readonly Token[]): bigint {
  let at = 0;
  const peek = (): string => tokens[at]?.text ?? '';
  const expect = (text: string): void => {
    if (peek() !== text) throw new NotConstant(`expected ${text} before ${peek() || 'the end'}`);
    at++;
  };
  const primary = (): bigint => {
    const token = tokens[at++];
    if (token === undefined) throw new NotConstant('it ends too early');
    if (token.text === '(') {
      const value = conditional();
      expect(')');
      return value;
    }
    if (token.text === '!') return truth(primary() === 0n);
    if (token.text === '-') return -primary();
    if (token.text === '+') return primary();
    if (token.text === '~') return ~primary();
    // A name that is no macro is 0.
    if (token.kind === 'name') return 0n;
    const value = token.kind === 'char' ? characterOf(token.text) : integerOf(token.text);
    if (value === undefined) throw new NotConstant(`${token.text} is no integer`);
    return value;
  };
  const binary = (least: number): bigint => {
    let left = primary();
    for (;;) {
      const operator = peek();
      const strength = STRENGTH[operator] ?? 0;
      if (strength < least || strength === 0) return left;
      at++;
      left = apply(operator, left, binary(strength + 1));
    }
  };
  const conditional = (): bigint => {
    const condition = binary(1);
    if (peek() !== '?') return condition;
    at++;
    const yes = conditional();
    expect(':');
    const no = conditional();
    return condition === 0n ? no : yes;
  };
  const value = conditional();
  if (at < tokens.length) throw new NotConstant(`${peek()} is left over`);
  return value;
}

const truth = (condition: boolean): bigint => (condition ? 1n : 0n);

/** A binary operator on whole numbers of any size. Throws NotConstant where it has no value. */
export function apply(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '||':
      return truth(a !== 0n || b !== 0n);
    case '&&':
      return truth(a !== 0n && b !== 0n);
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '==':
      return truth(a === b);
    case '!=':
      return truth(a !== b);
    case '<':
      return truth(a < b);
    case '>':
      return truth(a > b);
    case '<=':
      return truth(a <= b);
    case '>=':
      return truth(a >= b);
    case '<<':
    case '>>':
      if (b < 0n || b > 63n) throw new NotConstant(`a shift by ${b}`);
      return operator === '<<' ? a << b : a >> b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
    case '%':
      if (b === 0n) throw new NotConstant('a division by 0');
      return operator === '/' ? a / b : a % b;
    default:
      throw new NotConstant(`the operator ${operator}`);
  }
}
