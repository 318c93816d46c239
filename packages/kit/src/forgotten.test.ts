/** A forgotten `yield*` before what a small machine offers is noticed, however the machine flushes. */
import type { Cpu } from '@shootdown/cpu';
import { RandomScheduler, runScheduler, TabulatedExecutor, type Steps } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { FLUSHES } from './options.ts';
import { smallMachine, type SmallMachine } from './small-machine.ts';

const calls: readonly ((m: SmallMachine, cpu: Cpu) => Steps<unknown>)[] = [
  (m, cpu) => m.flush_tlb_page(cpu, 0),
  (m, cpu) => m.flush_tlb_range(cpu, 0, 1),
  (m, cpu) => m.zap_page_range_single(cpu, 0),
  (m, cpu) => m.write(cpu, 0),
  (m, cpu) => m.syscall_returns(cpu),
  (m, cpu) => m.arch.switch_mm(cpu, m.mm),
  (m) => m.arch.init_new_context(m.mm),
  (m) => m.pte_lock(0),
  (m) => m.ptep_get_and_clear(0),
];

it.each(FLUSHES)('on a machine that flushes by %s', (flush) => {
  for (const call of calls) {
    const system = smallMachine({
      memoryModel: 'sc',
      cpus: 2,
      pages: 1,
      mapped: 1,
      flush,
      ...(flush === 'kvm' && { vcpus: [{}, {}] }),
    }).start({
      *forgets(m, cpu) {
        yield* m.read(cpu, 0);
        void call(m, cpu);
      },
    });
    const run = () => runScheduler(new TabulatedExecutor(system), new RandomScheduler(1), 1_000);
    expect(run, String(call)).toThrow(
      /^routine: forgets: step \d+ .*was made and never begun: write yield\* before it$/,
    );
  }
});
