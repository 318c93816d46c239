/** The vocabulary of mutating: which lines are changed how, and what each change comes to. */
import { keysOf, type CodeLine, type Mutation } from '@shootdown/machine';
import type { Bounds, ExploreResult, ProblemKind, Progress, StopReason, SystemSource } from '../result.ts';

/** A line of the code and one thing that can become of it. */
export interface Mutant {
  readonly line: CodeLine;
  readonly mutation: Mutation;
}

/**
 * `needed`: without the line something goes wrong, or a witness is gone. `not needed`: nothing goes wrong in this
 * system on this memory model. `no difference`: the very same states are reached. `bounded`: the search was cut short
 * before anything went wrong.
 */
export type MutantResult = 'needed' | 'not needed' | 'no difference' | 'bounded';

/** What a change comes to. */
export interface Judgement {
  readonly result: MutantResult;
  /** What breaks, or the limit of the model that was met; null otherwise. */
  readonly property: string | null;
  readonly kind: ProblemKind | 'crash' | null;
  /** Nothing goes wrong, but something that must be possible is possible no more: that is no safety. */
  readonly witnessGone: boolean;
  /** The schedule to it, of the changed system. */
  readonly schedule: readonly number[] | null;
  readonly stoppedBy: StopReason | null;
  readonly states: number;
  readonly seconds: number;
}

export const NOTHING_WRONG = { property: null, kind: null, witnessGone: false, schedule: null } as const;

/** A mutant with what it comes to; null: not judged, because the work was interrupted. */
export interface JudgedMutant extends Mutant {
  readonly judgement: Judgement | null;
}

/** How to mutate. */
export interface MutateOptions {
  /** Of each search. */
  readonly bounds?: Bounds;
  /**
   * Whether the states of what is not needed are compared with those of the system as it is, without reduction: tells
   * `no difference` from `not needed`, and takes longer than everything else. Default true.
   */
  readonly compare?: boolean;
  /** Which mutants to judge; the others are not in the result. Default: all. */
  readonly wanted?: (mutant: Mutant) => boolean;
  /**
   * Threads, each of which judges one mutant at a time; more than 1 needs `source`. Default 1: in this thread, unless
   * there is a `source` and a timeout, which a mutant that loops for ever in this thread would not obey.
   */
  readonly workers?: number;
  readonly source?: SystemSource;
  /** Cancels the work; the result says what is known so far. */
  readonly signal?: AbortSignal;
  /** How far the search of the code as it is has come, about twice a second. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called after every mutant. */
  readonly onJudged?: (judged: number, mutants: number, mutant: JudgedMutant) => void;
}

export const MUTATE_KEYS = keysOf<MutateOptions>()(
  'bounds',
  'compare',
  'wanted',
  'workers',
  'source',
  'signal',
  'onProgress',
  'onJudged',
);

/** What mutating a system has come to. */
export interface MutateResult {
  /** The search of the system as it is. Unless it is safe, nothing is mutated. */
  readonly unchanged: ExploreResult;
  readonly lines: readonly CodeLine[];
  /** By routine, in the order of the code. */
  readonly mutants: readonly JudgedMutant[];
  readonly seconds: number;
}
