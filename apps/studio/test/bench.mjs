/**
 * What the page is worth on this computer: `npm run bench -w @shootdown/studio`, after a build. The time to a first
 * verdict, the work of a step, a walk of 50,000 steps, and its search beside that of Node.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { launch, serve } from './shots.mjs';

const dist = join(import.meta.dirname, '../dist');
const PRESSES = 50;
const LONG_PRESSES = 5;
const LONG_STEPS = 50_000;
const SEARCHED = /** @type {const} */ ({ scenario: 'contpte-zap', variant: 'part', memoryModel: 'sc' });
const RUNS = 3;
const SEARCH_RUNS = 5;
const FRAMES = 100;
/** How often the timeline is magnified before it is scrolled. */
const MAGNIFIED = 6;
const COMMAND = join(import.meta.dirname, '../../lab/bin/shootdown.mjs');

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
    return of('TaskDuration');
  };
  const before = await busy();
  await work();
  return (await busy()) - before;
}

/** @param {import('playwright-core').Page} page @param {number} [presses] */
async function step(page, presses = PRESSES) {
  const seconds = await busySeconds(page, async () => {
    for (let i = 0; i < presses; i++) {
      await page.keyboard.press('ArrowLeft');
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done)))');
    }
  });
  return (1000 * seconds) / presses;
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
    line('work of a step', await step(page), 'ms', 'all work of its thread');
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

/** Frames a second while something is moved by one step per frame. @param {import('playwright-core').Page} page */
async function framesPerSecond(page, /** @type {string} */ move) {
  const seconds = await page.evaluate(`new Promise((done) => {
    const began = performance.now();
    let frame = 0;
    const next = () => {
      const share = ++frame / ${FRAMES};
      ${move};
      if (frame < ${FRAMES}) requestAnimationFrame(next);
      else done((performance.now() - began) / 1000);
    };
    requestAnimationFrame(next);
  })`);
  return FRAMES / Number(seconds);
}

async function longWalk() {
  await inBrowser(async (page, url) => {
    const code = deflateRawSync(ENDLESS).toString('base64url');
    const schedule = `0x${LONG_STEPS / 2},1x${LONG_STEPS / 2}`;
    await page.goto(`${url}#/explore/endless/two?mm=sc&s=${schedule}&file=endless.js&code=${code}`);
    await page.waitForSelector('[data-settled=true]', { timeout: 60_000 });
    await page.click('[data-testid=run]');
    await page.waitForSelector(`[aria-valuemax="${LONG_STEPS}"]`, { timeout: 240_000 });
    const size = `a walk of ${LONG_STEPS} steps`;
    line('work of a step of a long walk', await step(page, LONG_PRESSES), 'ms', size);
    const list = `document.querySelector('.list')`;
    line(
      'columns scroll',
      await framesPerSecond(page, `${list}.scrollTop = ${list}.scrollHeight * share`),
      'frames/s',
      `from end to end of ${size}`,
    );
    const canvas = `document.querySelector('.tl canvas')`;
    const wheel = (/** @type {string} */ how) =>
      `${canvas}.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, ${how} }))`;
    await page.evaluate(`document.querySelector('[aria-label="first step"]').click()`);
    for (let i = 0; i < MAGNIFIED; i++) await page.keyboard.press('+');
    line(
      'timeline scrolls, magnified',
      await framesPerSecond(page, wheel(`deltaX: ${canvas}.clientWidth / 2`)),
      'frames/s',
      'by half a window a frame',
    );
    line('items on the timeline', Number(await page.getAttribute('.tl canvas', 'data-items')), 'items', size);
    await page.evaluate(`document.querySelector('[aria-label="last step"]').click()`);
    for (let i = 0; i < MAGNIFIED; i++) await page.keyboard.press('-');
    line('items on all of it', Number(await page.getAttribute('.tl canvas', 'data-items')), 'items', size);
    line(
      'frames while it steps',
      await framesPerSecond(page, `document.querySelector('[aria-label="step back"]').click()`),
      'frames/s',
    );
  });
}

/** States per second of the command, which is asked as a user does. */
function ofCommand() {
  const { scenario, variant, memoryModel } = SEARCHED;
  const argv = ['explore', scenario, '--variant', variant, '--memory-model', memoryModel, '--json'];
  const { stdout } = spawnSync(process.execPath, [COMMAND, ...argv], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const { states, seconds } = JSON.parse(stdout);
  return states / seconds;
}

/** States per second in the page. */
async function ofPage() {
  let rate = Number.NaN;
  await inBrowser(async (page, url) => {
    await page.goto(`${url}#/explore/${SEARCHED.scenario}/${SEARCHED.variant}?mm=${SEARCHED.memoryModel}`);
    await page.waitForSelector('main[data-states-per-second]', { timeout: 120_000 });
    rate = Number(await page.getAttribute('main', 'data-states-per-second'));
  });
  return rate;
}

async function searching() {
  /** @type {{ readonly page: number, readonly command: number }[]} */
  const rounds = [];
  // By turns, so that both have the same minute of a computer that others use, too.
  for (let run = 0; run < SEARCH_RUNS; run++) rounds.push({ command: ofCommand(), page: await ofPage() });
  const note = `${SEARCHED.scenario}/${SEARCHED.variant}, median of ${SEARCH_RUNS}`;
  line('search, page', median(rounds.map(({ page }) => page)), 'states/s', note);
  line('search, command', median(rounds.map(({ command }) => command)), 'states/s', note);
  line('ratio', median(rounds.map(({ page, command }) => page / command)), 'x', 'median of the ratios of each round');
}

/** What is measured; all of it, unless the command line names some. */
const parts = { verdict: firstVerdict, step: steps, long: longWalk, search: searching };
const named = process.argv.slice(2);
process.stdout.write('\nThe studio, in a browser of one process\n');
for (const [name, measure] of Object.entries(parts)) if (named.length === 0 || named.includes(name)) await measure();
