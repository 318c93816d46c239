import { load, store, waitFor } from '@shootdown/machine';
import { user_mode } from '@shootdown/cpu';
import { KVM_VCPU_FLUSH_TLB, KVM_VCPU_PREEMPTED } from '@shootdown/hypervisor';
import { describe, expect, test } from 'vitest';
import { user_access } from '../fault.ts';
import { use_mm } from '../kernel.ts';
import {
  BASE,
  mmMachine,
  runMachine,
  type Body,
  type CountedRun,
  type MachineOptions,
} from '../machines.test-support.ts';
import { mmap, munmap } from '../mmap.ts';
import { pgd_alloc } from '../pgtable.ts';
import { KvmCounter, kvmTlbFlush } from './kvm-tlb.ts';
import { TLB_NR_DYN_ASIDS, X86Counter } from './x86-state.ts';

/** The word of `flags` that stands for steal_time.preempted of CPU 1: this test is the host. */
const RECORD = 7;

const computes: Body = function* ({ kernel, mms, flags }, cpu) {
  yield* waitFor(flags.at(0), -1, 1);
  yield* use_mm(kernel, cpu, mms[0]!);
  yield* store(flags.at(1), 1);
  yield* user_mode(cpu);
};

/** CPU 0 maps and unmaps a page with its table, once per value of CPU 1's record. */
function flushes(records: readonly number[], after: (record: number, gen: number) => void = () => {}): CountedRun {
  const options: MachineOptions = { cpus: 2 };
  const { flags } = mmMachine(options, []);
  const machine = mmMachine(
    { ...options, x86: { flush_tlb_multi: kvmTlbFlush({ stealTime: [undefined, flags.at(RECORD)] }) } },
    [
      function* (m, cpu) {
        const mm = m.mms[0]!;
        yield* pgd_alloc(m.kernel, mm);
        yield* use_mm(m.kernel, cpu, mm);
        yield* store(m.flags.at(0), 1);
        yield* waitFor(m.flags.at(1), -1, 1);
        for (const record of records) {
          yield* store(m.flags.at(RECORD), record);
          const start = yield* mmap(mm, BASE, 1);
          yield* user_access(m.kernel, cpu, mm, start, true);
          yield* munmap(m.kernel, cpu, mm, start, start + 1);
          after(yield* load(m.flags.at(RECORD)), yield* load(m.x86!.ctx_tlb_gen.at(TLB_NR_DYN_ASIDS)));
        }
      },
      computes,
    ],
  );
  expect(machine.flags.base).toBe(flags.base);
  const run = runMachine(machine);
  expect([run.violation, run.run.end]).toEqual([null, 'rest']);
  return run;
}

describe('kvm_flush_tlb_multi()', () => {
  test('a vCPU that runs gets an IPI', () => {
    const { counts } = flushes([0]);
    expect([counts[X86Counter.interrupts], counts[KvmCounter.elided]]).toEqual([[0, 1], undefined]);
  });

  test('a preempted one gets none, although a page table is freed; its record asks for a flush', () => {
    const records: number[] = [];
    const { counts } = flushes([KVM_VCPU_PREEMPTED], (record) => records.push(record));
    expect([counts[X86Counter.interrupts], counts[KvmCounter.elided]]).toEqual([undefined, [1, 0]]);
    expect(records).toEqual([KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB]);
  });

  test('a request that is there already is good for this flush too', () => {
    expect(flushes([KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB]).counts[KvmCounter.elided]).toEqual([1, 0]);
  });

  test('the generation of the vCPU stays behind: it catches up at its next IPI', () => {
    const generations: number[] = [];
    flushes([0, KVM_VCPU_PREEMPTED, 0], (_, generation) => generations.push(generation));
    expect(generations).toEqual([2, 2, 4]);
  });
});
