/** What to say of a name that nobody knows: the nearest one that is known, and all of them. */

/** `pud_free_pmd_pgae (have: pmd_free_pte_page, pud_free_pmd_page): is pud_free_pmd_page meant?` */
export function unknownName(name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  return `${name} (have: ${known.join(', ') || 'none'})${near === undefined ? '' : `: is ${near} meant?`}`;
}

/** The known name that differs by the fewest letters, if it differs by few. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const allowed = Math.floor(name.length / 3);
  let best: string | undefined;
  let least = allowed + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const letters = distance(name, candidate);
    if (letters < least) [best, least] = [candidate, letters];
  }
  return best;
}

/** Letters to insert, remove or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
