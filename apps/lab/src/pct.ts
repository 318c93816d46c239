/** PCT beside a search: see `pct` of the explorer. */
import { availableParallelism } from 'node:os';
import type { ExploreOptions } from '@shootdown/explorer';
import type { Arguments, Flag } from './arguments.ts';
import { littleAddressSpace } from './host.ts';

const SEED = 1;

/** The flag of commands that search. */
export const pctFlag = {
  'no-pct': { type: 'boolean', help: 'do not try random schedules (PCT) beside a search of more than a second' },
} as const satisfies Readonly<Record<string, Flag>>;

/** PCT runs where a processor is idle otherwise, and where there is room for its thread. */
export function besides(args: Arguments, workers: number): Pick<ExploreOptions, 'pct'> {
  if (args.has('no-pct') || availableParallelism() <= workers || littleAddressSpace()) return {};
  return { pct: { seed: SEED } };
}
