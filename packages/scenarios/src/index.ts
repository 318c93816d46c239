/** The scenarios that ship, the machines they run on, the demos and the comparisons. */
export * from './catalogue.ts';

/** The URL of this module, which worker threads load. */
export const scenariosModule = new URL('./index.js', import.meta.url).href;

export { comparisons, patchedComparisons } from './comparisons.ts';
export {
  comparisonDocument,
  everyRow,
  type Comparison,
  type ComparisonColumn,
  type ComparisonRow,
  type ComparisonTable,
  type EachRow,
  type Patch,
} from './comparison.ts';
export { markdownOf, tableOf } from './comparison-tables.ts';
export { demos, type Demo } from './demos/index.ts';
export { flushCountsInPortions, flushOperations, remoteStates, type FlushCountRow } from './demos/flush-counts.ts';
export { hostReport, hostText } from './host-report.ts';
export {
  findHazards,
  hazardSubjects,
  hazardSystem,
  hazardTrace,
  type HazardFinding,
  type HazardSubject,
  type SectionGeneration,
} from './lazy-mmu/hazards.ts';
