/** Drawing the timeline on a canvas: lanes with call-stack bands, message arrows, tracks of words, states by depth. */
import type { Beyond, Walk } from '../engine/api.ts';
import { hueOf } from './hue.ts';
import { shortTrackName, tracksOf, type Look, type Track } from './tracks.ts';

const GUTTER = 120;
const AXIS = 20;
const STEPS_ROW = 14;
const BAND = 14;
const LANE_GAP = 7;
const TRACK = 16;
const TRACKS_MAX = 8;
const OUTS = 18;
const DEPTHS = 44;
const DEPTH_MAX = 9;
/** Arrows are drawn up to so many steps on the screen; beyond that they would be a carpet. */
const ARROW_STEPS_MAX = 2000;
/** Pixels between the lines of a hatch. */
const HATCH = 6;
/** More lanes than this, and those that do least are one row each. */
const LANES_MAX = 6;
const FONT = '12px "JetBrains Mono", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

interface Lane {
  readonly column: number;
  /** Without its call stack: there are many, and this one does little. */
  readonly isFolded: boolean;
  readonly top: number;
  readonly depth: number;
}

interface Band {
  readonly column: number;
  readonly depth: number;
  readonly name: string;
  readonly from: number;
  to: number;
}

interface Layout {
  readonly lanes: readonly Lane[];
  readonly bands: readonly Band[];
  readonly arrows: readonly {
    readonly from: number;
    readonly to: number;
    readonly source: number;
    readonly target: number;
  }[];
  readonly tracks: readonly Track[];
  readonly tracksTop: number;
  readonly height: number;
}

const layouts = new WeakMap<Walk, Layout>();

/** Where everything stands; depends on the walk alone, so that panes do not move while stepping. */
export function layoutOf(walk: Walk): Layout {
  const known = layouts.get(walk);
  if (known) return known;
  const bands = bandsOf(walk);
  let top = AXIS;
  const stepsOf = walk.trace.columns.map((_, column) => walk.trace.steps.filter((s) => s.column === column).length);
  const busiest = stepsOf.map((_, column) => column).sort((a, b) => (stepsOf[b] ?? 0) - (stepsOf[a] ?? 0));
  const isMany = stepsOf.filter((n) => n > 0).length > LANES_MAX;
  const lanes = walk.trace.columns.flatMap((_, column): Lane[] => {
    if (stepsOf[column] === 0) return [];
    const isFolded = isMany && !busiest.slice(0, LANES_MAX).includes(column);
    const own = bands.filter((band) => band.column === column).map((band) => band.depth + 1);
    const depth = isFolded ? 0 : Math.max(1, ...own);
    const lane = { column, isFolded, top, depth };
    top += STEPS_ROW + depth * BAND + LANE_GAP;
    return [lane];
  });
  const tracks = tracksOf(walk, TRACKS_MAX);
  const layout: Layout = {
    lanes,
    bands,
    arrows: arrowsOf(walk),
    tracks,
    tracksTop: top,
    height: top + tracks.length * TRACK + OUTS + DEPTHS + 4,
  };
  layouts.set(walk, layout);
  return layout;
}

function bandsOf({ states: { steps }, trace }: Walk): Band[] {
  const bands: Band[] = [];
  const open: Band[][] = trace.columns.map(() => []);
  steps.forEach(({ stacks }, i) => {
    stacks.forEach((stack, column) => {
      const mine = open[column] ?? [];
      const shown = stack.slice(0, DEPTH_MAX);
      let same = 0;
      while (same < shown.length && mine[same]?.name === shown[same]) same++;
      mine.splice(same);
      for (let depth = same; depth < shown.length; depth++) {
        const band = { column, depth, name: shown[depth] ?? '', from: i, to: i };
        mine.push(band);
        bands.push(band);
      }
      for (const band of mine) band.to = i + 1;
    });
  });
  return bands;
}

function arrowsOf({ states: { steps }, trace }: Walk): Layout['arrows'] {
  const sent = new Map<string, { readonly step: number; readonly column: number }[]>();
  const arrows: Layout['arrows'][number][] = [];
  steps.forEach((step, i) => {
    const column = trace.steps[i]?.column ?? -1;
    for (const channel of step.sent) sent.set(channel, [...(sent.get(channel) ?? []), { step: i, column }]);
    if (step.delivered === null) return;
    const first = sent.get(step.delivered)?.shift();
    if (first) arrows.push({ from: first.step, source: first.column, to: i, target: column });
  });
  return arrows;
}

class Pen {
  readonly context: CanvasRenderingContext2D;
  readonly #style: CSSStyleDeclaration;
  readonly width: number;
  readonly unit: number;

  constructor(canvas: HTMLCanvasElement, height: number, count: number) {
    const ratio = devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(height * ratio);
    this.context = canvas.getContext('2d') as CanvasRenderingContext2D;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, height);
    this.context.font = FONT;
    this.context.textBaseline = 'middle';
    this.#style = getComputedStyle(document.documentElement);
    this.unit = Math.max(0, this.width - GUTTER - 12) / Math.max(1, count);
  }

  colour(name: string): string {
    return this.#style.getPropertyValue(`--${name}`).trim();
  }

  x(step: number): number {
    return GUTTER + step * this.unit;
  }

  fill(x: number, y: number, width: number, height: number, colour: string): void {
    this.context.fillStyle = this.colour(colour);
    this.context.fillRect(x, y, Math.max(width, 1), height);
  }

  text(text: string, x: number, y: number, room: number, colour = 'ink'): void {
    if (room < 14) return;
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y - BAND, room, 2 * BAND);
    this.context.clip();
    this.context.fillStyle = this.colour(colour);
    this.context.fillText(text, x, y);
    this.context.restore();
  }

  widthOf(text: string): number {
    return this.context.measureText(text).width;
  }

  /** Thin lines that fall (1) or rise (-1). */
  hatch(x: number, y: number, width: number, height: number, colour: string, direction: number): void {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.globalAlpha = 0.4;
    context.strokeStyle = this.colour(colour);
    context.beginPath();
    for (let at = x - height; at < x + width + height; at += HATCH) {
      context.moveTo(at, direction > 0 ? y : y + height);
      context.lineTo(at + height, direction > 0 ? y + height : y);
    }
    context.stroke();
    context.restore();
  }

  line(x1: number, y1: number, x2: number, y2: number, colour: string): void {
    this.context.strokeStyle = this.colour(colour);
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }
}

/** Draws everything. */
export function draw(canvas: HTMLCanvasElement, walk: Walk, now: number, beyond: Beyond | null): void {
  const layout = layoutOf(walk);
  const count = walk.trace.steps.length;
  const pen = new Pen(canvas, layout.height, count);
  drawAxis(pen, count, layout.height);
  for (const lane of layout.lanes) drawLane(pen, walk, layout, lane);
  if (count <= ARROW_STEPS_MAX) drawArrows(pen, layout);
  drawTracks(pen, layout);
  drawSpace(pen, layout, count, beyond);
  drawPlayhead(pen, now, layout.height, walk.trace.steps[now - 1]?.violation !== null && now === count);
}

function drawAxis(pen: Pen, count: number, height: number): void {
  const rough = Math.max(1, count / 9);
  const base = 10 ** Math.floor(Math.log10(rough));
  const tick = [1, 2, 5, 10].map((factor) => factor * base).find((size) => size >= rough) ?? rough;
  pen.text('step', GUTTER - 40, AXIS / 2, 40, 'ink3');
  for (let step = tick; step <= count; step += tick) {
    pen.line(pen.x(step), AXIS, pen.x(step), height, 'line');
    pen.text(String(step), pen.x(step) - 8, AXIS / 2, 60, 'ink3');
  }
}

function drawLane(pen: Pen, walk: Walk, layout: Layout, lane: Lane): void {
  const hue = hueOf(lane.column);
  const column = walk.trace.columns[lane.column];
  pen.line(0, lane.top - 3, pen.width, lane.top - 3, 'line');
  pen.fill(8, lane.top + 3, 9, 9, `c${hue}`);
  pen.text(column?.name ?? '', 22, lane.top + 8, GUTTER - 26);
  if (!lane.isFolded) pen.text(`${column?.routine ?? ''}()`, 22, lane.top + 8 + BAND, GUTTER - 26, 'ink3');
  const top = lane.top + STEPS_ROW;
  const mine = lane.isFolded ? [] : layout.bands.filter((band) => band.column === lane.column);
  for (const band of mine) {
    const width = (band.to - band.from) * pen.unit;
    pen.fill(pen.x(band.from), top + band.depth * BAND, width - 1, BAND - 1, `c${hue}l`);
  }
  // Solid only while this processor runs; runs of steps of one column are one rectangle, so that long traces draw fast.
  for (const run of runsOf(walk, lane.column)) {
    for (const band of mine) {
      const from = Math.max(band.from, run.from);
      const to = Math.min(band.to, run.to);
      if (from < to) pen.fill(pen.x(from), top + band.depth * BAND, (to - from) * pen.unit - 1, BAND - 1, `c${hue}s`);
    }
  }
  for (const band of mine)
    pen.text(band.name, pen.x(band.from) + 3, top + band.depth * BAND + BAND / 2, (band.to - band.from) * pen.unit - 4);
  drawSteps(pen, walk, lane, hue);
}

function drawSteps(pen: Pen, walk: Walk, lane: Lane, hue: string): void {
  const size = Math.max(1, Math.min(10, pen.unit - 1));
  let drawnAt = Number.NEGATIVE_INFINITY;
  walk.trace.steps.forEach((step, i) => {
    if (step.column !== lane.column) return;
    const x = pen.x(i) + (pen.unit - size) / 2;
    if (x - drawnAt < 0.8 && step.violation === null) return;
    drawnAt = x;
    pen.fill(x, lane.top, size, Math.max(size, 8), step.violation ? 'bad' : step.inInterrupt ? 'ipi' : `c${hue}`);
    if (size < 6) return;
    if (step.violation) pen.text('×', x + 1, lane.top + 5, 14, 'panel');
    else if ((walk.states.steps[i]?.changes.length ?? 0) > 0) pen.fill(x + size / 2 - 1.5, lane.top + 3, 3, 3, 'panel');
  });
}

function runsOf(walk: Walk, column: number): { readonly from: number; to: number }[] {
  const runs: { readonly from: number; to: number }[] = [];
  walk.trace.steps.forEach((step, i) => {
    if (step.column !== column) return;
    const last = runs.at(-1);
    if (last?.to === i) last.to = i + 1;
    else runs.push({ from: i, to: i + 1 });
  });
  return runs;
}

function drawArrows(pen: Pen, { arrows, lanes }: Layout): void {
  const topOf = (column: number): number => (lanes.find((lane) => lane.column === column)?.top ?? AXIS) + 5;
  for (const { from, to, source, target } of arrows) {
    if (source < 0 || target < 0) continue;
    const [x1, y1, x2, y2] = [pen.x(from + 0.5), topOf(source), pen.x(to + 0.5), topOf(target)];
    const { context } = pen;
    context.strokeStyle = pen.colour('ipi');
    context.fillStyle = pen.colour('ipi');
    context.beginPath();
    context.moveTo(x1, y1);
    context.bezierCurveTo(x1, y1 + 30, x2, y2 - 30, x2, y2);
    context.stroke();
    context.beginPath();
    const up = y2 > y1 ? -6 : 6;
    context.moveTo(x2, y2);
    context.lineTo(x2 - 3, y2 + up);
    context.lineTo(x2 + 3, y2 + up);
    context.fill();
  }
}

/** Colours of a track, and the direction of its hatch: stale and forbidden are told apart without colour. */
const LOOKS: Readonly<
  Record<Look, { readonly ground: string | null; readonly edge: string; readonly ink: string; readonly hatch: number }>
> = {
  none: { ground: null, edge: 'line2', ink: 'ink3', hatch: 0 },
  plain: { ground: 'sunk', edge: 'line2', ink: 'ink', hatch: 0 },
  stale: { ground: 'stales', edge: 'stale', ink: 'stale', hatch: 1 },
  bad: { ground: 'bads', edge: 'bad', ink: 'bad', hatch: -1 },
  busy: { ground: 'ipis', edge: 'ipi', ink: 'ipi', hatch: 0 },
};

function drawTracks(pen: Pen, { tracks, tracksTop }: Layout): void {
  tracks.forEach((track, row) => {
    const y = tracksTop + row * TRACK;
    pen.text(shortTrackName(track.name), 8, y + TRACK / 2, GUTTER - 12, 'ink2');
    for (const { from, to, text, look } of track.spans) {
      const width = (to - from) * pen.unit;
      if (width <= 0) continue;
      const { ground, edge, ink, hatch } = LOOKS[look];
      if (ground !== null) {
        pen.fill(pen.x(from), y + 1, width - 1, TRACK - 3, ground);
        if (hatch !== 0) pen.hatch(pen.x(from), y + 1, width - 1, TRACK - 3, edge, hatch);
        pen.context.strokeStyle = pen.colour(edge);
        pen.context.strokeRect(pen.x(from) + 0.5, y + 1.5, Math.max(1, width - 2), TRACK - 4);
      }
      // On a hatch, letters need a ground of their own.
      if (hatch !== 0)
        pen.fill(pen.x(from) + 3, y + 2, Math.min(width - 5, pen.widthOf(text) + 3), TRACK - 5, ground ?? 'panel');
      pen.text(text, pen.x(from) + 4, y + TRACK / 2, width - 6, ink);
    }
  });
}

/** Steps with a way out, and the number of states by depth on a logarithmic scale. */
function drawSpace(pen: Pen, { tracksTop, tracks }: Layout, count: number, beyond: Beyond | null): void {
  const top = tracksTop + tracks.length * TRACK;
  pen.text('ways out', 8, top + OUTS / 2, GUTTER - 12, 'ink2');
  pen.text('states by', 8, top + OUTS + 10, GUTTER - 12, 'ink2');
  pen.text('depth, log', 8, top + OUTS + 24, GUTTER - 12, 'ink2');
  if (!beyond) {
    pen.text('searching ...', GUTTER + 6, top + OUTS / 2, 200, 'ink3');
    return;
  }
  beyond.steps.slice(0, count).forEach((ways, i) => {
    if (ways.some(({ distance }) => distance === null))
      pen.fill(pen.x(i) + 1, top + 4, Math.max(2, pen.unit - 2), OUTS - 8, 'ok');
  });
  const bottom = top + OUTS + DEPTHS;
  const peak = Math.log1p(Math.max(1, ...beyond.byDepth.map(({ states }) => states)));
  beyond.byDepth.slice(0, count + 1).forEach(({ states, failing }, depth) => {
    const height = (n: number): number => (DEPTHS * Math.log1p(n)) / peak;
    pen.fill(pen.x(depth), bottom - height(states), pen.unit, height(states), 'freeds');
    pen.fill(pen.x(depth), bottom - height(failing), pen.unit, height(failing), 'bads');
    if (failing > 0) pen.fill(pen.x(depth), bottom - height(failing), pen.unit, 1, 'bad');
  });
  const failing = beyond.byDepth.reduce((sum, level) => sum + level.failing, 0);
  const note = `${beyond.states.toLocaleString('en')} states${beyond.complete ? '' : ' (partial)'}, ${failing.toLocaleString('en')} can fail`;
  pen.text(note, GUTTER + 6, top + OUTS + 9, pen.width - GUTTER - 20, failing > 0 ? 'bad' : 'ok');
}

function drawPlayhead(pen: Pen, now: number, height: number, bad: boolean): void {
  const x = pen.x(now);
  pen.line(x, AXIS, x, height, 'ink');
  pen.fill(x - 16, 2, 32, AXIS - 4, bad ? 'bad' : 'ink');
  pen.text(String(now), x - 12, AXIS / 2, 28, 'panel');
}

/** The step under a point of the canvas. */
export function stepAt(canvas: HTMLCanvasElement, walk: Walk, x: number): number {
  const count = walk.trace.steps.length;
  const unit = (canvas.clientWidth - GUTTER - 12) / Math.max(1, count);
  return Math.round((x - GUTTER) / unit + 0.5);
}
