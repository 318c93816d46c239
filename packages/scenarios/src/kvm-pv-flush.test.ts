import { explore } from '@shootdown/explorer';
import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { counterexampleOf, describeScenario, expectPoints, MODELS, UNCOUNTED } from './matrix.test-support.ts';

const NAMES = kvmPvFlush.variants.map((variant) => variant.name);
const GOLDEN = ['read-then-clear', 'second-preempt-overwrites', 'preempted-in-emulator'];

const { systemOf, searched } = describeScenario(kvmPvFlush, {
  violates: STALE_TRANSLATION,
  golden: GOLDEN,
  live: NAMES,
  liveModels: MODELS,
});

describe('kvm-pv-flush', () => {
  it.each(['xchg', 'instruction-boundary'])('%s stays safe when the host preempts more often', async (name) => {
    expect((await explore(systemOf(name, 'sc', { preemptions: 4 }), UNCOUNTED)).verdict).toBe('safe');
  });

  it.each(['read-then-clear', 'preempted-in-emulator', 'mutant-plain-store'])(
    '%s: one preemption is enough',
    async (name) => {
      expect((await explore(systemOf(name, 'sc', { preemptions: 1 }), UNCOUNTED)).verdict).toBe('violation');
      expect((await explore(systemOf(name, 'sc', { preemptions: 0 }), UNCOUNTED)).property).toBe('a flush is elided');
    },
  );

  it('second-preempt-overwrites needs two preemptions', async () => {
    expect((await explore(systemOf('second-preempt-overwrites', 'sc', { preemptions: 1 }), UNCOUNTED)).verdict).toBe(
      'safe',
    );
  });

  it.each(GOLDEN)('%s: the counterexample shows the host', async (name) => {
    expect(counterexampleOf(systemOf(name), await searched(name))).toMatch(/^<host preempts vCPU0>/m);
  });

  it.each(NAMES)('%s: its points say all that matters with store buffers, too', (name) => {
    expectPoints(systemOf(name, 'tso'));
  });
});
