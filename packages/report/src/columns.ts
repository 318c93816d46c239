/**
 * The interleaving of a trace as kernel changelogs draw it: one column per processor that does anything, one row per
 * step, narrow enough to be pasted into a mail.
 */
import type { Trace, TraceStep } from '@shootdown/machine';
import { FrameTracker } from './frames.ts';
import { blockOf, HEADING_HANG, layoutOf, type Layout, type Room } from './layout.ts';
import { formatNumber, nanosecondsOf } from './numbers.ts';
import { hiddenSteps, shownOf, type Told } from './rounds.ts';
import { actingColumns, columnHeading, endLines, factsText, stepText, violationText } from './words.ts';
import { WIDTH_DEFAULT } from './width.ts';
import { plainLine, wrapLine } from './wrap.ts';

/** Narrowest width that {@link columnsText} accepts. */
export const WIDTH_MIN = 32;

/** What {@link columnsText} can be told. */
export interface ColumnsOptions {
  /** Characters per line at most. Default 76, at least 32. */
  readonly width?: number;
  /**
   * Print every step. Default false: a round of messages that nothing else interrupts is one line, and marks of
   * checkers are left out.
   */
  readonly expand?: boolean;
  /** Leave out uneventful steps. Default: every step is printed. */
  readonly fold?: FoldOptions;
  /** Print when each step began, for traces with virtual time and where at least 24 characters remain beside it. */
  readonly time?: TimeOptions;
  /** The command that replays the trace: the last line. A long one goes on after a backslash, as a shell reads it. */
  readonly replayCommand?: string;
}

/** Runs of uneventful steps become one line `...`. */
export interface FoldOptions {
  /** Only runs of at least so many steps are folded. */
  readonly stepsMin: number;
  /** Which steps may be folded. Default: {@link isSilent}. */
  readonly silent?: (step: TraceStep) => boolean;
}

/** The unit of the time column. Nanoseconds need the clock rate of the run's cost model. */
export type TimeOptions = { readonly unit: 'cycles' } | { readonly unit: 'ns'; readonly hertz: number };

/** Whether a step says nothing but its label: an ordinary step without facts and without violation. */
export function isSilent(step: TraceStep): boolean {
  return step.kind === 'advance' && step.facts.length === 0 && step.violation === null;
}

/**
 * Draws a trace in columns of text.
 *
 * With more processors than fit (22 characters each) every line begins with its processor's name instead. An identifier
 * is never cut where it has room to the end of the line. The step that violates a property is followed by
 * `*** <property>`; a trace that ends in a deadlock by what each processor waits for, where `end.text` says it in lines
 * of the form `CPU0: down_read(mmap_lock)`. Every line ends with a newline.
 *
 * @throws RangeError if the width is below {@link WIDTH_MIN}
 */
export function columnsText(trace: Trace, options: ColumnsOptions = {}): string {
  const width = options.width ?? WIDTH_DEFAULT;
  if (!(width >= WIDTH_MIN))
    throw new RangeError(`report: columns: too narrow (width ${width}); use ${WIDTH_MIN} or more`);
  const lines = new ColumnsText(trace, Math.floor(width), options).lines();
  return lines.map((line) => `${line}\n`).join('');
}

class ColumnsText {
  readonly #trace: Trace;
  readonly #width: number;
  readonly #options: ColumnsOptions;
  readonly #gutter: Gutter;
  readonly #layout: Layout;
  readonly #trackers = new Map<number, FrameTracker>();
  readonly #lines: string[] = [];
  /** Steps that are not printed as they are. */
  readonly #hidden: ReadonlyMap<number, Told | null> | null;

  constructor(trace: Trace, width: number, options: ColumnsOptions) {
    this.#trace = trace;
    this.#options = options;
    this.#gutter = gutterOf(trace, width, options.time);
    this.#width = width - this.#gutter.width;
    this.#hidden = options.expand === true ? null : hiddenSteps(trace);
    this.#layout = layoutOf(shownOf(trace, this.#hidden), this.#width);
  }

  lines(): readonly string[] {
    const { steps } = this.#trace;
    this.#header();
    const folds = this.#options.fold ? foldsOf(steps, this.#options.fold) : new Map<number, number>();
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as TraceStep;
      const told = this.#hidden?.get(i);
      if (told !== undefined) {
        if (told !== null) this.#step({ ...step, ...told });
        this.#asides(step);
        continue;
      }
      const folded = folds.get(i);
      if (folded === undefined) {
        this.#step(step);
        this.#asides(step);
      } else {
        const { level } = this.#tracker(step.column).place(step);
        this.#row(step.column, blockOf('...', '', level, this.#room(step.column)), this.#gutter.textOf(step));
        for (const hidden of steps.slice(i + 1, i + folded)) this.#tracker(hidden.column).place(hidden);
        i += folded - 1;
      }
    }
    this.#end();
    return this.#lines;
  }

  #header(): void {
    const columns = actingColumns(this.#trace);
    if (columns.length === 0) return;
    const rooms = columns.map((column) => this.#layout.headingRoom(column));
    const headings = columns.map((column, i) => {
      const { width, widest } = rooms[i] as Room;
      return wrapLine(columnHeading(this.#trace, column), width, HEADING_HANG, widest);
    });
    const rule = (lines: readonly string[]): string => '-'.repeat(Math.max(...lines.map((line) => line.length)));
    if (!this.#layout.inColumns) {
      const lines = headings.flat();
      this.#push(lines, '');
      this.#push([rule(lines)], '');
      return;
    }
    // One that runs beyond its column stands above the next.
    const beyond = headings.some((lines, i) => lines.some(({ length }) => length > (rooms[i] as Room).width));
    if (beyond) headings.slice(0, -1).forEach((lines, i) => this.#row(columns[i] as number, lines, ''));
    const beside = beyond ? headings.map((lines, i) => (i === headings.length - 1 ? lines : [])) : headings;
    const height = Math.max(...beside.map((lines) => lines.length));
    for (let i = 0; i < height; i++) {
      const texts = beside.map((lines) => lines[i - height + lines.length] ?? '');
      this.#push([this.#layout.across(columns, texts)], i === height - 1 ? this.#gutter.heading : '');
    }
    const rules = headings.map((lines, i) => rule(lines).slice(0, (rooms[i] as Room).width));
    this.#push([this.#layout.across(columns, rules)], '-'.repeat(this.#gutter.heading.length));
  }

  #step(step: TraceStep): void {
    const time = this.#gutter.textOf(step);
    if (step.column < 0) {
      this.#push(this.#layout.spanning(step), time);
      if (step.violation) this.#alarm(-1, 0, violationText(step.violation));
      return;
    }
    const room = this.#room(step.column);
    const { heading, level } = this.#tracker(step.column).place(step);
    if (heading) this.#row(step.column, blockOf(heading.text, '', heading.level, room), '');
    this.#row(step.column, blockOf(stepText(step), factsText(step), level, room), time);
    if (step.violation) this.#alarm(step.column, level + 1, violationText(step.violation));
  }

  /** What hardware did by itself. */
  #asides(step: TraceStep): void {
    for (const { column, text } of step.asides ?? []) {
      if (column < 0) this.#push(wrapLine(text, this.#width, 2), '');
      else this.#row(column, blockOf(plainLine(text), '', 0, this.#room(column)), '');
    }
  }

  /** What is wrong. Nothing stands to its right, so it may run beyond its column. */
  #alarm(column: number, level: number, text: string): void {
    const widest = column < 0 ? this.#width : this.#room(column).widest;
    const lines = blockOf(`*** ${text}`, '', level, { width: widest, widest });
    if (column < 0) this.#push(lines, '');
    else this.#row(column, lines, '');
  }

  #end(): void {
    const { end, steps } = this.#trace;
    if (steps.length === 0) this.#lines.push('(no step)');
    for (const line of endLines(this.#trace)) {
      if (end?.kind === 'end') this.#push(wrapLine(line.text, this.#width, 2), '');
      else this.#alarm(line.column, line.column < 0 ? 0 : 1, line.text);
    }
    const command = this.#options.replayCommand;
    if (command !== undefined)
      this.#lines.push('', ...wrapCommand(plainLine(command), this.#gutter.width + this.#width));
  }

  #room(column: number): Room {
    return this.#layout.room(column);
  }

  #row(column: number, block: readonly string[], time: string): void {
    this.#push(this.#layout.place(column, block), time);
  }

  #push(lines: readonly string[], time: string): void {
    const { width } = this.#gutter;
    lines.forEach((line, i) => {
      const margin = width === 0 ? '' : `${(i === 0 ? time : '').padStart(width - 2)}  `;
      this.#lines.push((margin + line).trimEnd());
    });
  }

  #tracker(column: number): FrameTracker {
    let tracker = this.#trackers.get(column);
    if (!tracker) {
      tracker = new FrameTracker(this.#trace.columns[column]?.routine ?? '', this.#layout.levelsMax);
      this.#trackers.set(column, tracker);
    }
    return tracker;
  }
}

interface Gutter {
  /** Characters in front of every line, 0 without times. */
  readonly width: number;
  readonly heading: string;
  textOf(step: TraceStep): string;
}

/** Beside a time column, steps keep at least so many characters. */
const WIDTH_BESIDE_GUTTER_MIN = 24;

function gutterOf(trace: Trace, lineWidth: number, time: TimeOptions | undefined): Gutter {
  const none: Gutter = { width: 0, heading: '', textOf: () => '' };
  if (!time) return none;
  const textOf = (step: TraceStep): string => {
    if (step.startCycles === null) return '';
    return formatNumber(time.unit === 'ns' ? nanosecondsOf(step.startCycles, time.hertz) : step.startCycles);
  };
  const longest = trace.steps.reduce((length, step) => Math.max(length, textOf(step).length), 0);
  const width = Math.max(longest, time.unit.length) + 2;
  return longest === 0 || lineWidth - width < WIDTH_BESIDE_GUTTER_MIN ? none : { width, heading: time.unit, textOf };
}

/**
 * Runs to fold, as first step and length. The first and last step of a column's turn stay: they are where the
 * interleaving can be seen.
 */
function foldsOf(steps: readonly TraceStep[], fold: FoldOptions): Map<number, number> {
  const silent = fold.silent ?? isSilent;
  const folds = new Map<number, number>();
  let length = 0;
  for (let i = 0; i <= steps.length; i++) {
    const step = steps[i];
    const inside =
      step !== undefined &&
      step.column >= 0 &&
      steps[i - 1]?.column === step.column &&
      steps[i + 1]?.column === step.column;
    if (inside && silent(step)) {
      length++;
    } else {
      if (length > 0 && length >= fold.stepsMin) folds.set(i - length, length);
      length = 0;
    }
  }
  return folds;
}

const CONTINUED = ' \\';

/** Wraps a shell command at its spaces so that it can still be pasted into a shell; a word is never cut. */
function wrapCommand(command: string, width: number): string[] {
  if (command.length <= width) return [command];
  const lines: string[] = [];
  let line = '';
  for (const word of shellWords(command)) {
    if (line !== '' && line.length + 1 + word.length > width - CONTINUED.length) {
      lines.push(line + CONTINUED);
      line = `  ${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Splits at spaces outside quotes. */
function shellWords(command: string): readonly string[] {
  return command.match(/(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s])+/g) ?? [];
}
