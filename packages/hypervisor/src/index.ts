export { EXIT_REASONS, exitCounter, HypervisorCounter, type AnyExitReason } from './exits.ts';
export { addHost, type HostOptions } from './host.ts';
export { hostMachine, type HostContext, type HostEmitted, type HostEvent, type HostInput } from './host.machine.ts';
export {
  PREEMPTIONS_UNLIMITED,
  vcpuMachine,
  type ExitReason,
  type VcpuContext,
  type VcpuEmitted,
  type RecordStep,
  type VcpuEntry,
  type VcpuEvent,
} from './vcpu.machine.ts';
export {
  addVcpu,
  emulated_instruction,
  ept_violation,
  formatPreempted,
  guestHooks,
  KVM_VCPU_FLUSH_TLB,
  KVM_VCPU_PREEMPTED,
  vm_exit,
  type Emulator,
  type GuestMmu,
  type Vcpu,
  type VcpuOfVm,
  type VcpuOptions,
} from './vcpu.ts';
export {
  IN_GUEST_MODE,
  KVM_REQ_TLB_FLUSH,
  KVM_VMX_DEFAULT_PLE_WINDOW,
  OUTSIDE_GUEST_MODE,
  Vm,
  type Placement,
  type VcpuWords,
  type VmOptions,
  type VmVcpu,
} from './vm.ts';
