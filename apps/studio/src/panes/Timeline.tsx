/**
 * One axis, the steps: who runs, in which routine, which messages travel, what a few words hold, how big the space is.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Walk } from '../engine/api.ts';
import { at, beyond, goTo, steps, walk } from '../store.ts';
import { nextSwitch } from '../walking.ts';
import { play } from '../play.ts';
import { draw, stepAt, windowOf } from './timeline-draw.ts';
import { GUTTER, layoutOf } from './timeline-layout.ts';
import { magnify, scrollView, view } from './view.ts';

/** Steps of a wheel are about so many pixels; a notch doubles or halves what is shown. */
const WHEEL_NOTCH = 100;

export function Timeline() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [painted, paintAgain] = useState(0);
  const shown = walk.value as Walk;
  const now = at.value;
  const around = beyond.value;
  const range = view.value;
  useEffect(() => {
    const measured = (): void => setWidth(canvas.current?.clientWidth ?? 0);
    const themed = (): void => paintAgain((count) => count + 1);
    measured();
    const sizes = new ResizeObserver(measured);
    if (canvas.current) sizes.observe(canvas.current);
    addEventListener('studio:theme', themed);
    return () => {
      sizes.disconnect();
      removeEventListener('studio:theme', themed);
    };
  }, []);
  // Not at every step: what moves then is the playhead, which lies above.
  useEffect(() => {
    if (!canvas.current || width === 0) return;
    canvas.current.dataset['items'] = String(draw(canvas.current, width, shown, range, around));
  }, [shown, around, width, painted, range?.from, range?.to]);
  const window = windowOf(shown, range, width);
  const point = (event: PointerEvent): void => {
    if (event.buttons === 1) goTo(stepAt(window, event.offsetX));
  };
  const turn = (event: WheelEvent): void => {
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (!event.ctrlKey && !event.metaKey && (sideways === 0 || range === null)) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) magnify(2 ** (-event.deltaY / WHEEL_NOTCH), stepAt(window, event.offsetX));
    else goTo(scrollView(sideways / window.pixelsPerStep));
  };
  const step = shown.trace.steps[now - 1];
  return (
    <section class="panel tl" aria-label="timeline">
      <div class="trans">
        <button class="btn" aria-label="first step" onClick={() => goTo(0)}>
          |◀
        </button>
        <button class="btn" aria-label="step back" onClick={() => goTo(now - 1)}>
          ◀
        </button>
        <span class="stepno" data-testid="step">
          {now} / {steps.value}
        </span>
        <button class="btn" aria-label="step forward" onClick={() => goTo(now + 1)}>
          ▶
        </button>
        <button class="btn" aria-label="last step" onClick={() => goTo(steps.value)}>
          ▶|
        </button>
        <button
          class="btn"
          aria-label="show more steps"
          aria-keyshortcuts="-"
          disabled={range === null}
          onClick={() => magnify(0.5)}
        >
          −
        </button>
        <button class="btn" aria-label="show fewer steps" aria-keyshortcuts="+" onClick={() => magnify(2)}>
          +
        </button>
        <button class="btn hide" onClick={play}>
          Play <kbd>space</kbd>
        </button>
        <button class="btn hide" onClick={() => nextSwitch(1)}>
          Next switch <kbd>n</kbd>
        </button>
        <span class="now m">
          {step && (
            <>
              <b>{shown.trace.columns[step.column]?.name ?? ''}</b> {step.stack.at(-1) ?? ''} ›{' '}
              <span class={step.violation ? 'x' : ''}>{step.text}</span>
            </>
          )}
        </span>
      </div>
      <div
        class="canvas"
        role="slider"
        tabIndex={0}
        aria-label="step"
        aria-valuemin={0}
        aria-valuemax={steps.value}
        aria-valuenow={now}
        aria-valuetext={step ? `step ${now}: ${step.text}` : 'before the first step'}
      >
        <canvas
          ref={canvas}
          style={{ height: `${layoutOf(shown).height}px` }}
          onPointerDown={point}
          onPointerMove={point}
          onWheel={turn}
        />
        <div
          class={step?.violation ? 'playhead bad' : 'playhead'}
          style={{ transform: `translateX(${GUTTER + (now - window.from) * window.pixelsPerStep}px)` }}
        >
          <b>{now}</b>
        </div>
      </div>
      <p class="lg leg">
        <span>
          <i class="mark run" /> runs, paler while others run
        </span>
        <span>
          <i class="mark write" /> writes shared memory
        </span>
        <span class="ip">→ message</span>
        <span>
          <i class="mark stale" /> stale
        </span>
        <span>
          <i class="mark flushed" /> stale after its flush
        </span>
        <span>
          <i class="mark fail" /> bug reachable
        </span>
      </p>
    </section>
  );
}
