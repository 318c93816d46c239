/** The screen of one verdict: what was found, who did what when, and what else could have happened. */
import { computed } from '@preact/signals';
import { formatSchedule } from '@shootdown/machine';
import type { ComponentType } from 'preact';
import { Head } from '../panes/Head.tsx';
import { beyond, progress, trouble, verdict, walk } from '../store.ts';
import { Later } from './Later.tsx';

/** Nobody waits for it before there is a verdict. */
const story = async (): Promise<ComponentType> => (await import('../panes/Story.tsx')).Story;
const schedule = computed(() => formatSchedule(walk.value?.schedule ?? []));

export function Explore() {
  return (
    <main
      class="screen"
      data-settled={beyond.value !== null || trouble.value !== null}
      data-states-per-second={
        verdict.value ? Math.round(verdict.value.result.states / verdict.value.result.seconds) : undefined
      }
      data-states={verdict.value?.result.states}
      data-schedule={schedule.value}
    >
      <Head />
      {walk.value === null ? (
        <p class="waiting dim">
          {progress.value === null ? 'No verdict to show.' : 'Searching every interleaving ...'}
        </p>
      ) : (
        <Later load={story} />
      )}
    </main>
  );
}
