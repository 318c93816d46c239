export { GuestMemory, unmapGuestFrame, type GuestMemoryOptions } from './guest-memory.ts';
export { Kvm, type KvmMutant, type KvmOptions } from './kvm.ts';
export { Memslots } from './memslots.ts';
export { CHANGE_PTE_ARM64, CHANGE_PTE_X86, type ChangePteDesign } from './notifiers.ts';
export { FAULT_PROTOCOL, kvm_tdp_page_fault, type FaultProtocol } from './page-fault.ts';
export {
  enter_guest_mode,
  kickedVcpus,
  kvm_check_request,
  kvm_make_all_cpus_request,
  leave_guest_mode,
  requestsTo,
  type KickMutant,
  type Kicks,
  type RequestedVcpu,
} from './requests.ts';
export {
  addVcpuThread,
  enter_guest,
  guest_access,
  leave_guest,
  VcpuCounter,
  vcpuRequests,
  vmx_handle_exit_irqoff,
  type VcpuThread,
} from './vcpu-thread.ts';
