import { describe, expect, it } from 'vitest';
import { machine, runMachine } from './index.ts';

describe('routine times', () => {
  const builder = () =>
    machine({ name: 'timed', architecture: 'x86-64-4l', cpus: 2, costs: { ipi: 5000 } })
      .thread('p', 0, [
        { do: 'wait-for-others' },
        { do: 'mmap', area: 'a', pages: 3 },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ])
      .thread('p', 1, [{ do: 'spin' }])
      .assemble();

  it('time every call of every routine once, callers no shorter than what they call', () => {
    const times = new Map<string, number[]>();
    const run = runMachine(builder(), {
      onRoutine: (name, processor, cycles) =>
        times.set(`${name} CPU${processor}`, [...(times.get(`${name} CPU${processor}`) ?? []), cycles]),
    });
    expect(run.end).toBe('done');
    expect(times.get('exc_page_fault CPU0')).toHaveLength(3);
    const [munmap] = times.get('munmap CPU0') ?? [];
    const [flush] = times.get('flush_tlb_mm_range CPU0') ?? [];
    const [handler] = times.get('sysvec_call_function CPU1') ?? [];
    expect(munmap).toBeGreaterThan(flush as number);
    // The initiator waits for the IPI to travel and for the handler to be done.
    expect(flush).toBeGreaterThan(5000 + (handler as number));
  });

  it('do not change the run', () => {
    const plain = runMachine(builder());
    const timed = runMachine(builder(), { onRoutine: () => undefined });
    expect([timed.steps, timed.cycles, timed.fingerprint]).toEqual([plain.steps, plain.cycles, plain.fingerprint]);
  });
});
