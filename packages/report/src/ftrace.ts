/**
 * A trace in the look of /sys/kernel/tracing/trace, for those whose scripts and eyes are used to it.
 * Mirrors trace_print_context() and trace_print_lat_fmt(), kernel/trace/trace_output.c, v6.18.
 */
import type { Trace, TraceStep } from '@shootdown/machine';
import { nanosecondsOf } from './numbers.ts';
import { columnHeading, endLines, factsText, stepText, violationText } from './words.ts';
import { plainLine } from './wrap.ts';

/** What {@link ftraceText} can be told. */
export interface FtraceOptions {
  /**
   * Clock rate of the run's cost model. Without it the time stamps are cycles, or step numbers without virtual time.
   */
  readonly hertz?: number;
}

/** TASK_COMM_LEN without the terminating zero, include/linux/sched.h. */
const COMM_LENGTH = 15;
const NOBODY = '<...>';
const NANOSECONDS_PER_SECOND = 1e9;

/**
 * Writes a trace in ftrace's text format, one line per step:
 * `comm-pid [cpu] flags timestamp: function: text [ facts ]`.
 *
 * The comm is the processor's routine, the pid its column. Of the flags only `h` (in an interrupt handler) is known;
 * all others are dots. Time stamps have nanoseconds, as `trace-cmd report -t` prints them. Steps of no processor are
 * listed under the number after the last processor's.
 */
export function ftraceText(trace: Trace, options: FtraceOptions = {}): string {
  const { steps } = trace;
  const timed = steps.length > 0 && steps.every((step) => step.startCycles !== null);
  const clock = !timed ? 'counter' : options.hertz === undefined ? 'cycles' : 'local';
  const stamp = (step: TraceStep, index: number): string => {
    if (step.startCycles === null || !timed) return String(index).padStart(12);
    if (options.hertz === undefined) return String(step.startCycles).padStart(12);
    const nanoseconds = nanosecondsOf(step.startCycles, options.hertz);
    const seconds = Math.floor(nanoseconds / NANOSECONDS_PER_SECOND);
    return `${String(seconds).padStart(5)}.${String(nanoseconds % NANOSECONDS_PER_SECOND).padStart(9, '0')}`;
  };
  const head = (column: number, inInterrupt: boolean, time: string): string => {
    const processor = column < 0 ? trace.columns.length : column;
    const comm = column < 0 ? NOBODY : commOf(trace, column);
    return `${comm.padStart(16)}-${String(processor).padEnd(7)} [${String(processor).padStart(3, '0')}] ${inInterrupt ? '..h..' : '.....'} ${time}: `;
  };
  const lines = [
    `# tracer: shootdown`,
    `# clock: ${clock}`,
    `# entries-in-buffer/entries-written: ${steps.length}/${steps.length}   #P:${trace.columns.length}`,
    ...trace.columns.map((_, column) => `# [${String(column).padStart(3, '0')}] ${columnHeading(trace, column)}`),
    '#',
    '#           TASK-PID     CPU#  flags  TIMESTAMP  FUNCTION',
  ];
  let time = '';
  steps.forEach((step, index) => {
    time = stamp(step, index);
    const routine = step.stack.at(-1);
    const named = routine === undefined || step.text.startsWith(`${routine}(`) ? '' : `${plainLine(routine)}: `;
    lines.push((head(step.column, step.inInterrupt, time) + `${named}${stepText(step)} ${factsText(step)}`).trimEnd());
    if (step.violation)
      lines.push(
        `${head(step.column, step.inInterrupt, time)}tracing_mark_write: *** ${violationText(step.violation)}`,
      );
  });
  for (const line of endLines(trace))
    lines.push(`${head(line.column, false, time || '0'.padStart(12))}tracing_mark_write: *** ${line.text}`);
  return lines.map((line) => `${line}\n`).join('');
}

function commOf(trace: Trace, column: number): string {
  const routine = plainLine(trace.columns[column]?.routine ?? '').split(',')[0] ?? '';
  return (routine === '' ? `cpu${column}` : routine).slice(0, COMM_LENGTH);
}
