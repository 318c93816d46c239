/** The scenarios that ship. */
import type { Scenario } from '@shootdown/explorer';
import { cowVsSecondary } from './cow-vs-secondary.ts';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { ksmVsGup } from './ksm-vs-gup.ts';
import { ksmVsSecondary } from './ksm-vs-secondary.ts';
import { kvmFaultVsInvalidate } from './kvm-fault-vs-invalidate.ts';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { referencePtdump } from './reference-ptdump.ts';
import { remoteFlush } from './remote-flush.ts';
import { secondaryTlbOrder } from './secondary-tlb-order.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';
import { zapVsWriteback } from './zap-vs-writeback.ts';

export const scenarios: readonly Scenario[] = [
  ptdumpVmalloc,
  gupFastVsUnmap,
  gupFastVsCollapse,
  paeLocklessRead,
  kvmPvFlush,
  switchMmVsFlush,
  remoteFlush,
  zapVsWriteback,
  cowVsSecondary,
  kvmFaultVsInvalidate,
  ksmVsSecondary,
  ksmVsGup,
  secondaryTlbOrder,
  referencePtdump,
];

// Worker threads find a scenario by its name in camel case.
export { cowVsSecondary, gupFastVsUnmap, gupFastVsCollapse, ksmVsGup, ksmVsSecondary, kvmFaultVsInvalidate, paeLocklessRead, kvmPvFlush, ptdumpVmalloc, referencePtdump, remoteFlush, secondaryTlbOrder, switchMmVsFlush, zapVsWriteback };
