import {
  arm64Costs,
  cyclesOf,
  DirectExecutor,
  runVirtualTime,
  x86Costs,
  type CostModel,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import type { InvalidationLatency, MmuInstructions } from './instructions.ts';
import { smallMachine } from './machines.test-support.ts';

const FIRST_CPU = 'CPU0';
const OTHERS = 0b10;

/** Cycles from the first to the last step of an invalidation on the other CPU, and what its own steps cost. */
function invalidation(
  costs: CostModel,
  latency: InvalidationLatency,
  instructions: (mmu: MmuInstructions) => Steps,
): { took: number; own: number } {
  const { system } = smallMachine({ cpus: 2, tlb: 'real', latency }, [
    ({ mmus }) => instructions(mmus[0]!),
    function* () {},
  ]);
  let [began, ended, own] = [-1, 0, 0];
  const run = runVirtualTime(new DirectExecutor(system), {
    costs,
    onStep({ choice, operation, startCycles, durationCycles }) {
      if (
        choice.name !== FIRST_CPU ||
        !/^(invlpgb|tlbsync|hypercall|hypercall_returns|tlbi_is|dsb)$/.test(operation?.definition.name ?? '')
      )
        return;
      if (began < 0) began = startCycles;
      own += durationCycles;
      ended = startCycles + durationCycles;
    },
  });
  expect(run.end).toBe('rest');
  return { took: ended - began, own };
}

describe('an invalidation on another CPU takes', () => {
  const page = { asid: 1, pages: { vpn: 0, count: 1 } };

  test('the way of an INVLPGB, which TLBSYNC waits for', () => {
    const { took, own } = invalidation(x86Costs, 'invlpgb_remote', function* (mmu) {
      yield* mmu.invlpgb(page);
      yield* mmu.tlbsync();
    });
    expect(own).toBe(cyclesOf(x86Costs, 'invlpgb') + cyclesOf(x86Costs, 'tlbsync'));
    expect(took).toBe(cyclesOf(x86Costs, 'invlpgb_remote') + cyclesOf(x86Costs, 'tlbsync'));
  });

  test('a hypercall, and the flush of the vCPU that it interrupts', () => {
    const { took, own } = invalidation(x86Costs, 'hypercall_flush', (mmu) =>
      mmu.hypercall_flush(OTHERS, page, 'HvFlushVirtualAddressList'),
    );
    expect(own).toBe(cyclesOf(x86Costs, 'vmexit_hypercall') + cyclesOf(x86Costs, 'wait'));
    expect(took).toBe(cyclesOf(x86Costs, 'hypercall_flush') + cyclesOf(x86Costs, 'wait'));
  });

  test('the way of a DVM message on arm64, which DSB waits for', () => {
    const { took } = invalidation(arm64Costs, 'dvm', function* (mmu) {
      yield* mmu.tlbi_is({ scope: 'page', vpn: 0, asid: 1, leafOnly: true });
      yield* mmu.dsb('ish');
    });
    expect(took).toBe(cyclesOf(arm64Costs, 'dvm') + cyclesOf(arm64Costs, 'dsb'));
  });

  test.each(['invlpgb_remote', 'hypercall_flush', 'dvm'] as const)(
    'a time that the cost table of its architecture has: %s',
    (latency) => {
      expect((latency === 'dvm' ? arm64Costs : x86Costs).costs[latency]?.cycles).toBeGreaterThan(0);
    },
  );
});
