/**
 * What the page is worth on this computer: `npm run bench -w @shootdown/studio`, after a build. The time to a first
 * verdict, the work of a step, a walk of 50,000 steps, and its search beside that of Node.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { launch, serve } from './shots.mjs';

const dist = join(import.meta.dirname, '../dist');
const LONG_STEPS = 50_000;
const SEARCHED = /** @type {const} */ ({ scenario: 'ptdump-vmalloc', variant: 'v3-two-dumpers' });
/** Hardly anything but to start: what a processor does for it is no searching. */
const SMALL = /** @type {const} */ ({ scenario: 'ptdump-vmalloc', variant: 'unlocked' });
const RUNS = 3;
const SEARCH_RUNS = 5;
const FRAMES = 100;
/** How often the timeline is magnified before it is scrolled: a pixel a step, and some more. */
const MAGNIFIED = [6, 9];
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

/** States per second. @typedef {{ readonly byClock: number, readonly byProcessor: number }} Rates */

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

/**
 * Milliseconds of the processor that the page's own thread takes for a frame: others may use the computer, too, and
 * take frames from it, but not its work. And frames per second, which depend on them.
 * @param {import('playwright-core').Page} page
 * @param {number} frames
 * @param {() => Promise<unknown>} work
 */
async function workOfFrames(page, frames, work) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busySeconds = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN;
  };
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))');
  const [before, began] = [await busySeconds(), performance.now()];
  await work();
  const [after, ended] = [await busySeconds(), performance.now()];
  await session.detach();
  return { milliseconds: (1000 * (after - before)) / frames, perSecond: (1000 * frames) / (ended - began) };
}

/**
 * The work of a frame while something moves in every frame.
 * @param {string} what @param {import('playwright-core').Page} page @param {string} move `share` counts from 0 to 1
 * @param {string} note
 */
async function frames(what, page, move, note) {
  const { milliseconds, perSecond } = await workOfFrames(
    page,
    FRAMES,
    async () =>
      await page.evaluate(`new Promise((done) => {
        let frame = 0;
        const next = () => {
          const share = ++frame / ${FRAMES};
          ${move};
          requestAnimationFrame(frame < ${FRAMES} ? next : () => setTimeout(done));
        };
        requestAnimationFrame(next);
      })`),
  );
  line(what, milliseconds, 'ms/frame', `${Math.round(perSecond)} frames/s here; ${note}`);
}

const stepBack = `document.querySelector('[aria-label="step back"]').click()`;

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
    await frames('a step', page, stepBack, 'all work of its thread');
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
    const size = `a walk of ${LONG_STEPS} steps`;
    await frames('a step of a long walk', page, stepBack, size);
    const list = `document.querySelector('.list')`;
    await frames('columns scroll', page, `${list}.scrollTop = ${list}.scrollHeight * share`, 'from end to end');
    line('items on all of it', Number(await page.getAttribute('.tl canvas', 'data-items')), 'items', size);
    const canvas = `document.querySelector('.tl canvas')`;
    const wheel = (/** @type {string} */ how) =>
      `${canvas}.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, ${how} }))`;
    for (const magnified of MAGNIFIED) {
      await page.evaluate(`document.querySelector('[aria-label="first step"]').click()`);
      for (let i = 0; i < magnified; i++) await page.keyboard.press('+');
      const much = `magnified ${2 ** magnified} times`;
      await frames('timeline scrolls', page, wheel(`deltaX: ${canvas}.clientWidth / 8`), much);
      line('items on it', Number(await page.getAttribute('.tl canvas', 'data-items')), 'items', much);
      for (let i = 0; i < magnified; i++) await page.keyboard.press('-');
    }
  });
}

/** Has a process of Node say what its thread has used: of Linux. */
const SAY_USAGE = `data:text/javascript,import{readFileSync}from'node:fs';process.on('exit',()=>process.stderr.write('\\n'+readFileSync('/proc/self/task/'+process.pid+'/stat','latin1')))`;
/** Linux counts in hundredths of a second. */
const TICKS_PER_SECOND = 100;

/** Seconds of the processor that a thread has used, by the line that Linux has about it. @param {string} stat */
function secondsIn(stat) {
  const [, , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(user) + Number(system)) / TICKS_PER_SECOND;
}

/** The same of every worker of a browser, by number of the thread. @param {number} browser */
function workersOf(browser) {
  const threads = `/proc/${browser}/task`;
  return new Map(
    readdirSync(threads).flatMap((thread) => {
      const stat = readFileSync(join(threads, thread, 'stat'), 'latin1');
      return stat.includes('(DedicatedWorker)') ? [[thread, secondsIn(stat)]] : [];
    }),
  );
}

/** States per second of the command, which is asked as a user does: of the clock, and of the processor. */
function ofCommand() {
  const small = searchedByCommand(SMALL);
  const { states, seconds, used } = searchedByCommand(SEARCHED);
  return { byClock: states / seconds, byProcessor: states / (used - small.used) };
}

/** @param {{ readonly scenario: string, readonly variant: string }} what */
function searchedByCommand({ scenario, variant }) {
  const argv = ['explore', scenario, '--variant', variant, '--memory-model', 'sc', '--json'];
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', SAY_USAGE, COMMAND, ...argv], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const { states, seconds } = JSON.parse(stdout);
  return { states, seconds, used: secondsIn(stderr.trim().split('\n').at(-1) ?? '') };
}

/** The same of the page. */
async function ofPage() {
  let [byClock, byProcessor] = [Number.NaN, Number.NaN];
  await inBrowser(async (page, url) => {
    const session = await page.context().browser()?.newBrowserCDPSession();
    const { processInfo = [] } = (await session?.send('SystemInfo.getProcessInfo')) ?? {};
    const browser = processInfo.find(({ type }) => type === 'browser')?.id ?? Number.NaN;
    await page.goto(`${url}#/explore/${SMALL.scenario}/${SMALL.variant}?mm=sc`);
    await page.waitForSelector('[data-settled=true]', { timeout: 240_000 });
    const before = workersOf(browser);
    // A new worker searches, as cold as the command.
    await page.evaluate(`location.hash = '#/explore/${SEARCHED.scenario}/${SEARCHED.variant}?mm=sc'`);
    await page.waitForSelector('main:not([data-states-per-second])', { timeout: 240_000 });
    await page.waitForSelector('main[data-states-per-second]', { timeout: 240_000 });
    // The one that has done most meanwhile.
    const used = Math.max(...[...workersOf(browser)].map(([thread, now]) => now - (before.get(thread) ?? 0)));
    byClock = Number(await page.getAttribute('main', 'data-states-per-second'));
    byProcessor = Number(await page.getAttribute('main', 'data-states')) / used;
  });
  return { byClock, byProcessor };
}

async function searching() {
  /** @type {{ readonly page: Rates, readonly command: Rates }[]} */
  const rounds = [];
  // By turns, so that both have the same minute of a computer that others use, too.
  for (let run = 0; run < SEARCH_RUNS; run++) rounds.push({ command: ofCommand(), page: await ofPage() });
  const note = `${SEARCHED.scenario}/${SEARCHED.variant}, median of ${SEARCH_RUNS}`;
  for (const by of /** @type {const} */ (['byClock', 'byProcessor'])) {
    const second = by === 'byClock' ? 'second' : 'second of the processor that its thread has had';
    line('search, page', median(rounds.map(({ page }) => page[by])), 'states/s', `per ${second}; ${note}`);
    line('search, command', median(rounds.map(({ command }) => command[by])), 'states/s', `per ${second}`);
    line('ratio', median(rounds.map(({ page, command }) => page[by] / command[by])), 'x', 'median of the rounds');
  }
}

/** What is measured; all of it, unless the command line names some. */
const parts = { verdict: firstVerdict, step: steps, long: longWalk, search: searching };
const named = process.argv.slice(2);
process.stdout.write('\nThe studio, in a browser of one process\n');
for (const [name, measure] of Object.entries(parts)) if (named.length === 0 || named.includes(name)) await measure();
