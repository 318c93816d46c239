/**
 * A run as one page of HTML that needs nothing else: facts, plots, tables. The plotting library is put into it as text.
 */
import { formatNumber } from './numbers.ts';
import type { Cell, Table, TableRow } from './table.ts';

/** Values over an axis: a bar or a point of a line each. */
export interface Plot {
  readonly title: string;
  readonly kind: 'bars' | 'lines';
  /** What the axes are, with units. */
  readonly across: string;
  readonly up: string;
  readonly x: readonly number[];
  /** The axis across has powers of two at equal distances. */
  readonly logarithmic?: boolean;
  readonly series: readonly { readonly name: string; readonly values: readonly number[] }[];
}

/** What a page says. */
export interface Page {
  readonly title: string;
  readonly about?: string | undefined;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly plots: readonly Plot[];
  readonly tables: readonly { readonly title: string; readonly table: Table }[];
}

/** uPlot, as text: what its package has in `uPlot.iife.min.js` and `uPlot.min.css`. */
export interface PlotLibrary {
  readonly script: string;
  readonly style: string;
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin: 2em 0 0.5em; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 10px; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; } .about { max-width: 45em; } .u-legend { font-size: 12px; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd; } th, td { border-color: #444; }
}`;

/** uPlot formats numbers in the browser's language, which need not be one that JavaScript knows (`en-US@posix`). */
const LANGUAGE = `
try { new Intl.NumberFormat(navigator.language); }
catch { Object.defineProperty(navigator, 'language', { value: 'en-US' }); }`;

/** Draws the plots of the page: runs in the browser. */
const DRAW = `
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
const ink = { stroke: dark ? '#ddd' : '#222', grid: { stroke: dark ? '#3a3a3a' : '#e4e4e4' }, ticks: { stroke: '#888' } };
const colours = dark
  ? ['#6db3f2', '#f28b9a', '#7ed087', '#cf9be3', '#e6c35c', '#79d5d5', '#c8a98a', '#bbb']
  : ['#1f6fb4', '#d1495b', '#2e933c', '#8a4fa3', '#b8860b', '#3aa6a6', '#7a5c3e', '#555'];
// The first and the last bar are as wide as the others.
const around = (logarithmic) => (_, min, max) => (logarithmic ? [min / 1.5, max * 1.5] : [min - 0.6, max + 0.6]);
for (const plot of JSON.parse(document.getElementById('plots').textContent)) {
  const bars = plot.kind === 'bars';
  const at = document.getElementById(plot.id);
  new uPlot({
    width: Math.min(960, document.body.clientWidth), height: 260, cursor: { y: false },
    scales: {
      x: { time: false, distr: plot.logarithmic ? 3 : 1, log: 2, ...(bars && { range: around(plot.logarithmic) }) },
      y: { range: (_, min, max) => [Math.min(0, min), max > 0 ? 1.05 * max : 1] },
    },
    axes: [{
      label: plot.across, ...ink,
      ...(bars && { values: (_, at) => at.map((x) => (x === null ? '' : Math.round(x).toLocaleString('en'))) }),
      ...(bars && !plot.logarithmic && { incrs: [1, 2, 5, 10, 20, 50, 100] }),
    }, { label: plot.up, size: 70, ...ink }],
    series: [{ label: plot.across }, ...plot.series.map((series, i) => ({
      label: series.name, stroke: colours[i % colours.length], width: 1.5, points: { show: false },
      ...(bars && { fill: colours[i % colours.length] + '55', paths: uPlot.paths.bars({ size: [0.9, 60] }) }),
    }))],
  }, [plot.x, ...plot.series.map((series) => series.values)], at);
}`;

/** The page as HTML. */
export function pageHtml({ title, about, facts, plots, tables }: Page, library: PlotLibrary): string {
  const numbered = plots.map((plot, i) => ({ ...plot, id: `plot${i}` }));
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>`,
    '<meta name="viewport" content="width=device-width">',
    `<style>${library.style}${STYLE}</style></head><body>`,
    `<h1>${escaped(title)}</h1>`,
    about === undefined ? '' : `<p class="about">${escaped(about)}</p>`,
    `<table>${facts.map(([name, value]) => row('td', [name, value])).join('')}</table>`,
    ...numbered.map((plot) => `<h2>${escaped(plot.title)}</h2><div id="${plot.id}"></div>`),
    ...tables.map(({ title: name, table }) => `<h2>${escaped(name)}</h2><div class="wide">${tableHtml(table)}</div>`),
    `<script id="plots" type="application/json">${scriptText(JSON.stringify(numbered))}</script>`,
    `<script>${LANGUAGE}${scriptText(library.script)}</script>`,
    `<script>${DRAW}</script>`,
    '</body></html>\n',
  ].join('\n');
}

function tableHtml({ columns, rows }: Table): string {
  const headings = columns.map((column) =>
    typeof column === 'string' ? column : column.unit ? `${column.heading} (${column.unit})` : column.heading,
  );
  return `<table>${row('th', headings)}${rows.map((cells) => row('td', cellsOf(cells).map(cellText))).join('\n')}</table>`;
}

function cellsOf(cells: TableRow): readonly Cell[] {
  return Array.isArray(cells) ? (cells as readonly Cell[]) : Object.values(cells as Readonly<Record<string, Cell>>);
}

function cellText(cell: Cell | undefined): string {
  return cell === null || cell === undefined ? '' : typeof cell === 'number' ? formatNumber(cell) : String(cell);
}

function row(tag: 'td' | 'th', cells: readonly string[]): string {
  return `<tr>${cells.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] as string);
}

/** Nothing in it ends the script element. */
function scriptText(text: string): string {
  return text.replaceAll(/<(?=\/script|!--)/gi, '\\u003c');
}
