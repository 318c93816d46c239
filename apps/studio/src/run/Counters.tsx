/** Counters by processor; shading is the share of the row's largest, and B stands beside A. */
import { changeText, groupsOf, shortName, type CounterRow } from './table.ts';
import { counter as shownCounter, countersA, countersB, ranA, ranB } from './store.ts';

const SHADE_PERCENT = 34;

const whole = (n: number): string => Math.round(n).toLocaleString('en');
/** Columns beyond this are summed: nobody reads 64 of them. */
const PROCESSORS_MAX = 8;

export function Counters() {
  const ran = ranA.value;
  if (!ran) return null;
  const compared = ranB.value !== null;
  const shown = ran.processors.slice(0, PROCESSORS_MAX);
  const template = {
    gridTemplateColumns: `minmax(210px, 1fr) repeat(${shown.length}, minmax(44px, 56px)) 58px${compared ? ' 58px 92px' : ''}`,
  };
  const groups = groupsOf(countersA.value, compared ? countersB.value : null);
  return (
    <section class="panel counters" aria-label="counters" tabIndex={0}>
      <div class="ph">
        <h2>Counters{compared ? ' of A' : ''}</h2>
        <span class="n">
          by processor; shading is the share of the row’s largest
          {ran.processors.length > shown.length && `; ${ran.processors.length - shown.length} more are in the sum`}
        </span>
      </div>
      <div class="ct hd m" style={template}>
        <b>counter</b>
        {shown.map((name) => (
          <b class="num" key={name} title={name}>
            {shortName(name)}
          </b>
        ))}
        <b class="num">{compared ? 'A' : 'sum'}</b>
        {compared && <b class="num">B</b>}
        {compared && <b class="num">A − B</b>}
      </div>
      {groups.map(({ title, rows }) => (
        <div key={title}>
          <h3 class="ctg">{title}</h3>
          {rows.map((row) => (
            <Row key={row.counter} row={row} count={shown.length} template={template} />
          ))}
        </div>
      ))}
    </section>
  );
}

interface RowProps {
  readonly row: CounterRow;
  readonly count: number;
  readonly template: Record<string, string>;
}

function Row({ row, count, template }: RowProps) {
  const largest = Math.max(1, ...row.each);
  const chosen = shownCounter.value === row.counter;
  return (
    <div class={chosen ? 'ct m sel' : 'ct m'} style={template}>
      <button
        class="name"
        aria-pressed={chosen}
        title={`${row.counter}: draw its course`}
        onClick={() => (shownCounter.value = row.counter)}
      >
        {row.counter}
      </button>
      {Array.from({ length: count }, (_, i) => {
        const value = row.each[i] ?? 0;
        return (
          <span class="num heat" key={i} style={{ '--share': `${Math.round((SHADE_PERCENT * value) / largest)}%` }}>
            {whole(value)}
          </span>
        );
      })}
      <b class="num" data-counter={row.counter}>
        {whole(row.a)}
      </b>
      {row.b !== null && <span class="num ink2">{whole(row.b)}</span>}
      {row.b !== null && <Difference a={row.a} b={row.b} />}
    </div>
  );
}

const BAR_PX = 24;

function Difference({ a, b }: { readonly a: number; readonly b: number }) {
  const share = b === 0 ? (a === 0 ? 0 : 1) : Math.min(1, Math.abs(a - b) / b);
  return (
    <span class="num diffbar">
      <i style={{ width: `${Math.max(1, Math.round(share * BAR_PX))}px` }} class={a < b ? 'less' : 'more'} />
      {changeText(a, b)}
    </span>
  );
}
