/** The screen of one verdict: what was found, who did what when, and what else could have happened. */
import { formatSchedule } from '@shootdown/machine';
import type { ComponentType } from 'preact';
import { Columns } from '../panes/Columns.tsx';
import { Head } from '../panes/Head.tsx';
import { Timeline } from '../panes/Timeline.tsx';
import { at, beyond, goTo, note, notes, progress, trouble, verdict, walk } from '../store.ts';
import { Later } from './Later.tsx';

/** Nobody waits for it before there is a verdict. */
const aside = async (): Promise<ComponentType> => (await import('../panes/Aside.tsx')).Aside;

export function Explore() {
  return (
    <main
      class="screen"
      data-settled={beyond.value !== null || trouble.value !== null}
      data-states-per-second={
        verdict.value ? Math.round(verdict.value.result.states / verdict.value.result.seconds) : undefined
      }
      data-schedule={formatSchedule(walk.value?.schedule ?? [])}
    >
      <Head />
      {walk.value === null ? (
        <p class="waiting dim">
          {progress.value === null ? 'No verdict to show.' : 'Searching every interleaving ...'}
        </p>
      ) : (
        <div class="app">
          <Timeline />
          <Columns shown={walk.value} now={at.value} onStep={goTo} notes={notes.value} onNote={note} />
          <div class="right">
            <Later load={aside} />
          </div>
        </div>
      )}
    </main>
  );
}
