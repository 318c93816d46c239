/**
 * The operations of the contpte layer under fire. `npm test` searches machines with blocks of two entries, on `sc`, and
 * shows the counterexamples with blocks of four; `npm run test:deep` does all of it with four, on every memory model,
 * with and without reduction.
 */
import { FREED_FRAME } from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import { BREAK_BEFORE_MAKE } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { DEEP, describeScenario, type ScenarioTests } from '../matrix.test-support.ts';
import { contpteFault } from './contpte-fault.ts';
import { contpteFold } from './contpte-fold.ts';
import { contpteFork } from './contpte-fork.ts';
import { contpteLockless } from './contpte-lockless.ts';
import { contpteMprotect } from './contpte-mprotect.ts';
import { contpteMremap } from './contpte-mremap.ts';
import { contpteReclaim } from './contpte-reclaim.ts';
import { contpteUnfold } from './contpte-unfold.ts';
import { contpteYoung } from './contpte-young.ts';
import { contpteZap } from './contpte-zap.ts';

const small: ScenarioTests = {
  pointStatesMax: DEEP ? 500 : 150,
  smaller: () => ({ block: 2 }),
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model !== 'sc',
};
/** Safe variants of a second or more, beside which another one of the same operation is searched. */
const LARGE: Readonly<Record<string, readonly string[]>> = {
  'contpte-lockless': ['restart'],
  'contpte-mremap': ['aligned'],
  'contpte-reclaim': ['per-entry'],
  'contpte-unfold': ['bbml2'],
  'contpte-zap': ['file'],
};
const smallOf = (scenario: string): ScenarioTests => ({
  ...small,
  deepOnly: (name, model) => model !== 'sc' || LARGE[scenario]?.includes(name) === true,
});
/** Counterexamples whose search takes seconds. */
const deep = (...names: readonly string[]): readonly string[] => (DEEP ? names : []);

describeScenario(contpteFault, {
  ...small,
  violates: (name) =>
    name === 'reuse/no-unfold' ? 'no page that another process has too becomes writable' : 'no livelock',
  golden: deep('gathered-noop-test-no-dbm', 'set-access-flags-no-tlbi'),
  live: ['current'],
});

describeScenario(contpteFold, {
  ...small,
  violates: contpte.MISPROGRAMMED,
  golden: deep('across-folios'),
  live: ['one-folio'],
});

describeScenario(contpteFork, {
  ...small,
  violates: 'once fork() has returned nobody writes to what parent and child share',
  golden: deep('whole/no-flush'),
  live: ['edges'],
});

describeScenario(contpteLockless, {
  ...smallOf('contpte-lockless'),
  violates: contpte.INCONSISTENT,
  golden: deep('no-restart'),
  live: ['early-exit-2025'],
});

describeScenario(contpteMprotect, {
  ...small,
  violates: (name) =>
    name.startsWith('erratum-2645198') ? BREAK_BEFORE_MAKE : 'no page that another process has too becomes writable',
  golden: ['batch-anon-exclusive', 'erratum-2645198/length-as-end'],
  live: ['half'],
  // Half of a block of two is one page, which is no batch.
  smaller: (name) => (name.startsWith('half-toggled-back') ? {} : { block: 2 }),
});

const mremap = describeScenario(contpteMremap, {
  ...smallOf('contpte-mremap'),
  golden: ['batch-ignores-write', ...deep('batched/flush-after-unlock')],
  live: ['batched'],
});

describe('contpte-mremap', () => {
  it.each([
    ['batch-ignores-write', {}, 'mremap() makes no page writable'],
    ['batched/flush-after-unlock', DEEP ? {} : { block: 2 }, FREED_FRAME],
  ])('%s: %s', async (name, size, property) => {
    expect((await mremap.searched(name, 'sc', size)).property).toBe(property);
  });
});

describeScenario(contpteReclaim, {
  ...smallOf('contpte-reclaim'),
  violates: contpte.PAST_TABLE,
  golden: ['batch-past-table'],
  live: ['batched'],
});

describeScenario(contpteUnfold, {
  ...smallOf('contpte-unfold'),
  violates: BREAK_BEFORE_MAKE,
  golden: ['bbml0-no-tlbi'],
  live: ['bbml2-no-tlbi'],
});

describeScenario(contpteYoung, {
  ...small,
  golden: ['clean-old-nonatomic', ...deep('byte-length')],
  live: ['current'],
});

const zap = describeScenario(contpteZap, {
  ...smallOf('contpte-zap'),
  golden: ['clear-one-without-unfold', ...deep('ad-not-gathered')],
  live: ['part'],
});

describe('contpte-zap', () => {
  it.each([
    ['clear-one-without-unfold', {}, contpte.MISPROGRAMMED],
    ['ad-not-gathered', { block: 2 }, contpte.LOST_DIRTY],
  ])('%s: %s', async (name, size, property) => {
    expect((await zap.searched(name, 'sc', size)).property).toBe(property);
  });
});
