/** What is beside a walk that is there: the state at a step, what else could have happened, and the steps around it. */
import { Around } from './Around.tsx';
import { StatePane } from './StatePane.tsx';
import { WhatIf } from './WhatIf.tsx';

export function Aside() {
  return (
    <>
      <StatePane />
      <WhatIf />
      <Around />
    </>
  );
}
