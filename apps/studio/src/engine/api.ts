/** What the page asks of its worker: plain data both ways. */
import type { ExploreResult, ExpectedVerdict, Judgement, Parameter, WayOut, WaysOut } from '@shootdown/explorer';
import type { MachineRun } from '@shootdown/topology';
import type { MemoryModel, StateTrace, Trace } from '@shootdown/machine';

/** A variant as the pickers show it. */
export interface VariantEntry {
  readonly name: string;
  readonly expected: ExpectedVerdict | Readonly<Partial<Record<MemoryModel, ExpectedVerdict>>>;
  readonly source: string;
  readonly summary: string;
  readonly memoryModel: MemoryModel;
  /** Memory models on which somebody expects a verdict. */
  readonly memoryModels: readonly MemoryModel[];
}

/** A scenario as the pickers show it. */
export interface ScenarioEntry {
  readonly name: string;
  readonly title: string;
  readonly seed: string | null;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly variants: readonly VariantEntry[];
  /** Functions of it may be replaced by C. */
  readonly offersC: boolean;
}

/** Which system: names only, so that it fits into a link. */
export interface SystemRequest {
  readonly scenario: string;
  readonly variant: string;
  readonly memoryModel: MemoryModel;
  readonly parameters: Readonly<Record<string, number>>;
  /** Lines of its code that are changed, as `shootdown mutate` names them. */
  readonly mutations: readonly string[];
  /** Code of the reader's own that the scenario comes from, or that stands in place of some of its functions. */
  readonly own: OwnCode | null;
}

/** Code of the reader's own; the end of its name says what it is: `.ts`, `.js`, `.c`, `.patch`. */
export interface OwnCode {
  readonly name: string;
  readonly text: string;
}

/** A mistake in it; null: somewhere. */
export interface Mistake {
  readonly line: number | null;
  readonly text: string;
}

/** What code of the reader's own holds. */
export interface ReadCode {
  /** None, if it is a function for a scenario that ships. */
  readonly scenarios: readonly ScenarioEntry[];
  readonly mistakes: readonly Mistake[];
}

/** Modules by the names of their files. */
export interface EngineTexts {
  /** The folder that they come from. */
  readonly base: string;
  readonly entry: string;
  readonly texts: Readonly<Record<string, string>>;
}

/** Something to begin with. */
export interface GalleryEntry {
  readonly group: string;
  readonly name: string;
}

/** Its text, and the system that it is an example for. */
export interface GalleryText {
  readonly name: string;
  readonly text: string;
  readonly scenario: string | null;
  readonly variant: string | null;
}

/** A change of one line of the code, and what comes of it. */
export interface JudgedLine {
  readonly routine: string;
  readonly step: string;
  readonly change: string;
  readonly text: string;
  /** The line that comes first instead, of a swap. */
  readonly next: string | null;
  readonly unmodelled: readonly string[];
  readonly isBarrier: boolean;
  readonly processors: readonly string[];
  /** Null: it only costs time in this model, so there is nothing to judge. */
  readonly judgement: Judgement | null;
}

/** What mutating a system came to. */
export interface Mutated {
  /** The verdict on the code as it is; unless it is safe, nothing was changed. */
  readonly verdict: ExploreResult['verdict'];
  readonly property: string | null;
  readonly states: number;
  readonly seconds: number;
  readonly mutants: number;
  /** Lines of which this model knows nothing but their costs. */
  readonly onlyCost: readonly JudgedLine[];
}

/** A schedule with everything that the panes show of it. */
export interface Walk {
  readonly schedule: readonly number[];
  readonly trace: Trace;
  readonly states: StateTrace;
  /** Heading and indentation of every step in its column. */
  readonly placements: readonly { readonly level: number; readonly heading: string | null }[];
  readonly contextSwitches: number;
  /** Words that the scenario wants to be seen; empty: it names none. */
  readonly tracks: readonly string[];
}

/** A verdict with its counterexample. */
export interface Verdict {
  readonly result: Omit<ExploreResult, 'coverage' | 'schedule'>;
  readonly expected: ExpectedVerdict | null;
  readonly agrees: boolean | null;
  readonly source: string;
  readonly summary: string;
  /** The counterexample; of a safe system one run to its end, so that there is something to step through. */
  readonly walk: Walk;
  readonly isCounterexample: boolean;
  /** What the command prints to replay it. */
  readonly replay: string;
}

/** How far a search is. */
export interface SearchProgress {
  readonly states: number;
  readonly statesPerSecond: number;
  readonly depth: number;
}

/** What lies beyond every step of a walk. */
export interface Beyond extends Omit<WaysOut, 'steps'> {
  readonly steps: readonly (readonly WayOut[])[];
}

/** A machine that ships, as its topology file says it. */
export interface MachineEntry {
  readonly name: string;
  readonly title: string;
  readonly text: string;
}

/** How long a routine took, in cycles; percentiles are known to the power of two. */
export interface RoutineTimesOf {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  readonly atMost50: number;
  readonly atMost99: number;
  readonly buckets: readonly { readonly low: number; readonly high: number; readonly count: number }[];
}

/** What a run has given. */
export interface RanMachine {
  readonly name: string;
  readonly architecture: string;
  readonly memoryModel: MemoryModel;
  /** Of a host: its vCPUs. */
  readonly processors: readonly string[];
  readonly end: string;
  readonly violation: string | null;
  readonly steps: number;
  readonly nanoseconds: number;
  readonly hertz: number;
  readonly wallSeconds: number;
  readonly stepsPerSecond: number;
  readonly busyNanoseconds: readonly number[];
  /** Time in which another vCPU had the CPU; null of a native machine. */
  readonly stealNanoseconds: readonly number[] | null;
  readonly phases: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly total: Readonly<Record<string, readonly number[]>>;
  readonly times: Readonly<Record<string, RoutineTimesOf>>;
  /** Counters, summed over the processors, by interval of virtual time. */
  readonly series: MachineRun['series'];
}

/** The worker. Every call may throw an Error whose message is one line for the reader. */
export interface Engine {
  scenarios(): Promise<ScenarioEntry[]>;
  explore(request: SystemRequest, onProgress: (progress: SearchProgress) => void): Promise<Verdict>;
  /** Walks a schedule; says what is wrong where it ends. */
  walk(request: SystemRequest, schedule: readonly number[]): Promise<Walk>;
  /** Searches the space around a walk, in the background; asked again for another walk it searches no more. */
  beyond(request: SystemRequest, schedule: readonly number[]): Promise<Beyond>;
  /** From the end of a walk on to the nearest problem; null if none is known. */
  onwards(request: SystemRequest, schedule: readonly number[]): Promise<Walk | null>;
  /** Changes every line in turn, and tells of each as soon as it is judged, in the order of the code. */
  mutate(request: SystemRequest, onJudged: (line: JudgedLine, judged: number, all: number) => void): Promise<Mutated>;
  /** Reads code of the reader's own; a function is compiled for the variant that it is meant for. */
  read(own: OwnCode, target: { readonly scenario: string; readonly variant: string } | null): Promise<ReadCode>;
  /** The engine itself as text, from its address on. */
  texts(address: string): Promise<EngineTexts>;
  gallery(): Promise<GalleryEntry[]>;
  galleryText(group: string, name: string): Promise<GalleryText>;
  /** Machines that ship. */
  machines(): Promise<MachineEntry[]>;
  /** Runs the machine that a topology file describes. */
  run(name: string, text: string, onProgress: (steps: number, nanoseconds: number) => void): Promise<RanMachine>;
}
