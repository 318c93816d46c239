import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { pageHtml } from './page.ts';

const page = pageHtml(
  {
    title: 'a < b & "c"',
    about: 'What to look at.',
    facts: [['steps', '12']],
    plots: [
      {
        title: 'Events </script> over time',
        kind: 'lines',
        across: 'us',
        up: 'events',
        x: [0, 1],
        series: [{ name: 'IPIs', values: [3, 4] }],
      },
    ],
    tables: [
      { title: 'Counters', table: { columns: ['counter', { heading: 'time', unit: 'ns' }], rows: [['x', 1234]] } },
    ],
  },
  { script: 'const uPlot = 1;', style: '.uplot {}' },
);

test('a page says what it is given, and nothing of it is markup', () => {
  expect(page).toContain('<h1>a &lt; b &amp; &quot;c&quot;</h1>');
  expect(page).toContain('<tr><td>x</td><td>1,234</td></tr>');
  expect(page).toContain('<th>time (ns)</th>');
  expect(page).toContain('<h2>Events &lt;/script&gt; over time</h2>');
});

test('a browser whose language JavaScript does not know draws the plots all the same', () => {
  const script = /<script>([^<]*const uPlot = 1;)<\/script>/.exec(page)?.[1] ?? '';
  const languageOf = (language: string): unknown => {
    const navigator = { language };
    runInNewContext(script, { navigator });
    return navigator.language;
  };
  expect([languageOf('en-US@posix'), languageOf('de-DE')]).toEqual(['en-US', 'de-DE']);
});

test('a page needs no network, and its data end no script', () => {
  expect(page).not.toMatch(/(src|href)=/);
  expect(page.match(/<\/script>/g)).toHaveLength(3);
  const data = /<script id="plots" type="application\/json">(.*)<\/script>/.exec(page)?.[1] ?? '';
  expect(JSON.parse(data)).toMatchObject([{ id: 'plot0', series: [{ values: [3, 4] }] }]);
});
