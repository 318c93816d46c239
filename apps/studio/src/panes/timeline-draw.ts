/** Drawing the timeline on a canvas: lanes with call-stack bands, message arrows, tracks of words, states by depth. */
import { positionAt, type Stretch } from '@shootdown/report';
import type { Beyond, Walk } from '../engine/api.ts';
import { hueOf } from './hue.ts';
import {
  AXIS,
  BAND,
  DEPTHS,
  GUTTER,
  layoutOf,
  MARGIN,
  OUTS,
  STEPS_ROW,
  TRACK,
  waysOut,
  type Lane,
  type Layout,
} from './timeline-layout.ts';
import { endOfName, shortTrackName, type Look } from './tracks.ts';
import { visible, type Window } from './visible.ts';

/** Arrows are drawn up to so many on the screen; beyond that they would be a carpet. */
const ARROWS_MAX = 500;
const ARROW = 1.5;
const DASHES = [3, 3];
/** Pixels between the lines of a hatch. */
const HATCH = 6;
/** Marks below the axis at steps in which a word is found. */
const FOUND_HEIGHT = 5;
/** Letters of a track's name. */
const NAME_LETTERS = 15;
/** A mark narrower than this has no room for what it says. */
const MARK_LEGIBLE = 6;
/** Fewer letters of a longer word say nothing. */
const LETTERS_MIN = 2;
const FONT = '12px "JetBrains Mono", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** Colours by their names, as the theme has them; asking the page for one costs more than a mark. */
const colours = new Map<string, string>();
/** Hatches by colour and direction. */
const hatches = new Map<string, CanvasPattern | null>();
/** Width of a letter: all are of one width. */
let letterWidth = 0;

/** The theme is another one. */
export function forgetColours(): void {
  colours.clear();
  hatches.clear();
}

/** A canvas for one drawing. `items`: what has been drawn. */
class Pen implements Window {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly from: number;
  readonly to: number;
  readonly pixelsPerStep: number;
  items = 0;
  #inked = '';
  readonly #ratio: number;

  constructor(canvas: HTMLCanvasElement, height: number, width: number, { from, to, pixelsPerStep }: Window) {
    const ratio = devicePixelRatio || 1;
    this.width = width;
    this.from = from;
    this.to = to;
    this.pixelsPerStep = pixelsPerStep;
    this.#ratio = ratio;
    // Drawn by this thread: thousands of small things in another place every frame are no work for a graphics card.
    this.context = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
    const [pixelsWide, pixelsHigh] = [Math.round(width * ratio), Math.round(height * ratio)];
    // A new size is a new canvas: only if it is one.
    if (canvas.width !== pixelsWide || canvas.height !== pixelsHigh) {
      canvas.width = pixelsWide;
      canvas.height = pixelsHigh;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = FONT;
    this.context.textBaseline = 'middle';
    if (letterWidth === 0) letterWidth = this.context.measureText('m').width;
  }

  colour(name: string): string {
    let colour = colours.get(name);
    if (colour === undefined) {
      colour = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
      colours.set(name, colour);
    }
    return colour;
  }

  x(step: number): number {
    return GUTTER + (step - this.from) * this.pixelsPerStep;
  }

  /** Left edge and width of what is on the screen of a stretch. */
  span(from: number, to: number): readonly [x: number, width: number] {
    const x = Math.max(GUTTER, this.x(from));
    return [x, Math.min(this.width - MARGIN, this.x(to)) - x];
  }

  fill(x: number, y: number, width: number, height: number, colour: string): void {
    this.items++;
    this.#ink(colour);
    this.context.fillRect(x, y, Math.max(width, 1), height);
  }

  /** As many of its letters as there is room for: all are of one width, and clipping costs far more. */
  text(text: string, x: number, y: number, room: number, colour = 'ink'): void {
    const letters = Math.floor(room / letterWidth);
    if (text === '' || letters < Math.min(text.length, LETTERS_MIN)) return;
    this.items++;
    this.#ink(colour);
    this.context.fillText(text.length > letters ? `${text.slice(0, letters - 1)}…` : text, x, y);
  }

  /** The same in bold. */
  strong(text: string, x: number, y: number, room: number): void {
    this.context.font = `bold ${FONT}`;
    this.text(text, x, y, room);
    this.context.font = FONT;
  }

  #ink(colour: string): void {
    if (this.#inked === colour) return;
    this.#inked = colour;
    this.context.fillStyle = this.colour(colour);
  }

  widthOf(text: string): number {
    return text.length * letterWidth;
  }

  /** A rectangle with an edge. */
  box(x: number, y: number, width: number, height: number, ground: string, edge: string): void {
    this.fill(x, y, width, height, edge);
    if (width > 2) this.fill(x + 1, y + 1, width - 2, height - 2, ground);
  }

  /** Thin lines that fall (1) or rise (-1). */
  hatch(x: number, y: number, width: number, height: number, colour: string, direction: number): void {
    const key = `${colour} ${direction} ${this.#ratio}`;
    let pattern = hatches.get(key);
    if (pattern === undefined) hatches.set(key, (pattern = this.#hatchOf(colour, direction)));
    if (pattern === null) return;
    this.items++;
    this.#inked = '';
    this.context.fillStyle = pattern;
    this.context.fillRect(x, y, width, height);
  }

  #hatchOf(colour: string, direction: number): CanvasPattern | null {
    const size = HATCH * this.#ratio;
    const tile = new OffscreenCanvas(size, size);
    const context = tile.getContext('2d') as OffscreenCanvasRenderingContext2D;
    context.globalAlpha = 0.4;
    context.strokeStyle = this.colour(colour);
    context.lineWidth = this.#ratio;
    // Its neighbours' lines come in at two corners.
    for (const shift of [-size, 0, size]) {
      context.moveTo(shift - size, direction > 0 ? -size : 2 * size);
      context.lineTo(shift + 2 * size, direction > 0 ? 2 * size : -size);
    }
    context.stroke();
    const pattern = this.context.createPattern(tile, 'repeat');
    pattern?.setTransform(new DOMMatrix().scale(1 / this.#ratio));
    return pattern;
  }

  line(x1: number, y1: number, x2: number, y2: number, colour: string): void {
    this.items++;
    this.context.strokeStyle = this.colour(colour);
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }
}

/** What of a walk is on a screen of some width. */
export function windowOf(walk: Walk, view: View | null, width: number): Window {
  const { from, to } = view ?? { from: 0, to: Math.max(1, walk.trace.steps.length) };
  return { from, to, pixelsPerStep: Math.max(1, width - GUTTER - MARGIN) / (to - from) };
}

/** Steps that the timeline shows; null: all of them. */
export interface View {
  readonly from: number;
  readonly to: number;
}

/** Draws everything but the playhead, which moves by itself; returns how many things that were. */
export function draw(
  canvas: HTMLCanvasElement,
  width: number,
  walk: Walk,
  view: View | null,
  beyond: Beyond | null,
  found: readonly Stretch[] = [],
): number {
  const layout = layoutOf(walk);
  const pen = new Pen(canvas, layout.height, width, windowOf(walk, view, width));
  drawAxis(pen, layout.height);
  for (const { from } of visible(found, pen))
    pen.fill(pen.x(from), AXIS - FOUND_HEIGHT, Math.max(2, pen.pixelsPerStep - 2), FOUND_HEIGHT, 'chg');
  for (const lane of layout.lanes) drawLane(pen, walk, lane);
  drawArrows(pen, layout);
  drawTracks(pen, layout);
  drawSpace(pen, layout, beyond);
  return pen.items;
}

function drawAxis(pen: Pen, height: number): void {
  const rough = Math.max(1, (pen.to - pen.from) / 9);
  const base = 10 ** Math.floor(Math.log10(rough));
  const tick = [1, 2, 5, 10].map((factor) => factor * base).find((size) => size >= rough) ?? rough;
  pen.text('step', GUTTER - 40, AXIS / 2, 40, 'ink3');
  for (let step = tick * Math.max(1, Math.ceil(pen.from / tick)); step <= pen.to; step += tick) {
    pen.line(pen.x(step), AXIS, pen.x(step), height, 'line');
    pen.text(String(step), pen.x(step) - 8, AXIS / 2, 60, 'ink3');
  }
}

function drawLane(pen: Pen, walk: Walk, lane: Lane): void {
  const hue = hueOf(lane.column);
  const column = walk.trace.columns[lane.column];
  pen.line(0, lane.top - 3, pen.width, lane.top - 3, 'line');
  pen.fill(8, lane.top + 3, 9, 9, `c${hue}`);
  pen.strong(column?.name ?? '', 22, lane.top + 8, GUTTER - 26);
  if (!lane.isFolded) pen.text(`${column?.routine ?? ''}()`, 22, lane.top + 8 + BAND, GUTTER - 26, 'ink3');
  lane.bands.forEach((bands, level) => {
    const y = lane.top + STEPS_ROW + level * BAND;
    const fill = (from: number, to: number, colour: string): void => {
      const [x, width] = pen.span(from, to);
      pen.fill(x, y, width - 1, BAND - 1, colour);
    };
    for (const { from, to } of visible(bands, pen)) fill(from, to, `c${hue}l`);
    // Solid only while this processor runs.
    for (const { from, to } of visible(lane.running[level] ?? [], pen)) fill(from, to, `c${hue}s`);
    for (const { from, to, name } of visible(bands, pen)) {
      const [x, width] = pen.span(from, to);
      pen.text(name, x + 3, y + BAND / 2, width - 4);
    }
  });
  drawMarks(pen, lane, hue);
}

const MARK_COLOURS = { violation: 'bad', interrupt: 'ipi' } as const;

function drawMarks(pen: Pen, lane: Lane, hue: string): void {
  const size = Math.max(1, Math.min(10, pen.pixelsPerStep - 1));
  for (const marks of [lane.marks, lane.violations])
    for (const { from, kind, writes } of visible(marks, pen)) {
      const x = pen.x(from) + Math.max(0, pen.pixelsPerStep - size) / 2;
      pen.fill(x, lane.top, size, Math.max(size, 8), kind === 'step' ? `c${hue}` : MARK_COLOURS[kind]);
      if (size < MARK_LEGIBLE) continue;
      if (kind === 'violation') pen.text('×', x + 1, lane.top + 5, 14, 'panel');
      else if (writes) pen.fill(x + size / 2 - 1.5, lane.top + 3, 3, 3, 'panel');
    }
}

function drawArrows(pen: Pen, { arrows, lanes }: Layout): void {
  const topOf = (column: number): number => (lanes.find((lane) => lane.column === column)?.top ?? AXIS) + 5;
  const last = positionAt(arrows, pen.to);
  const shown = arrows.slice(Math.max(0, last - ARROWS_MAX), last + 1).filter(({ to }) => to >= pen.from);
  if (shown.length > ARROWS_MAX) return;
  const { context } = pen;
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, pen.width - GUTTER, context.canvas.height);
  context.clip();
  context.lineWidth = ARROW;
  for (const { kind, from, to, source, target } of shown) {
    pen.items++;
    const isWait = kind === 'wait';
    context.strokeStyle = context.fillStyle = pen.colour(isWait ? 'ink2' : 'ipi');
    context.setLineDash(isWait ? DASHES : []);
    const [x1, y1, x2, y2] = [pen.x(from + 0.5), topOf(source), pen.x(to + 0.5), topOf(target)];
    context.beginPath();
    context.moveTo(x1, y1);
    const bend = y2 > y1 ? 30 : -30;
    context.bezierCurveTo(x1, y1 + bend, x2, y2 - bend, x2, y2);
    context.stroke();
    context.beginPath();
    const up = y2 > y1 ? -6 : 6;
    context.setLineDash([]);
    context.moveTo(x2, y2);
    context.lineTo(x2 - 3, y2 + up);
    context.lineTo(x2 + 3, y2 + up);
    context.fill();
  }
  context.restore();
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
  freed: { ground: 'freeds', edge: 'freed', ink: 'freed', hatch: -1 },
};

function drawTracks(pen: Pen, { tracks, tracksTop }: Layout): void {
  pen.line(0, tracksTop - 3, pen.width, tracksTop - 3, 'line');
  tracks.forEach((track, row) => {
    const y = tracksTop + row * TRACK;
    pen.text(endOfName(shortTrackName(track.name), NAME_LETTERS), 8, y + TRACK / 2, GUTTER - 8, 'ink2');
    for (const { from, to, text, look } of [...visible(track.spans, pen), ...visible(track.alarms, pen)]) {
      const [x, width] = pen.span(from, to);
      if (width <= 0) continue;
      const { ground, edge, ink, hatch } = LOOKS[look];
      if (ground !== null) {
        pen.box(x, y + 1, width - 1, TRACK - 3, ground, edge);
        if (hatch !== 0) pen.hatch(x, y + 1, width - 1, TRACK - 3, edge, hatch);
      }
      // On a hatch, letters need a ground of their own.
      if (hatch !== 0 && width > 5)
        pen.fill(x + 3, y + 2, Math.min(width - 5, pen.widthOf(text) + 3), TRACK - 5, ground ?? 'panel');
      pen.text(text, x + 4, y + TRACK / 2, width - 6, ink);
    }
  });
}

/** Steps with a way out, and the number of states by depth on a logarithmic scale. */
function drawSpace(pen: Pen, { tracksTop, tracks }: Layout, beyond: Beyond | null): void {
  const top = tracksTop + tracks.length * TRACK;
  for (const y of [top, top + OUTS]) pen.line(0, y + 0.5, pen.width, y + 0.5, 'line');
  pen.text('ways out', 8, top + OUTS / 2, GUTTER - 12, 'ink2');
  pen.text('states by', 8, top + OUTS + 10, GUTTER - 12, 'ink2');
  pen.text('depth, log', 8, top + OUTS + 24, GUTTER - 12, 'ink2');
  if (beyond && !beyond.complete && waysOut(beyond).length === 0)
    pen.text('partial: none is known', GUTTER + 6, top + OUTS / 2, 240, 'ink3');
  if (!beyond) {
    pen.text('searching ...', GUTTER + 6, top + OUTS / 2, 200, 'ink3');
    return;
  }
  for (const { from } of visible(waysOut(beyond), pen))
    pen.fill(pen.x(from) + 1, top + 4, Math.max(2, pen.pixelsPerStep - 2), OUTS - 8, 'ok');
  const bottom = top + OUTS + DEPTHS;
  const peak = Math.log1p(beyond.byDepth.reduce((most, { states }) => Math.max(most, states), 1));
  const height = (n: number): number => (DEPTHS * Math.log1p(n)) / peak;
  const stepsPerPixel = Math.max(1, Math.round(1 / pen.pixelsPerStep));
  for (let depth = pen.from; depth <= pen.to; depth += stepsPerPixel) {
    const { states, failing } = beyond.byDepth[depth] ?? { states: 0, failing: 0 };
    if (states === 0) continue;
    const [x, width] = pen.span(depth, depth + stepsPerPixel);
    pen.fill(x, bottom - height(states), width, height(states), 'freeds');
    if (failing === 0) continue;
    pen.fill(x, bottom - height(failing), width, height(failing), 'bads');
    pen.fill(x, bottom - height(failing), width, 1, 'bad');
  }
  const failing = beyond.byDepth.reduce((sum, level) => sum + level.failing, 0);
  const note = `${beyond.states.toLocaleString('en')} states${beyond.complete ? '' : ' (partial)'}, ${failing.toLocaleString('en')} can fail`;
  pen.text(note, GUTTER + 6, top + OUTS + 9, pen.width - GUTTER - 20, failing > 0 ? 'bad' : 'ok');
}

/** The number of steps up to a point of the canvas. */
export function stepAt({ from, pixelsPerStep }: Window, x: number): number {
  return Math.round(from + (x - GUTTER) / pixelsPerStep + 0.5);
}
