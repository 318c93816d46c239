/** The scenarios that ship. */
import type { Scenario } from '@shootdown/explorer';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';
import { referencePtdump } from './reference-ptdump.ts';
import { remoteFlush } from './remote-flush.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';
import { zapVsWriteback } from './zap-vs-writeback.ts';

export const scenarios: readonly Scenario[] = [ptdumpVmalloc, gupFastVsUnmap, gupFastVsCollapse, paeLocklessRead, kvmPvFlush, switchMmVsFlush, remoteFlush, zapVsWriteback, referencePtdump];

// Worker threads find a scenario by its name in camel case.
export { gupFastVsUnmap, gupFastVsCollapse, paeLocklessRead, kvmPvFlush, ptdumpVmalloc, referencePtdump, remoteFlush, switchMmVsFlush, zapVsWriteback };
