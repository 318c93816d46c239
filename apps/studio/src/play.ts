/** Playing a walk: a step every so often. */
import { signal } from '@preact/signals';
import { at, goTo, steps } from './store.ts';

const playing = signal<ReturnType<typeof setInterval> | null>(null);
const PLAY_MS = 180;

/** Plays the walk from the present step, or stops it. */
export function play(): void {
  if (playing.value !== null) {
    clearInterval(playing.value);
    playing.value = null;
    return;
  }
  if (at.value >= steps.value) goTo(0);
  playing.value = setInterval(() => {
    goTo(at.value + 1);
    if (at.value >= steps.value) play();
  }, PLAY_MS);
}
