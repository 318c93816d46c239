/**
 * The hazards of lazy MMU mode, each a rule that a section either keeps or breaks. The rules are those that the mails
 * and commit messages give; a rule that is broken need not do damage on every architecture, so each says on which it
 * bites.
 */

/** The classes, by their numbers. */
export const hazardClasses = ['H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'H7', 'H8', 'H9', 'H10', 'H11'] as const;
export type HazardClass = (typeof hazardClasses)[number];

/** The rule that each class breaks: the names of the properties. */
export const HAZARDS: Readonly<Record<HazardClass, string>> = {
  H1: 'H1: no entry is read while a store to it is queued',
  H2: 'H2: no flush while a store that it is for is queued',
  H3: 'H3: no page-table lock is dropped while updates under it are queued',
  H4: 'H4: a per-CPU batch belongs to the task that runs on the CPU',
  H5: 'H5: what needs an immediate effect is not deferred by an outer section',
  H6: 'H6: an interrupt handler that needs an immediate effect is not deferred by the section it interrupts',
  H7: 'H7: nobody returns with the mode on',
  H8: 'H8: nobody sleeps with the mode on',
  H9: 'H9: no access through a kernel entry whose barriers are pending',
  H10: 'H10: no exchange of an entry while a store to it is queued',
  H11: 'H11: no entry is dereferenced where its value is in a cache',
};

/** The class of a property's name; null if it is another property. */
export function hazardOf(property: string): HazardClass | null {
  return hazardClasses.find((name) => HAZARDS[name] === property) ?? null;
}

/** Where each class comes from. */
export const HAZARD_SOURCES: Readonly<Record<HazardClass, string>> = {
  H1: 'fork, device-exclusive entries on Xen PV',
  H2: 'pagemap_scan_pmd_entry() and migrate_vma_collect_pmd() of 2025, on Xen PV',
  H3: 'ad449d856bd7: pagemap_scan unlocked before it left the mode',
  H4: 'a1d416bf9faf (sparc64), b9ef323ea168 (powerpc)',
  H5: 'DEBUG_PAGEALLOC under zap_pte_range()',
  H6: 'b81c688426a9: KFENCE in a softirq on arm64',
  H7: 'fea18c686320: vmap_pages_pte_range() returned an error with the mode on',
  H8: 'b6ea95a34cbd: kasan_populate_vmalloc_pte() allocates',
  H9: 'arm64: translation fault on a new kernel mapping',
  H10: 'derived: Xen PV queues set_pte() and traps xchg at once',
  H11: 's390, proposed in 2026: values in a per-CPU cache',
};
