import { expectedVerdict, explore } from '@shootdown/explorer';
import { FREED_FRAME, LiveExecutor, RandomScheduler, recordTrace, replay, runScheduler, TabulatedExecutor, verifyPoints, type MemoryModel } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { renderTrace } from '@shootdown/report';
import { describe, expect, it } from 'vitest';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { visited } from './local-states.test-support.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const NAMES = gupFastVsUnmap.variants.map((variant) => variant.name);
const { I1, I2 } = gup.Invariant;

const systemOf = (variant: string, memoryModel: MemoryModel = 'sc') => gupFastVsUnmap.build({ variant, memoryModel, parameters: {} });

describe('gup-fast-vs-unmap', () => {
  it.each(gupFastVsUnmap.variants.flatMap((v) => MODELS.map((model) => [v.name, model, expectedVerdict(v, model)] as const)))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const reduced = await explore(systemOf(name, model));
    expect(reduced.verdict).toBe(expected);
    expect(reduced.complete).toBe(expected === 'safe');
    const full = await explore(systemOf(name, model), { reduction: false });
    expect([full.verdict, full.property, full.schedule?.length]).toEqual([reduced.verdict, reduced.property, reduced.schedule?.length]);
  });

  it.each([
    ['kvm-pv/page-batch', [I1]],
    ['tlbi/page-batch', [I1]],
    ['kvm-pv/call-rcu/no-recheck', [I2]],
    ['kvm-pv/call-rcu/dontneed-no-pte-recheck', [I2]],
  ])('%s violates %j and nothing else', async (name, properties) => {
    expect((await explore(systemOf(name), { all: true })).problems.map((problem) => problem.property)).toEqual(properties);
  });

  it.each([
    ['the grace period', 'kvm-pv/call-rcu', 'kvm-pv/page-batch', I1],
    ['a grace period that sees interrupts-off stretches', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/blind', I1],
    ['interrupts off, natively', 'native-ipi/page-batch', 'native-ipi/page-batch/irqs-on', I1],
    ['interrupts off, under RCU', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/irqs-on', I1],
    ['the look at the pte again', 'kvm-pv/call-rcu/dontneed', 'kvm-pv/call-rcu/dontneed-no-pte-recheck', I2],
    ['the test for a reference count of 0', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/no-refcount-test', FREED_FRAME],
  ])('without %s, %s becomes %s, which violates "%s"', async (_guard, safe, mutant, property) => {
    expect((await explore(systemOf(safe))).verdict).toBe('safe');
    expect((await explore(systemOf(mutant))).property).toBe(property);
  });

  it.each(['kvm-pv/page-batch', 'kvm-pv/call-rcu/no-recheck'])('%s: the counterexample reads as it always did', async (name) => {
    const system = systemOf(name);
    const { schedule } = await explore(system);
    const trace = recordTrace(new TabulatedExecutor(system), schedule ?? []);
    await expect(renderTrace('text', trace)).toMatchFileSnapshot(`golden/gup-fast-vs-unmap.${name.replaceAll('/', '-')}.txt`);
  });

  it.each(NAMES)('%s: every point of its routines says all that the future depends on', (name) => {
    const executor = visited(systemOf(name));
    expect(verifyPoints(executor.system.programs, executor.nodes)).toEqual([]);
  });

  it.each(['kvm-pv/call-rcu', 'kvm-pv/sync-ipi'])('%s runs the same with live actors', (name) => {
    const system = systemOf(name);
    const [tabulated, live] = [new TabulatedExecutor(system), new LiveExecutor(system)];
    for (let seed = 0; seed < 5; seed++) {
      const fingerprints: string[] = [];
      const { schedule } = runScheduler(tabulated, new RandomScheduler(seed), 300);
      replay(tabulated, schedule, () => fingerprints.push(tabulated.fingerprint));
      replay(live, schedule, (i) => expect(live.fingerprint).toBe(fingerprints[i]));
    }
    live.stop();
  });
});
