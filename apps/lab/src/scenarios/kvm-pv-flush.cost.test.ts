import { describe, expect, it } from 'vitest';
import { comparePvFlush, PvFlushLoad, runPvFlush } from './kvm-pv-flush.cost.ts';

const STEPS_PER_SECOND_MIN = 50_000;

describe('cost of flushing in a VM', () => {
  const [alone, aloneParavirtual, shared, sharedParavirtual] = [runPvFlush(1, false), runPvFlush(1, true), runPvFlush(2, false), runPvFlush(2, true)];

  it('a VM that has its CPUs to itself gains nothing: nobody is preempted, every flush is an IPI to each of the others', () => {
    expect(aloneParavirtual.elided).toBe(0);
    expect(alone.stealPercent).toBe(0);
    expect(Math.round(alone.ipisSent / alone.flushMicroseconds.count)).toBe(PvFlushLoad.vcpusPerVm - 1);
    expect(Math.abs(aloneParavirtual.recordsPerSecond / alone.recordsPerSecond - 1)).toBeLessThan(0.02);
  });

  it('two VMs on the CPUs of one: an IPI waits for preempted vCPUs, a paravirtual flush does not', () => {
    expect(shared.elided).toBe(0);
    expect(sharedParavirtual.elided).toBeGreaterThan(1000);
    expect(sharedParavirtual.recordsPerSecond).toBeGreaterThan(2 * shared.recordsPerSecond);
    expect(sharedParavirtual.meanFlushMicroseconds).toBeLessThan(shared.meanFlushMicroseconds / 10);
  });

  it('half of the time of two VMs is stolen, and both get as much of the rest', () => {
    for (const { stealPercent, recordsPerVm } of [shared, sharedParavirtual]) {
      expect(stealPercent).toBeCloseTo(50);
      expect(Math.abs((recordsPerVm[0] ?? 0) / (recordsPerVm[1] ?? 1) - 1)).toBeLessThan(0.15);
    }
  });

  it('an IPI is longest under way when its target is preempted: up to a timeslice', () => {
    expect(alone.flushMicroseconds.max).toBeLessThan(20);
    expect(shared.flushMicroseconds.max).toBeGreaterThan(PvFlushLoad.timesliceCycles / 2 / 3000);
  });

  it('runs fast enough to be asked in passing', () => {
    expect(sharedParavirtual.stepsPerSecond).toBeGreaterThan(STEPS_PER_SECOND_MIN);
  });

  it('a comparison has a row per number of VMs and kind of flush', () => {
    expect(comparePvFlush(1).rows.map((row) => row.variant)).toEqual(['1 VM, IPI', '1 VM, paravirtual']);
  });
});
