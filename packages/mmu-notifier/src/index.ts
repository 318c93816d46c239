export {
  CALLBACK_SLEEPS,
  checkContracts,
  CONTRACTS,
  CONTRACTS_BEFORE_3_7,
  EAGAIN,
  NOTIFIER_CONTRACT,
  type CallbackContract,
  type CallbackName,
  type Contracts,
} from './contract.ts';
export { addDevice, page_request, page_response, stop_device, type Device } from './device.ts';
export { deviceMachine, type DeviceEmitted, type DeviceEvent } from './device.machine.ts';
export {
  addFaultHandler,
  fault_says,
  RETRY_PROTOCOL,
  type FaultHandler,
  type FaultHandlerOptions,
  type FaultSays,
} from './fault.ts';
export { faultMachine, type FaultEmitted, type FaultEvent } from './fault.machine.ts';
export {
  invalidationMachine,
  type InvalidationContext,
  type InvalidationEmitted,
  type InvalidationEvent,
} from './invalidation.machine.ts';
export {
  might_sleep,
  MmuNotifierSubscriptions,
  type MmuNotifier,
  type MmuNotifierOps,
  type MmuNotifierOptions,
  type NotifierCall,
  type RegisterOptions,
} from './notifier.ts';
export { Odp, pagefault_mr, type OdpOptions } from './odp.ts';
export {
  IN_PROGRESS_NOT_NEGATIVE,
  SecondaryMmu,
  type EntryFormat,
  type Lock,
  type PrimaryMmu,
  type PrimaryPage,
  type SecondaryMmuOptions,
  type SecondaryTable,
} from './secondary-mmu.ts';
export { InvalidationQueue, type SecondaryTlb } from './secondary-tlb.ts';
export { Slot } from './slot.ts';
export {
  subscriptionMachine,
  type SubscriptionContext,
  type SubscriptionEmitted,
  type SubscriptionEvent,
} from './subscription.machine.ts';
export { Sva } from './sva.ts';
