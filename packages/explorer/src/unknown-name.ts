/** What to say of a name that nobody knows: the nearest one that is known, and all of them. */
import { nearest } from '@shootdown/machine';

/** `pud_free_pmd_pgae (have: pmd_free_pte_page, pud_free_pmd_page): is pud_free_pmd_page meant?` */
export function unknownName(name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  return `${name} (have: ${known.join(', ') || 'none'})${near === undefined ? '' : `: is ${near} meant?`}`;
}

/** The known name that differs by the fewest letters, if it differs by few. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  return nearest(name, known) ?? undefined;
}
