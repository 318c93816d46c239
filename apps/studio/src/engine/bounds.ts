/** How much a search may take in a page: when its process has no more memory, the page is gone with it. */
import type { Bounds, ResolvedScenario } from '@shootdown/explorer';

/** About 300 bytes a state: a third of a computer's memory. */
const STATES_PER_GIGABYTE = 1_000_000;
/** Of a computer whose browser does not say. */
const GIGABYTES_DEFAULT = 4;

/** The bounds of a scenario, within those of this page. */
export function boundsInPage({ scenario }: ResolvedScenario): Partial<Bounds> {
  const { deviceMemory = GIGABYTES_DEFAULT } = navigator as Navigator & { readonly deviceMemory?: number };
  const statesMax = Math.floor(deviceMemory * STATES_PER_GIGABYTE);
  return { ...scenario.bounds, maxStates: Math.min(scenario.bounds?.maxStates ?? statesMax, statesMax) };
}
