/**
 * An SMMU that walks a process's tables (SVA) and does not listen to broadcast TLBIs: its TLB hears of an
 * invalidation by a command that mmu_notifier_arch_invalidate_secondary_tlbs() has its driver queue.
 *
 * Mirrors drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c, arm_smmu_mm_arch_invalidate_secondary_tlbs(), v6.18.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type OperationContext,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import type { MmuInstructions, TlbiRequest } from './instructions.ts';

/** Invalidations in the command queue of one CPU. */
const QUEUE_ENTRIES = 4;

/** The command queue between CPUs and one SMMU. */
export class Smmu {
  static {
    noteMethods(this);
  }

  readonly name: string;
  /** By CPU. */
  readonly #channels: readonly number[];

  /** @param mmu the TLB of the SMMU: it must be connected to no CPU (`connectMmus`) */
  constructor(builder: SystemBuilder, cpus: readonly MmuInstructions[], mmu: MmuInstructions) {
    this.name = mmu.name;
    mmu.queued = true;
    this.#channels = cpus.map((cpu) =>
      builder.channel({
        name: `${cpu.name}->${mmu.name}`,
        to: mmu.name,
        policy: 'fifo',
        capacity: QUEUE_ENTRIES,
        latency: 'dvm',
      }),
    );
  }

  /** arm_smmu_tlb_inv_range_asid(): CMD_TLBI_NH_VA for the range, then CMD_SYNC, which this waits for. */
  *arm_smmu_tlb_inv_range_asid(cpu: number, request: Omit<TlbiRequest, 'type' | 'scope'>): Steps {
    const channel = this.#channels[cpu] as number;
    const { vpn, pages = 1 } = request;
    const message = { type: 'tlbi', scope: 'page', ...request };
    yield operation(QUEUE, channel, 0, 0, message, { label: `CMD_TLBI_NH_VA(0x${vpn.toString(16)}, ${pages} pages)` });
    yield operation(SYNC, channel, 0, 0, undefined, { label: 'CMD_SYNC' });
  }
}

/** The queue is in memory: what was stored before is visible to the SMMU's walks before it sees the command. */
const QUEUE = defineOperation({
  name: 'cmdq_issue',
  cost: 'tlbi',
  perform(cx: OperationContext, op) {
    if (!cx.drained() || cx.channelFull(op.a)) return BLOCKED;
    cx.send(op.a, op.data as { type: string });
    return 0;
  },
});

const SYNC = defineOperation({
  name: 'cmd_sync',
  cost: 'dsb',
  role: 'barrier',
  leftOut: () => 0,
  perform: (cx, op) => (cx.channelEmpty(op.a) ? 0 : BLOCKED),
});
