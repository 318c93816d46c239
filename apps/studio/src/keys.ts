/** The keys of a walk. */
import { magnify } from './panes/view.ts';
import { play } from './play.ts';
import { at, goTo, showWalk, steps, tab, walk } from './store.ts';
import { exploreFromHere, nextSwitch, take } from './walking.ts';
import { isWriting } from './writing.ts';

/** Does what a key stands for. */
export function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(target) || tab.value !== 'explore') return;
  const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
  if (digit > 0) {
    const choice = walk.value?.states.steps[at.value - 1]?.enabled[digit - 1];
    if (choice) take(choice.entry);
    return;
  }
  const actions: Record<string, () => void> = {
    ArrowLeft: () => goTo(at.value - 1),
    ArrowRight: () => goTo(at.value + 1),
    Home: () => goTo(0),
    End: () => goTo(steps.value),
    n: () => nextSwitch(1),
    N: () => nextSwitch(-1),
    e: () => void exploreFromHere(),
    '+': () => magnify(2),
    '-': () => magnify(0.5),
    Escape: () => void showWalk(null),
    ' ': play,
  };
  const action = actions[event.key];
  if (!action || (event.key === ' ' && target.tagName === 'BUTTON')) return;
  event.preventDefault();
  action();
}
