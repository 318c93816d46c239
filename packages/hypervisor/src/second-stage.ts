/**
 * The host takes memory from a guest: an entry of the second stage goes, every vCPU flushes, the frame is free.
 *
 * Mirrors virt/kvm/kvm_main.c and arch/x86/kvm/mmu, v6.18: kvm_handle_hva_range(), kvm_unmap_gfn_range(),
 * kvm_flush_remote_tlbs(). The retry protocol between this and page faults under way is no
 * part of it: a fault is one step.
 */
import {
  acquireWord,
  atomicAdd,
  BLOCKED,
  defineOperation,
  ModelError,
  operation,
  routine,
  type Message,
  type Operation,
  type Steps,
  noted,
} from '@shootdown/machine';
import { kvm_make_all_cpus_request, type Kicks } from './requests.ts';
import { KVM_REQ_TLB_FLUSH, type SecondStageTables, type Vm } from './vm.ts';

const KICK: Message = { type: 'kick' };

/** Guards that can be left out one at a time, to see what each is for. */
export type UnmapMutant = 'no flush' | 'flush before zap' | 'no kick' | 'no wait';

/** The host takes one guest frame away and frees the host frame behind it. Returns true if there was one. */
export const unmapGuestFrame = noted(function* unmapGuestFrame(
  vm: Vm,
  gfn: number,
  mutant?: UnmapMutant,
): Steps<boolean> {
  const { stage, takesMemory } = vm.options;
  if (!stage || !takesMemory)
    throw new ModelError(
      'hypervisor: unmapGuestFrame: this virtual machine has no second stage, or was not made with takesMemory',
    );
  const frame = yield* kvm_handle_hva_range(vm, stage, gfn, mutant);
  if (frame < 0) return false;
  yield operation(RELEASE, frame, 0, 0, stage, { label: `put_page(host frame 0x${frame.toString(16)})` });
  return true;
});

/**
 * Of kvm_mmu_notifier_invalidate_range_start(): returns the host frame that stood behind the guest frame, -1 if none
 * did.
 */
const kvm_handle_hva_range = routine(
  'kvm_handle_hva_range',
  function* (vm: Vm, stage: SecondStageTables, gfn: number, mutant?: UnmapMutant): Steps<number> {
    yield* acquireWord(vm.mmu_lock.at(0), -1, 1, { label: 'write_lock(mmu_lock)' });
    const kicks = kicksOf(vm, mutant);
    if (mutant === 'flush before zap') yield* kvm_make_all_cpus_request(vm.vcpus, KVM_REQ_TLB_FLUSH, kicks);
    const frame = yield operation(ZAP, gfn, 0, 0, stage, {
      label: `kvm_unmap_gfn_range(0x${gfn.toString(16)})`,
      fact: (f) => (f < 0 ? 'none' : `host frame 0x${f.toString(16)}`),
    });
    if (frame >= 0 && mutant !== 'no flush' && mutant !== 'flush before zap')
      yield* kvm_make_all_cpus_request(vm.vcpus, KVM_REQ_TLB_FLUSH, kicks);
    yield* atomicAdd(vm.mmu_lock.at(0), -1, { label: 'write_unlock(mmu_lock)' });
    return frame;
  },
);

/** An interrupt of the physical CPU under a vCPU, which makes it exit. */
function kicksOf({ vcpus }: Vm, mutant: UnmapMutant | undefined): Kicks {
  return {
    *kvm_kick_many_cpus(mask) {
      const kicked = vcpus.filter((_, i) => (mask & (1 << i)) !== 0);
      if (mutant === 'no kick') return;
      for (const { kick, name } of kicked)
        yield operation(SEND_KICK, kick, 0, 0, undefined, { label: `IPI (${name})` });
      if (mutant === 'no wait') return;
      for (const { kick, name } of kicked)
        yield operation(WAIT_KICKED, kick, 0, 0, undefined, { label: `wait for ack_kick() (${name})` });
    },
  };
}

const stageOf = (op: Operation): SecondStageTables => op.data as SecondStageTables;

const ZAP = defineOperation({ name: 'zap_spte', cost: 'xchg', perform: (cx, op) => stageOf(op).zap(cx, op.a) });

const RELEASE = defineOperation({
  name: 'page_free',
  perform(cx, op) {
    stageOf(op).release(cx, op.a);
    return 0;
  },
});

const SEND_KICK = defineOperation({
  name: 'ipi_send',
  perform(cx, op) {
    cx.send(op.a, KICK);
    return 0;
  },
});

/** KVM_REQUEST_WAIT: the IPI has been taken, so the vCPU has left guest mode since. */
const WAIT_KICKED = defineOperation({ name: 'wait', perform: (cx, op) => (cx.channelEmpty(op.a) ? 0 : BLOCKED) });
