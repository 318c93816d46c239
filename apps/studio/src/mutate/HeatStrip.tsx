/** The strip: a cell is what happens without the line, in how many steps. */
import { configurations, rows, select, selection } from './store.ts';
import { breaksIn, cellOf, changeWords, needOf, type Row } from './table.ts';

export function HeatStrip() {
  const columns = configurations.value;
  const template = { gridTemplateColumns: `repeat(${columns.length}, 62px) 8px minmax(200px, 1fr) minmax(0, 240px)` };
  const unjudged = columns[0]?.outcome?.onlyCost ?? [];
  let routine = '';
  return (
    <section class="panel strip" aria-label="lines by configuration" tabIndex={0}>
      <div class="hh" style={template}>
        {columns.map(({ request, judged, all, outcome }) => (
          <div key={`${request.variant} ${request.memoryModel}`} title={`${request.variant} on ${request.memoryModel}`}>
            <b>{request.variant}</b>
            <span>{request.memoryModel}</span>
            <span class="dim">{outcome ? `${all}` : `${judged}/${all || '…'}`}</span>
          </div>
        ))}
        <span />
        <div class="what">
          <b>line, and what breaks without it</b>
          <span class="leg">
            <i class="cell hot">× 8</i> <i class="cell bad">× 25</i> violation after n steps
            <i class="cell deadlock">⊘ 34</i> deadlock <i class="cell witness">◌</i> a witness is gone
            <i class="cell safe">·</i> not needed <i class="cell safe">=</i> no difference
          </span>
        </div>
      </div>
      {rows.value.map((row) => {
        const heading = row.line.routine === routine ? null : row.line.routine;
        ({ routine } = row.line);
        return (
          <div key={row.name}>
            {heading !== null && (
              <div class="hr h" style={template}>
                {columns.map((_, i) => (
                  <span key={i} />
                ))}
                <span />
                <b class="code m">{heading}()</b>
                <span class="need">{row.line.processors.join(', ')}</span>
              </div>
            )}
            <Line row={row} template={template} />
          </div>
        );
      })}
      {unjudged.length > 0 && (
        <p class="note ink2">
          Not put to the test, because all this model knows of it is what it costs:{' '}
          {unjudged.map(({ routine: where, text }) => `${where}: ${text}`).join('; ')}
        </p>
      )}
    </section>
  );
}

/** Without a column of its own, a click shows the shortest failure. */
function bestColumn({ cells }: Row): number {
  const lengths = cells.map((cell) => cell?.schedule?.length ?? Number.POSITIVE_INFINITY);
  return Math.max(0, lengths.indexOf(Math.min(...lengths)));
}

function Line({ row, template }: { readonly row: Row; readonly template: Record<string, string> }) {
  const chosen = selection.value?.name === row.name;
  return (
    <div class={`hr ${needOf(row)} ${chosen ? 'sel' : ''}`} style={template}>
      {configurations.value.map(({ request, outcome }, column) => {
        const cell = cellOf(row.cells[column], outcome !== null);
        return (
          <button
            key={`${request.variant} ${request.memoryModel}`}
            class={`cell ${cell.look}`}
            title={cell.title}
            aria-label={`${row.line.text}, ${request.variant} on ${request.memoryModel}: ${cell.title}`}
            aria-pressed={chosen && selection.value?.column === column}
            disabled={row.cells[column] === undefined}
            onClick={() => void select(row.name, column)}
          >
            {cell.text}
          </button>
        );
      })}
      <span class="bar" />
      <button class="code m" title={row.line.text} onClick={() => void select(row.name, bestColumn(row))}>
        {row.line.text}
        {row.line.change !== 'leave-out' && <span class="dim"> {changeWords(row.line.change)}</span>}
      </button>
      <span class="need" title={breaksIn(row)}>
        {breaksIn(row)}
      </span>
    </div>
  );
}
