/**
 * The ordering rules of the Arm model, by name, so that each can be left out: a rule whose absence no test notices is
 * not tested.
 *
 * Sources: Arm Architecture Reference Manual (DDI 0487) B2.3 "Definition of the Arm memory model", D8.2 and D8.14
 * (translation, TLB maintenance), K.a and later; and the catalogue of shapes of its litmus tests.
 */

import { NOTHING, type Events } from './events.ts';

/** Every rule with what it orders. */
export const ORDERING_RULES = {
  coherence: 'accesses of one processor to one location are in program order',
  atomicity: 'no store comes between the load and the store of an atomic',
  forwarding: 'an own store that is not in memory yet is seen no later than what it depends on',
  'address-dependency': 'an access is after the loads that its address came from',
  'data-dependency': 'a store is after the loads that its data came from',
  'control-to-store': 'a store is after the loads that a branch before it depended on',
  'address-to-store': 'a store is after what the addresses of earlier accesses came from',
  'load-to-store': 'a store of a kernel routine is after its loads (every one is taken to be looked at)',
  'dmb-full': 'DMB ISH: everything before is before everything after',
  'dmb-load': 'DMB ISHLD: loads before are before everything after',
  'dmb-store': 'DMB ISHST: stores before are before stores after',
  acquire: 'what follows a load-acquire is after it',
  release: 'a store-release is after what precedes it',
  'release-to-acquire': 'a load-acquire (LDAR) is after an earlier store-release',
  'atomic-acquire-release': 'what follows an atomic that is acquire and release is after its store, too',
  dsb: 'DSB: everything before is complete before everything after',
  'isb-control': 'what follows an ISB is after the loads that a branch before it depended on',
  'isb-address': 'what follows an ISB is after what the addresses of earlier accesses came from',
  'isb-walk': 'what follows an ISB is after the translations before it',
  'isb-completion': 'what follows an ISB is translated after what an earlier DSB has completed',
  'exception-entry': 'taking an exception synchronises the context',
  'walk-coherence': 'an access is after the walk that translated it',
  'walk-to-store': 'a store is after the walks of earlier accesses, which may have faulted',
  'walk-order': 'what waits for an access waits for earlier walks of its page by the same processor',
  'context-to-walk': 'a walk is after the last context synchronisation',
  'invalid-not-cached': 'no TLB holds a descriptor that is invalid or whose access flag is clear',
  'fault-order': 'a fault is after what a load in its place would be after',
  'tlbi-issue': 'a TLBI concerns what an earlier DSB of its processor has completed, and what it was issued after',
  'tlbi-walk': 'after a completed TLBI no walk uses the entry',
  'tlbi-access': 'a TLBI of another processor completes when accesses that used the entry have',
  'dsb-tlbi': 'a DSB waits until the TLBIs of its processor are complete everywhere',
  'ets2-completion': 'FEAT_ETS2: a walk is after an earlier DSB',
  'ets2-fault': 'FEAT_ETS2: a walk that faults is after everything that precedes it',
  'update-order': 'a hardware update of a descriptor is not speculative',
  'update-completion': 'a DSB waits for hardware updates',
} as const;

/** The name of a rule. */
export type OrderingRule = keyof typeof ORDERING_RULES;

/** A view by the rule that asks for it: nothing need have been seen where the rule is left out. */
export type Under = (rule: OrderingRule, view: Events) => Events;

/** The rules of a model. */
export interface Rules {
  readonly under: Under;
  /** Whether a rule is in force. */
  readonly holds: (rule: OrderingRule) => boolean;
}

/** A model with some rules left out. */
export function rulesBut(leftOut: ReadonlySet<OrderingRule>): Rules {
  if (leftOut.size === 0) return { under: (_rule, view) => view, holds: () => true };
  return {
    under: (rule, view) => (leftOut.has(rule) ? NOTHING : view),
    holds: (rule) => !leftOut.has(rule),
  };
}
