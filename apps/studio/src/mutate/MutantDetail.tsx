/** The line that is looked at: what it is needed for, and the counterexample without it. */
import { Columns } from '../panes/Columns.tsx';
import { exploreSystem } from '../store.ts';
import { configurations, rows, selection, shownWalk, stepShown, systemOf } from './store.ts';
import { cellOf, changeWords, type Row } from './table.ts';

export function MutantDetail() {
  const chosen = selection.value;
  const row = rows.value.find(({ name }) => name === chosen?.name);
  if (!chosen || !row)
    return (
      <section class="panel detail" aria-label="counterexample">
        <p class="note ink2">A click on a line shows what breaks without it.</p>
      </section>
    );
  const system = systemOf(chosen);
  const configuration = configurations.value[chosen.column];
  const walk = shownWalk.value;
  return (
    <section class="panel detail" aria-label="counterexample" data-testid="mutant">
      <div class="ph">
        <h2 class="m">{row.line.text}</h2>
        <span class="n">{changeWords(row.line.change)}</span>
      </div>
      <div class="note ink2">
        <p>
          <span class="m">{row.line.routine}()</span> on {row.line.processors.join(', ')}
          {row.line.next !== null && row.line.change === 'swap-with-next' && (
            <>
              , after <span class="m">{row.line.next}</span>
            </>
          )}
        </p>
        {configurations.value.map(({ request, outcome }, column) => (
          <p key={`${request.variant} ${request.memoryModel}`}>
            <b>
              {request.variant}, {request.memoryModel}
            </b>{' '}
            {cellOf(row.cells[column], outcome !== null).title}
          </p>
        ))}
        <Caveats row={row} />
      </div>
      <div class="ph">
        <h2>{walk ? 'Shortest counterexample' : 'No counterexample'}</h2>
        <span class="n">
          {configuration?.request.variant} on {configuration?.request.memoryModel}
          {walk && `, ${walk.trace.steps.length} steps`}
        </span>
        <span class="sp" />
        {system && (
          <button class="btn" onClick={() => exploreSystem(system)}>
            Open in Explore
          </button>
        )}
      </div>
      {walk && <Columns shown={walk} now={stepShown.value} onStep={(step) => (stepShown.value = step)} />}
    </section>
  );
}

/** What must be known before a line is taken away. */
function Caveats({ row: { line, cells } }: { readonly row: Row }) {
  return (
    <>
      {line.unmodelled.length > 0 && (
        <p class="caveat">
          <b>Not modelled:</b> {line.unmodelled.join(', ')}. What it does besides is not put to the test.
        </p>
      )}
      {cells.some((cell) => cell?.witnessGone) && (
        <p class="caveat">
          <b>A witness is gone:</b> nothing goes wrong, but something that must be possible is possible no more. That is
          no safety: the property may hold because nothing happens.
        </p>
      )}
      {line.isBarrier && cells.some((cell) => cell?.result === 'no difference') && (
        <p class="caveat">
          <b>No difference to any state:</b> this memory model reorders nothing here that the barrier keeps in order. It
          has not been put to the test.
        </p>
      )}
    </>
  );
}
