/** The scenarios alone: whoever searches one need not load the demos, the comparisons and what they run on. */
import type { Scenario } from '@shootdown/explorer';
import {
  breakBeforeMake,
  contpteFault,
  contpteFold,
  contpteFork,
  contpteLockless,
  contpteMprotect,
  contpteMremap,
  contpteReclaim,
  contpteUnfold,
  contpteYoung,
  contpteZap,
} from './contpte/index.ts';
import { cowVsSecondary } from './cow-vs-secondary.ts';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { kernelRangeFlush } from './kernel-range-flush.ts';
import { ksmVsGup } from './ksm-vs-gup.ts';
import { ksmVsSecondary } from './ksm-vs-secondary.ts';
import { kvmFaultVsInvalidate } from './kvm-fault-vs-invalidate.ts';
import {
  lazyErrorPath,
  lazyFork,
  lazyMigrateVma,
  lazyMigration,
  lazyNesting,
  lazyOrder,
  lazyPagemapScan,
  lazySleep,
  lazySoftirq,
  lazyUnlock,
  lazyVmalloc,
} from './lazy-mmu/index.ts';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { lazyTlbVsFlush } from './lazy-tlb-vs-flush.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { referencePtdump } from './reference-ptdump.ts';
import { remoteFlush } from './remote-flush.ts';
import { riscvNewMapping } from './riscv-new-mapping.ts';
import { sameWord } from './same-word.ts';
import { secondaryTlbOrder } from './secondary-tlb-order.ts';
import { smeDvmsyncErratum } from './sme-dvmsync-erratum.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';
import { twoFlushes } from './two-flushes.ts';
import { zapVsWriteback } from './zap-vs-writeback.ts';

/** All scenarios that ship, in the order of `shootdown list`. */
export const scenarios: readonly Scenario[] = [
  ptdumpVmalloc,
  gupFastVsUnmap,
  gupFastVsCollapse,
  paeLocklessRead,
  kvmPvFlush,
  switchMmVsFlush,
  lazyTlbVsFlush,
  twoFlushes,
  sameWord,
  remoteFlush,
  kernelRangeFlush,
  riscvNewMapping,
  zapVsWriteback,
  cowVsSecondary,
  kvmFaultVsInvalidate,
  ksmVsSecondary,
  ksmVsGup,
  secondaryTlbOrder,
  contpteZap,
  contpteUnfold,
  contpteFold,
  contpteFault,
  contpteMprotect,
  contpteMremap,
  contpteFork,
  contpteYoung,
  contpteReclaim,
  contpteLockless,
  breakBeforeMake,
  lazyFork,
  lazyPagemapScan,
  lazyMigrateVma,
  lazyMigration,
  lazyNesting,
  lazySoftirq,
  lazyOrder,
  lazyUnlock,
  lazyVmalloc,
  smeDvmsyncErratum,
  lazyErrorPath,
  lazySleep,
  referencePtdump,
];

// Worker threads find a scenario by its name in camel case.
export {
  breakBeforeMake,
  contpteFault,
  contpteFold,
  contpteFork,
  contpteLockless,
  contpteMprotect,
  contpteMremap,
  contpteReclaim,
  contpteUnfold,
  contpteYoung,
  contpteZap,
  cowVsSecondary,
  gupFastVsUnmap,
  gupFastVsCollapse,
  kernelRangeFlush,
  ksmVsGup,
  ksmVsSecondary,
  kvmFaultVsInvalidate,
  lazyTlbVsFlush,
  paeLocklessRead,
  kvmPvFlush,
  ptdumpVmalloc,
  lazyErrorPath,
  lazyFork,
  lazyMigrateVma,
  lazyMigration,
  lazyNesting,
  lazyOrder,
  lazyPagemapScan,
  lazySleep,
  lazySoftirq,
  lazyUnlock,
  lazyVmalloc,
  smeDvmsyncErratum,
  referencePtdump,
  remoteFlush,
  riscvNewMapping,
  secondaryTlbOrder,
  switchMmVsFlush,
  twoFlushes,
  sameWord,
  zapVsWriteback,
};

/** The URL of this module, which worker threads load. A function, because finding out takes a while in a bundle. */
export function catalogueUrl(): string {
  return new URL('./catalogue.js', import.meta.url).href;
}
