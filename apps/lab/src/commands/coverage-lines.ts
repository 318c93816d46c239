/** What a search has covered, in words. */
import type { ExploreResult } from '@shootdown/explorer';

/** Operations that were never performed, and the like. */
export function coverageLines(coverage: ExploreResult['coverage']): string[] {
  return JSON.stringify(coverage, null, 2).split('\n');
}
