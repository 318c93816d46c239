// Arithmetic on 64-bit words held in a bigint, and the error line of this package.

/** All 64 bits set. */
export const WORD_MASK = 0xffff_ffff_ffff_ffffn;

/** The word with only bit `position` set; the kernel's BIT(). */
export const bit = (position: number): bigint => 1n << BigInt(position);

/**
 * The word with bits `high` down to `low` set, both included; the kernel's GENMASK(). Empty when `high` is below `low`.
 */
export const genmask = (high: number, low: number): bigint =>
  high < low ? 0n : (bit(high + 1) - 1n) & ~(bit(low) - 1n);

/** True when every bit of `mask` is set in `word`. */
export const has = (word: bigint, mask: bigint): boolean => (word & mask) === mask;

/** `word` with the bits of `mask` set or cleared. */
export const assign = (word: bigint, mask: bigint, set: boolean): bigint => (set ? word | mask : word & ~mask);

/** The value of the field of `word` that spans bits `high` down to `low`, shifted to the right. */
export const field = (word: bigint, high: number, low: number): number =>
  Number((word & genmask(high, low)) >> BigInt(low));

/** `value` shifted into a field whose lowest bit is `low`. */
export const place = (value: number, low: number): bigint => BigInt(value) << BigInt(low);

/**
 * The two 32-bit halves of an entry, as unsigned numbers. PAE reads and writes its 64-bit entries as these two words
 * (`pte_low`, `pte_high` of arch/x86/include/asm/pgtable-3level_types.h); the present bit is in `low`.
 */
export function splitWords(raw: bigint): { readonly low: number; readonly high: number } {
  return { low: Number(raw & 0xffff_ffffn), high: Number((raw >> 32n) & 0xffff_ffffn) };
}

/**
 * The entry made of two 32-bit words: the inverse of {@link splitWords}, and what a torn read of two entries returns.
 */
export function joinWords(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** An unsigned word as the kernel prints it: `0x` and hexadecimal digits. */
const hex = (word: bigint): string => (word < 0n ? `-0x${(-word).toString(16)}` : `0x${word.toString(16)}`);

/**
 * Throws the one line this package reports bad input with: `page-table: operation: reason (value); remedy`.
 * It is a RangeError because the value was of the right type and outside what the format can hold.
 */
export function fail(operation: string, reason: string, value: string | number | bigint, remedy = ''): never {
  const shown = typeof value === 'bigint' ? hex(value) : String(value);
  throw new RangeError(`page-table: ${operation}: ${reason} (${shown})${remedy === '' ? '' : `; ${remedy}`}`);
}
