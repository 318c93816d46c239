/**
 * The shared state after the present step: page tables, TLBs, locks and words, actors; what the step changed is marked.
 */
import { at, walk } from '../store.ts';
import type { Walk } from '../engine/api.ts';
import { actorsAfter, stateAfter, type ShownWord } from './shown-state.ts';

const GROUPS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ['Page tables', /(^|\.)(entry|state|refcount|lowest)$|^frame|pgd$/],
  ['TLBs', /tlb|ctxs|walk/],
  ['Locks, keys, RCU', /lock|rwsem|sem|key|rcu|seq|ptl/],
  ['Shared words', /./],
];

function groupOf(word: ShownWord): string {
  return GROUPS.find(([, pattern]) => pattern.test(word.region))?.[0] ?? 'Shared words';
}

/** Words that say something: those that change on the walk, and those that are not 0. */
function worthShowing(word: ShownWord): boolean {
  return (word.moves || word.value !== 0) && !/\.(lowest|tags)(\[|$)/.test(word.name);
}

export function StatePane() {
  const shown = walk.value as Walk;
  const words = stateAfter(shown, at.value);
  const changed = words.filter(({ before }) => before !== null);
  const groups = GROUPS.map(([title]) => ({
    title,
    words: words.filter((word) => groupOf(word) === title && worthShowing(word)),
  })).filter((group) => group.words.length > 0);
  return (
    <section class="panel state" aria-label="state" tabIndex={0}>
      <div class="sec changed">
        <h3>
          Changed by step {at.value} <span>{changed.length === 0 ? 'no shared word' : `of ${words.length} words`}</span>
        </h3>
        <div class="diff" data-testid="changed">
          {changed.slice(0, CHANGED_MAX).map((word) => (
            <div class="chg" key={word.address}>
              <span>{word.name}</span> <i>{word.before}</i> <b>{word.text}</b>
            </div>
          ))}
          {changed.length > CHANGED_MAX && <div class="dim">and {changed.length - CHANGED_MAX} more</div>}
        </div>
      </div>
      {groups.map(({ title, words: members }) => (
        <div class="sec" key={title}>
          <h3>{title}</h3>
          <div class="words m">
            {members.map((word) => (
              <div
                class={word.before === null ? 'w' : 'w chg'}
                key={word.address}
                title={`${word.name} = ${word.text}`}
              >
                <span class="ink2">{word.name}</span>
                <span class={word.text.includes('freed') ? 'freed' : ''}>{word.text}</span>
              </div>
            ))}
          </div>
        </div>
      ))}
      <Actors shown={shown} />
    </section>
  );
}

const CHANGED_MAX = 6;

/** `{"value":"irqs_on","context":{...}}` as a reader wants it. */
function actorText(text: string): string {
  try {
    const { value, context } = JSON.parse(text) as { value?: unknown; context?: Record<string, unknown> };
    const facts = Object.entries(context ?? {}).map(([name, fact]) => `${name} ${JSON.stringify(fact)}`);
    return [typeof value === 'string' ? value : JSON.stringify(value), ...facts].join(', ');
  } catch {
    return text;
  }
}

function Actors({ shown }: { readonly shown: Walk }) {
  const actors = Object.entries(actorsAfter(shown, at.value));
  if (actors.length === 0) return null;
  const changed = shown.states.steps[at.value - 1]?.actors ?? {};
  return (
    <div class="sec">
      <h3>Actors</h3>
      <div class="words one m">
        {actors.map(([name, text]) => (
          <div class={name in changed ? 'w chg' : 'w'} key={name} title={actorText(text)}>
            <span class="ink2">{name}</span>
            <span>{actorText(text)}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
