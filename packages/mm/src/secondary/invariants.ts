/**
 * What secondary MMUs must keep to, by name.
 *
 * J1, J2 and J5 are judged when something is accessed through a secondary MMU; J3 and J4 look at the two tables. J6 is
 * the notifiers' own (`CALLBACK_SLEEPS`), and a deadlock.
 */
import type { Property } from '@shootdown/machine';
import { formatEntry, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { CALLBACK_SLEEPS } from '@shootdown/mmu-notifier';

/** The sentences. */
export const SecondaryInvariant = {
  J1: 'J1: no secondary access to a freed page',
  J2: 'J2: no secondary load returns an old value once a newer one is visible',
  J3: 'J3: at rest a secondary entry is none or maps what the primary entry maps',
  J4: 'J4: while a primary entry is read-only the secondary one is, too',
  J5: 'J5: no KSM page is written through a secondary MMU',
  J6: CALLBACK_SLEEPS,
} as const;

/** The two entries of one page. */
export interface EntryPair {
  /** Where the primary entry is; a function, because a table may come and go. */
  readonly primary: (read: (address: number) => number) => number;
  /** Words that `primary` reads. */
  readonly primaryWords: readonly number[];
  readonly secondary: number;
}

function pairText(read: Parameters<Property['check']>[0], secondary: number, primary: EntryPair['primary']): string {
  return `the entry there is ${formatEntry(read(secondary))}, that of the process ${formatEntry(primary(read))}`;
}

/** J3 for one page. */
export function secondaryAgreesAtRest(name: string, { primary, primaryWords, secondary }: EntryPair): Property {
  return {
    name: `${SecondaryInvariant.J3} (${name})`,
    kind: 'finally',
    why: 'a mapping that nobody will invalidate any more is used for ever',
    reads: [secondary, ...primaryWords],
    check(read) {
      const [entry, pte] = [read(secondary), primary(read)];
      return !pte_present(entry) || (pte_present(pte) && pte_pfn(entry) === pte_pfn(pte));
    },
    detail: (read) => pairText(read, secondary, primary),
  };
}

/**
 * J4 for one page. An entry that has been cleared says nothing: it is being replaced, and nobody can find the page
 * meanwhile.
 */
export function secondaryIsNoMoreWritable(name: string, { primary, primaryWords, secondary }: EntryPair): Property {
  return {
    name: `${SecondaryInvariant.J4} (${name})`,
    kind: 'always',
    why: 'what is written there is lost to a copy, or seen by whoever shares the page',
    reads: [secondary, ...primaryWords],
    check(read) {
      const [entry, pte] = [read(secondary), primary(read)];
      return !pte_present(entry) || !pte_write(entry) || !pte_present(pte) || pte_write(pte);
    },
    detail: (read) => pairText(read, secondary, primary),
  };
}
