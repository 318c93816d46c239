import { readFileSync } from 'node:fs';
import { expectedVerdict, explore } from '@shootdown/explorer';
import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { bothWays, counterexampleOf, expectAgreement, expectPoints, MODELS, rowsOf, searchOnce, systemsOf } from './matrix.test-support.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';

const systemOf = systemsOf(kvmPvFlush);
const searched = searchOnce(systemOf);

describe('kvm-pv-flush', () => {
  it.each(rowsOf(kvmPvFlush))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const { property } = await bothWays(() => systemOf(name, model), expected, searched(name, model));
    expect(property).toBe(expected === 'safe' ? null : STALE_TRANSLATION);
  });

  it.each(['xchg', 'instruction-boundary'])('%s stays safe when the host preempts more often', async (name) => {
    expect((await explore(systemOf(name, 'sc', { preemptions: 4 }))).verdict).toBe('safe');
  });

  it.each(['read-then-clear', 'preempted-in-emulator', 'mutant-plain-store'])('%s: one preemption is enough', async (name) => {
    expect((await explore(systemOf(name, 'sc', { preemptions: 1 }))).verdict).toBe('violation');
    expect((await explore(systemOf(name, 'sc', { preemptions: 0 }))).property).toBe('a flush is elided');
  });

  it('second-preempt-overwrites needs two preemptions', async () => {
    expect((await explore(systemOf('second-preempt-overwrites', 'sc', { preemptions: 1 }))).verdict).toBe('safe');
  });

  it.each(['read-then-clear', 'second-preempt-overwrites', 'preempted-in-emulator'])('%s: the counterexample shows the host, and reads as it always did', async (name) => {
    const text = await counterexampleOf(systemOf(name), searched(name));
    expect(text).toMatch(/^<host preempts vCPU0>/m);
    await expect(text).toMatchFileSnapshot(`golden/kvm-pv-flush.${name}.txt`);
  });

  it('docs/kvm-pv-flush.md gives every variant with its verdict', () => {
    const page = readFileSync(new URL('../../../../docs/kvm-pv-flush.md', import.meta.url), 'utf8');
    for (const variant of [...kvmPvFlush.variants, ...switchMmVsFlush.variants]) {
      const [sc, tso] = MODELS.map((model) => expectedVerdict(variant, model));
      expect(page).toContain(`| \`${variant.name}\` | ${sc === tso ? sc : `${sc} on sc, ${tso} on tso`} | ${variant.summary} |`);
    }
    expect(page).toContain(readFileSync(new URL('golden/kvm-pv-flush.read-then-clear.txt', import.meta.url), 'utf8').trim());
  });

  it.each(kvmPvFlush.variants.map((variant) => variant.name))('%s: live and tabulated execution agree, and its points say all that matters', (name) => {
    for (const model of MODELS) {
      const system = systemOf(name, model);
      expectAgreement(system);
      expectPoints(system);
    }
  });
});
