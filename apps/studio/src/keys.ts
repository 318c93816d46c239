/** The keys of a walk. */
import { FIND } from './panes/Find.tsx';
import { areKeysShown } from './panes/Keys.tsx';
import { magnify } from './panes/view.ts';
import { play } from './play.ts';
import { at, goTo, showWalk, steps, tab, walk } from './store.ts';
import { exploreFromHere, nextSwitch, take } from './walking.ts';
import { isWriting } from './writing.ts';

/** Steps that a page is. */
const PAGE = 10;

/** Does what a key stands for. */
export function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(target)) return;
  if (tab.value !== 'explore' || areKeysShown.value) return;
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
    '/': () => document.getElementById(FIND)?.focus(),
    '?': () => (areKeysShown.value = true),
  };
  // Other panes scroll by these.
  const alongSteps: Record<string, () => void> = {
    ArrowUp: () => goTo(at.value - 1),
    ArrowDown: () => goTo(at.value + 1),
    PageUp: () => goTo(at.value - PAGE),
    PageDown: () => goTo(at.value + PAGE),
  };
  const action =
    actions[event.key] ?? (target.matches('[role=slider], [role=listbox]') ? alongSteps[event.key] : undefined);
  if (!action || (event.key === ' ' && target.tagName === 'BUTTON')) return;
  event.preventDefault();
  action();
}
