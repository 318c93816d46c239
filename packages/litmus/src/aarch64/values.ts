/**
 * Values of AArch64 litmus tests as 32-bit words: numbers, addresses of variables and of descriptors, page numbers,
 * labels, and descriptors. A small number is itself; everything else is a number made from its content, so that it is
 * the same in every process.
 *
 * Descriptor fields: Arm ARM (DDI 0487) D8.3.1, stage 1 leaf: valid bit 0, AP[2] bit 7 (here `db`, its opposite), AF
 * bit 10, DBM bit 51.
 */
import { hashString, swapIf, swapTo, type Modify } from '@shootdown/machine';
import { unsupported } from '../errors.ts';

/** A descriptor in the notation of the tests. */
export interface Pte {
  /** Name of the variable whose frame it maps. */
  readonly oa: string;
  readonly valid: number;
  readonly af: number;
  /** Writable ("dirty bit"). */
  readonly db: number;
  readonly dbm: number;
  readonly el0: number;
  /** Memory attributes, empty for Normal memory that is cacheable in the default way. */
  readonly attrs: string;
}

/** What a register or a word may hold. */
export type Value =
  | { readonly kind: 'number'; readonly number: bigint }
  /** Virtual address of a variable. */
  | { readonly kind: 'address'; readonly of: string }
  /** The page number in it, as an operand of TLBI. */
  | { readonly kind: 'page'; readonly of: string }
  /** Address of the descriptor that maps a variable. */
  | { readonly kind: 'descriptor'; readonly of: string }
  | { readonly kind: 'label'; readonly name: string }
  | { readonly kind: 'pte'; readonly pte: Pte };

const SMALL = 1 << 30;

/** Values that are no small numbers, by their words. */
const known = new Map<number, Value>();
const words = new Map<string, number>();

/** The word of a value. */
export function wordOf(value: Value): number {
  if (value.kind === 'number') {
    const number = BigInt.asIntN(64, value.number);
    if (number > -SMALL && number < SMALL) return Number(number);
  }
  const key = keyOf(value);
  const before = words.get(key);
  if (before !== undefined) return before;
  const word = SMALL | (hashString(key).lo & (SMALL - 1));
  if (known.has(word)) unsupported(`two values with one word (${key})`);
  known.set(word, value);
  words.set(key, word);
  return word;
}

/** The value of a word. */
export function valueOf(word: number): Value {
  return known.get(word) ?? { kind: 'number', number: BigInt(word) };
}

function keyOf(value: Value): string {
  if (value.kind === 'number') return `number ${BigInt.asIntN(64, value.number)}`;
  return JSON.stringify(value);
}

export const numberWord = (number: bigint | number): number => wordOf({ kind: 'number', number: BigInt(number) });
const addressWord = (of: string): number => wordOf({ kind: 'address', of });
const descriptorWord = (of: string): number => wordOf({ kind: 'descriptor', of });
export const pteWord = (pte: Pte): number => wordOf({ kind: 'pte', pte });

/** The descriptor that maps a variable when the test says nothing else. */
export function ordinaryPte(oa: string): Pte {
  return { oa, valid: 1, af: 1, db: 1, dbm: 0, el0: 1, attrs: '' };
}

/** The descriptor in a word; a word that is none maps nothing. */
export function pteOf(word: number): Pte {
  const value = valueOf(word);
  if (value.kind === 'pte') return value.pte;
  return unsupported(`a descriptor that is none (${show(word)})`);
}

/** The variable that a descriptor's location belongs to, as it is named in tests: `PTE(x)`. */
export function pteName(of: string): string {
  return `PTE(${of})`;
}

/** As herd prints it. */
export function show(word: number): string {
  const value = valueOf(word);
  switch (value.kind) {
    case 'number':
      return String(value.number);
    case 'address':
      return value.of;
    case 'page':
      return `${value.of}>>12`;
    case 'descriptor':
      return pteName(value.of);
    case 'label':
      return `label:"${value.name}"`;
    case 'pte':
      return showPte(value.pte);
  }
}

function showPte({ oa, valid, af, db, dbm, el0, attrs }: Pte): string {
  const fields = [`oa:PA(${oa})`];
  if (valid !== 1) fields.push(`valid:${valid}`);
  if (af !== 1) fields.push(`af:${af}`);
  if (db !== 1) fields.push(`db:${db}`);
  if (dbm !== 0) fields.push(`dbm:${dbm}`);
  if (el0 !== 1) fields.push(`el0:${el0}`);
  if (attrs !== '') fields.push(`attrs:(${attrs})`);
  return `(${fields.join(', ')})`;
}

/** Reads `(oa:PA(x), valid:0)`. @param oa the frame where none is said */
export function readPte(text: string, oa: string | null): Pte {
  const [, attributes = ''] = /attrs:\s*\(([^)]*)\)/.exec(text) ?? [];
  const plain = text.replace(/,?\s*attrs:\s*\([^)]*\)/, '').replace(/^\(|\)$/g, '');
  const pte: Record<string, number | string> = { ...ordinaryPte(oa ?? '') };
  for (const field of plain.split(',').map((part) => part.trim())) {
    if (field === '') continue;
    const [, name = '', value = ''] = /^(\w+)\s*:\s*(.+)$/.exec(field) ?? [];
    const [, frame] = /^(?:phy_(\w+)|PA\(\s*(\w+)\s*\))$/.exec(value)?.filter((part) => part !== undefined) ?? [];
    if (name === 'oa' && frame !== undefined) pte['oa'] = frame;
    else if (['valid', 'af', 'db', 'dbm', 'el0'].includes(name) && /^[01]$/.test(value)) pte[name] = Number(value);
    else unsupported(`field ${field} of a descriptor`);
  }
  const attrs = attributes.replace(/\s/g, '');
  pte['attrs'] = attrs === 'Normal' ? '' : attrs;
  if (pte['oa'] === '') unsupported(`a descriptor without oa (${text})`);
  return pte as unknown as Pte;
}

/** Reads a value of an initial state or a condition. @param oa what a descriptor maps where it says nothing */
export function readValue(text: string, oa: string | null): number {
  const plain = text.trim();
  const number = /^-?(?:0x[0-9a-f]+|\d+)$/i.exec(plain);
  if (number) return numberWord(plain.startsWith('-') ? -BigInt(plain.slice(1)) : BigInt(plain));
  const descriptor = /^(?:(?:PTE|TTD)\(\s*(\w+)\s*\)|pte_(\w+))$/.exec(plain);
  if (descriptor) return descriptorWord((descriptor[1] ?? descriptor[2]) as string);
  if (plain.startsWith('(')) return pteWord(readPte(plain, oa));
  const label = /^label:"(?:P(\d+):)?(\w+)"$/.exec(plain);
  if (label) return wordOf({ kind: 'label', name: `P${label[1] ?? '0'}:${label[2] ?? ''}` });
  const variable = /^&?([A-Za-z_]\w*)$/.exec(plain);
  if (variable && !plain.startsWith('phy_')) return addressWord(variable[1] as string);
  return unsupported(`value ${plain}`);
}

/** Bits of a descriptor that tests compute with, by what they are. */
const FIELD_OF_BIT: Readonly<Record<number, 'valid' | 'db' | 'af' | 'dbm'>> = {
  0: 'valid',
  7: 'db',
  10: 'af',
  51: 'dbm',
};

/** Result of an operation on two words. */
export function compute(name: string, left: number, right: number): number {
  const [a, b] = [valueOf(left), valueOf(right)];
  if (name === 'mov') return left;
  if ((name === 'eor' || name === 'sub') && left === right) return 0;
  if (name === 'lsr' && a.kind === 'address') return wordOf({ kind: 'page', of: a.of });
  const [x, y] = [numberIn(a), numberIn(b)];
  if (name === 'and' && (y === 0n || x === 0n)) return 0;
  if (y === 0n && name !== 'and' && name !== 'mul') return left;
  if (x === 0n && ['add', 'orr', 'eor'].includes(name)) return right;
  if (a.kind === 'pte' && y !== null) return computeOnPte(name, a.pte, y);
  if (x === null || y === null) return unsupported(`${name} of ${show(left)} and ${show(right)}`);
  switch (name) {
    case 'add':
      return numberWord(x + y);
    case 'sub':
      return numberWord(x - y);
    case 'eor':
      return numberWord(x ^ y);
    case 'and':
      return numberWord(x & y);
    case 'orr':
      return numberWord(x | y);
    case 'bic':
      return numberWord(x & ~y);
    case 'mul':
      return numberWord(x * y);
    case 'lsl':
      return numberWord(x << y);
    case 'lsr':
      return numberWord(BigInt.asUintN(64, x) >> y);
    default:
      return unsupported(`operation ${name}`);
  }
}

function numberIn(value: Value): bigint | null {
  return value.kind === 'number' ? value.number : null;
}

function computeOnPte(name: string, pte: Pte, mask: bigint): number {
  const bits = Array.from({ length: 64 }, (_, bit) => bit).filter(
    (bit) => (BigInt.asUintN(64, mask) >> BigInt(bit)) & 1n,
  );
  const fields: Record<string, number | string> = { ...pte };
  if (name === 'and') {
    const [bit] = bits;
    if (bits.length !== 1 || bit === undefined) return unsupported(`and of a descriptor with ${mask}`);
    // Attribute index: 0 for ordinary memory.
    if (bit === 2) return 0;
    const field = FIELD_OF_BIT[bit] ?? unsupported(`bit ${bit} of a descriptor`);
    const set = field === 'db' ? pte.db === 0 : pte[field] === 1;
    return set ? numberWord(1n << BigInt(bit)) : 0;
  }
  for (const bit of bits) {
    const field = FIELD_OF_BIT[bit] ?? unsupported(`bit ${bit} of a descriptor`);
    const old = field === 'db' ? 1 - pte.db : pte[field];
    const now =
      name === 'orr' ? 1 : name === 'bic' ? 0 : name === 'eor' ? 1 - old : unsupported(`${name} of a descriptor`);
    fields[field] = field === 'db' ? 1 - now : now;
  }
  return pteWord(fields as unknown as Pte);
}

const modifies = new Map<string, Modify>();

/** Atomics on the values of tests, which are not all numbers. */
export function modifyOf(operation: string, data: number, expected: number): Modify {
  if (operation === 'swp') return swapTo(data);
  if (operation === 'cas') return swapIf(expected, data);
  const key = `litmus ${operation} ${data}`;
  let modify = modifies.get(key);
  if (!modify) {
    modify = { key, compares: false, computes: true, apply: (old) => compute(operation, old, data) };
    modifies.set(key, modify);
  }
  return modify;
}
