/** Where everything stands on the timeline, and what there is to draw: made once of a walk. */
import { deliveriesOf, waitsOf, type Stretch, type Wait } from '@shootdown/report';
import type { Beyond, Walk } from '../engine/api.ts';
import { tracksOf, type Track } from './tracks.ts';

export const GUTTER = 120;
export const MARGIN = 12;
export const AXIS = 20;
export const STEPS_ROW = 14;
export const BAND = 14;
export const TRACK = 16;
export const OUTS = 18;
export const DEPTHS = 44;
const LANE_GAP = 7;
const TRACKS_MAX = 8;
const DEPTH_MAX = 9;
/** More lanes than this, and those that do least are one row each. */
const LANES_MAX = 6;

/** A call of a routine, on a level of a processor's stack. */
export interface Band extends Stretch {
  readonly name: string;
}

/** A step as a mark. */
export interface Mark extends Stretch {
  readonly kind: 'step' | 'interrupt' | 'violation';
  readonly writes: boolean;
}

/** A processor. Every row is sorted and does not overlap. */
export interface Lane {
  readonly column: number;
  /** Without its call stack: there are many, and this one does little. */
  readonly isFolded: boolean;
  readonly top: number;
  readonly depth: number;
  readonly marks: readonly Mark[];
  readonly violations: readonly Mark[];
  /** By level of the stack. */
  readonly bands: readonly (readonly Band[])[];
  /** The parts of them in which this processor runs. */
  readonly running: readonly (readonly Stretch[])[];
}

/** A message on its way, or the end of a wait: from the step that ended it to the step that went on. */
export interface Arrow extends Stretch {
  readonly kind: 'message' | 'wait';
  readonly source: number;
  readonly target: number;
}

export interface Layout {
  readonly lanes: readonly Lane[];
  /** By the step in which they begin. */
  readonly arrows: readonly Arrow[];
  readonly tracks: readonly Track[];
  readonly tracksTop: number;
  readonly height: number;
}

const layouts = new WeakMap<Walk, Layout>();

/** Where everything stands; depends on the walk alone, so that panes do not move while stepping. */
export function layoutOf(walk: Walk): Layout {
  const known = layouts.get(walk);
  if (known) return known;
  const { columns } = walk.trace;
  const marks = marksOf(walk);
  const bands = bandsOf(walk);
  const stepsOf = (column: number): number => marks[column]?.length ?? 0;
  const acting = columns.map((_, column) => column).filter((column) => stepsOf(column) > 0);
  const busiest = acting.toSorted((a, b) => stepsOf(b) - stepsOf(a)).slice(0, LANES_MAX);
  let top = AXIS;
  const lanes = acting.map((column): Lane => {
    const isFolded = !busiest.includes(column);
    const own = marks[column] ?? [];
    const rows = isFolded ? [] : (bands[column] ?? []);
    const runs = runsOf(own);
    const depth = isFolded ? 0 : Math.max(1, rows.length);
    const lane: Lane = {
      column,
      isFolded,
      top,
      depth,
      marks: own,
      violations: own.filter(({ kind }) => kind === 'violation'),
      bands: rows,
      running: rows.map((row) => common(row, runs)),
    };
    top += STEPS_ROW + depth * BAND + LANE_GAP;
    return lane;
  });
  const tracks = tracksOf(walk, TRACKS_MAX);
  const layout: Layout = {
    lanes,
    arrows: arrowsOf(walk),
    tracks,
    tracksTop: top,
    height: top + tracks.length * TRACK + OUTS + DEPTHS + 4,
  };
  layouts.set(walk, layout);
  return layout;
}

function marksOf({ states, trace }: Walk): Mark[][] {
  const marks: Mark[][] = trace.columns.map(() => []);
  trace.steps.forEach(({ column, violation, inInterrupt }, i) => {
    const kind = violation ? 'violation' : inInterrupt ? 'interrupt' : 'step';
    marks[column]?.push({ from: i, to: i + 1, kind, writes: (states.steps[i]?.changes.length ?? 0) > 0 });
  });
  return marks;
}

/** By column and level: a band is one call, so that two in a row of one routine are two. */
function bandsOf({ states: { steps }, trace }: Walk): Band[][][] {
  const bands: { name: string; call: number; from: number; to: number }[][][] = trace.columns.map(() => []);
  steps.forEach(({ stacks, calls }, i) => {
    stacks.forEach((stack, column) => {
      const rows = bands[column] ?? [];
      for (let level = 0; level < Math.min(DEPTH_MAX, stack.length); level++) {
        const [name = '', call = -1] = [stack[level], calls[column]?.[level]];
        const row = (rows[level] ??= []);
        const last = row.at(-1);
        if (last?.call === call && last.to === i) last.to = i + 1;
        else row.push({ name, call, from: i, to: i + 1 });
      }
    });
  });
  return bands;
}

/** Marks without a gap between them are one run. */
function runsOf(marks: readonly Mark[]): Stretch[] {
  const runs: { from: number; to: number }[] = [];
  for (const { from, to } of marks) {
    const last = runs.at(-1);
    if (last?.to === from) last.to = to;
    else runs.push({ from, to });
  }
  return runs;
}

/** Where two rows have something. */
function common(row: readonly Stretch[], other: readonly Stretch[]): Stretch[] {
  const result: Stretch[] = [];
  for (let i = 0, j = 0; i < row.length && j < other.length;) {
    const [a, b] = [row[i] as Stretch, other[j] as Stretch];
    const [from, to] = [Math.max(a.from, b.from), Math.min(a.to, b.to)];
    if (from < to) result.push({ from, to });
    if (a.to <= b.to) i++;
    else j++;
  }
  return result;
}

const waits = new WeakMap<Walk, readonly Wait[]>();

function waitsIn(walk: Walk): readonly Wait[] {
  let found = waits.get(walk);
  if (!found) waits.set(walk, (found = waitsOf(walk.states, walk.trace)));
  return found;
}

/** The wait after which a processor goes on with a step; null: it has not waited. */
export function waitEndedBefore(walk: Walk, step: number): Wait | null {
  return waitsIn(walk).find(({ goesOnAt }) => goesOnAt === step) ?? null;
}

function arrowsOf(walk: Walk): Arrow[] {
  const { states, trace } = walk;
  const ends = waitsIn(walk).map(({ endedAt, byColumn, goesOnAt, column }): Arrow => {
    return { kind: 'wait', from: endedAt - 1, source: byColumn, to: goesOnAt - 1, target: column };
  });
  const messages = deliveriesOf(states, trace).flatMap(({ sentAt, fromColumn, deliveredAt, toColumn }): Arrow[] =>
    deliveredAt === null || toColumn === null || fromColumn < 0 || toColumn < 0
      ? []
      : [{ kind: 'message', from: sentAt - 1, source: fromColumn, to: deliveredAt - 1, target: toColumn }],
  );
  return [...messages, ...ends].sort((a, b) => a.from - b.from);
}

const outs = new WeakMap<Beyond, readonly Stretch[]>();

/** Steps at which another choice leads away from every problem. */
export function waysOut(beyond: Beyond): readonly Stretch[] {
  const known = outs.get(beyond);
  if (known) return known;
  const found = beyond.steps.flatMap((ways, i) =>
    ways.some(({ distance }) => distance === null) ? [{ from: i, to: i + 1 }] : [],
  );
  outs.set(beyond, found);
  return found;
}
