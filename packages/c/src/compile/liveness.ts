/** Which registers the future reads: backwards to a fixed point. */
import { NONE, reads, writes, type Instruction } from './code.ts';

/**
 * Live registers before each instruction, sorted.
 * @param kept registers that somebody reads when the function returns
 */
export function liveness(code: readonly Instruction[], kept: readonly number[]): number[][] {
  const live = code.map(() => new Set<number>());
  for (let changed = true; changed;) {
    changed = false;
    for (let i = code.length - 1; i >= 0; i--) {
      const before = beforeInstruction(code, live, i, kept);
      if (before.size === live[i]?.size) continue;
      live[i] = before;
      changed = true;
    }
  }
  return live.map((set) => [...set].sort((a, b) => a - b));
}

function beforeInstruction(
  code: readonly Instruction[],
  live: readonly ReadonlySet<number>[],
  i: number,
  kept: readonly number[],
): Set<number> {
  const instruction = code[i] as Instruction;
  const after = new Set<number>();
  const join = (set: ReadonlySet<number> | undefined): void => set?.forEach((r) => after.add(r));
  if (instruction.op === 'return') kept.forEach((r) => after.add(r));
  else if (instruction.op !== 'jump') join(live[i + 1]);
  if (instruction.op === 'jump' || instruction.op === 'branch') join(live[instruction.target]);
  after.delete(writes(instruction));
  for (const r of reads(instruction)) if (r !== NONE) after.add(r);
  return after;
}
