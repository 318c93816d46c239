export { addHost, type HostOptions } from './host.ts';
export { hostMachine, type HostContext, type HostEmitted, type HostEvent } from './host.machine.ts';
export { PREEMPTIONS_UNLIMITED, vcpuMachine, type VcpuContext, type VcpuEmitted, type VcpuEntry, type VcpuEvent } from './vcpu.machine.ts';
export { addVcpu, emulated_instruction, formatPreempted, KVM_VCPU_FLUSH_TLB, KVM_VCPU_PREEMPTED, type Emulator, type GuestMmu, type Vcpu, type VcpuOptions } from './vcpu.ts';
