export { EXIT_REASONS, exitCounter, HypervisorCounter, type AnyExitReason } from './exits.ts';
export { addHost, type HostOptions } from './host.ts';
export { hostMachine, type HostContext, type HostEmitted, type HostEvent, type HostInput } from './host.machine.ts';
export { unmapGuestFrame, type UnmapMutant } from './second-stage.ts';
export {
  PREEMPTIONS_UNLIMITED,
  vcpuMachine,
  type ExitReason,
  type VcpuContext,
  type VcpuEmitted,
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
  KVM_VMX_DEFAULT_PLE_WINDOW,
  Vm,
  type Placement,
  type SecondStageTables,
  type VcpuWords,
  type VmOptions,
  type VmVcpu,
} from './vm.ts';
