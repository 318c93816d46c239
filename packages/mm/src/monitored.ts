/** The check that no translation is used after its flush completed, on any architecture. */
import { notedMethods } from '@shootdown/machine';
import type { FlushMonitor } from '@shootdown/mmu';
import type { Mm, TlbArch } from './kernel.ts';

/**
 * An architecture whose flushes report to monitors: when they begin, and when they are complete. Monitors are found by
 * mm.
 */
export function monitoredArch(arch: TlbArch, monitors: ReadonlyMap<Mm, FlushMonitor>): TlbArch {
  return notedMethods({
    ...arch,
    *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
      const monitor = monitors.get(mm);
      if (monitor) yield* monitor.begin(cpu.id, start, end);
      yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
      if (monitor) yield* monitor.end(cpu.id, start, end);
    },
  });
}
