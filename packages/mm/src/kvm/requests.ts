/**
 * Requests to vCPUs: how whoever has changed the second stage makes them forget what they have cached of it.
 *
 * Mirrors virt/kvm/kvm_main.c, v6.18: kvm_make_all_cpus_request(), kvm_kick_many_cpus(); and of
 * arch/x86/kvm/x86.c vcpu_enter_guest(): kvm_check_request(). A vCPU that is an actor looks at its requests in the step
 * that enters the guest (hypervisor, `vcpu.ts`); one that is a thread of the host uses {@link enter_guest_mode}.
 */
import {
  BLOCKED,
  defineOperation,
  load,
  noted,
  operation,
  routine,
  setBits,
  smp_mb,
  store,
  xchg,
  type Address,
  type Message,
  type Steps,
  checkWord,
  wordsOf,
} from '@shootdown/machine';
import { IN_GUEST_MODE, KVM_REQ_TLB_FLUSH, OUTSIDE_GUEST_MODE, type Vm } from '@shootdown/hypervisor';
import type { SecondaryTlb } from '@shootdown/mmu-notifier';

/** What a request needs to know of a vCPU. */
export interface RequestedVcpu {
  readonly name: string;
  readonly words: {
    /** vcpu->mode. */
    readonly mode: Address;
    /** vcpu->requests. */
    readonly requests: Address;
  };
}

/** The interrupt by which vCPUs are made to leave guest mode. */
export interface Kicks {
  /**
   * kvm_kick_many_cpus(): interrupts the vCPUs of a mask (by their place in the list) and returns when they have left
   * guest mode since.
   */
  kvm_kick_many_cpus(mask: number): Steps;
}

/**
 * Whoever is in guest mode is interrupted, and waited for; the others see the request when they enter. With
 * KVM_REQ_TLB_FLUSH this is kvm_flush_remote_tlbs(): when it returns, no vCPU uses a translation of the second stage
 * that was removed before the call.
 */
export const kvm_make_all_cpus_request = routine(
  'kvm_make_all_cpus_request',
  function* (vcpus: readonly RequestedVcpu[], req: number, kicks: Kicks): Steps {
    let mask = 0;
    for (const [i, { words, name }] of vcpus.entries()) {
      // A locked instruction: the look at the mode comes after it.
      yield* setBits(words.requests, req, { label: `kvm_make_request(KVM_REQ_TLB_FLUSH, ${name})` });
      const mode = yield* load(words.mode, {
        label: `vcpu->mode (${name})`,
        fact: (m) => (m === IN_GUEST_MODE ? 'IN_GUEST_MODE' : 'OUTSIDE_GUEST_MODE'),
      });
      if (mode === IN_GUEST_MODE) mask |= 1 << i;
    }
    yield* kicks.kvm_kick_many_cpus(mask);
  },
);

/** kvm_check_request(KVM_REQ_TLB_FLUSH): true if there was one, which is taken: carry it out. */
export const kvm_check_request = noted(function* kvm_check_request({ words }: RequestedVcpu): Steps<boolean> {
  return (yield* xchg(words.requests, 0, { label: 'kvm_check_request(KVM_REQ_TLB_FLUSH)' })) !== 0;
});

/** The way into the guest: from now on a request comes with an interrupt. True if there was one before. */
export const enter_guest_mode = noted(function* enter_guest_mode(vcpu: RequestedVcpu): Steps<boolean> {
  yield* store(vcpu.words.mode, IN_GUEST_MODE, { label: 'vcpu->mode = IN_GUEST_MODE' });
  yield* smp_mb();
  return yield* kvm_check_request(vcpu);
});

/** The way out: a request has to wait for nobody. */
export const leave_guest_mode = noted(function* leave_guest_mode({ words }: RequestedVcpu): Steps {
  yield* store(words.mode, OUTSIDE_GUEST_MODE, { label: 'vcpu->mode = OUTSIDE_GUEST_MODE' });
});

/** kvm_flush_remote_tlbs() for the vCPUs of a VM: when it is asked for, it is waited for too. */
export function requestsTo(vcpus: readonly RequestedVcpu[], kicks: Kicks): SecondaryTlb {
  return {
    invalidate: () => kvm_make_all_cpus_request(vcpus, KVM_REQ_TLB_FLUSH, kicks),
    *sync() {},
  };
}

/** What can go wrong when vCPUs are kicked: nobody is, or it is not waited for. */
export type KickMutant = 'no kick' | 'no wait';

const KICK_MUTANTS = wordsOf<KickMutant>()('no kick', 'no wait');

/** The same where the vCPUs are actors: an interrupt of the physical CPU under one makes it exit. */
export function kickedVcpus({ vcpus }: Vm, mutant?: KickMutant): SecondaryTlb {
  if (mutant !== undefined) checkWord('kvm: kickedVcpus: mutant', mutant, KICK_MUTANTS);
  return requestsTo(vcpus, {
    *kvm_kick_many_cpus(mask) {
      const kicked = vcpus.filter((_, i) => (mask & (1 << i)) !== 0);
      if (mutant === 'no kick') return;
      for (const { kick, name } of kicked)
        yield operation(SEND_KICK, kick, 0, 0, undefined, { label: `IPI (${name})` });
      if (mutant === 'no wait') return;
      for (const { kick, name } of kicked)
        yield operation(WAIT_KICKED, kick, 0, 0, undefined, { label: `wait for ack_kick() (${name})` });
    },
  });
}

const KICK: Message = { type: 'kick' };

const SEND_KICK = defineOperation({
  name: 'ipi_send',
  perform(cx, op) {
    cx.send(op.a, KICK);
    return 0;
  },
});

/** KVM_REQUEST_WAIT: the IPI has been taken, so the vCPU has left guest mode since. */
const WAIT_KICKED = defineOperation({ name: 'wait', perform: (cx, op) => (cx.channelEmpty(op.a) ? 0 : BLOCKED) });
