/** The screen of one verdict: what was found, who did what when, and what else could have happened. */
import { formatSchedule } from '@shootdown/machine';
import { Columns } from '../panes/Columns.tsx';
import { Head } from '../panes/Head.tsx';
import { StatePane } from '../panes/StatePane.tsx';
import { Timeline } from '../panes/Timeline.tsx';
import { WhatIf } from '../panes/WhatIf.tsx';
import { at, beyond, goTo, progress, trouble, walk } from '../store.ts';

export function Explore() {
  return (
    <main
      class="screen"
      data-settled={beyond.value !== null || trouble.value !== null}
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
          <Columns shown={walk.value} now={at.value} onStep={goTo} />
          <div class="right">
            <StatePane />
            <WhatIf />
          </div>
        </div>
      )}
    </main>
  );
}
