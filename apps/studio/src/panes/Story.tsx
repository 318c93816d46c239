/** A walk, told: who did what when, the state at a step, and what else could have happened. Loaded with a verdict. */
import type { Walk } from '../engine/api.ts';
import { onKey } from '../keys.ts';
import { at, goTo, notes, walk } from '../store.ts';
import { note } from '../walking.ts';
import { Around } from './Around.tsx';
import { Columns } from './Columns.tsx';
import { foundSteps } from './finding.ts';
import { Keys } from './Keys.tsx';
import { StatePane } from './StatePane.tsx';
import { Timeline } from './Timeline.tsx';
import { WhatIf } from './WhatIf.tsx';

addEventListener('keydown', onKey);

export function Story() {
  return (
    <div class="app">
      <Timeline />
      <Columns
        shown={walk.value as Walk}
        now={at.value}
        onStep={goTo}
        notes={notes.value}
        onNote={note}
        found={foundSteps.value}
      />
      <div class="right">
        <StatePane />
        <WhatIf />
        <Around />
      </div>
      <Keys />
    </div>
  );
}
