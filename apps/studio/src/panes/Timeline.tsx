/**
 * One axis, the steps: who runs, in which routine, which messages travel, what a few words hold, how big the space is.
 */
import { useEffect, useRef } from 'preact/hooks';
import type { Walk } from '../engine/api.ts';
import { at, beyond, goTo, nextSwitch, steps, walk } from '../store.ts';
import { play } from '../play.ts';
import { draw, layoutOf, stepAt } from './timeline-draw.ts';

export function Timeline() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = walk.value as Walk;
  const now = at.value;
  const around = beyond.value;
  useEffect(() => {
    const paint = (): void => {
      if (canvas.current) draw(canvas.current, shown, now, around);
    };
    paint();
    addEventListener('resize', paint);
    addEventListener('studio:theme', paint);
    return () => {
      removeEventListener('resize', paint);
      removeEventListener('studio:theme', paint);
    };
  }, [shown, now, around]);
  const point = (event: PointerEvent): void => {
    if (event.buttons !== 1 || !canvas.current) return;
    goTo(stepAt(canvas.current, shown, event.offsetX));
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
        />
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
          <i class="mark fail" /> bug reachable
        </span>
      </p>
    </section>
  );
}
