/**
 * A depth-first search that is too simple to be wrong: what unit tests need to know about all interleavings of a small
 * machine. For everything else there is the explorer.
 */
import { refuseReplacedUnknown, type Program } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { MemoryModel, System } from '../system/specs.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';

/** What all runs together show. */
export interface EveryRun {
  readonly states: number;
  /** Properties violated in some run. */
  readonly violations: ReadonlySet<string>;
  readonly details: ReadonlySet<string>;
  readonly deadlock: boolean;
  /** Number of states in which `witness` held. */
  readonly witnessed: number;
}

/** Reads a word. */
export type Read = (address: number) => number;

/** Explores a system; `witness` is asked in every state, `atEnd` in every state of rest. */
export function everyRun(
  system: System,
  witness: (read: Read) => boolean = () => false,
  atEnd: (read: Read) => void = () => {},
  statesMax = 200_000,
): EveryRun {
  const executor = new TabulatedExecutor(system);
  const { store } = executor;
  const seen = new Set<string>();
  const violations = new Set<string>();
  const details = new Set<string>();
  let deadlock = false;
  let witnessed = 0;
  executor.observe = true;
  const read: Read = (address) => store.read(address);
  const visit = (): void => {
    if (seen.has(executor.fingerprint)) return;
    if (seen.size === statesMax) throw new Error(`everyRun: more than ${statesMax} states: make the machine smaller`);
    seen.add(executor.fingerprint);
    if (witness(read)) witnessed++;
    let enabled = false;
    for (let choice = 0; choice < system.choices.length; choice++) {
      for (let branch = 0; ; branch++) {
        const { mark, lo, hi } = store;
        const happened = executor.step(choice, branch);
        const branches = executor.branchCount;
        if (happened) {
          enabled = true;
          if (executor.violation) {
            violations.add(executor.violation.property);
            details.add(executor.violation.detail);
          } else visit();
          store.undo(mark, lo, hi);
        }
        if (branch + 1 >= branches) break;
      }
    }
    if (enabled) return;
    if (executor.atRest()) atEnd(read);
    else deadlock = true;
  };
  visit();
  refuseReplacedUnknown('everyRun', system);
  return { states: seen.size, violations, details, deadlock, witnessed };
}

/** A system whose processors run one program each; `make` declares the words. */
export function systemOf(memoryModel: MemoryModel, make: (builder: SystemBuilder) => readonly Program[]): System {
  const builder = new SystemBuilder({ memoryModel });
  make(builder).forEach((body, i) => builder.processor({ name: `CPU${i}`, tasks: [body] }));
  return builder.build();
}
