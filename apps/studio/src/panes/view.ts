/** Which steps the timeline shows: all of them, or some, so that a step of a long walk is wide enough to see. */
import { computed, signal } from '@preact/signals';
import { at, steps, walk } from '../store.ts';
import type { View } from './timeline-draw.ts';

/** Fewer steps than this are not magnified. */
const STEPS_MIN = 20;
/** On a phone there is room for so many. */
const PHONE_STEPS = 40;
const phone = matchMedia('(max-width: 800px)');

/** Which steps the reader wants to see of a walk. */
interface Chosen {
  readonly of: unknown;
  readonly view: View | null;
  /** The step that was the present one then: as long as it is, the reader may look elsewhere. */
  readonly at: number;
}

const chosen = signal<Chosen | null>(null);
const ON_PHONE: View = { from: 0, to: PHONE_STEPS };

/** The steps on the screen: with the present one among them, unless one has scrolled away from it. Null: all. */
export const view = computed((): View | null => {
  const own = chosen.value;
  if (own !== null && own.of === walk.value)
    return own.view && (own.at === at.value ? own.view : following(own.view, at.value));
  return phone.matches && steps.value > PHONE_STEPS ? following(ON_PHONE, at.value) : null;
});

/** By half a window where the present step has left it, so that the lanes stand still while most steps are taken. */
function following(view: View, now: number): View {
  const { from, to } = view;
  if (now >= from && now <= to) return view;
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
    chosen.value = { of: walk.value, view: null, at: at.value };
    return;
  }
  const share = (about - from) / Math.max(1, to - from);
  chosen.value = { of: walk.value, view: clamped(Math.round(about - share * length), length), at: at.value };
}

/** Parts of a step that were scrolled and not shown yet. */
let rest = 0;

/** Shows other steps; the present one stays what it is. */
export function scrollView(by: number): void {
  const { from, to } = view.value ?? { from: 0, to: steps.value };
  const whole = Math.trunc(rest + by);
  rest += by - whole;
  if (whole !== 0) chosen.value = { of: walk.value, view: clamped(from + whole, to - from), at: at.value };
}
