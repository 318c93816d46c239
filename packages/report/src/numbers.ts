/** How numbers look in tables, time columns and histograms. */

/** Digits after the point of a number that is not whole. */
export const DECIMALS_DEFAULT = 2;
const DIGITS_PER_GROUP = /\B(?=(\d{3})+(?!\d))/g;
const NANOSECONDS_PER_SECOND = 1e9;

/** How {@link formatNumber} writes a number. */
export interface NumberFormat {
  /** Digits after the point. Default: none for whole numbers, 2 for others. */
  readonly decimals?: number;
  /** Commas between groups of three digits. Default true. */
  readonly thousands?: boolean;
}

/** Writes a number in decimal; `-` for one that is not finite (a ratio to zero, a mean of nothing). */
export function formatNumber(value: number | bigint, format: NumberFormat = {}): string {
  if (typeof value === 'number' && !Number.isFinite(value)) return '-';
  const whole = typeof value === 'bigint' || Number.isInteger(value);
  const decimals = format.decimals ?? (whole ? 0 : DECIMALS_DEFAULT);
  // toFixed() turns to exponents at 1e21; a counter that large is exact only as a bigint anyway.
  const digits =
    typeof value === 'bigint'
      ? value.toString()
      : Math.abs(value) < 1e21
        ? value.toFixed(decimals)
        : BigInt(value).toString();
  if (format.thousands === false) return digits;
  const point = digits.indexOf('.');
  const integer = point < 0 ? digits : digits.slice(0, point);
  return integer.replace(DIGITS_PER_GROUP, ',') + (point < 0 ? '' : digits.slice(point));
}

/** Writes a ratio with three significant digits: `0.33x`, `1.00x`, `17.2x`, `513x`; `-` where there is none. */
export function formatRatio(value: number, base: number): string {
  const ratio = value / base;
  if (!Number.isFinite(ratio)) return '-';
  const magnitude = Math.abs(ratio);
  return `${formatNumber(ratio, { decimals: magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2 })}x`;
}

/** Converts cycles to whole nanoseconds. */
export function nanosecondsOf(cycles: number, hertz: number): number {
  return Math.round((cycles / hertz) * NANOSECONDS_PER_SECOND);
}
