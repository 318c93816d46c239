/**
 * One axis, the steps: who runs, in which routine, which messages travel, what a few words hold, how big the space is.
 * While one steps only the playhead moves, and while one scrolls only the canvas is drawn.
 */
import { effect, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Walk } from '../engine/api.ts';
import { at, beyond, goTo, steps, walk } from '../store.ts';
import { nextSwitch } from '../walking.ts';
import { play } from '../play.ts';
import { Find } from './Find.tsx';
import { found } from './finding.ts';
import { areKeysShown } from './Keys.tsx';
import { draw, forgetColours, stepAt, windowOf } from './timeline-draw.ts';
import { GUTTER, layoutOf, waitEndedBefore } from './timeline-layout.ts';
import { magnify, scrollView, view } from './view.ts';

/** Steps of a wheel are about so many pixels; a notch doubles or halves what is shown. */
const WHEEL_NOTCH = 100;

const width = signal(0);
/** Counts changes of the theme. */
const painted = signal(0);

addEventListener('studio:theme', () => {
  forgetColours();
  painted.value++;
});

/** Draws the timeline once a frame at most, whatever has changed in it. Returns what ends that. */
function keepDrawn(canvas: HTMLCanvasElement): () => void {
  let frame = 0;
  const paint = (): void => {
    frame = 0;
    if (walk.value && width.value > 0)
      canvas.dataset['items'] = String(draw(canvas, width.value, walk.value, view.value, beyond.value, found.value));
  };
  const stop = effect(() => {
    for (const reason of [width, painted, walk, view, beyond, found]) void reason.value;
    frame ||= requestAnimationFrame(paint);
  });
  const sizes = new ResizeObserver(([entry]) => (width.value = entry?.contentRect.width ?? 0));
  sizes.observe(canvas);
  return () => {
    stop();
    sizes.disconnect();
    cancelAnimationFrame(frame);
  };
}

function turn(event: WheelEvent): void {
  const sideways = event.shiftKey ? event.deltaY : event.deltaX;
  if (!event.ctrlKey && !event.metaKey && (sideways === 0 || view.value === null)) return;
  event.preventDefault();
  const window = windowOf(walk.value as Walk, view.value, width.value);
  if (event.ctrlKey || event.metaKey) magnify(2 ** (-event.deltaY / WHEEL_NOTCH), stepAt(window, event.offsetX));
  else scrollView(sideways / window.pixelsPerStep);
}

function point({ buttons, offsetX }: PointerEvent): void {
  if (buttons === 1) goTo(stepAt(windowOf(walk.value as Walk, view.value, width.value), offsetX));
}

export function Timeline() {
  return (
    <section class="panel tl" aria-label="timeline">
      <Transport />
      <Axis />
      <p class="lg leg">
        <span>
          <i class="mark run" /> runs, paler while others run
        </span>
        <span>
          <i class="mark write" /> writes shared memory
        </span>
        <span class="ip">→ message</span>
        <span>⇢ wait ends</span>
        <span>
          <i class="mark stale" /> stale
        </span>
        <span>
          <i class="mark flushed" /> stale after its flush
        </span>
        <span>
          <i class="mark freed" /> freed
        </span>
        <span>
          <i class="mark fail" /> bug reachable
        </span>
      </p>
    </section>
  );
}

function Transport() {
  return (
    <div class="trans">
      <button class="btn" aria-label="first step" onClick={() => goTo(0)}>
        |◀
      </button>
      <button class="btn" aria-label="step back" onClick={() => goTo(at.value - 1)}>
        ◀
      </button>
      <span class="stepno" data-testid="step">
        {at} / {steps}
      </span>
      <button class="btn" aria-label="step forward" onClick={() => goTo(at.value + 1)}>
        ▶
      </button>
      <button class="btn" aria-label="last step" onClick={() => goTo(steps.value)}>
        ▶|
      </button>
      <Magnifiers />
      <button class="btn hide" onClick={play}>
        Play <kbd>space</kbd>
      </button>
      <button class="btn hide" onClick={() => nextSwitch(1)}>
        Next switch <kbd>n</kbd>
      </button>
      <Now />
      <Find />
      <button class="btn" aria-label="list of keys" aria-keyshortcuts="?" onClick={() => (areKeysShown.value = true)}>
        ?
      </button>
    </div>
  );
}

function Magnifiers() {
  const isWhole = view.value === null;
  return (
    <>
      <button
        class="btn"
        aria-label="show more steps"
        aria-keyshortcuts="-"
        disabled={isWhole}
        onClick={() => magnify(0.5)}
      >
        −
      </button>
      <button class="btn" aria-label="show fewer steps" aria-keyshortcuts="+" onClick={() => magnify(2)}>
        +
      </button>
    </>
  );
}

/** Whom a step has waited for, in words; empty: nobody. */
function waitOf(now: number): string {
  const shown = walk.value;
  const wait = shown && waitEndedBefore(shown, now);
  return wait
    ? `waited since ${wait.since} for ${shown.trace.columns[wait.byColumn]?.name ?? ''} at ${wait.endedAt}`
    : '';
}

/** What the present step is. */
function Now() {
  const trace = walk.value?.trace;
  const step = trace?.steps[at.value - 1];
  const waited = waitOf(at.value);
  return (
    <span class="now m">
      {step && (
        <>
          <b>{trace?.columns[step.column]?.name ?? ''}</b> {step.stack.at(-1) ?? ''} ›{' '}
          <span class={step.violation ? 'x' : ''}>{step.text}</span>
          {waited !== '' && <span class="ink2"> · {waited}</span>}
        </>
      )}
    </span>
  );
}

function Axis() {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => (canvas.current ? keepDrawn(canvas.current) : undefined), []);
  return (
    <Slider>
      <canvas
        ref={canvas}
        style={{ height: `${walk.value ? layoutOf(walk.value).height : 0}px` }}
        onPointerDown={point}
        onPointerMove={point}
        onWheel={turn}
      />
      <Playhead />
    </Slider>
  );
}

function Slider({ children }: { readonly children: ComponentChildren }) {
  const now = at.value;
  const step = walk.value?.trace.steps[now - 1];
  const said = [step?.text, waitOf(now)].filter(Boolean).join(', ');
  return (
    <div
      class="canvas"
      role="slider"
      tabIndex={0}
      aria-label="step"
      aria-valuemin={0}
      aria-valuemax={steps.value}
      aria-valuenow={now}
      aria-valuetext={step ? `step ${now}: ${said}` : 'before the first step'}
    >
      {children}
    </div>
  );
}

function Playhead() {
  const now = at.value;
  const shown = walk.value;
  if (!shown) return null;
  const window = windowOf(shown, view.value, width.value);
  // One has scrolled away from it.
  if (now < window.from || now > window.to) return null;
  return (
    <div
      class={shown.trace.steps[now - 1]?.violation ? 'playhead bad' : 'playhead'}
      style={{ transform: `translateX(${GUTTER + (now - window.from) * window.pixelsPerStep}px)` }}
    >
      <b>{now}</b>
    </div>
  );
}
