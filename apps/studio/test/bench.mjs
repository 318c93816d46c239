/**
 * What the page is worth on this computer: `npm run bench -w @shootdown/studio`, after a build. The time to a first
 * verdict, the work of a step, a walk of 50,000 steps, and its search beside that of Node.
 */
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { explore, resolveScenario } from '@shootdown/explorer';
import { scenarios } from '@shootdown/scenarios';
import { launch, serve } from './shots.mjs';

const dist = join(import.meta.dirname, '../dist');
const PRESSES = 50;
const LONG_STEPS = 50_000;
const SEARCHED = /** @type {const} */ ({ scenario: 'contpte-zap', variant: 'part', memoryModel: 'sc' });
const RUNS = 3;
const FRAMES = 100;

/** @param {string} what @param {number} value @param {string} unit @param {string} [note] */
function line(what, value, unit, note = '') {
  const text = value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 });
  process.stdout.write(`  ${what.padEnd(34)} ${text.padStart(12)} ${unit.padEnd(14)} ${note}`.trimEnd() + '\n');
}

/** @param {readonly number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** @param {(page: import('playwright-core').Page, url: string) => Promise<void>} work */
async function inBrowser(work) {
  const site = await serve(dist);
  const browser = await launch();
  try {
    await work(await browser.newPage({ viewport: { width: 1440, height: 900 } }), site.url);
  } finally {
    await browser.close();
    site.close();
  }
}

/** Seconds that the page's thread is busy with some work. @param {import('playwright-core').Page} page */
async function busySeconds(page, /** @type {() => Promise<unknown>} */ work) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const busy = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (/** @type {string} */ name) => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
    return of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration');
  };
  const before = await busy();
  await work();
  return (await busy()) - before;
}

/** @param {import('playwright-core').Page} page */
async function step(page) {
  const seconds = await busySeconds(page, async () => {
    for (let i = 0; i < PRESSES; i++) {
      await page.keyboard.press('ArrowLeft');
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done)))');
    }
  });
  return (1000 * seconds) / PRESSES;
}

async function firstVerdict() {
  /** @type {number[]} */
  const times = [];
  for (let run = 0; run < RUNS; run++)
    await inBrowser(async (page, url) => {
      const began = performance.now();
      await page.goto(url);
      await page.waitForSelector('[data-testid=verdict]');
      times.push(performance.now() - began);
    });
  line('first verdict after opening', median(times), 'ms', `median of ${RUNS}`);
}

async function steps() {
  await inBrowser(async (page, url) => {
    await page.goto(`${url}#/explore/switch-mm-vs-flush/before`);
    await page.waitForSelector('[data-settled=true]', { timeout: 60_000 });
    line('work of a step', await step(page), 'ms', 'script, style and layout');
  });
}

/** Two CPUs that count to 7 for ever: a walk may be as long as one likes. */
const ENDLESS = `import { point, program, routine, SystemBuilder, load, store } from '@shootdown/machine';
const count = routine('count', function* (word) {
  for (;;) {
    yield* point('again');
    const value = yield* load(word);
    yield* store(word, (value + 1) % 8);
  }
});
export const endless = {
  name: 'endless', title: 'two CPUs count for ever',
  variants: [{ name: 'two', expected: 'safe', source: 'for measuring', summary: 'nothing goes wrong' }],
  build() {
    const builder = new SystemBuilder({});
    const words = builder.region('counter', 2, {});
    for (const cpu of [0, 1])
      builder.processor({ name: 'CPU' + cpu, tasks: [program(count, words.at(cpu))] });
    return builder.build();
  },
};
`;

async function longWalk() {
  await inBrowser(async (page, url) => {
    const code = deflateRawSync(ENDLESS).toString('base64url');
    const schedule = `0x${LONG_STEPS / 2},1x${LONG_STEPS / 2}`;
    await page.goto(`${url}#/explore/endless/two?mm=sc&s=${schedule}&file=endless.js&code=${code}`);
    await page.waitForSelector('[data-settled=true]', { timeout: 60_000 });
    await page.click('[data-testid=run]');
    await page.waitForSelector(`[aria-valuemax="${LONG_STEPS}"]`, { timeout: 240_000 });
    line('work of a step of 50,000', await step(page), 'ms', 'script, style and layout');
    const seconds = await page.evaluate(`new Promise((done) => {
      const list = document.querySelector('.list');
      const began = performance.now();
      let frames = 0;
      const next = () => {
        list.scrollTop = (list.scrollHeight * frames) / ${FRAMES};
        if (++frames < ${FRAMES}) requestAnimationFrame(next);
        else done((performance.now() - began) / 1000);
      };
      requestAnimationFrame(next);
    })`);
    line('frames while it scrolls', FRAMES / Number(seconds), 'frames/s');
  });
}

async function searching() {
  const resolved = resolveScenario(scenarios, SEARCHED);
  /** @type {number[]} */
  const node = [];
  /** @type {number[]} */
  const inPage = [];
  for (let run = 0; run < RUNS; run++) {
    const found = await explore(resolved.build(), { bounds: { ...resolved.scenario.bounds } });
    node.push(found.states / found.seconds);
    await inBrowser(async (page, url) => {
      await page.goto(`${url}#/explore/${SEARCHED.scenario}/${SEARCHED.variant}`);
      await page.waitForSelector('main[data-states-per-second]', { timeout: 120_000 });
      inPage.push(Number(await page.getAttribute('main', 'data-states-per-second')));
    });
  }
  line('states per second, page', median(inPage), 'states/s', `${SEARCHED.scenario}/${SEARCHED.variant}`);
  line('states per second, Node', median(node), 'states/s');
  line('ratio', median(inPage) / median(node), 'x');
}

process.stdout.write('\nThe studio, in a browser of one process\n');
await firstVerdict();
await steps();
await longWalk();
await searching();
