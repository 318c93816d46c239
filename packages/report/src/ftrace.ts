/**
 * A trace in the look of /sys/kernel/tracing/trace, for those whose scripts and eyes are used to it, and for the
 * programs that read it: https://ui.perfetto.dev and trace_processor, trace-cmd's and catapult's parsers.
 * Mirrors trace_print_context() and trace_print_lat_fmt(), kernel/trace/trace_output.c, v6.18.
 */
import type { Trace, TraceEnd, TraceStep } from '@shootdown/machine';
import { nanosecondsOf } from './numbers.ts';
import { columnHeading, endLinesAfter, factsText, stepText, violationText } from './words.ts';
import { plainLine } from './wrap.ts';
import { headOf, written, type TraceHead, type TraceWriter } from './writer.ts';

/** What {@link ftraceText} can be told. */
export interface FtraceOptions {
  /**
   * Clock rate of the run's cost model. Without it a cycle is written as a nanosecond, and a step without virtual time
   * as a microsecond: every time stamp has a point, or no program would take it for one.
   */
  readonly hertz?: number;
}

/** TASK_COMM_LEN without the terminating zero, include/linux/sched.h. */
const COMM_LENGTH = 15;
const NOBODY = '<...>';
const NANOSECONDS_PER_SECOND = 1e9;
const NANOSECONDS_PER_STEP = 1e3;
/** Pid 0 is the idle task of every CPU. */
const PID_FIRST = 1;

/** Clocks, as the header names them. */
const CLOCKS = {
  local: 'local',
  cycles: 'cycles, one written as a nanosecond',
  counter: 'counter, a step written as a microsecond',
} as const;

/**
 * Writes a trace in ftrace's text format, one line per step:
 * `comm-pid [cpu] flags timestamp: event: text [ facts ]`.
 *
 * The comm is the processor's routine, the pid its column, from 1. The event is the routine that performs the step. Of
 * the flags only `h` (in an interrupt handler) is known; all others are dots. Time stamps have nanoseconds, as
 * `trace-cmd report -t` prints them. Steps of no processor are listed under the number after the last processor's.
 */
export function ftraceText(trace: Trace, options: FtraceOptions = {}): string {
  return written(ftraceWriter(headOf(trace), options), trace);
}

/** The same, step by step. */
export function ftraceWriter(head: TraceHead, { hertz }: FtraceOptions = {}): TraceWriter {
  const clock = !head.timed ? 'counter' : hertz === undefined ? 'cycles' : 'local';
  let index = 0;
  let last: TraceStep | undefined;
  let time = stampOf(0);
  const nanoseconds = (step: TraceStep): number => {
    if (!head.timed || step.startCycles === null) return index * NANOSECONDS_PER_STEP;
    return hertz === undefined ? step.startCycles : nanosecondsOf(step.startCycles, hertz);
  };
  const line = (column: number, inInterrupt: boolean, text: string): string => {
    const processor = column < 0 ? head.columns.length : column;
    const comm = (column < 0 ? NOBODY : commOf(head, column)).padStart(COMM_LENGTH + 1);
    const pid = String(processor + PID_FIRST).padEnd(7);
    const flags = inInterrupt ? '..h..' : '.....';
    return `${comm}-${pid} [${String(processor).padStart(3, '0')}] ${flags} ${time}: ${text}\n`;
  };
  return {
    begin: () =>
      [
        '# tracer: shootdown',
        `# clock: ${CLOCKS[clock]}`,
        `# entries-in-buffer/entries-written: ${head.steps}/${head.steps}   #P:${head.columns.length}`,
        ...head.columns.map((_, column) => `# [${String(column).padStart(3, '0')}] ${columnHeading(head, column)}`),
        '#',
        '#           TASK-PID     CPU#  flags  TIMESTAMP  FUNCTION',
        '',
      ].join('\n'),
    step(step) {
      time = stampOf(nanoseconds(step));
      index++;
      last = step;
      const text = `${eventOf(step)}: ${stepText(step)} ${factsText(step)}`.trimEnd();
      const lines = [line(step.column, step.inInterrupt, text)];
      for (const aside of step.asides ?? [])
        lines.push(line(aside.column, false, `hardware: ${plainLine(aside.text)}`));
      if (step.violation)
        lines.push(line(step.column, step.inInterrupt, `tracing_mark_write: *** ${violationText(step.violation)}`));
      return lines.join('');
    },
    end: (end: TraceEnd | null) =>
      endLinesAfter(head, last, end)
        .map(({ column, text }) => line(column, false, `tracing_mark_write: *** ${text}`))
        .join(''),
  };
}

function stampOf(nanoseconds: number): string {
  const seconds = Math.floor(nanoseconds / NANOSECONDS_PER_SECOND);
  return `${String(seconds).padStart(5)}.${String(nanoseconds % NANOSECONDS_PER_SECOND).padStart(9, '0')}`;
}

/** The name of the event, one word: the routine that performs the step, or what else happens. */
function eventOf(step: TraceStep): string {
  const word = plainLine(step.stack.at(-1) ?? step.kind).replaceAll(/[\s:]+/g, '_');
  return word === '' ? step.kind : word;
}

/** One word without what a parser would take for the pid or the CPU. */
function commOf(head: TraceHead, column: number): string {
  const routine = plainLine(head.columns[column]?.routine ?? '').split(',')[0] ?? '';
  const comm = (routine === '' ? `cpu${column}` : routine).replaceAll(/[\s[\]]+/g, '_');
  return comm.slice(0, COMM_LENGTH);
}
