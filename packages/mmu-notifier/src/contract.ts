/**
 * What the callbacks of mmu notifiers promise, and the properties that a breach violates.
 * Source: include/linux/mmu_notifier.h and Documentation/mm/mmu_notifier.rst, v6.18; for what is gone, v2.6.27 to v6.9.
 */

import { is, wordsOf, type OptionValues, type ValueCheck } from '@shootdown/machine';

/** struct mmu_notifier_ops, as far as it is called here. */
export type CallbackName =
  | 'invalidate_range_start'
  | 'invalidate_range_end'
  | 'invalidate_page'
  | 'change_pte'
  | 'arch_invalidate_secondary_tlbs'
  | 'clear_flush_young'
  | 'clear_young'
  | 'test_young'
  | 'release';

/** Where a callback may be called from. */
export interface CallbackContract {
  /** It may sleep, so it is never called under a spinlock; otherwise it is called under the page-table lock. */
  readonly maySleep: boolean;
  /** The rule in words. */
  readonly rule: string;
}

/** The rules of one kernel version. */
export type Contracts = Readonly<Record<CallbackName, CallbackContract>>;

const underLock = (callback: string): CallbackContract => ({
  maySleep: false,
  rule: `${callback}() is called under the page-table lock and must not sleep`,
});
const sleepable = (callback: string): CallbackContract => ({
  maySleep: true,
  rule: `${callback}() may sleep and must not be called under a spinlock`,
});

/** v3.7 to v4.13, and since then without what has been removed. */
export const CONTRACTS: Contracts = {
  invalidate_range_start: sleepable('invalidate_range_start'),
  invalidate_range_end: sleepable('invalidate_range_end'),
  invalidate_page: sleepable('invalidate_page'),
  change_pte: underLock('change_pte'),
  arch_invalidate_secondary_tlbs: underLock('arch_invalidate_secondary_tlbs'),
  clear_flush_young: underLock('clear_flush_young'),
  clear_young: underLock('clear_young'),
  test_young: underLock('test_young'),
  release: sleepable('release'),
};

const CALLBACKS = wordsOf<CallbackName>()(
  'invalidate_range_start',
  'invalidate_range_end',
  'invalidate_page',
  'change_pte',
  'arch_invalidate_secondary_tlbs',
  'clear_flush_young',
  'clear_young',
  'test_young',
  'release',
);

const CONTRACT_VALUES: OptionValues<CallbackContract> = { maySleep: is.flag, rule: is.anything };

/** Refuses what is no {@link Contracts}. */
export const checkContracts: ValueCheck = is.options(
  Object.fromEntries(
    CALLBACKS.map((callback) => [callback, is.options(CONTRACT_VALUES, ['maySleep', 'rule'])]),
  ) as OptionValues<Contracts>,
  CALLBACKS,
);

/** Before v3.7 invalidate_page() was called under the page-table lock. */
export const CONTRACTS_BEFORE_3_7: Contracts = { ...CONTRACTS, invalidate_page: underLock('invalidate_page') };

/** Built-in property: violated when a callback sleeps, or might, where its caller must not. */
export const CALLBACK_SLEEPS = 'J6: no notifier callback sleeps under a spinlock';

/** Built-in property: violated by a call that the interface does not allow. */
export const NOTIFIER_CONTRACT = 'the callers of mmu notifiers keep to their contract';

/** -EAGAIN of a callback that would have to sleep and may not. */
export const EAGAIN = -11;
