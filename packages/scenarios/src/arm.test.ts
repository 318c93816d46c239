/** Verdicts on the memory model of Arm, for the variants that say one: `--memory-model arm`. */
import { agrees, expectedVerdict, explore, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';

const deep = process.env['SHOOTDOWN_DEEP'] === '1';

/** Of each scenario, the variants whose search is short; the others are for the long run. */
const quick: Readonly<Record<string, readonly string[]>> = {
  'ptdump-vmalloc': [
    'unlocked',
    'v1',
    'v2',
    'rcu-walk-sync',
    'trylock-2026',
    'other-mm',
    'v6-no-barrier',
    'v6-no-isb-no-kick',
  ],
  'gup-fast-vs-unmap': ['tlbi/page-batch', 'tlbi/call-rcu'],
  'secondary-tlb-order': [
    'upgrade/notify-under-ptl',
    'upgrade/notify-with-flush',
    'ksm/notify-at-end-only',
    'ksm/never',
  ],
  'kvm-fault-vs-invalidate': ['rmap-lock', 'rmap-lock/no-wmb', 'rmap-lock/no-rmb'],
  'cow-vs-secondary': [
    'E0/no-notifier',
    'E1-set-then-change',
    'E1-change-then-set/sleeping-device',
    'E2-rapoport',
    'E3/device-tlb-zap',
    'E4/device-tlb-zap',
  ],
  'ksm-vs-secondary': [
    'E2-rapoport/device',
    'E2-rapoport-no-brackets/device',
    'E5/thread',
    'E5/thread/no-ipi',
    'E5/zap',
    'write-protection-in-silence',
    'E1-change-then-set/keeps-permission',
  ],
  'break-before-make': ['address-by-cmpxchg', 'address-by-break-before-make', 'permission'],
  'contpte-reclaim': ['batch-past-table'],
  'contpte-fold': ['two-folios'],
  'contpte-fault': ['gathered-noop-test-dbm', 'access-flag'],
  'lazy-vmalloc': [
    'current',
    'no-barrier-at-leave',
    'no-dsb',
    'no-isb',
    'no-isb-ets2',
    'by-flag',
    'by-flag-ets2',
    'by-flag-spurious-fault',
    'by-flag-no-dsb-spurious-fault',
  ],
  'sme-dvmsync-erratum': ['no-workaround', 'no-barrier', 'dmb', 'dsb', 'mask-before-tlbi'],
  'ksm-vs-gup': ['pin-recheck', 'no-recheck', 'count-before-clear', 'no-count'],
};

/**
 * The contpte scenarios, as docs/contpte.md says: with nobody but who does it and another thread; or with a third,
 * where blocks of two keep the space small enough, or the counterexample comes early.
 */
const TWO_AGENTS = { reader: 0, device: 0 };
const BLOCKS_OF_TWO = { block: 2 };
const FOUND_EARLY = new Set(['contpte-zap clear-one-without-unfold', 'contpte-unfold bbml0-no-tlbi']);
const THREE_AGENTS =
  /^contpte-(?:fork whole\/no-flush|fold (?:two|across)-folios|fault gathered-.*|mremap batched\/flush-after-unlock|mprotect batch-anon-exclusive|young (?:clean-old-nonatomic|byte-length)|reclaim (?:batched\/.*|batch-.*)|lockless .*)$/;

function sizeOf(scenario: string, variant: string): Readonly<Record<string, number>> {
  if (!scenario.startsWith('contpte-') || variant.startsWith('half-toggled-back')) return {};
  if (FOUND_EARLY.has(`${scenario} ${variant}`)) return {};
  return THREE_AGENTS.test(`${scenario} ${variant}`) ? BLOCKS_OF_TWO : TWO_AGENTS;
}

/** Whose counterexamples lie deep in large spaces: any of them will do. */
const deepFirst = new Set([
  'secondary-tlb-order notify-under-ptl',
  'secondary-tlb-order notify-with-flush',
  'secondary-tlb-order notify-at-end-only',
  'secondary-tlb-order never',
  'cow-vs-secondary option-3-nested-bracket',
  'cow-vs-secondary E4/arm64-nested-bracket',
  'contpte-fold across-folios',
  'contpte-mremap batched/flush-after-unlock',
]);

const rows = scenarios.flatMap((scenario: Scenario) =>
  scenario.variants.flatMap((variant) => {
    const verdict = expectedVerdict(variant, 'arm');
    const here = deep || quick[scenario.name]?.includes(variant.name) === true;
    return verdict === null || !here ? [] : [[scenario.name, variant.name, verdict] as const];
  }),
);

describe('on arm', () => {
  it('every variant named here has a verdict of its own', () => {
    const named = Object.entries(quick).flatMap(([scenario, names]) => names.map((name) => `${scenario} ${name}`));
    const known = new Set(rows.map(([scenario, variant]) => `${scenario} ${variant}`));
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it.each(rows)('%s / %s is %s', async (scenario, variant, verdict) => {
    const parameters = sizeOf(scenario, variant);
    const resolved = resolveScenario(scenarios, { scenario, variant, memoryModel: 'arm', parameters });
    const search = deepFirst.has(`${scenario} ${variant}`) ? 'dfs' : 'bfs';
    const result = await explore(resolved.build(), { interleavingsStatesMax: 0, search });
    expect(result.verdict).toBe(verdict);
    expect(agrees(resolved.expected, result.verdict)).toBe(true);
  });

  it('reduction changes no verdict', async () => {
    for (const variant of ['unlocked', 'v1', 'v2', 'v6-no-barrier']) {
      const resolved = resolveScenario(scenarios, { scenario: 'ptdump-vmalloc', variant, memoryModel: 'arm' });
      const full = await explore(resolved.build(), {
        interleavingsStatesMax: 0,
        reduction: false,
        bounds: { maxStates: 300_000 },
      });
      expect(agrees(resolved.expected, full.verdict), variant).not.toBe(false);
    }
  });
});
