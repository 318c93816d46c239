import {
  arm64Costs,
  cyclesOf,
  DirectExecutor,
  Frames,
  load,
  program,
  routine,
  runVirtualTime,
  smp_mb,
  store,
  SystemBuilder,
  x86Costs,
  type Address,
  type CostModel,
  type Steps,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, test } from 'vitest';
import { connectMmus, type InvalidationLatency, type MmuInstructions } from './instructions.ts';
import { smallMachine } from './machines.test-support.ts';
import { SaturatedTlb } from './saturated.ts';
import { tinyShape } from './walk.ts';

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

describe('on arm a barrier of the MMU orders', () => {
  type Between = (mmu: MmuInstructions) => Steps;
  type Words = Readonly<Record<'x' | 'y' | 'first' | 'second', Address>>;

  /** What two routines may have found in the end, `first,second`. */
  function outcomes(bodies: readonly ((words: Words, mmu: MmuInstructions) => Steps)[]): ReadonlySet<string> {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const frames = new Frames(builder, { tables: 1, entriesPerTable: 4, pages: 1 });
    const names = bodies.map((_, cpu) => `CPU${cpu}`);
    const { mmus } = new SaturatedTlb(builder, names, frames, tinyShape(1, 4), -1, [0]);
    connectMmus(builder, mmus, 'dvm');
    const [shared, found] = [builder.region('word', 2), builder.region('found', 2, { memory: 'ghost' })];
    const words = { x: shared.at(0), y: shared.at(1), first: found.at(0), second: found.at(1) };
    bodies.forEach((body, cpu) => {
      const task = program(routine('task', () => body(words, mmus[cpu] as MmuInstructions)));
      builder.processor({ name: `CPU${cpu}`, tasks: [task] });
    });
    const ends = new Set<string>();
    everyRun(builder.build(), undefined, (read) => ends.add(`${read(words.first)},${read(words.second)}`));
    return ends;
  }

  const none: Between = function* () {};
  const isb: Between = (mmu) => mmu.isb();
  const [ish, nsh, ishst, nshst] = (['ish', 'nsh', 'ishst', 'nshst'] as const).map(
    (kind): Between =>
      (mmu) =>
        mmu.dsb(kind),
  ) as [Between, Between, Between, Between];

  test.each([
    ['nothing', none, false],
    ['dsb(ish)', ish, true],
    ['dsb(nsh)', nsh, true],
    // What these wait for are stores.
    ['dsb(ishst)', ishst, false],
    ['dsb(nshst)', nshst, false],
    // What has been loaded is looked at before it.
    ['isb()', isb, true],
  ] as const)('two loads: %s', (_name, between, ordered) => {
    const ends = outcomes([
      function* ({ x, y }) {
        yield* store(x, 1);
        yield* smp_mb();
        yield* store(y, 1);
      },
      function* ({ x, y, first, second }, mmu) {
        yield* store(first, yield* load(y));
        yield* between(mmu);
        yield* store(second, yield* load(x));
      },
    ]);
    expect(ends.has('1,0')).toBe(!ordered);
  });

  test.each([
    ['nothing', none, false],
    ['dsb(ish)', ish, true],
    ['dsb(ishst)', ishst, true],
    ['isb()', isb, false],
  ] as const)('a store and a later load: %s', (_name, between, ordered) => {
    const ends = outcomes([
      function* ({ x, y, first }, mmu) {
        yield* store(x, 1);
        yield* between(mmu);
        yield* store(first, yield* load(y));
      },
      function* ({ x, y, second }, mmu) {
        yield* store(y, 1);
        yield* between(mmu);
        yield* store(second, yield* load(x));
      },
    ]);
    expect(ends.has('0,0')).toBe(!ordered);
  });
});
