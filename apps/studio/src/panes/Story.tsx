/** A walk, told: who did what when, the state at a step, and what else could have happened. Loaded with a verdict. */
import type { Walk } from '../engine/api.ts';
import { at, goTo, note, notes, walk } from '../store.ts';
import { Around } from './Around.tsx';
import { Columns } from './Columns.tsx';
import { StatePane } from './StatePane.tsx';
import { Timeline } from './Timeline.tsx';
import { WhatIf } from './WhatIf.tsx';

export function Story() {
  return (
    <div class="app">
      <Timeline />
      <Columns shown={walk.value as Walk} now={at.value} onStep={goTo} notes={notes.value} onNote={note} />
      <div class="right">
        <StatePane />
        <WhatIf />
        <Around />
      </div>
    </div>
  );
}
