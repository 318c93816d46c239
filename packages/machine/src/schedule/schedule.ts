/** Schedule entries: a choice and one of its outcomes, packed into one number. Part of every saved schedule. */

/** The low byte of the choice, then the branch, then the rest of the choice: entries of small systems are small numbers. */
const BRANCH_STRIDE = 256;
const BRANCHES_MAX = 1 << 21;
const HIGH_STRIDE = BRANCH_STRIDE * BRANCHES_MAX;

/** Choices of a system at most: whoever keeps many entries packs a choice into 15 bits. */
export const CHOICES_MAX = 0x7fff;

/** Packs a choice and a branch into the number that stands in a schedule. */
export function scheduleEntry(choice: number, branch: number): number {
  return choice < BRANCH_STRIDE
    ? choice + branch * BRANCH_STRIDE
    : (choice % BRANCH_STRIDE) + branch * BRANCH_STRIDE + Math.floor(choice / BRANCH_STRIDE) * HIGH_STRIDE;
}

/** The choice in a schedule entry. */
export function entryChoice(entry: number): number {
  const low = entry % BRANCH_STRIDE;
  return entry < HIGH_STRIDE ? low : low + Math.floor(entry / HIGH_STRIDE) * BRANCH_STRIDE;
}

/** The branch in a schedule entry. */
export function entryBranch(entry: number): number {
  return Math.floor(entry / BRANCH_STRIDE) % BRANCHES_MAX;
}
