/**
 * A virtual machine as its vCPUs know it, and the words of a vCPU that a host needs in a run. Its memory is KVM's,
 * which is kernel code.
 *
 * Mirrors virt/kvm/kvm_main.c and include/linux/kvm_host.h, v6.18: struct kvm, struct kvm_vcpu.
 */
import {
  type Address,
  type OperationContext,
  type Region,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';

/** vcpu->mode. EXITING_GUEST_MODE is not modelled: a kick is on its way while its channel is not empty. */
export const OUTSIDE_GUEST_MODE = 0;
/** vcpu->mode while the guest runs: a request needs a kick. */
export const IN_GUEST_MODE = 1;

/** vcpu->requests. */
export const KVM_REQ_TLB_FLUSH = 1 << 0;

/** Default of kvm_intel's ple_window, in TSC cycles (arch/x86/kvm/x86.h, KVM_VMX_DEFAULT_PLE_WINDOW). */
export const KVM_VMX_DEFAULT_PLE_WINDOW = 4096;
/**
 * Default of ple_window_grow: the window doubles with every exit. ple_window_shrink is 0: it is reset when the vCPU is
 * scheduled in.
 */
export const KVM_DEFAULT_PLE_WINDOW_GROW = 2;
/** UINT_MAX, as far as a word goes. */
export const PLE_WINDOW_MAX = 0x7fff_ffff;

/** What a virtual machine may have. */
export interface VmOptions {
  /**
   * kvm_mmu_page_fault() for an EPT violation of a vCPU (by name), within the step of the exit. Left out: the guest's
   * physical memory is the host's.
   */
  readonly page_fault?: (cx: OperationContext, gfn: number, vcpu: string) => void;
  /** The host takes memory from the guest: its vCPUs can be kicked. Default false. */
  readonly takesMemory?: boolean;
  /** Intel's pause-loop exiting, and the directed yield that answers it. Default false. */
  readonly pauseLoopExiting?: boolean;
}

const VM_VALUES: OptionValues<VmOptions> = {
  page_fault: is.callable,
  takesMemory: is.flag,
  pauseLoopExiting: is.flag,
};

/** Words of a vCPU. */
export interface VcpuWords {
  readonly mode: Address;
  readonly requests: Address;
  /** vcpu->preempted: scheduled out while runnable. */
  readonly preempted: Address;
  /** vcpu->ready: runnable and not running. */
  readonly ready: Address;
  /** vcpu->arch.preempted_in_kernel. */
  readonly preempted_in_kernel: Address;
  /** vcpu->spin_loop. */
  readonly in_spin_loop: Address;
  readonly dy_eligible: Address;
  /** vmx->ple_window. */
  readonly ple_window: Address;
  /** The VMCS field GUEST_PHYSICAL_ADDRESS, as a frame number: what an EPT violation was about. */
  readonly guest_physical_address: Address;
}

/** Where a vCPU runs: the channel to its physical CPU, and its number there. */
export interface Placement {
  readonly host: number;
  readonly index: number;
}

/** What KVM needs to know of a vCPU of its virtual machine. */
export interface VmVcpu {
  readonly name: string;
  /** Index of the actor. */
  readonly component: number;
  /** Channel to it. */
  readonly port: number;
  readonly words: VcpuWords;
  /** Channel that carries kicks, or -1. */
  readonly kick: number;
  /** Index of the processor it is the gate of. */
  processor: number;
  /** Set by the host that schedules it. */
  placement: Placement | null;
  /** Whether an interrupt has been posted that the guest has not taken. */
  readonly interruptPending: (cx: OperationContext) => boolean;
}

/** One virtual machine. Make it before its vCPUs. */
export class Vm {
  readonly options: VmOptions;
  readonly vcpus: VmVcpu[] = [];
  /** vcpu->ready of each of them: whoever looks for one to yield to reads them all. */
  readonly ready: Address[] = [];
  readonly last_boosted_vcpu: Region;
  readonly #builder: SystemBuilder;

  constructor(builder: SystemBuilder, options: VmOptions = {}) {
    checkValues('hypervisor: vm: new', options, VM_VALUES);
    this.options = options;
    this.last_boosted_vcpu = builder.region('kvm.last_boosted_vcpu', 1);
    this.#builder = builder;
  }

  /** The words of one more vCPU. */
  addWords(name: string, waits: boolean): VcpuWords {
    const initial = [
      waits ? OUTSIDE_GUEST_MODE : IN_GUEST_MODE,
      0,
      waits ? 1 : 0,
      waits ? 1 : 0,
      1,
      0,
      0,
      KVM_VMX_DEFAULT_PLE_WINDOW,
      0,
    ];
    const region = this.#builder.region(`${name}.kvm`, initial.length, { initial });
    const [
      mode,
      requests,
      preempted,
      ready,
      preempted_in_kernel,
      in_spin_loop,
      dy_eligible,
      ple_window,
      guest_physical_address,
    ] = initial.map((_, i) => region.at(i)) as [
      Address,
      Address,
      Address,
      Address,
      Address,
      Address,
      Address,
      Address,
      Address,
    ];
    return {
      mode,
      requests,
      preempted,
      ready,
      preempted_in_kernel,
      in_spin_loop,
      dy_eligible,
      ple_window,
      guest_physical_address,
    };
  }
}
