/**
 * The subscription actor: one subscriber of the mmu notifiers of an address space, and what it may be told when.
 *
 * ```
 *                mmu_notifier_register               hlist_del_init_rcu
 *  unregistered ----------------------> registered --------------------> released
 *       ^                                |     invalidate_range_start: open + 1
 *       +---- mmu_notifier_unregister ---+     invalidate_range_end:   open - 1
 * ```
 *
 * It is told of every callback as it begins. A callback that its state does not accept is not made: the subscriber is
 * not on the list. It is taken off only after its release() has returned. Mirrors mm/mmu_notifier.c and the rules in
 * include/linux/mmu_notifier.h, v6.18.
 */
import { assign, emit, setup } from 'xstate';

/** Which brackets are open, and what the contract demands. */
export interface SubscriptionContext {
  readonly registered: boolean;
  /** change_pte() may come inside of a bracket only (since v3.7). */
  readonly changePteNeedsBracket: boolean;
  /** invalidate_range_start() calls whose invalidate_range_end() has not come yet. */
  readonly open: number;
}

/** The callbacks of struct mmu_notifier_ops, and the subscription's own life. */
export type SubscriptionEvent =
  | { readonly type: 'mmu_notifier_register' | 'mmu_notifier_unregister' | 'hlist_del_init_rcu' }
  | { readonly type: 'invalidate_range_start' | 'invalidate_range_end' | 'invalidate_page' | 'change_pte' }
  | {
      readonly type: 'arch_invalidate_secondary_tlbs' | 'clear_flush_young' | 'clear_young' | 'test_young' | 'release';
    };

/** Callbacks made, and breaches of the contract. */
export type SubscriptionEmitted =
  /** The callback is made. */
  | { readonly type: 'called'; readonly callback: string }
  /** The caller has broken a rule of the interface. */
  | { readonly type: 'breach'; readonly rule: string };

/** A subscription to the notifiers of an mm: which callback may come when. */
export const subscriptionMachine = setup({
  types: {
    context: {} as SubscriptionContext,
    events: {} as SubscriptionEvent,
    emitted: {} as SubscriptionEmitted,
    input: {} as Omit<SubscriptionContext, 'open'> | undefined,
  },
  guards: {
    isRegistered: ({ context }) => context.registered,
    isOpen: ({ context }) => context.open > 0,
    mayChangePte: ({ context }) => context.open > 0 || !context.changePteNeedsBracket,
  },
  actions: {
    open: assign({ open: ({ context }) => context.open + 1 }),
    close: assign({ open: ({ context }) => context.open - 1 }),
    forget: assign({ open: 0 }),
    call: emit(({ event }) => ({ type: 'called' as const, callback: event.type })),
    unmatchedEnd: emit({
      type: 'breach' as const,
      rule: 'invalidate_range_end() comes once for every invalidate_range_start()',
    }),
    changePteOutside: emit({
      type: 'breach' as const,
      rule: 'change_pte() comes between invalidate_range_start() and invalidate_range_end()',
    }),
  },
}).createMachine({
  id: 'subscription',
  context: ({ input }) => ({
    registered: input?.registered ?? false,
    changePteNeedsBracket: input?.changePteNeedsBracket ?? true,
    open: 0,
  }),
  initial: 'created',
  states: {
    created: { always: [{ guard: 'isRegistered', target: 'registered' }, { target: 'unregistered' }] },
    unregistered: { on: { mmu_notifier_register: 'registered' } },
    registered: {
      on: {
        invalidate_range_start: { actions: ['open', 'call'] },
        invalidate_range_end: [{ guard: 'isOpen', actions: ['close', 'call'] }, { actions: ['unmatchedEnd', 'call'] }],
        change_pte: [{ guard: 'mayChangePte', actions: 'call' }, { actions: ['changePteOutside', 'call'] }],
        invalidate_page: { actions: 'call' },
        arch_invalidate_secondary_tlbs: { actions: 'call' },
        clear_flush_young: { actions: 'call' },
        clear_young: { actions: 'call' },
        test_young: { actions: 'call' },
        release: { actions: 'call' },
        hlist_del_init_rcu: 'released',
        mmu_notifier_unregister: { target: 'unregistered', actions: 'forget' },
      },
    },
    released: {},
  },
});
