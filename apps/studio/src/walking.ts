/** Going on from a walk: to other steps, by other choices, with notes. Loaded with the panes of a walk. */
import { background } from './engine/client.ts';
import {
  at,
  branches,
  goTo,
  notes,
  pushAddress,
  replaceAddress,
  request,
  said,
  showWalk,
  steps,
  trouble,
  walk,
} from './store.ts';

/** The next step (or the one before) at which another processor runs. */
export function nextSwitch(direction: 1 | -1): void {
  const all = walk.value?.trace.steps ?? [];
  const columnOf = (step: number): number | undefined => all[step - 1]?.column;
  for (let i = at.value + direction; i >= 1 && i <= all.length; i += direction) {
    if (columnOf(i) !== columnOf(i - direction) && columnOf(i) !== columnOf(at.value)) return goTo(i);
  }
  goTo(direction > 0 ? steps.value : 0);
}

/** Branches that are kept: the last ones. */
const BRANCHES_MAX = 8;

/** Keeps a walk that was taken by hand; one that goes on from the last branch takes its place. */
function remember(schedule: readonly number[]): void {
  const known = branches.value.filter((branch) => branch.some((entry, i) => entry !== schedule[i]));
  branches.value = [...known, schedule].slice(-BRANCHES_MAX);
}

/** Shows one of the branches. */
export function openBranch(schedule: readonly number[]): void {
  pushAddress(schedule, schedule.length);
  void showWalk(schedule, schedule.length);
}

/** Says something of the present step; nothing takes the note away. */
export function note(text: string): void {
  const { [at.value]: _, ...others } = notes.value;
  notes.value = text.trim() === '' ? others : { ...others, [at.value]: text.trim() };
  replaceAddress();
}

/** Makes another choice in place of the present step, and shows the walk that ends there. */
export function take(entry: number): void {
  const prefix = walk.value?.schedule.slice(0, Math.max(0, at.value - 1)) ?? [];
  remember([...prefix, entry]);
  pushAddress([...prefix, entry], prefix.length + 1);
  void showWalk([...prefix, entry], prefix.length + 1);
}

/** From the present step on to the nearest problem. */
export async function exploreFromHere(): Promise<void> {
  const wanted = request.value;
  const prefix = walk.value?.schedule.slice(0, at.value) ?? [];
  if (!wanted) return;
  try {
    const further = await background.onwards(wanted, prefix);
    if (further === null) trouble.value = `From step ${prefix.length} no problem can be reached any more.`;
    else {
      remember(further.schedule);
      pushAddress(further.schedule, prefix.length);
      await showWalk(further.schedule, prefix.length);
    }
  } catch (error) {
    trouble.value = said(error);
  }
}
