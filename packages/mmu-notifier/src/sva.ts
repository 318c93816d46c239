/**
 * A device that walks the primary page table itself and has nothing of its own but a TLB: shared virtual addressing
 * behind an IOMMU.
 *
 * Mirrors drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c, v6.18: arm_smmu_mm_arch_invalidate_secondary_tlbs(),
 * arm_smmu_mm_release(); drivers/iommu/intel/svm.c has the same.
 */
import { routine, type Steps } from '@shootdown/machine';
import { stop_device, type Device } from './device.ts';
import type { MmuNotifierOps } from './notifier.ts';
import type { SecondaryTlb } from './secondary-tlb.ts';

/** One binding of a device to an address space. */
export class Sva {
  readonly device: Device;
  readonly tlb: SecondaryTlb;

  constructor(device: Device, tlb: SecondaryTlb) {
    this.device = device;
    this.tlb = tlb;
  }

  /** arm_smmu_mmu_notifier_ops: nothing begins and nothing ends, because there is no table to keep in step. */
  get ops(): MmuNotifierOps {
    return { arch_invalidate_secondary_tlbs: () => invalidate_secondary_tlbs(this), release: () => release(this) };
  }
}

/** Under the page-table lock: waiting for the IOMMU is spinning. */
const invalidate_secondary_tlbs = routine('arm_smmu_mm_arch_invalidate_secondary_tlbs', function* (sva: Sva): Steps {
  yield* sva.tlb.invalidate('CMDQ_OP_TLBI_NH_ASID, CMDQ_OP_ATC_INV');
  yield* sva.tlb.sync('CMDQ_OP_CMD_SYNC');
});

const release = routine('arm_smmu_mm_release', function* (sva: Sva): Steps {
  yield* stop_device(sva.device);
  yield* invalidate_secondary_tlbs(sva);
});
