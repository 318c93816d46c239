/**
 * Who accesses memory through secondary MMUs: a guest, a device with a table of its own, a device that walks the
 * primary one.
 */
import { assertThat, point, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import {
  page_request,
  page_response,
  pagefault_mr,
  type Odp,
  type PrimaryMmu,
  type Sva,
} from '@shootdown/mmu-notifier';
import { handle_mm_fault } from '../fault.ts';
import type { Kernel, Mm } from '../kernel.ts';
import type { Kvm } from '../kvm/kvm.ts';
import { kvm_tdp_page_fault } from '../kvm/page-fault.ts';
import { AccessFault, secondary_access, type Agent } from './access.ts';

/** One access of a guest or device: a load if `version` is 0, otherwise a store of that version. */
export interface SecondaryAccess {
  readonly page: number;
  readonly version: number;
}

/** What a guest or device does. */
export interface SecondaryProgram {
  readonly accesses: readonly SecondaryAccess[];
  /** What must hold of the versions it has read and written, in order. */
  readonly mustHold?: { readonly property: string; readonly holds: (versions: readonly number[]) => boolean };
  /** It must not fault again at a page for which a fault has just been handled. */
  readonly faultsOnce?: boolean;
}

/** What a device in endless page faults violates. */
export const FAULTS_ONCE = 'an access that a fault has been handled for does not fault again';

/** A guest's vCPU: enters the guest, and leaves it for every fault. It gives up where there is no page. */
export const vcpu_run = routine('vcpu_run', (kvm: Kvm, primary: PrimaryMmu, agent: Agent, body: SecondaryProgram) =>
  accessAll(agent, body, (access) => kvm_tdp_page_fault(kvm, primary, access.page, access.version > 0)),
);

/** A device's engine, and its driver while it waits. */
export const odp_run = routine('device engine', (odp: Odp, primary: PrimaryMmu, agent: Agent, body: SecondaryProgram) =>
  accessAll(agent, body, (access) => pagefault_mr(odp, primary, access.page, access.version > 0)),
);

/** A device whose faults are those of the primary address space: iommu_sva_handle_mm(). */
export const sva_run = routine(
  'device engine',
  (kernel: Kernel, cpu: Cpu, mm: Mm, sva: Sva, agent: Agent, body: SecondaryProgram) =>
    accessAll(agent, body, (access) => iommu_sva_handle_mm(kernel, cpu, mm, sva, access)),
);

function* accessAll(
  agent: Agent,
  { accesses, mustHold, faultsOnce = false }: SecondaryProgram,
  fault: (access: SecondaryAccess) => Steps<boolean>,
): Steps {
  const versions: number[] = [];
  for (const [at, access] of accesses.entries()) {
    for (let faults = 0; ; faults++) {
      // What has been read is of no more interest unless somebody asks for it in the end.
      yield* point('access', at, faultsOnce ? faults : 0, ...(mustHold ? versions.slice(0, at) : []));
      const result = yield* secondary_access(agent, access.page, access.version);
      versions[at] = result;
      if (result >= 0) break;
      if (faultsOnce) yield* assertThat(faults === 0, FAULTS_ONCE);
      if (result === AccessFault.stopped) return;
      yield* point('fault', at, faultsOnce ? faults : 0, ...(mustHold ? versions.slice(0, at) : []));
      if (!(yield* fault(access))) return;
    }
  }
  if (mustHold) yield* assertThat(mustHold.holds(versions), mustHold.property, `has seen ${versions.join(', ')}`);
}

const iommu_sva_handle_mm = routine(
  'iommu_sva_handle_mm',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, { device }: Sva, { page, version }: SecondaryAccess): Steps<boolean> {
    if (!(yield* page_request(device))) return false;
    const result = yield* handle_mm_fault(kernel, cpu, mm, page, version > 0);
    return result === 'retry' && (yield* page_response(device));
  },
);
