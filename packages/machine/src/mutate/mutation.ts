/** Mutations of code: which line, and what becomes of it. */
import { ModelError } from '../state/errors.ts';
import type { Position } from './source-order.ts';

/** What can become of a line, besides what the operation itself offers as {@link Weaker}. */
export const Change = {
  /** The line is not there. A call that is not made returns nothing. */
  leaveOut: 'leave-out',
  /** A word is not read again: the code believes what it, or a caller, has read there before. */
  recheck: 'leave-out-recheck',
  /** Neither it nor what closes it is there. */
  leaveOutPair: 'leave-out-pair',
  /** An atomic read-modify-write becomes a load and a store. */
  loadThenStore: 'load-then-store',
  /** The line that follows comes first. */
  swap: 'swap-with-next',
} as const;

const ALWAYS = 'always-';

/**
 * A word is not read: the code goes on as if it had this value, one that was seen there, and takes one branch for ever.
 */
export function alwaysReads(value: number): string {
  return `${ALWAYS}${value}`;
}

/** The value of such a change; undefined if it is none. */
export function valueAlwaysRead(change: string): number | undefined {
  return change.startsWith(ALWAYS) ? Number(change.slice(ALWAYS.length)) : undefined;
}

/** One change of one line, in every run of its routine. */
export interface Mutation {
  /** The routine that the line is in. */
  readonly routine: string;
  /** The line: the word it begins with. */
  readonly word: string;
  /** Tells it from other lines that begin with the same word; null: there are none. */
  readonly position: Position | null;
  readonly change: string;
}

/** A mutation as it is written: `pud_free_pmd_page/pud_clear:leave-out`. */
export interface MutationName {
  readonly routine: string;
  /** The word, with `.2` and so on for the second line that begins with it. */
  readonly step: string;
  readonly change: string;
}

/** Reads a mutation. Throws ModelError. */
export function parseMutation(text: string): MutationName {
  const match = /^(.+)\/([^/:]+):([a-z][\w()-]*)$/.exec(text);
  if (!match) throw new ModelError(`mutation: expected routine/step:change, as shootdown mutate prints it (${text})`);
  return { routine: match[1] ?? '', step: match[2] ?? '', change: match[3] ?? '' };
}

/** Writes a mutation. */
export function formatMutation({ routine, step, change }: MutationName): string {
  return `${routine}/${step}:${change}`;
}
