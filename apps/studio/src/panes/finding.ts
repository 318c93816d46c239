/** Steps that a word is found in: in what they do, in the routine that does it, in the words that they change. */
import { computed, signal } from '@preact/signals';
import { positionAt, type Stretch } from '@shootdown/report';
import type { Walk } from '../engine/api.ts';
import { at, goTo, walk } from '../store.ts';

/** What is looked for; empty: nothing. */
export const query = signal('');

const textsByWalk = new WeakMap<Walk, readonly string[]>();

/** Of every step, all that it can be found by. */
function textsOf(shown: Walk): readonly string[] {
  const known = textsByWalk.get(shown);
  if (known) return known;
  const names = new Map(shown.states.words.map(({ address, name }) => [address, name]));
  const texts = shown.trace.steps.map(({ text, facts, stack, violation }, i) => {
    const changed = (shown.states.steps[i]?.changes ?? []).map(({ address }) => names.get(address) ?? '');
    return [text, ...facts, stack.at(-1) ?? '', ...changed, violation?.property ?? ''].join('\n').toLowerCase();
  });
  textsByWalk.set(shown, texts);
  return texts;
}

/** Steps in which it is found, as stretches of one step. */
export const found = computed((): readonly Stretch[] => {
  const wanted = query.value.trim().toLowerCase();
  if (wanted === '' || !walk.value) return [];
  return textsOf(walk.value).flatMap((text, i) => (text.includes(wanted) ? [{ from: i, to: i + 1 }] : []));
});

/** Numbers of those steps. */
export const foundSteps = computed((): ReadonlySet<number> => new Set(found.value.map(({ to }) => to)));

/** Position of the present step among them, from 1 on; 0: it is none of them. */
export const foundNow = computed(() => {
  const position = positionAt(found.value, at.value - 1);
  return found.value[position]?.to === at.value ? position + 1 : 0;
});

/** Goes to the next of them, or the one before; from the last to the first. */
export function goToFound(direction: 1 | -1): void {
  const all = found.value;
  if (all.length === 0) return;
  const before = positionAt(all, at.value - (direction > 0 ? 1 : 2));
  const next = (before + (direction > 0 ? 1 : 0) + all.length) % all.length;
  goTo(all[next]?.to ?? at.value);
}
