/** Which steps the timeline shows: all of them, or some, so that a step of a long walk is wide enough to see. */
import { computed, signal } from '@preact/signals';
import { at, steps, walk } from '../store.ts';
import type { View } from './timeline-draw.ts';

/** Fewer steps than this are not magnified. */
const STEPS_MIN = 20;
/** On a phone there is room for so many. */
const PHONE_STEPS = 40;
const phone = matchMedia('(max-width: 800px)');

const chosen = signal<{ readonly of: unknown; readonly view: View | null } | null>(null);

/** The steps on the screen, with the present one among them; null: all. */
export const view = computed((): View | null => {
  const own = chosen.value;
  if (own !== null && own.of === walk.value) return own.view && following(own.view, at.value);
  return phone.matches && steps.value > PHONE_STEPS ? following({ from: 0, to: PHONE_STEPS }, at.value) : null;
});

/** By half a window where the present step has left it, so that the lanes stand still while most steps are taken. */
function following({ from, to }: View, now: number): View {
  if (now >= from && now <= to) return { from, to };
  const half = Math.max(1, (to - from) >> 1);
  const moves = now < from ? -Math.ceil((from - now) / half) : Math.ceil((now - to) / half);
  return clamped(from + moves * half, to - from);
}

function clamped(from: number, length: number): View {
  const start = Math.max(0, Math.min(steps.value - length, from));
  return { from: start, to: start + length };
}

/** Shows fewer steps (2) or more (0.5), about one that stays where it is. */
export function magnify(factor: number, about = at.value): void {
  const { from, to } = view.value ?? { from: 0, to: steps.value };
  const length = Math.round(Math.max(STEPS_MIN, (to - from) / factor));
  if (length >= steps.value) {
    chosen.value = { of: walk.value, view: null };
    return;
  }
  const share = (about - from) / Math.max(1, to - from);
  chosen.value = { of: walk.value, view: clamped(Math.round(about - share * length), length) };
}

/** Shows other steps; the present one goes with them, to the edge at most. Returns where that is. */
export function scrollView(by: number): number {
  const { from, to } = view.value ?? { from: 0, to: steps.value };
  const moved = clamped(from + Math.trunc(by), to - from);
  chosen.value = { of: walk.value, view: moved };
  return Math.max(moved.from, Math.min(moved.to, at.value));
}
