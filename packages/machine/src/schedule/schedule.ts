/** Schedule entries: a choice and one of its outcomes, packed into one number. Part of every saved schedule. */

/** Choices of a system at most, plus one. */
const BRANCH_STRIDE = 256;

/** Packs a choice and a branch into the number that stands in a schedule. */
export function scheduleEntry(choice: number, branch: number): number {
  return choice + branch * BRANCH_STRIDE;
}

/** The choice in a schedule entry. */
export function entryChoice(entry: number): number {
  return entry % BRANCH_STRIDE;
}

/** The branch in a schedule entry. */
export function entryBranch(entry: number): number {
  return Math.floor(entry / BRANCH_STRIDE);
}
