import {
  assertThat,
  LiveExecutor,
  load,
  nop,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  SystemBuilder,
  store,
  TabulatedExecutor,
  xchg,
  type Executor,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import {
  addVcpu,
  emulated_instruction,
  KVM_VCPU_FLUSH_TLB,
  KVM_VCPU_PREEMPTED,
  type Emulator,
  type Vcpu,
  type VcpuOptions,
} from './vcpu.ts';
import type { VcpuEntry } from './vcpu.machine.ts';
import { everyRun } from '@shootdown/machine/every-run';
import { testMachines } from './vcpu.test-support.machine.ts';

const REQUESTED = KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB;
const STEPS_MAX = 200;

interface Guest {
  readonly system: System;
  readonly vcpu: Vcpu;
  /** How often the guest's TLB was flushed, whether its hardware is suspended, accesses made by the emulator. */
  readonly flushes: number;
  readonly suspended: number;
  readonly accesses: number;
  readonly ipi: number;
}

/** vCPU 0 idles about or has an instruction emulated; a second CPU asks for a flush if it sees the vCPU preempted. */
function guest(options: VcpuOptions, emulated = false): Guest {
  const builder = new SystemBuilder();
  const seen = builder.region('seen', 3);
  const add =
    (address: number): ((cx: { read(a: number): number; write(a: number, v: number): void }) => void) =>
    (cx) =>
      cx.write(address, cx.read(address) + 1);
  builder.component({ name: 'cpu', machine: testMachines.cpu });
  builder.component({ name: 'mmu', machine: testMachines.mmu, effects: { flushed: add(seen.at(0)) } });
  const vcpu = addVcpu(
    builder,
    { id: 0 },
    {
      mmu: {
        port: builder.port('mmu'),
        suspend: (cx) => cx.write(seen.at(1), 1),
        resume: (cx) => cx.write(seen.at(1), 0),
      },
      ...options,
      ...(emulated && { emulator: { translate: () => undefined, access: add(seen.at(2)) } }),
    },
  );
  const work = routine('work', function* () {
    if (emulated) yield* emulated_instruction(vcpu, 'movs');
    else yield* nop();
    yield* nop();
  });
  const asks = routine('asks', function* () {
    if ((yield* load(vcpu.stealTime)) === KVM_VCPU_PREEMPTED) yield* xchg(vcpu.stealTime, REQUESTED);
  });
  builder.processor({ name: 'CPU0', tasks: [program(work)], component: 'cpu', gate: vcpu.gateName });
  builder.processor({ name: 'CPU1', tasks: [program(asks)] });
  const ipi = builder.channel({ name: 'ipi', to: 'cpu', policy: 'level' });
  return { system: builder.build(), vcpu, flushes: seen.at(0), suspended: seen.at(1), accesses: seen.at(2), ipi };
}

/** Makes choices happen by name. True if all could. */
function make(executor: Executor, ...names: readonly string[]): boolean {
  return names.every((name) => {
    const index = executor.system.choices.findIndex((choice) => choice.name === name);
    if (index < 0)
      throw new Error(`no choice ${name} (have: ${executor.system.choices.map((choice) => choice.name).join(', ')})`);
    return executor.step(index);
  });
}

const PREEMPT = 'host preempts vCPU0';
const RESUME = 'host resumes vCPU0';
const ENTER = 'vCPU0: record_steal_time(), VM entry';

describe.each([
  ['tabulated', (system: System): Executor => new TabulatedExecutor(system)],
  ['live', (system: System): Executor => new LiveExecutor(system)],
])('a vCPU, %s', (_name, executorOf) => {
  const start = (
    options: VcpuOptions = {},
    emulated = false,
  ): Guest & { executor: Executor; read: (address: number) => number } => {
    const made = guest(options, emulated);
    const executor = executorOf(made.system);
    return { ...made, executor, read: (address) => executor.store.read(address) };
  };

  it('that is preempted neither executes nor takes interrupts, and its hardware walks nothing', () => {
    const { executor, read, ipi, suspended } = start();
    executor.send(ipi, { type: 'ipi' });
    expect(make(executor, PREEMPT)).toBe(true);
    expect(read(suspended)).toBe(1);
    expect(make(executor, 'CPU0')).toBe(false);
    expect(make(executor, 'deliver ipi')).toBe(false);
    expect(make(executor, RESUME, 'deliver ipi', 'CPU0')).toBe(true);
    expect(read(suspended)).toBe(0);
  });

  it('is flushed before it enters the guest if that was asked while it was preempted, and only then', () => {
    const { executor, read, vcpu, flushes } = start();
    expect(make(executor, PREEMPT, RESUME)).toBe(true);
    expect(read(flushes)).toBe(0);
    expect(make(executor, PREEMPT, 'CPU1', 'CPU1')).toBe(true);
    expect(read(vcpu.stealTime)).toBe(REQUESTED);
    expect(make(executor, RESUME)).toBe(true);
    expect([read(vcpu.stealTime), read(vcpu.st_preempted), read(flushes)]).toEqual([0, 0, 1]);
  });

  it('preempted again on its way in keeps the request; before v5.6 it lost it', () => {
    const requests = ([true, false] as const).map((keepsPendingFlush) => {
      const { executor, read, vcpu } = start({ entry: 'xchg', keepsPendingFlush, onlyAtInstructionBoundary: false });
      expect(make(executor, PREEMPT, 'CPU1', 'CPU1', RESUME, PREEMPT)).toBe(true);
      return read(vcpu.stealTime);
    });
    expect(requests).toEqual([REQUESTED, KVM_VCPU_PREEMPTED]);
  });

  it('preempted again on its way in is at no instruction boundary, which since v5.19 protects the request too', () => {
    const { executor, read, vcpu } = start({ entry: 'xchg', keepsPendingFlush: false });
    expect(make(executor, PREEMPT, 'CPU1', 'CPU1', RESUME, PREEMPT)).toBe(true);
    expect(read(vcpu.stealTime)).toBe(REQUESTED);
  });

  it('whose record is read in one step and cleared in another loses what is asked in between', () => {
    const { executor, read, vcpu, flushes } = start({ entry: 'read_then_clear' });
    expect(
      make(
        executor,
        PREEMPT,
        'CPU1',
        RESUME,
        'vCPU0: record_steal_time() reads',
        'CPU1',
        'vCPU0: record_steal_time() clears, VM entry',
      ),
    ).toBe(true);
    expect([read(vcpu.stealTime), read(flushes)]).toEqual([0, 0]);
  });

  it('does what another kernel does with its record, in its order', () => {
    const outcome = (entry: VcpuEntry, ...steps: readonly string[]): readonly number[] => {
      const { executor, read, vcpu, flushes } = start({ entry });
      expect(make(executor, PREEMPT, 'CPU1', 'CPU1', RESUME, ...steps)).toBe(true);
      return [read(vcpu.stealTime), read(flushes)];
    };
    const CLEARS = 'vCPU0: record_steal_time() clears';
    const READS = 'vCPU0: record_steal_time() reads';
    expect(outcome(['clear', 'read'], CLEARS, `${READS}, VM entry`)).toEqual([0, 0]);
    expect(outcome(['read', 'read', 'clear'], READS, READS, `${CLEARS}, VM entry`)).toEqual([0, 2]);
    expect(outcome([], 'vCPU0: VM entry')).toEqual([REQUESTED, 0]);
    const { executor } = start({ entry: ['clear', 'read'] });
    expect(make(executor, PREEMPT, RESUME)).toBe(true);
    expect(make(executor, `${READS}, VM entry`)).toBe(false);
    expect(make(executor, CLEARS, PREEMPT)).toBe(false);
  });

  it('preempted in the emulator is not reported as preempted; before v5.19 it was', () => {
    const reported = ([true, false] as const).map((onlyAtInstructionBoundary) => {
      const { executor, read, vcpu, accesses } = start({ onlyAtInstructionBoundary }, true);
      expect(make(executor, 'CPU0', PREEMPT)).toBe(true);
      const preempted = read(vcpu.stealTime);
      expect(make(executor, 'CPU0')).toBe(false);
      expect(make(executor, RESUME, 'vCPU0: emulated access', ENTER, 'CPU0')).toBe(true);
      expect(read(accesses)).toBe(1);
      return preempted;
    });
    expect(reported).toEqual([0, KVM_VCPU_PREEMPTED]);
  });

  it('is preempted as often as the bound says', () => {
    const { executor } = start({ exploreBound: 1 });
    expect(make(executor, PREEMPT, RESUME)).toBe(true);
    expect(make(executor, PREEMPT)).toBe(false);
  });
});

describe('live and tabulated execution', () => {
  it.each(['atomic', 'xchg', 'read_then_clear', ['read', 'clear', 'exchange']] as const)(
    'agree step by step, entry %s',
    (entry) => {
      const { system } = guest({ entry, exploreBound: 3 }, entry === 'xchg');
      const [tabulated, live] = [new TabulatedExecutor(system), new LiveExecutor(system)];
      for (let seed = 0; seed < 20; seed++) {
        const { schedule } = runScheduler(tabulated, new RandomScheduler(seed), STEPS_MAX);
        expect(schedule.length).toBeGreaterThan(3);
        live.reset();
        for (const choice of schedule) expect(live.step(choice)).toBe(true);
        expect(live.fingerprint).toBe(tabulated.fingerprint);
      }
      live.stop();
    },
  );
});

describe('leaving the guest, with a store buffer,', () => {
  /** The guest stores, and leaves for the emulator, which says so in a word. */
  const system = (): System => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const [word, emulating] = [builder.region('word', 1).at(0), builder.region('emulating', 1).at(0)];
    builder.component({ name: 'cpu', machine: testMachines.cpu });
    const emulator: Emulator = { translate: (cx) => cx.write(emulating, 1), access: () => undefined };
    const vcpu = addVcpu(builder, { id: 0 }, { exploreBound: 1, emulator });
    const guest = routine('guest', function* () {
      yield* store(word, 1);
      yield* emulated_instruction(vcpu, 'movs');
    });
    const reader = routine('reader', function* () {
      if ((yield* load(emulating)) === 1)
        yield* assertThat((yield* load(word)) === 1, 'what the guest stored is in memory');
    });
    builder.processor({ name: 'CPU0', tasks: [program(guest)], component: 'cpu', gate: vcpu.gateName });
    builder.processor({ name: 'CPU1', tasks: [program(reader)] });
    return builder.build();
  };

  it('comes after the stores that the guest has made, if the host preempts it', () => {
    const executor = new TabulatedExecutor(system());
    const named = (name: string): number => executor.system.choices.findIndex((choice) => choice.name === name);
    expect(executor.step(named('CPU0'))).toBe(true);
    expect(executor.step(named('host preempts vCPU0'))).toBe(false);
    expect(executor.step(named('drain CPU0'))).toBe(true);
    expect(executor.step(named('host preempts vCPU0'))).toBe(true);
  });

  it('comes after them if an instruction is emulated', () => {
    expect(everyRun(system())).toMatchObject({ violations: new Set(), deadlock: false });
  });
});
