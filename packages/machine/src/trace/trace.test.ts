import { describe, expect, it } from 'vitest';
import { LiveExecutor } from '../execute/live.ts';
import { atomicAdd, cmpxchg, load, nop, rest, smp_mb, store, xchg } from '../routine/operations.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import { oneProcessor, send } from '../execute/systems.test-support.ts';
import { processorMachine } from '../execute/processor.test-support.machine.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { columnsOf, describeStep, recordTrace } from './trace.ts';

/** Two processors under tso, an interrupt, a tick: one step of every kind. */
function everyKind(): { system: System; choice: (name: string) => number } {
  const builder = new SystemBuilder({ memoryModel: 'tso' });
  const pmd = builder.region('pmd', 2, { format: (v) => `0x${v.toString(16)}` });
  builder.component({ name: 'cpu', machine: processorMachine });
  const irq = builder.channel({ name: 'P1.irq', to: 'cpu', policy: 'level' });
  const pud_clear = routine('pud_clear', function* () {
    yield* store(pmd.at(1), 16);
  });
  builder.processor({
    name: 'P0',
    tasks: [
      program(
        routine('pud_free_pmd_page', function* () {
          yield* pud_clear();
          yield* load(pmd.at(1), {
            label: 'pmdp_get()',
            fact: (value) => (value === 0 ? undefined : `pmd 0x${value.toString(16)}`),
          });
          yield* send(irq, { type: 'irq', vector: 'flush' });
        }),
      ),
    ],
  });
  builder.processor({
    name: 'P1',
    component: 'cpu',
    tasks: [program(routine('user', () => rest())), program(routine('other', () => nop()))],
    handlers: {
      flush: program(
        routine('flush_tlb_func', function* () {
          yield* nop();
          yield* assertThat(false, 'never flushed', 'it was');
        }),
      ),
    },
  });
  builder.spontaneous({ name: 'P1 tick', kind: 'hardware', component: 'cpu', message: { type: 'tick' } });
  const system = builder.build();
  return { system, choice: (name) => system.choices.findIndex((c) => c.name === name) };
}

describe('recordTrace', () => {
  const { system, choice } = everyKind();
  const names = ['P0', 'P0', 'drain P0', 'P1 tick', 'P0', 'deliver P1.irq', 'P1'];
  const schedule = names.map(choice);

  it.each([TabulatedExecutor, LiveExecutor])('says every step in words (%o)', (Kind) => {
    const trace = recordTrace(new Kind(system), schedule);
    expect(trace.columns).toEqual([
      { name: 'P0', routine: 'pud_free_pmd_page' },
      { name: 'P1', routine: 'user, other' },
    ]);
    expect(
      trace.steps.map((s) => [s.kind, s.column, s.stack.join('>'), s.text, s.facts.join(), s.inInterrupt]),
    ).toEqual([
      ['advance', 0, 'pud_free_pmd_page>pud_clear', 'WRITE_ONCE(pmd[1], 0x10)', 'in store buffer', false],
      ['advance', 0, 'pud_free_pmd_page', 'pmdp_get()', 'pmd 0x10', false],
      ['drain', 0, '', '<store buffer: pmd[1] = 0x10>', '', false],
      ['spontaneous', 1, '', '<P1 tick>', '', false],
      ['advance', 0, 'pud_free_pmd_page', 'send irq', '', false],
      ['deliver', 1, '', '<P1.irq: irq>', '', false],
      ['advance', 1, 'flush_tlb_func', 'nop()', '', true],
    ]);
    expect(trace.steps.at(-1)?.violation).toEqual({ property: 'never flushed', detail: 'it was' });
    expect(trace.end).toEqual({ kind: 'violation', text: 'never flushed: it was' });
    expect(trace.steps.map((s) => s.entry)).toEqual(schedule);
  });

  it('ends in the state of the schedule, and leaves the executor as quiet as it was', () => {
    const executor = new TabulatedExecutor(system);
    const { fingerprint } = recordTrace(executor, schedule.slice(0, 4));
    expect(fingerprint).toBe(executor.fingerprint);
    expect(executor.observe).toBe(false);
    expect(recordTrace(executor, schedule.slice(0, 4)).end).toBeNull();
  });

  it('stops at an entry that is not enabled, with one line', () => {
    expect(() => recordTrace(new TabulatedExecutor(system), [choice('drain P0')])).toThrow(
      'schedule: step 0: drain P0 is not enabled there',
    );
    expect(() => recordTrace(new TabulatedExecutor(system), [99])).toThrow(
      `schedule: step: no choice 99 (this system has ${system.choices.length})`,
    );
  });

  it('describes no step that does not happen', () => {
    const executor = new TabulatedExecutor(system);
    const { fingerprint } = executor;
    for (const name of ['drain P0', 'deliver P1.irq', 'P1']) expect(describeStep(executor, choice(name))).toBeNull();
    expect(executor.fingerprint).toBe(fingerprint);
  });
});

describe('an operation without a label', () => {
  it('reads as the kernel would write it', () => {
    const system = oneProcessor((builder) => {
      const key = builder.region('key', 1).at(0);
      return function* () {
        yield* load(key);
        yield* store(key, 3);
        yield* xchg(key, 4);
        yield* cmpxchg(key, 4, 5);
        yield* atomicAdd(key, 1);
        yield* smp_mb();
      };
    });
    const executor = new TabulatedExecutor(system);
    expect(columnsOf(executor)).toEqual([{ name: 'P0', routine: 'body' }]);
    expect(recordTrace(executor, [0, 0, 0, 0, 0, 0]).steps.map((s) => s.text)).toEqual([
      'READ_ONCE(key)',
      'WRITE_ONCE(key, 3)',
      'xchg(key)',
      'cmpxchg(key)',
      'atomic_add_return(key)',
      'smp_mb()',
    ]);
  });
});
