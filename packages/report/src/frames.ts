/**
 * Which function a step belongs to, and how a reader sees it.
 *
 * Kernel changelogs put a function's name on a line of its own and indent its steps. Indenting by the whole call depth
 * would leave no room in a column, so a function is shown only when a step of its own is: callers that do nothing
 * themselves are passed over, a step whose label is its own function (`pud_clear(pudp)`) stands with its caller, and
 * the routine in the column's heading is not repeated.
 */
import type { Trace, TraceStep } from '@shootdown/machine';
import { callText } from './words.ts';

/** Where a step stands in its column. Levels are steps of indentation. */
export interface Placement {
  readonly level: number;
  /** Line to print first: the function whose steps follow. */
  readonly heading: { readonly text: string; readonly level: number } | null;
}

interface Frame {
  readonly depth: number;
  readonly name: string;
}

/** Follows the functions of one column. */
export class FrameTracker {
  readonly #headed: string;
  readonly #levelsMax: number;
  #task: Frame[] = [];
  #interrupt: Frame[] = [];

  /**
   * @param headed the routine in the column's heading
   * @param levelsMax functions nested deeper than this share the last level
   */
  constructor(headed: string, levelsMax: number) {
    this.#headed = headed;
    this.#levelsMax = levelsMax;
  }

  /** Places the column's next step. Interrupt handlers stand one level further in than what they interrupt. */
  place(step: TraceStep): Placement {
    if (step.kind !== 'advance') return { level: 0, heading: null };
    if (step.inInterrupt) {
      const { frames, heading, level } = this.#enter(this.#interrupt, step, 0);
      this.#interrupt = frames;
      return { level: level + 1, heading: heading && { ...heading, level: heading.level + 1 } };
    }
    this.#interrupt = [];
    const { frames, heading, level } = this.#enter(this.#task, step, step.stack[0] === this.#headed ? 1 : 0);
    this.#task = frames;
    return { level, heading };
  }

  #enter(shown: readonly Frame[], step: TraceStep, depthMin: number): Placement & { readonly frames: Frame[] } {
    const { stack } = step;
    const owner = ownerDepth(step);
    if (owner < depthMin) return { frames: [], level: 0, heading: null };
    const mismatch = shown.findIndex((frame) => frame.depth > owner || stack[frame.depth] !== frame.name);
    const frames = mismatch < 0 ? [...shown] : shown.slice(0, mismatch);
    const name = stack[owner] as string;
    const returned = frames.at(-1)?.depth === owner;
    if (!returned) frames.push({ depth: owner, name });
    const level = Math.min(frames.length, this.#levelsMax);
    // Beyond the last level a return does not show by indentation.
    const ambiguous = returned && shown.length > frames.length && level === Math.min(shown.length, this.#levelsMax);
    const heading = returned
      ? ambiguous
        ? { text: `${callText(name)} (cont.)`, level: level - 1 }
        : null
      : { text: callText(name), level: level - 1 };
    return { frames, level, heading };
  }
}

/** Index in the stack of the innermost function that the label does not name itself; -1 for none. */
function ownerDepth(step: TraceStep): number {
  const innermost = step.stack.length - 1;
  const name = step.stack[innermost];
  return name !== undefined && (step.text === name || step.text.startsWith(`${name}(`)) ? innermost - 1 : innermost;
}

/** Where every step of a trace stands in its column, as {@link FrameTracker} places them one after another. */
export function placementsOf(trace: Trace, levelsMax: number): Placement[] {
  const trackers = new Map<number, FrameTracker>();
  return trace.steps.map((step) => {
    let tracker = trackers.get(step.column);
    if (!tracker)
      trackers.set(step.column, (tracker = new FrameTracker(trace.columns[step.column]?.routine ?? '', levelsMax)));
    return tracker.place(step);
  });
}
