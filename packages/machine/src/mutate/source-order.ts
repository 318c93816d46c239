/**
 * Where in the code an operation is made: the chain of calls from the routine's own body down to the operation.
 *
 * Routines are JavaScript, so the order of their lines is known to the engine alone; it is asked for a stack trace
 * while a routine makes an operation. Frames are read from the text that V8 gives (other engines: no positions, and no
 * order).
 */
import { listening, made, type Operation, type SourceLine, type Steps } from '../routine/operation.ts';
import { forgetHanded, refuseHandedAside } from '../routine/unbegun.ts';

/** From the line of the body inwards: `file:line:column` each; empty if it is not known. */
export type Position = readonly string[];

/** Not known, or the beginning of a routine. */
export const NOWHERE: Position = [];
const FRAMES_MAX = 40;
const positions = new WeakMap<object, Position>();

/**
 * Resumes a routine; what it makes on the way is located if `locate` says so. The name of this function ends the chain.
 */
export function resumeLocating(
  steps: Steps<unknown>,
  input: unknown,
  locate: ((made: object) => boolean) | null,
): IteratorResult<unknown, unknown> {
  const heard = locate && ((thing: object): void => void (locate(thing) && positions.set(thing, here())));
  // A routine gets numbers for its operations, and for a call whatever the callee returns.
  forgetHanded(input);
  const next = listening(heard, () => steps.next(input as number));
  // It is for the wrapper to yield, or not.
  refuseHandedAside(next.value, next.done === true);
  return next;
}

/**
 * Where something was made, if it was located, or else the line that it says it is of; `caller`: where the function was
 * called that made it.
 */
export function positionOf(thing: { readonly source?: SourceLine | undefined }, caller: Position): Position {
  const { source } = thing;
  const position = positions.get(thing) ?? (source ? [`${source.file}:${source.line}:0`] : NOWHERE);
  return caller.length === 0 ? position : [...caller, ...position];
}

function here(): Position {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = FRAMES_MAX;
  const stack = new Error('position').stack ?? '';
  Error.stackTraceLimit = stackTraceLimit;
  const chain: string[] = [];
  const lines = stack.split('\n');
  // A bundler may have given them other names.
  const [teller, end] = [made, resumeLocating].map(({ name }) => ` ${name} (`) as [string, string];
  // What tells the listeners, and whoever it tells, is not the code's.
  for (const line of lines.slice(1 + lines.findIndex((frame) => frame.includes(teller)))) {
    if (line.includes(end)) break;
    const where = /\(?([^\s()]+:\d+:\d+)\)?$/.exec(line)?.[1];
    if (where !== undefined) chain.push(where);
  }
  return chain.reverse();
}

/**
 * The order of the code: by file and line, outermost call first. 0 within a line, where inner calls are made before
 * outer ones.
 */
export function comparePositions(a: Position, b: Position): number {
  const i = a.findIndex((frame, at) => frame !== b[at]);
  const [frameA, frameB] = [a[i], b[i]];
  if (frameA === undefined || frameB === undefined) return 0;
  const [fileA, lineA] = parsed(frameA);
  const [fileB, lineB] = parsed(frameB);
  return fileA === fileB ? lineA - lineB : fileA < fileB ? -1 : 1;
}

function parsed(frame: string): [file: string, line: number] {
  const [, file = frame, line = '0'] = /^(.*):(\d+):\d+$/.exec(frame) ?? [];
  return [file, Number(line)];
}

const NAME = /^[A-Za-z_$][\w$]*(?:(?:->|\.)[A-Za-z_]\w*)*/;
const WRAPPED = /^(?:READ|WRITE)_ONCE\(/;

/** What a line is called in a word: the function or the word it begins with. */
export function firstWordOf({ label, definition }: Operation): string {
  const word = NAME.exec((label ?? '').replace(WRAPPED, ''))?.[0];
  return (word ?? definition.name).replaceAll('->', '.');
}
