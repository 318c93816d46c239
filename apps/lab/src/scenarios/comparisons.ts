/** The comparisons that ship, by scenario name. */
import type { Comparison } from '../comparison.ts';

export const comparisons: Readonly<Record<string, () => Promise<Comparison> | Comparison>> = {};
