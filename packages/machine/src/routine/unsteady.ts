/** Whether a routine that is run again does what it did before: everything rests on that. */
import { ModelError } from '../state/errors.ts';
import { canonicalJson } from '../state/hash.ts';
import { isData, OUTSIDE, type RoutineCursor } from './cursor.ts';
import type { Mark, Operation } from './operation.ts';

/** What was found at a place, the first time that it was reached. */
export interface Found {
  readonly operation: Operation | null;
  readonly lo: number | undefined;
  readonly hi: number | undefined;
  /** The routine that is on top there. */
  readonly routine: string | undefined;
}

/** How a routine came there again. */
export interface Again {
  /** A `point` says that this way leads there as well as the first one. */
  readonly merged: boolean;
  /** What else was run. */
  readonly besides: string;
}

/** Whether a routine has come to what was found before. */
export function isSteady(found: Found, cursor: RoutineCursor): boolean {
  const { lo, hi } = cursor.hash;
  return found.lo === lo && found.hi === hi && sameOperation(found.operation, cursor.pending);
}

/** Throws ModelError if it has not. */
export function refuseUnsteady(found: Found, cursor: RoutineCursor, again?: Again): void {
  if (!isSteady(found, cursor))
    throw unsteady(found, cursor, `${nameOf(found.operation)} became ${nameOf(cursor.pending)}`, again);
}

/** Whether it has said the same on the way: failures, counts, messages. */
export function saysTheSame(said: readonly Mark[], cursor: RoutineCursor): boolean {
  if (said.length === 0 && cursor.said.length === 0) return true;
  return textOf(said) === textOf(cursor.said);
}

/** That it has not. */
export function otherWords(found: Found, said: readonly Mark[], cursor: RoutineCursor, again?: Again): ModelError {
  return unsteady(found, cursor, `${textOf(said)} became ${textOf(cursor.said)}`, again);
}

/** Operands that are no plain data (frames, a function) are made anew by some routines, and prove nothing. */
export function sameOperation(a: Operation | null, b: Operation | null): boolean {
  if (a === null || b === null) return a === b;
  if (a === b) return true;
  const same = a.definition.name === b.definition.name && a.a === b.a && a.b === b.b && a.c === b.c;
  return (
    same && (a.data === b.data || !isData(a.data) || !isData(b.data) || canonicalJson(a.data) === canonicalJson(b.data))
  );
}

function unsteady({ routine }: Found, { program, steps }: RoutineCursor, what: string, again?: Again): ModelError {
  const point = again?.merged === true ? 'a point that does not name all, ' : '';
  return new ModelError(
    `routine: ${routine ?? program.name}: step ${steps}: not deterministic: ${what} when run again with the same results${again?.besides ?? ''} ` +
      `(${point}${OUTSIDE})`,
  );
}

function nameOf(op: Operation | null): string {
  return op === null ? 'the end' : `${op.label ?? op.definition.name} (${op.a}, ${op.b}, ${op.c})`;
}

function textOf(said: readonly Mark[]): string {
  return said.map(contentOf).join(', ') || 'nothing said';
}

/** Of a failure, the detail is text. */
function contentOf(mark: Mark): string {
  switch (mark.mark) {
    case 'fail':
      return `failure of ${mark.property}`;
    case 'count':
      return `count of ${mark.counter} (${mark.amount})`;
    case 'tell':
      return `${mark.message.type} to ${mark.port} (${canonicalJson(mark.message)})`;
    default:
      return mark.mark;
  }
}
