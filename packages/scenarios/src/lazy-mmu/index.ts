/** S0: lazy MMU mode. */
export { lazyFork } from './lazy-fork.ts';
export { lazyErrorPath, lazyMigrateVma, lazyPagemapScan, lazySleep, lazyUnlock } from './lazy-sections.ts';
export { lazyMigration, lazyNesting, lazyOrder, lazySoftirq } from './lazy-tasks.ts';
export { lazyVmalloc } from './lazy-vmalloc.ts';
