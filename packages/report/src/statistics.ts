/** Means and how far they may be off. */

/** Student's t for 95 %, two-sided, by degrees of freedom from 1 on; beyond: the normal distribution. */
const STUDENT_T = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL = 1.96;

/** A mean, and half of its 95 % confidence interval. */
export interface Measured {
  readonly mean: number;
  readonly interval: number;
}

/** Mean of repeated measurements with its confidence interval, which a single one has none of: 0. */
export function measuredOf(values: readonly number[]): Measured {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length < 2) return { mean, interval: 0 };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  const t = STUDENT_T[values.length - 2] ?? NORMAL;
  return { mean, interval: t * Math.sqrt(variance / values.length) };
}
