import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KvmHostLoad } from './demos/kvm-host.ts';
import { everyRow } from './comparison.ts';
import { comparePvFlush, runPvFlush, type PvFlushCase, type PvFlushRun } from './kvm-pv-flush.cost.ts';

const VCPUS = 4;

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const both = (wanted: Omit<PvFlushCase, 'paravirtualFlush'>): [PvFlushRun, PvFlushRun] => [
  runPvFlush({ ...wanted, paravirtualFlush: false }),
  runPvFlush({ ...wanted, paravirtualFlush: true }),
];

/** Two VMs on a host without pause-loop exits. */
const [shared, sharedParavirtual] = both({ vms: 2, pauseLoopExiting: false, runMicroseconds: 18_000 });

describe('cost of flushing in a VM, on a host without pause-loop exits', () => {
  const [alone, aloneParavirtual] = both({ vms: 1, pauseLoopExiting: false, runMicroseconds: 3000 });

  it('a VM that has its CPUs to itself gains nothing: nobody is preempted, every flush is an IPI to each of the others', () => {
    expect(sum(aloneParavirtual.ipis.elided)).toBe(0);
    expect(alone.stealPercent).toBe(0);
    expect(Math.round(sum(alone.ipis.sent) / alone.flushMicroseconds.count)).toBe(VCPUS - 1);
    expect(Math.abs(aloneParavirtual.recordsPerSecond / alone.recordsPerSecond - 1)).toBeLessThan(0.02);
  });

  it('two VMs on the CPUs of one: an IPI waits for preempted vCPUs, a paravirtual flush does not', () => {
    expect(sum(shared.ipis.elided)).toBe(0);
    expect(sum(sharedParavirtual.ipis.elided)).toBeGreaterThan(300);
    expect(sharedParavirtual.recordsPerSecond).toBeGreaterThan(2 * shared.recordsPerSecond);
    expect(sharedParavirtual.meanFlushMicroseconds).toBeLessThan(shared.meanFlushMicroseconds / 10);
  });

  it('half of the time of two VMs is stolen, as much from one as from the other', () => {
    for (const { stealPercent, stealMicroseconds, recordsPerVm } of [shared, sharedParavirtual]) {
      expect(stealPercent).toBeCloseTo(50);
      const [first, second] = [stealMicroseconds.slice(0, VCPUS), stealMicroseconds.slice(VCPUS)].map(sum) as [
        number,
        number,
      ];
      expect(Math.abs(first / second - 1)).toBeLessThan(0.1);
      expect(Math.min(...recordsPerVm)).toBeGreaterThan(0);
    }
  });

  it('an IPI is longest under way when its target is preempted: up to a timeslice', () => {
    expect(alone.flushMicroseconds.max).toBeLessThan(20);
    expect(shared.flushMicroseconds.max).toBeGreaterThan(KvmHostLoad.timesliceMicroseconds / 2);
  });
});

describe('pause-loop exits with directed yield', () => {
  const [native, paravirtual] = both({ vms: 2, runMicroseconds: 15_000 });

  it("give a waiting vCPU's CPU to the one it waits for, so that IPIs cost far less", () => {
    expect(native.directedYields.successful).toBeGreaterThan(10);
    expect(native.meanFlushMicroseconds).toBeLessThan(shared.meanFlushMicroseconds / 2);
    expect(native.recordsPerSecond).toBeGreaterThan(2 * shared.recordsPerSecond);
  });

  it('leave less to gain for the paravirtual flush, and leave both VMs their share', () => {
    expect(paravirtual.recordsPerSecond).toBeGreaterThan(0.95 * native.recordsPerSecond);
    expect(sum(paravirtual.ipis.elided)).toBeGreaterThan(0);
    for (const { stealPercent } of [native, paravirtual]) expect(stealPercent).toBeCloseTo(50, 0);
  });

  it('a vCPU that has yielded is not said to be preempted', () => {
    expect(native.preemptions.other).toBeGreaterThanOrEqual(native.directedYields.successful);
  });
});

describe('the comparison', () => {
  it.runIf(process.env['SHOOTDOWN_DEEP'] === '1')('docs/kvm-pv-flush.md gives the gains that come out', async () => {
    const page = readFileSync(new URL('../../../docs/kvm-pv-flush.md', import.meta.url), 'utf8');
    const gains = (await comparePvFlush()).rows.map((row) => row.gain).filter((gain) => gain !== '');
    const shown = [...page.matchAll(/^\| [48] vCPUs[^|]*\| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm)].flatMap(
      ([, ...cells]) => cells,
    );
    expect(shown).toEqual(gains);
  });

  it('has a row per host, number of VMs and kind of flush', async () => {
    expect(
      (await comparePvFlush(everyRow, 1, [{ name: 'no PLE', pauseLoopExiting: false }], 5_000)).rows.map(
        (row) => row.variant,
      ),
    ).toEqual(['no PLE, 1 VM, IPI', 'no PLE, 1 VM, PV']);
  });
});
