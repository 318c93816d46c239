/** What else could have happened in place of the present step, and whether the bug lies beyond it. */
import { computed } from '@preact/signals';
import type { EnabledChoice } from '@shootdown/machine';
import type { WayOut } from '@shootdown/explorer';
import { positionAt } from '@shootdown/report';
import { at, beyond, isOwnWalk, showWalk, walk, branches } from '../store.ts';
import { exploreFromHere, take, openBranch } from '../walking.ts';
import type { Walk } from '../engine/api.ts';
import { hueOf } from './hue.ts';
import { mostOf } from './steady.ts';
import { waysOut } from './timeline-layout.ts';

const SHOWN_MAX = 9;
const shownSchedule = computed(() => walk.value?.schedule.join());
const mostChoices = mostOf<Walk>(({ states: { steps, enabledAtEnd } }) =>
  [...steps.map(({ enabled }) => enabled), enabledAtEnd].map(({ length }) => length),
);

export function WhatIf() {
  const shown = walk.value;
  const number = Math.max(1, at.value);
  const atEnd = at.value === 0;
  const enabled = shown?.states.steps[number - 1]?.enabled ?? shown?.states.enabledAtEnd ?? [];
  const ways = beyond.value?.steps[number - 1] ?? null;
  const taken = shown?.schedule[number - 1];
  return (
    <section
      class="panel whatif"
      aria-label="what if"
      style={{ '--rows': String(Math.min(SHOWN_MAX, shown ? mostChoices(shown) : 0)) }}
    >
      <div class="ph">
        <h2>What if</h2>
        <span class="n">{atEnd ? 'what could run first' : `what could run in place of step ${at.value}`}</span>
      </div>
      {enabled.slice(0, SHOWN_MAX).map((choice, i) => (
        <Choice
          key={choice.entry}
          number={i + 1}
          choice={choice}
          name={shown?.trace.columns[choice.column]?.name ?? '·'}
          way={ways?.find(({ entry }) => entry === choice.entry)}
          taken={choice.entry === taken && !atEnd}
        />
      ))}
      <div class="wi foot">
        <span class="ink2" data-testid="ways-out">
          {summary()}
        </span>
        {isOwnWalk.value && (
          <button class="btn" onClick={() => void showWalk(null)}>
            Back <kbd>Esc</kbd>
          </button>
        )}
        {branches.value.map((branch, i) => (
          <button
            class="btn"
            key={branch.join()}
            aria-label={`branch ${i + 1}, ${branch.length} steps`}
            aria-pressed={branch.join() === shownSchedule.value}
            onClick={() => openBranch(branch)}
          >
            b{i + 1}
          </button>
        ))}
        <button class="btn" onClick={() => void exploreFromHere()}>
          Explore from here <kbd>e</kbd>
        </button>
      </div>
    </section>
  );
}

/** Steps at which another choice would have made the bug unreachable. */
function summary(): string {
  const around = beyond.value;
  if (!around) return 'Searching what lies beyond ...';
  const steps = around.steps.length - 1;
  const out = positionAt(waysOut(around), steps - 1) + 1;
  if (!around.complete)
    return `Partial: ${around.states.toLocaleString('en')} states seen; distances are upper bounds.`;
  if (around.byDepth.every(({ failing }) => failing === 0)) return 'No state of this system can reach a problem.';
  return out === 0 ? `No way out at any of the ${steps} steps` : `A way out at ${out} of ${steps} steps`;
}

interface ChoiceProps {
  readonly number: number;
  readonly choice: EnabledChoice;
  readonly name: string;
  readonly way: WayOut | undefined;
  readonly taken: boolean;
}

function Choice({ number, choice, name, way, taken }: ChoiceProps) {
  return (
    <div class={taken ? 'wi taken' : 'wi'}>
      <kbd>{number}</kbd>
      <b class={`t${hueOf(choice.column)}`}>{name}</b>
      <span class="m" title={choice.text}>
        {choice.text}
      </span>
      <Beyond choice={choice} way={way} />
      {taken ? (
        <span class="dim">taken</span>
      ) : (
        <button class="btn" onClick={() => take(choice.entry)} aria-label={`take ${name} ${choice.text}`}>
          take
        </button>
      )}
    </div>
  );
}

function Beyond({ choice, way }: { readonly choice: EnabledChoice; readonly way: WayOut | undefined }) {
  if (choice.violates) return <span class="out bad">× violates here</span>;
  if (way === undefined || way.distance === undefined) return <span class="out dim">…</span>;
  if (way.distance === null) return <span class="out ok">✓ no bug beyond</span>;
  return (
    <span class="out bad">
      × <small>bug in {way.distance - 1} more</small>
    </span>
  );
}
