/**
 * What the primary MMU tells secondary ones when it replaces a page, era by era. `[` and `]` are the page-table lock.
 *
 * ```
 * E0  to 2.6.31     [ clear, flush; invalidate_page; set ]
 * E1  2.6.32 - 3.6  [ clear, flush; set; change_pte ]               who has no change_pte gets invalidate_page instead
 * E2  3.7 - 3.18    start; [ clear, flush; change_pte; set ]; end
 * E3  3.19 - 6.5    start; [ clear, flush, secondary TLBs; change_pte; set ]; end
 * E4  6.6 - 6.9     the same; the flush itself reaches the secondary TLBs
 * E5  6.10 -        start; [ clear, flush; set ]; end
 * ```
 *
 * Mirrors mm/memory.c, mm/ksm.c and include/linux/mmu_notifier.h of those versions; the proposal is "[PATCH]
 * mm/mmu_notifier: restore set_pte_at_notify semantics", Mike Rapoport, January 2014.
 */
import {
  checkValues,
  is,
  noted,
  notedMethods,
  routine,
  wordsOf,
  type EntryPointer,
  type OptionValues,
  type Steps,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_RW, pte_write } from '@shootdown/mmu';
import {
  checkContracts,
  CONTRACTS,
  CONTRACTS_BEFORE_3_7,
  type Contracts,
  type MmuNotifierOptions,
  type MmuNotifierSubscriptions,
} from '@shootdown/mmu-notifier';
import { pte_lock, pte_unlock, type Kernel, type Mm, type TlbArch } from './kernel.ts';

/** Who replaces the page of an entry, or makes the entry read-only, by set_pte_at_notify(). */
export type SetPteCaller = 'wp_page_copy' | 'write_protect_page' | 'replace_page';

/** Who is told what, and when. Whoever removes pages or forks brackets it in every design. */
export interface NotifierDesign {
  /**
   * Which callers of set_pte_at_notify() call invalidate_range_start() before the page-table lock is taken, and _end()
   * after it has been dropped.
   */
  readonly bracketsSetPte: 'everywhere' | 'in replace_page()' | 'nowhere';
  /** What happens besides the store that sets the new entry (set_pte_at_notify()). */
  readonly atSet: 'nothing' | 'invalidate_page, set' | 'set, change_pte' | 'change_pte, set';
  /** What those get who have no change_pte(). */
  readonly withoutChangePte: 'nothing' | 'invalidate_page under the lock' | 'invalidate_page after the lock';
  /**
   * When hardware that walks the primary table is told. `under the lock`: by wp_page_copy() between clearing and
   * setting the entry, by everybody else with the flush of the gather, or at the end of the bracket. `at the end`: the
   * same, but wp_page_copy() as everybody else.
   */
  readonly secondaryTlbs: 'never' | 'under the lock' | 'with the flush' | 'at the end';
  /**
   * As long as somebody has no change_pte(), the new entry stays read-only until everybody has been told.
   * `with a reference`: and a reference to the new page keeps another fault from making it writable.
   */
  readonly readOnlyUntilNotified: 'no' | 'yes' | 'with a reference';
  /** The rules of the callbacks. */
  readonly contracts: Contracts;
}

const NOTIFIER_VALUES: OptionValues<NotifierDesign> = {
  bracketsSetPte: is.oneOf(wordsOf<NotifierDesign['bracketsSetPte']>()('everywhere', 'in replace_page()', 'nowhere')),
  atSet: is.oneOf(
    wordsOf<NotifierDesign['atSet']>()('nothing', 'invalidate_page, set', 'set, change_pte', 'change_pte, set'),
  ),
  withoutChangePte: is.oneOf(
    wordsOf<NotifierDesign['withoutChangePte']>()(
      'nothing',
      'invalidate_page under the lock',
      'invalidate_page after the lock',
    ),
  ),
  secondaryTlbs: is.oneOf(
    wordsOf<NotifierDesign['secondaryTlbs']>()('never', 'under the lock', 'with the flush', 'at the end'),
  ),
  readOnlyUntilNotified: is.oneOf(wordsOf<NotifierDesign['readOnlyUntilNotified']>()('no', 'yes', 'with a reference')),
  contracts: checkContracts,
};

const BRACKETS = {
  bracketsSetPte: 'everywhere',
  withoutChangePte: 'nothing',
  readOnlyUntilNotified: 'no',
  contracts: CONTRACTS,
} as const;
const NO_BRACKETS = {
  bracketsSetPte: 'nowhere',
  secondaryTlbs: 'never',
  readOnlyUntilNotified: 'no',
  contracts: CONTRACTS_BEFORE_3_7,
} as const;
const PROPOSAL = {
  ...NO_BRACKETS,
  contracts: CONTRACTS,
  atSet: 'change_pte, set',
  withoutChangePte: 'invalidate_page after the lock',
} as const;

/**
 * The designs by name. E1 in both orders: the second is Xiao Guangrong's fix of August 2012, which was in no release by
 * itself. The proposal of January 2014 as posted, which left the bracket in replace_page(), and without that one, too.
 */
export const NotifierEra = {
  E0: { ...NO_BRACKETS, atSet: 'invalidate_page, set', withoutChangePte: 'nothing' },
  'E1-set-then-change': {
    ...NO_BRACKETS,
    atSet: 'set, change_pte',
    withoutChangePte: 'invalidate_page under the lock',
  },
  'E1-change-then-set': {
    ...NO_BRACKETS,
    atSet: 'change_pte, set',
    withoutChangePte: 'invalidate_page under the lock',
  },
  E2: { ...BRACKETS, atSet: 'change_pte, set', secondaryTlbs: 'never' },
  'E2-rapoport': { ...PROPOSAL, bracketsSetPte: 'in replace_page()' },
  'E2-rapoport-no-brackets': PROPOSAL,
  'E2-rapoport-ro-until-notified': { ...PROPOSAL, readOnlyUntilNotified: 'yes' },
  'E2-rapoport-ro-until-notified/extra-reference': { ...PROPOSAL, readOnlyUntilNotified: 'with a reference' },
  E3: { ...BRACKETS, atSet: 'change_pte, set', secondaryTlbs: 'under the lock' },
  E4: { ...BRACKETS, atSet: 'change_pte, set', secondaryTlbs: 'with the flush' },
  E5: { ...BRACKETS, atSet: 'nothing', secondaryTlbs: 'with the flush' },
} as const satisfies Readonly<Record<string, NotifierDesign>>;

/** The rules that the notifiers of an address space check, besides what its spinlocks are. */
export function notifierRules(design: NotifierDesign): MmuNotifierOptions {
  checkValues('mm: notifiers: design', design, NOTIFIER_VALUES, [
    'bracketsSetPte',
    'atSet',
    'withoutChangePte',
    'secondaryTlbs',
    'readOnlyUntilNotified',
    'contracts',
  ]);
  const { contracts, bracketsSetPte } = design;
  return { contracts, changePteNeedsBracket: bracketsSetPte === 'everywhere' };
}

/** The secondary MMUs of one address space. */
export interface SecondaryMmus {
  readonly mm: Mm;
  readonly subscriptions: MmuNotifierSubscriptions;
  readonly design: NotifierDesign;
}

/** mm_has_notifiers(). */
function notifiersOf(kernel: Kernel, mm: Mm): SecondaryMmus | undefined {
  const { secondary } = kernel;
  return secondary?.mm === mm && secondary.subscriptions.any ? secondary : undefined;
}

/** mmu_notifier_invalidate_range_start(). Page numbers, half open. */
export const invalidate_range_start = noted(function* invalidate_range_start(
  kernel: Kernel,
  mm: Mm,
  start: number,
  end: number,
): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary) yield* secondary.subscriptions.mmu_notifier_invalidate_range_start(start, end);
});

/** mmu_notifier_invalidate_range_end(); from v3.19 to v6.5 it told secondary TLBs, too. */
export const invalidate_range_end = noted(function* invalidate_range_end(
  kernel: Kernel,
  mm: Mm,
  start: number,
  end: number,
): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (!secondary) return;
  const { subscriptions, design } = secondary;
  if (tellsByItself(design)) yield* subscriptions.mmu_notifier_arch_invalidate_secondary_tlbs(start, end);
  yield* subscriptions.mmu_notifier_invalidate_range_end(start, end);
});

/** mmu_notifier_invalidate_range_start() of a caller of set_pte_at_notify(), where the design has it. */
export const setPteRangeStart = noted(function* setPteRangeStart(
  kernel: Kernel,
  mm: Mm,
  vpn: number,
  caller: SetPteCaller,
): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary && brackets(secondary.design, caller))
    yield* secondary.subscriptions.mmu_notifier_invalidate_range_start(vpn, vpn + 1);
});

/** Its end; wp_page_copy() has mmu_notifier_invalidate_range_only_end(), because it has told secondary TLBs already. */
export const setPteRangeEnd = noted(function* setPteRangeEnd(
  kernel: Kernel,
  mm: Mm,
  vpn: number,
  caller: SetPteCaller,
): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (!secondary || !brackets(secondary.design, caller)) return;
  const only_end = caller === 'wp_page_copy' && secondary.design.secondaryTlbs === 'under the lock';
  if (only_end) yield* secondary.subscriptions.mmu_notifier_invalidate_range_end(vpn, vpn + 1);
  else yield* invalidate_range_end(kernel, mm, vpn, vpn + 1);
});

function brackets({ bracketsSetPte }: NotifierDesign, caller: SetPteCaller): boolean {
  return bracketsSetPte === 'everywhere' || (bracketsSetPte === 'in replace_page()' && caller === 'replace_page');
}

/** Secondary TLBs have callers of their own, apart from the flushes of the CPUs. */
function tellsByItself({ secondaryTlbs }: NotifierDesign): boolean {
  return secondaryTlbs === 'under the lock' || secondaryTlbs === 'at the end';
}

/** mmu_notifier_release(): the address space goes. */
export const release = noted(function* release(kernel: Kernel, mm: Mm): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary) yield* secondary.subscriptions.mmu_notifier_release();
});

/** ptep_clear_flush_notify() has cleared the entry and flushed the CPUs: what comes next, still under the lock. */
export const entryCleared = noted(function* entryCleared(kernel: Kernel, mm: Mm, vpn: number): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary?.design.secondaryTlbs === 'under the lock')
    yield* secondary.subscriptions.mmu_notifier_arch_invalidate_secondary_tlbs(vpn, vpn + 1);
});

/**
 * tlb_flush_mmu_tlbonly() has flushed the CPUs: mmu_notifier_invalidate_range() of v3.19 to v6.5, before the pages go.
 */
export const gatherFlushed = noted(function* gatherFlushed(kernel: Kernel, mm: Mm, start: number, end: number): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary && tellsByItself(secondary.design))
    yield* secondary.subscriptions.mmu_notifier_arch_invalidate_secondary_tlbs(start, end);
});

/** set_pte_at_notify(): sets an entry that has been cleared and flushed, under the lock. */
export const set_pte_at_notify = routine(
  'set_pte_at_notify',
  function* (kernel: Kernel, mm: Mm, vpn: number, ptep: EntryPointer, entry: number, label: string): Steps {
    const secondary = notifiersOf(kernel, mm);
    if (!secondary) {
      yield* kernel.frames.write(ptep, entry, { label });
      return;
    }
    const { subscriptions, design } = secondary;
    const change = (): Steps =>
      subscriptions.mmu_notifier_change_pte(vpn, entry, design.withoutChangePte === 'invalidate_page under the lock');
    if (design.atSet === 'invalidate_page, set') yield* subscriptions.mmu_notifier_invalidate_page(vpn);
    if (design.atSet === 'change_pte, set') yield* change();
    yield* kernel.frames.write(ptep, staysReadOnly(secondary) ? entry & ~_PAGE_RW : entry, { label });
    if (design.atSet === 'set, change_pte') yield* change();
  },
);

/** The second half of the proposal of 2014, after the lock has been dropped: those without change_pte() are told. */
export const invalidate_page_if_missing_change_pte = noted(function* invalidate_page_if_missing_change_pte(
  kernel: Kernel,
  mm: Mm,
  vpn: number,
): Steps {
  const secondary = notifiersOf(kernel, mm);
  if (secondary?.design.withoutChangePte === 'invalidate_page after the lock')
    yield* secondary.subscriptions.mmu_notifier_invalidate_page_if_missing_change_pte(vpn);
});

function staysReadOnly(secondary: SecondaryMmus | undefined): boolean {
  return (
    secondary !== undefined &&
    secondary.design.readOnlyUntilNotified !== 'no' &&
    secondary.subscriptions.someLackChangePte
  );
}

/** Whether the new page must have a reference until everybody has been told. */
export function holdsNewPage(kernel: Kernel, mm: Mm): boolean {
  const secondary = notifiersOf(kernel, mm);
  return staysReadOnly(secondary) && secondary?.design.readOnlyUntilNotified === 'with a reference';
}

/**
 * Everybody has been told: an entry that was kept read-only so long becomes writable, at the price of one more flush.
 */
export const allowWrites = noted(function* allowWrites(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
  entry: number,
): Steps {
  if (!staysReadOnly(notifiersOf(kernel, mm)) || !pte_write(entry)) return;
  yield* pte_lock(kernel, ptep.frame);
  if ((yield* kernel.frames.read(ptep, { label: 'ptep_get()' })) === (entry & ~_PAGE_RW)) {
    yield* kernel.frames.xchg(ptep, entry, { label: 'ptep_set_access_flags(): writable' });
    yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
  }
  yield* pte_unlock(kernel, ptep.frame);
});

/** An architecture whose flushes reach the secondary TLBs too, where the design has it so (since v6.6). */
export function notifyingArch(arch: TlbArch, secondaryOf: () => SecondaryMmus | undefined): TlbArch {
  return notedMethods({
    ...arch,
    *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
      yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
      const secondary = secondaryOf();
      if (secondary?.mm === mm && secondary.design.secondaryTlbs === 'with the flush')
        yield* secondary.subscriptions.mmu_notifier_arch_invalidate_secondary_tlbs(start, end);
    },
  });
}
