/** What a search is asked and what it answers: the vocabulary of every engine in this package. */
import type { MemoryModel, Mutation, System } from '@shootdown/machine';
import type { Coverage, Scope } from './coverage.ts';

/**
 * The answer. `safe`: every reachable state was seen and nothing is wrong. `violation`: a property is violated (a
 * livelock and an unmet `sometimes` are violations too). `bounded`: nothing wrong was found, and not everything was
 * seen.
 */
export type Verdict = 'safe' | 'violation' | 'deadlock' | 'bounded';

/** What is wrong. `step`: an operation or routine said so; `sometimes`: no state satisfies it. */
export type ProblemKind = 'step' | 'always' | 'finally' | 'deadlock' | 'livelock' | 'sometimes';

/** Names under which the built-in properties are reported. */
export const NO_DEADLOCK = 'no deadlock';
/** Nobody goes on for ever without getting anywhere: a built-in property of every search. */
export const NO_LIVELOCK = 'no livelock';

/** Limits of a search. A limit that is hit turns `safe` into `bounded`. */
export interface Bounds {
  /** States stored at most. */
  readonly maxStates?: number;
  /** Steps of a schedule at most (breadth-first only; switches reduction off). */
  readonly maxDepth?: number;
  /**
   * Times a processor that could go on is left for another one, per schedule (breadth-first only; switches reduction
   * off).
   */
  readonly preemptions?: number;
  /** Wall time. */
  readonly timeoutSeconds?: number;
  /**
   * Memory of the whole process, where that can be asked (not in a browser). A search ends in any case before there is
   * none left.
   */
  readonly maxMemoryBytes?: number;
}

/**
 * Why a search ended before it was complete. `messages`: a location of a weak memory had as many messages as it may
 * have. `limit`: another limit of the model, such as a channel that is full.
 */
export type StopReason =
  | 'violation'
  | 'max-states'
  | 'max-depth'
  | 'preemptions'
  | 'timeout'
  | 'memory'
  | 'cancelled'
  | 'messages'
  | 'limit';

/** How a worker thread builds the system, which itself cannot be sent: by loading a module of JavaScript. */
export interface SystemSource {
  /** URL or specifier of the module. */
  readonly module: string;
  /** Name of an exported {@link Scenario} or of a function from `request` to a System, or to a promise of one. */
  readonly export: string;
  /** Handed to the function, which may take more, or to {@link resolveScenario} with the scenario; plain data. */
  readonly request: {
    readonly variant: string;
    readonly memoryModel: MemoryModel;
    readonly parameters: Readonly<Record<string, number>>;
  };
  /** Changes of the code, to be made after building it. */
  readonly mutations?: readonly Mutation[];
}

/**
 * What a search is doing. It may begin again when its reduction has learnt better: its numbers stay where they were
 * until the new search has passed them.
 */
export type SearchPhase =
  | 'getting ready'
  | 'searching'
  | 'confirming the shortest'
  | 'fewest switches'
  | 'counting interleavings';

/** How far a search is. Within a phase, states and depth never go back. */
export interface Progress {
  readonly phase: SearchPhase;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States known and not yet expanded. */
  readonly queue: number;
  /** The phase ends at that depth at the latest; null: not known. */
  readonly depthMax: number | null;
  /** The phase gives up at so many states; null: it does not. */
  readonly statesMax: number | null;
  readonly seconds: number;
  readonly statesPerSecond: number;
}

/** How to search. */
export interface ExploreOptions {
  /** `bfs` (default): level by level, shortest counterexamples. `dfs`: less memory per state, no shortest path. */
  readonly search?: 'bfs' | 'dfs';
  /**
   * Partial-order reduction. Default: a space of at most a thousand states is searched without; others with it, unless
   * the plain search, which confirms a counterexample, comes to it with fewer states: then its result is the one that
   * is reported. The result says which it was.
   */
  readonly reduction?: boolean;
  /** Interchangeable processors are treated as such. Default: as `reduction`. */
  readonly symmetry?: boolean;
  /** Compare whole states, not fingerprints (breadth-first, one worker; switches symmetry off). */
  readonly exact?: boolean;
  /** Go on past violations, count them, and name every property that is violated. */
  readonly all?: boolean;
  readonly bounds?: Bounds;
  /** Run all routines again and compare, not a share of them: see `verifyPoints` of the machine. */
  readonly verifyPoints?: boolean;
  /** Worker threads; more than 1 needs `source`. Default 1: search in this thread. */
  readonly workers?: number;
  readonly source?: SystemSource;
  /**
   * Builds the system again, from a module that is loaded anew: shows what rests on a variable of the module. Left out:
   * `build` of its scenario, if it has one.
   */
  readonly fresh?: (() => Promise<System>) | undefined;
  /**
   * When the search takes longer than `afterMilliseconds` (default 1000), PCT runs beside it in another thread, and the
   * first to find something wins. Which one that is depends on the computer; what PCT finds with a seed does not, and a
   * counterexample that is `shortest` is the same whoever found it. Needs `source`; does not go with `all` and with
   * bounds on depth or preemptions, and is left out there.
   */
  readonly pct?: { readonly seed: number; readonly afterMilliseconds?: number };
  /** Count interleavings of spaces up to this many states; 0: never. Default {@link interleavingsMax}. */
  readonly interleavingsStatesMax?: number;
  /** Cancels the search; the result says what is known so far. */
  readonly signal?: AbortSignal;
  /** Called about twice a second. */
  readonly onProgress?: (progress: Progress) => void;
}

/** States up to which interleavings are counted by default. */
export const INTERLEAVINGS_STATES_MAX = 250_000;
/** The same on `arm`: counting takes a search without reduction, whose states cost twenty times as much there. */
const INTERLEAVINGS_STATES_MAX_ARM = 10_000;

/** States up to which interleavings are counted by default on a memory model. */
export const interleavingsMax = (memoryModel: MemoryModel): number =>
  memoryModel === 'arm' ? INTERLEAVINGS_STATES_MAX_ARM : INTERLEAVINGS_STATES_MAX;

/** States stored at most by default: about 2 GB. */
export const MAX_STATES_DEFAULT = 20_000_000;

/** One property that is violated. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly property: string;
  /** Steps to the first violation, of the counterexample if it is reported; for `sometimes` 0. */
  readonly length: number;
}

/** Whether a state satisfying a `sometimes` property was found. */
export interface Witness {
  readonly name: string;
  readonly witnessed: boolean;
  /** Schedule to a nearest witness, if it was kept. */
  readonly schedule: readonly number[] | null;
}

/** The outcome of a search. */
export interface ExploreResult {
  readonly verdict: Verdict;
  /** The sentence that is violated: a property's name, or {@link NO_DEADLOCK}, {@link NO_LIVELOCK}. */
  readonly property: string | null;
  readonly kind: ProblemKind | null;
  readonly states: number;
  readonly transitions: number;
  /** Transitions by which an operation or a routine reported a violation. */
  readonly violatingTransitions: number;
  /** Length of the longest of all shortest schedules (`bfs`), of the longest schedule tried (`dfs`). */
  readonly depth: number;
  /** States by the length of their shortest schedule (`bfs`); null: the search did not go by length. */
  readonly statesByDepth: readonly number[] | null;
  /** Every reachable state was expanded. */
  readonly complete: boolean;
  readonly stoppedBy: StopReason | null;
  /** If that is `limit`: which, and what can be done; else null. */
  readonly limit: string | null;
  readonly seconds: number;
  readonly statesPerSecond: number;
  readonly bytesPerState: number;
  /** Probability that two states shared a fingerprint, so that one of them was missed; 0 in exact mode. */
  readonly collisionOdds: number;
  /**
   * Number of maximal schedules as a decimal string; null if the graph has a cycle, is too big, or was not completed.
   */
  readonly interleavings: string | null;
  /** How many of them violate a property on the way (`all` only). */
  readonly violatingInterleavings: string | null;
  /** The counterexample. */
  readonly schedule: readonly number[] | null;
  /** Livelock: the steps from here on can be repeated for ever. */
  readonly loopStart: number | null;
  /** No schedule to this violation is shorter. */
  readonly shortest: boolean;
  /** Who has found it: the search, or PCT beside it; null: nothing was found. */
  readonly foundBy: 'search' | 'pct' | null;
  /** If it was PCT: how many schedules it tried. */
  readonly pctRuns: number | null;
  /** Every property found violated, shortest first. */
  readonly problems: readonly Problem[];
  readonly sometimes: readonly Witness[];
  /** False if the search ended before livelocks could be looked for. */
  readonly livelockChecked: boolean;
  readonly coverage: Coverage;
  /** What the verdict says nothing about. */
  readonly scope: Scope;
  readonly bounds: Bounds;
  /** Those of them that were asked for. */
  readonly boundsGiven: readonly (keyof Bounds)[];
  readonly search: 'bfs' | 'dfs';
  readonly reduction: boolean;
  readonly symmetry: boolean;
  readonly exact: boolean;
  readonly workers: number;
}
