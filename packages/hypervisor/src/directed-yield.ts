/**
 * Pause-loop exits: a vCPU that spins gives its CPU to one that may hold what it waits for.
 *
 * Mirrors virt/kvm/kvm_main.c, v6.18: kvm_vcpu_on_spin(), kvm_vcpu_eligible_for_directed_yield(), kvm_vcpu_yield_to();
 * and arch/x86/kvm/vmx/vmx.c: handle_pause(), grow_ple_window(), shrink_ple_window().
 */
import { messageFor, type Address, type Message, type OperationContext } from '@shootdown/machine';
import { HypervisorCounter } from './exits.ts';
import {
  KVM_DEFAULT_PLE_WINDOW_GROW,
  KVM_VMX_DEFAULT_PLE_WINDOW,
  PLE_WINDOW_MAX,
  type Placement,
  type Vm,
  type VmVcpu,
} from './vm.ts';

const yieldToMessage = messageFor((vcpu: number) => ({ type: 'yield_to', vcpu }));
const YIELD: Message = { type: 'yield' };

/**
 * handle_pause(): the window grows, and the CPU goes to somebody else if there is anybody. Pause-loop exits happen at
 * CPL 0 only.
 */
export function handle_pause(cx: OperationContext, vm: Vm, me: VmVcpu): void {
  cx.write(me.words.ple_window, Math.min(cx.read(me.words.ple_window) * KVM_DEFAULT_PLE_WINDOW_GROW, PLE_WINDOW_MAX));
  kvm_vcpu_on_spin(cx, vm, me);
}

/** vmx_vcpu_load() of a vCPU that had been scheduled out. */
export function shrink_ple_window(cx: OperationContext, { words }: VmVcpu): void {
  cx.write(words.ple_window, KVM_VMX_DEFAULT_PLE_WINDOW);
}

/**
 * Looks for a vCPU to yield to, round robin from the one boosted last. The first that qualifies gets this CPU's
 * attention and its own CPU; yield_to() finds every vCPU that is ready runnable, so there is no second try.
 */
function kvm_vcpu_on_spin(cx: OperationContext, vm: Vm, me: VmVcpu): void {
  // Without a host that schedules there is nobody to yield to.
  const { placement } = me;
  if (!placement) return;
  cx.write(me.words.in_spin_loop, 1);
  const { vcpus, ready } = vm;
  const start = cx.read(vm.last_boosted_vcpu.base) + 1;
  for (let i = 0; i < vcpus.length; i++) {
    const index = (start + i) % vcpus.length;
    if (cx.read(ready[index] as Address) === 0) continue;
    const vcpu = vcpus[index] as VmVcpu;
    if (vcpu === me || !isCandidate(cx, vcpu) || !kvm_vcpu_eligible_for_directed_yield(cx, vcpu)) continue;
    cx.write(vm.last_boosted_vcpu.base, index);
    kvm_vcpu_yield_to(cx, placement, vcpu);
    break;
  }
  // Who has yielded returns from here when it is scheduled in again.
  if (cx.read(me.words.preempted) === 0) leaveSpinLoop(cx, me);
}

/** kvm_vcpu_set_in_spin_loop(me, false); kvm_vcpu_set_dy_eligible(me, false): the end of kvm_vcpu_on_spin(). */
export function leaveSpinLoop(cx: OperationContext, { words }: VmVcpu): void {
  cx.write(words.in_spin_loop, 0);
  cx.write(words.dy_eligible, 0);
}

/**
 * A vCPU that is ready but was preempted in user mode holds no kernel lock; with an interrupt pending it is as good as
 * in the kernel.
 */
function isCandidate(cx: OperationContext, vcpu: VmVcpu): boolean {
  return (
    cx.read(vcpu.words.preempted) === 0 || vcpu.interruptPending(cx) || cx.read(vcpu.words.preempted_in_kernel) === 1
  );
}

/** Who spins itself is taken every second time: it may be the one that others wait for. */
function kvm_vcpu_eligible_for_directed_yield(cx: OperationContext, { words }: VmVcpu): boolean {
  const spins = cx.read(words.in_spin_loop) === 1;
  const eligible = !spins || cx.read(words.dy_eligible) === 1;
  if (spins) cx.write(words.dy_eligible, 1 - cx.read(words.dy_eligible));
  return eligible;
}

/** yield_to(): the target is next on its CPU, which reschedules; this vCPU gives up its own. */
function kvm_vcpu_yield_to(cx: OperationContext, mine: Placement, target: VmVcpu): void {
  const its = target.placement as Placement;
  cx.count(HypervisorCounter.directedYieldAttempted);
  cx.send(its.host, yieldToMessage(its.index));
  if (mine.host !== its.host) cx.send(mine.host, YIELD);
  if (cx.read(target.words.ready) === 0) cx.count(HypervisorCounter.directedYieldSuccessful);
}
