// Composing a machine: two CPUs, a thread of my own on each, an IPI that takes twice as long.
import { mmap, munmap, user_access, X86Counter } from '@shootdown/mm';
import { machine, MMAP_BASE_PAGE, runMachine } from '@shootdown/topology';

const PAGES = 8;

const mine = machine({ name: 'mine', architecture: 'x86-64-4l', cpus: 2, costs: { ipi: 3000 } })
  .thread('program', 0, function* ({ kernel, cpu, mm }) {
    for (let round = 0; round < 10; round++) {
      const start = yield* mmap(mm, MMAP_BASE_PAGE, PAGES);
      for (let i = 0; i < PAGES; i++) yield* user_access(kernel, cpu, mm, start + i, true);
      yield* munmap(kernel, cpu, mm, start, start + PAGES);
    }
  })
  .thread('program', 1, [{ do: 'spin' }])
  .assemble();

/** What comes out: counters per CPU, virtual time, how the run ended. */
export const result = runMachine(mine);

console.log(`${result.end} after ${(result.nanoseconds / 1000).toFixed(1)} us`);
console.log('IPIs per CPU:', result.total[X86Counter.interrupts]);
