import { Histogram } from '@shootdown/report';
import { assemble, parseTopology, runMachine } from '@shootdown/topology';
import { describe, expect, it } from 'vitest';
import { kvmHost } from './demos/kvm-host.ts';
import { hostReport, hostText } from './host-report.ts';

describe('the report of a host', () => {
  const runMicroseconds = 4000;
  const machine = assemble(
    parseTopology(kvmHost({ name: 'h', vms: 2, paravirtualFlush: true, pauseLoopExiting: false, runMicroseconds })),
  );
  const cycles = new Histogram();
  const run = runMachine(machine, {
    onRoutine: (routine, _, took) => void (routine === 'flush_tlb_mm_range' && cycles.add(took)),
  });
  const report = hostReport(machine, run, new Map([['flush_tlb_mm_range', cycles]]))!;
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

  it('counts every exit under its reason and its vCPU', () => {
    expect(report.vcpus).toHaveLength(8);
    expect(report.exitsTotal).toBe(sum(Object.values(report.exits).map(sum)));
    expect(sum(report.exits['msr_write'] ?? [])).toBe(sum(report.ipis.sent));
    expect(sum(report.exits['external_interrupt'] ?? [])).toBeGreaterThan(4 * 3);
  });

  it('gives the second stage per TLB miss, and steal time per vCPU', () => {
    expect(report.secondStage?.faults).toBe(sum(report.exits['ept_violation'] ?? []));
    expect(report.secondStage?.walkReferencesPerMiss).toBeGreaterThan(1);
    expect(sum(report.stealMicroseconds)).toBeCloseTo(4 * runMicroseconds, -2);
  });

  it('reads as tables with units, and a histogram with its unit', () => {
    const text = hostText(report);
    for (const part of [
      'exits by reason',
      'ept_violation',
      'sent',
      'elided',
      'received',
      'steal time',
      ' us',
      'memory references each',
      'flush_tlb_mm_range()',
      ' cycles',
    ])
      expect(text).toContain(part);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(180);
  });

  it('is no report of a native machine', () => {
    const native = assemble(
      parseTopology({
        name: 'n',
        architecture: 'x86-64-4l',
        cpus: 1,
        processes: [{ name: 'p', threads: [{ cpu: 0, run: [] }] }],
      }),
    );
    expect(hostReport(native, runMachine(native), new Map())).toBeNull();
  });
});
