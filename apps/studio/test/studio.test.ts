/** The built page in a real browser: the same verdicts as the command's, and every control does what it says. */
import { deflateRawSync } from 'node:zlib';
import { setTimeout } from 'node:timers/promises';
import { AxeBuilder } from '@axe-core/playwright';
import { explore, mutate, resolveScenario } from '@shootdown/explorer';
import { formatSchedule, parseSchedule, type MemoryModel } from '@shootdown/machine';
import { studioFragment } from '@shootdown/report';
import { demos, scenarios, type Demo } from '@shootdown/scenarios';
import { assemble, parseTopology, runMachine } from '@shootdown/topology';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { serveStudio, startBrowser, type Site } from './site.ts';

let site: Site;
let browser: Browser | null = null;
let shared: Page | null = null;
const errors: string[] = [];
const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
/** Other work may have the computer meanwhile. */
const WAIT_MS = 50_000;

beforeAll(async () => {
  site = await serveStudio();
});
afterEach(() => {
  const seen = errors.splice(0);
  if (seen.length > 0) throw new Error(`the page threw: ${seen.join('; ')}`);
});
afterAll(async () => {
  await browser?.close();
  site.close();
});

/** A page of a new browser: to start one takes seconds. */
async function start(guarded: boolean): Promise<Page> {
  await browser?.close();
  browser = await startBrowser(guarded);
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('pageerror', (error) => errors.push(String(error)));
  return page;
}

/** Opens the studio at an address, in the page of the tests before if that is as good. */
async function open(fragment: string, width = 1440, guarded = false): Promise<Page> {
  if (guarded || shared === null || shared.isClosed()) shared = await start(guarded);
  const page = shared;
  // What is guarded is for one test.
  if (guarded) shared = null;
  await page.setViewportSize({ width, height: 900 });
  await page.goto('about:blank');
  await page.goto(`${site.url}${fragment}`);
  await page.waitForSelector('[data-settled=true]');
  return page;
}

/** `npm test` looks at the page without its frames, in which there is nothing to be seen. */
async function seriousFaults(page: Page): Promise<unknown[]> {
  const builder = new AxeBuilder({ page }).options({ resultTypes: ['violations'] });
  const { violations } = await builder.setLegacyMode(!DEEP).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => [id, nodes[0]?.html]);
}

/** Of every screen; `npm test` looks at one in both themes, and at the others in the one they open with. */
async function faultsInThemes(page: Page, both = DEEP): Promise<unknown[]> {
  const first = await seriousFaults(page);
  if (!both) return first;
  await page.click('[aria-label="Light or dark"]');
  return [...first, ...(await seriousFaults(page))];
}

/** Where every pane stands. */
function panes(page: Page): Promise<string> {
  return page.evaluate(
    `JSON.stringify([...document.querySelectorAll('section')].map((pane) => pane.getBoundingClientRect()))`,
  );
}

/** Waits for something to be true in the page, whose policy does not let it evaluate texts by itself. */
async function until(page: Page, condition: string): Promise<void> {
  await expect.poll(() => page.evaluate<boolean>(condition), { timeout: WAIT_MS }).toBe(true);
}

async function pick(page: Page, example: string): Promise<void> {
  const value = await page.getAttribute(
    `[data-testid=gallery] option:text-is("${example.replace(/.*\/src\//, '')}")`,
    'value',
  );
  await page.selectOption('[data-testid=gallery]', value ?? '');
  await until(page, `document.querySelector('input.wide').value === '${example}'`);
}

/** Where the focus is: the pane, and in it the name of what has it. */
function focused(page: Page): Promise<string> {
  return page.evaluate(`(() => {
    const { activeElement: one } = document;
    const pane = one.closest('section, nav, header, main')?.getAttribute('aria-label') ?? '';
    return pane + ': ' + (one.getAttribute('aria-label') ?? one.textContent?.trim() ?? one.tagName);
  })()`);
}

/** Looks for a way out of its room. */
const HOSTILE = `const reached: string[] = [];
const attempt = async (name: string, work: () => unknown) => {
  try { await work(); reached.push(name); } catch {}
};
await attempt('eval', () => (0, eval)('1'));
await attempt('fetch', () => fetch('/'));
await attempt('XMLHttpRequest', () => new XMLHttpRequest());
await attempt('WebSocket', () => new WebSocket('ws://127.0.0.1:1/'));
await attempt('importScripts', () => importScripts('/sandbox-frame.js'));
await attempt('indexedDB', () => indexedDB.open('x'));
throw new Error('reached: ' + (reached.join() || 'nothing') + ', of ' + self.origin);
`;
const ENDLESS = 'for (;;);';
/** Three CPUs that count very far, each for itself: nobody waits for the end of that. */
const WIDE = `import { point, program, routine, SystemBuilder, store } from '@shootdown/machine';
const count = routine('count', function* (word) {
  for (let i = 0; i < 1e6; i++) {
    yield* point('next', i);
    yield* store(word, i);
  }
});
const scenario = (name, bounds) => ({
  name, bounds, title: 'three CPUs count',
  variants: [{ name: 'v', expected: {}, source: 'a test', summary: 'nothing fails' }],
  build() {
    const builder = new SystemBuilder({});
    const words = builder.region('counter', 3, {});
    for (const cpu of [0, 1, 2])
      builder.processor({ name: 'CPU' + cpu, tasks: [program(count, words.at(cpu))] });
    return builder.build();
  },
});
export const narrow = scenario('narrow', { maxStates: 300 });
export const wide = scenario('wide', {});
`;
const GREEDY = 'const all = []; for (;;) all.push(Array.from({ length: 1e5 }, (_, i) => ({ i })));';
/** Time for it to take all there is. */
const GREEDY_MS = 1500;
/** After such a silence the page ends what runs. */
const SILENT_MS = 21_000;

const COMPARED: readonly (readonly [scenario: string, variant: string, memoryModel: MemoryModel])[] = [
  ['ptdump-vmalloc', 'unlocked', 'sc'],
  ['gup-fast-vs-unmap', 'kvm-pv/page-batch', 'sc'],
  ['ksm-vs-gup', 'no-recheck', 'arm'],
  ...(DEEP
    ? ([
        ['ptdump-vmalloc', 'trylock-2026-plus-v6', 'sc'],
        ['switch-mm-vs-flush', 'before', 'sc'],
      ] as const)
    : []),
];

describe('the studio', () => {
  it('finds of scenarios what the command finds', async () => {
    // What it shows by itself first.
    const page = await open('');
    for (const [scenario, variant, memoryModel] of COMPARED) {
      if (scenario !== COMPARED[0]?.[0] || variant !== COMPARED[0][1]) {
        await page.goto('about:blank');
        await page.goto(`${site.url}#/explore/${scenario}/${variant}?mm=${memoryModel}`);
        await page.waitForSelector('[data-testid=verdict]');
      }
      await compare(page, scenario, variant, memoryModel);
    }
  });

  async function compare(page: Page, scenario: string, variant: string, memoryModel: MemoryModel): Promise<void> {
    const resolved = resolveScenario(scenarios, { scenario, variant, memoryModel });
    const found = await explore(resolved.build(), { bounds: { ...resolved.scenario.bounds } });
    expect((await page.textContent('[data-testid=verdict]'))?.toLowerCase()).toContain(found.verdict);
    expect(await page.textContent('[data-testid=property]')).toBe(found.property);
    expect(await page.textContent('.facts')).toContain(found.states.toLocaleString('en'));
    expect(await page.getAttribute('main', 'data-schedule')).toBe(formatSchedule(found.schedule ?? []));
  }

  it('steps by key and by click, says the step in the address, and comes back to it from the link', async () => {
    const schedule = parseSchedule('1x4,0x3,1x4,0');
    const fragment = studioFragment({
      tab: 'explore',
      scenario: 'ptdump-vmalloc',
      variant: 'unlocked',
      memoryModel: 'sc',
      parameters: {},
      mutations: [],
      schedule,
      at: 3,
      code: null,
    });
    const page = await open(fragment);
    const step = () => page.textContent('[data-testid=step]');
    expect(await step()).toBe('3 / 12');
    const before = await panes(page);
    await page.keyboard.press('ArrowRight');
    expect(await step()).toBe('4 / 12');
    expect(await panes(page)).toBe(before);
    await page.keyboard.press('Home');
    expect(await step()).toBe('0 / 12');
    // Whatever a step changes and offers, every pane stands where it stood.
    for (let i = 1; i <= 12; i++) {
      expect(await panes(page)).toBe(before);
      await page.keyboard.press('ArrowRight');
      expect(await step()).toBe(`${i} / 12`);
    }
    await page.keyboard.press('Home');
    await page.locator('[role=option]').nth(1).click();
    expect(await step()).toBe('2 / 12');
    await page.keyboard.press('End');
    await until(page, `location.hash.includes('at=12')`);
    expect(await page.textContent('[data-testid=ways-out]')).toMatch(
      /^(No way out at any of the|A way out at \d+ of) 12 steps$/,
    );
  });

  it('is used by keyboard alone: every pane is reached, steps are found, choices taken, other screens opened', async () => {
    const page = await open('#/explore/ptdump-vmalloc/unlocked?mm=sc&at=2');
    const step = (): Promise<string | null> => page.textContent('[data-testid=step]');
    const reached = new Set<string>();
    for (let i = 0, at = ''; i < 60 && !at.startsWith('what if: Explore from here'); i++) {
      await page.keyboard.press('Tab');
      reached.add((at = await focused(page)));
    }
    const panes = new Set([...reached].map((at) => at.split(':')[0]));
    for (const pane of ['screens', 'verdict', 'timeline', 'interleaving', 'state', 'what if'])
      expect([...panes]).toContain(pane);
    await page.focus('[role=listbox]');
    await page.keyboard.press('ArrowDown');
    expect(await step()).toBe('3 / 12');
    expect(await page.getAttribute('[role=listbox]', 'aria-activedescendant')).toBe('step-3');
    expect(await page.getAttribute('#step-3', 'aria-selected')).toBe('true');
    await page.focus('[role=slider]');
    await page.keyboard.press('PageDown');
    expect(await step()).toBe('12 / 12');
    expect(await page.getAttribute('[role=slider]', 'aria-valuenow')).toBe('12');
    // Finds a routine, marks its steps, and goes through them.
    await page.keyboard.press('/');
    await page.keyboard.type('PMDP_get');
    const marked = await page.$$eval('.row.hit', (rows) => rows.map((row) => Number(row.getAttribute('data-step'))));
    expect(marked.length).toBeGreaterThan(0);
    await page.keyboard.press('Enter');
    expect(await step()).toBe(`${marked[0]} / 12`);
    expect(await page.textContent('[data-testid=found]')).toBe(`1 / ${marked.length}`);
    await page.keyboard.press('Escape');
    await until(page, `document.querySelector('.row.hit') === null`);
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open]');
    expect(await page.textContent('dialog')).toContain('the next or previous context switch');
    expect(await seriousFaults(page)).toEqual([]);
    await page.keyboard.press('ArrowRight');
    expect(await step()).toBe(`${marked[0]} / 12`);
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    await page.focus('.wi .btn');
    await page.keyboard.press('Enter');
    await until(page, `document.querySelector('[data-testid=step]')?.textContent === '1 / 1'`);
    for (const [name, what] of [
      ['Run', '.counters'],
      ['Write', '.cm-content'],
      ['Explore', '[role=slider]'],
    ] as const) {
      await page.focus(`.tab:text-is("${name}")`);
      await page.keyboard.press('Enter');
      await page.waitForSelector(what);
    }
  });

  it('takes another choice, explores on from there, and goes back', async () => {
    const page = await open('#/explore/ptdump-vmalloc/unlocked?mm=sc&at=2');
    await page.click('.wi .btn:has-text("take")');
    await until(page, `document.querySelector('[data-testid=step]')?.textContent === '2 / 2'`);
    expect(page.url()).toContain('s=');
    await page.waitForSelector('[data-settled=true]');
    await page.keyboard.press('e');
    await until(page, `Number(document.querySelector('[data-testid=step]')?.textContent?.split('/')[1]) > 2`);
    await page.keyboard.press('Escape');
    await until(page, `document.querySelector('[data-testid=step]')?.textContent === '12 / 12'`);
    expect(await page.textContent('.wi.foot')).toContain('b1');
    await page.fill('[data-testid=note]', 'here it goes wrong');
    await page.press('[data-testid=note]', 'Enter');
    await until(page, `location.hash.includes('n=12%3Ahere')`);
    expect(page.url()).toContain('&b=');
    await page.reload();
    await page.waitForSelector('.row.remark');
    expect(await page.textContent('.row.remark')).toContain('here it goes wrong');
    await page.click('.wi.foot .btn:has-text("b1")');
    await until(page, `location.hash.includes('&s=')`);
    await page.goBack();
    await until(page, `!location.hash.includes('&s=')`);
    await until(page, `document.querySelector('[data-testid=step]')?.textContent === '12 / 12'`);
  });

  it('picks another variant, and says what a link means that it does not understand', async () => {
    const page = await open('#/explore/ptdump-vmalloc/unlocked?mm=vax&s=nonsense');
    expect(await page.textContent('[role=alert]')).toContain('no memory model vax');
    await page.selectOption('[data-testid=variant]', 'v1');
    await until(page, `document.querySelector('[data-testid=verdict]')?.textContent?.includes('Safe')`);
    expect(page.url()).toContain('/ptdump-vmalloc/v1');
  });

  it('changes every line as the command does, and opens what breaks', async () => {
    const resolved = resolveScenario(scenarios, { scenario: 'riscv-new-mapping', variant: 'svvptc' });
    const { mutants } = await mutate(resolved.build());
    const page = await open('#/mutate/riscv-new-mapping/svvptc');
    await page.waitForSelector('[data-testid=mutant] .row');
    expect(await faultsInThemes(page)).toEqual([]);
    const expected = mutants
      .filter(({ mutation }) => mutation.change.startsWith('leave-out'))
      .map(({ line, judgement }) => [
        line.text,
        judgement?.witnessGone ? '◌' : judgement?.schedule ? `× ${judgement.schedule.length}` : judgement?.result,
      ]);
    const cells = await page.$$eval('.strip .hr:not(.h)', (rows) =>
      rows.map((row) => [row.querySelector('.code')?.firstChild?.textContent, row.querySelector('.cell')?.textContent]),
    );
    const words: Readonly<Record<string, string>> = { '·': 'not needed', '=': 'no difference' };
    expect(cells.map(([text, cell]) => [text, words[cell ?? ''] ?? cell])).toEqual(expected);
    await page.click('[data-testid=mutant] .btn');
    await page.waitForSelector('[data-testid=step]');
    expect(await page.textContent('[data-testid=verdict]')).toContain('Violation');
    expect(page.url()).toContain('m=vmalloc%2Fset_pte%3Aleave-out');
  });

  it('says of a space too big to be seen that it is partial, and of a search without an end how far it is', async () => {
    const link = (scenario: string): string =>
      `#/explore/${scenario}/v?mm=sc&file=wide.js&code=${deflateRawSync(WIDE).toString('base64url')}`;
    const page = await open(link('narrow'));
    await page.click('[data-testid=run]');
    await page.waitForSelector('[data-testid=ways-out]');
    expect(await page.textContent('[data-testid=verdict]')).toContain('Bounded');
    await until(page, `document.querySelector('[data-testid=ways-out]')?.textContent.startsWith('Partial')`);
    expect(await page.textContent('[data-testid=ways-out]')).toMatch(
      /^Partial: [\d,]+ states seen; distances are upper bounds\.$/,
    );
    // Not known, and that is all that is said.
    expect(await page.textContent('.wi:not(.taken) .out')).toBe('…');
    await page.evaluate(`location.hash = '${link('wide')}'`);
    await until(page, `/^[1-9]/.test(document.querySelector('[data-testid=progress]')?.textContent ?? '')`);
    await page.click('.head .btn:has-text("Stop")');
    await until(page, `document.querySelector('[role=alert]')?.textContent.includes('was stopped') === true`);
    await page.evaluate(`location.hash = '#/explore/ptdump-vmalloc/unlocked'`);
    await until(page, `document.querySelector('[data-testid=verdict]')?.textContent.includes('Violation') === true`);
  });

  it('runs a machine as the command does, beside another, and says what is wrong with a topology', async () => {
    const [a, b] = ['shootdown', 'shootdown-arm64'].map((name) => demos.find((demo) => demo.name === name) as Demo);
    const page = await open(`#/run?a=${a?.name}&b=${b?.name}`);
    expect(await faultsInThemes(page)).toEqual([]);
    const expected = runMachine(assemble(parseTopology((a as Demo).topology)));
    expect(await page.textContent('[data-fact=steps]')).toBe(expected.steps.toLocaleString('en'));
    const shown = await page.$$eval('[data-counter]', (cells) =>
      cells.map((cell) => [cell.getAttribute('data-counter'), Number(cell.textContent?.replaceAll(',', ''))]),
    );
    for (const [counter, each] of Object.entries(expected.total)) {
      const sum = each.reduce((x, y) => x + y, 0);
      if (sum > 0) expect(shown).toContainEqual([counter, sum]);
    }
    await page.click('.ct .name:has-text("nr_tlb_remote_flush")');
    expect(await page.textContent('[data-testid=course] >> xpath=../..')).toContain('nr_tlb_remote_flush');
    const buffer = Buffer.from('{ "name": "mine", "architecture": "x86-64-4l", "cpu": 4, "processes": [] }');
    await page.setInputFiles('input[type=file]', { name: 'mine.json', mimeType: 'application/json', buffer });
    await page.waitForSelector('[role=alert]');
    expect(await page.textContent('[role=alert]')).toContain('mine');
    await page.goBack();
    await until(page, `document.querySelector('.big')?.textContent?.includes('against')`);
  });

  it('shows code from a link and runs it only when asked, says its mistakes, and searches what is written', async () => {
    const packed = (code: string): string => deflateRawSync(code).toString('base64url');
    const page = await open(`#/write/mine/v?file=mine.ts&code=${packed(HOSTILE)}`, 1440, true);
    expect(await page.textContent('[data-testid=waiting]')).toContain('has not run');
    expect(await page.textContent('.cm-content')).toContain('importScripts');
    expect(await faultsInThemes(page)).toEqual([]);
    await page.click('[data-testid=run]');
    // Origins are kept apart in this browser, as in a reader's.
    expect(await page.textContent('.mistakes')).toContain('line 11 Error: reached: nothing, of null');
    await page.waitForSelector('.cm-wrong');
    await pick(page, 'packages/scenarios/src/ptdump-vmalloc.ts');
    await page.click('[data-testid=run]');
    const shipped = resolveScenario(scenarios, { scenario: 'ptdump-vmalloc', variant: 'unlocked' });
    const found = await explore(shipped.build());
    expect(await page.textContent('[data-testid=own-verdict]')).toContain('Violation');
    expect(await page.textContent('[data-testid=outcome]')).toContain(`${found.states} states, depth ${found.depth}`);
    await page.click('[data-testid=outcome] .btn:has-text("Open in Explore")');
    await page.waitForSelector('[data-settled=true] [data-testid=step]');
    expect(await page.getAttribute('main', 'data-schedule')).toBe(formatSchedule(found.schedule ?? []));
    expect(page.url()).toContain('#/explore/ptdump-vmalloc/unlocked?mm=sc&file=');
    await page.reload();
    await page.waitForSelector('[data-testid=waiting]');
    await page.waitForSelector('[data-settled=true]');
    await pick(page, 'wrong.c');
    await page.click('[data-testid=run]');
    expect(await page.textContent('.mistakes')).toContain('line 5 pud_claer() is not known here');
    await pick(page, 'my.c');
    await page.click('[data-testid=run]');
    await page.waitForSelector('[data-testid=own-verdict]');
    expect(await page.textContent('[data-testid=outcome]')).toContain('no access to a freed frame or table');
    // What exhausts its memory takes its own process with it, and after a silence the page says so.
    await page.clock.install();
    await page.evaluate(`location.hash = '#/write/mine/v?file=mine.ts&code=${packed(GREEDY)}'`);
    await until(page, `document.querySelector('.cm-content')?.textContent.includes('const all')`);
    await page.click('[data-testid=run]');
    await setTimeout(GREEDY_MS);
    const ended = async (): Promise<string | null> => {
      await page.clock.fastForward(SILENT_MS);
      return await page.evaluate<string | null>(`document.querySelector('.mistakes')?.textContent ?? null`);
    };
    await expect.poll(ended, { timeout: WAIT_MS, interval: 500 }).toContain('no sign of life for 20 s');
    // So does what never ends, which takes nothing but time.
    await page.evaluate(`location.hash = '#/write/mine/v?file=mine.ts&code=${packed(ENDLESS)}'`);
    await until(page, `document.querySelector('.cm-content')?.textContent === 'for (;;);'`);
    await page.click('[data-testid=run]');
    await expect.poll(ended, { timeout: WAIT_MS, interval: 500 }).toContain('no sign of life for 20 s');
    await pick(page, 'wrong.c');
    await page.click('[data-testid=run]');
    await until(page, `document.querySelector('.mistakes')?.textContent.includes('pud_claer() is not known here')`);
  });

  it('has no serious fault for assistive technology on a desk and on a phone, light and dark', async () => {
    const page = await open('#/explore/ptdump-vmalloc/unlocked');
    expect(await faultsInThemes(page, true)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await seriousFaults(page)).toEqual([]);
    // Nothing is wider than the phone.
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  });
});
