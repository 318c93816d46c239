import { describe, expect, it } from 'vitest';
import { withCosts, x86Costs, type CostModel } from './cost.ts';
import { BLOCKED, defineOperation, operation } from '../routine/operation.ts';
import { load, nop, rest, store, waitFor, xchg } from '../routine/operations.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import {
  deviceSystem,
  interruptSystem,
  memorySystem,
  oneProcessor,
  oneWord,
  send,
} from '../execute/systems.test-support.ts';
import { deviceMachine, listenerMachine, processorMachine } from '../execute/processor.test-support.machine.ts';
import { DirectExecutor } from '../execute/direct.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import type { TimedStep, VirtualTimeOptions } from './timed-run.ts';
import { runVirtualTime, VirtualTimeScheduler } from './virtual-time.ts';

const costs: CostModel = withCosts(x86Costs, {
  nop: 10,
  store: 1,
  load: 4,
  xchg: 20,
  wait: 4,
  message: 100,
  interrupt_entry: 50,
  drain: 7,
  slow: 1000,
});

const twoNops = routine('P0', function* () {
  yield* nop();
  yield* nop();
});

function timed(system: System, options: Partial<VirtualTimeOptions> = {}) {
  const steps: TimedStep[] = [];
  const run = runVirtualTime(new TabulatedExecutor(system), {
    costs,
    onStep: (step) => void steps.push(step),
    ...options,
  });
  return { ...run, log: steps.map((s) => `${s.startCycles}+${s.durationCycles} ${s.choice.name}`) };
}

describe('virtual time', () => {
  it('every processor has its own clock, and what is ready first happens first', () => {
    const builder = new SystemBuilder();
    const word = oneWord(builder, 'word');
    builder.processor({ name: 'P0', tasks: [program(twoNops)] });
    builder.processor({
      name: 'P1',
      tasks: [
        program(
          routine('P1', function* () {
            yield* load(word);
            yield* xchg(word, 1);
            yield* load(word);
          }),
        ),
      ],
    });
    const run = timed(builder.build());
    expect(run.log).toEqual(['0+10 P0', '0+4 P1', '4+20 P1', '10+10 P0', '24+4 P1']);
    expect(run).toMatchObject({ end: 'rest', steps: 5, cycles: 28, busyCycles: [20, 28] });
  });

  it('a processor that waits goes on when the step it waited for is complete', () => {
    const builder = new SystemBuilder();
    const flag = oneWord(builder, 'flag');
    builder.processor({ name: 'P0', tasks: [program(routine('P0', () => waitFor(flag, 1, 1)))] });
    builder.processor({
      name: 'P1',
      tasks: [
        program(
          routine('P1', function* () {
            yield* nop();
            yield* xchg(flag, 1);
            yield* nop();
          }),
        ),
      ],
    });
    const run = timed(builder.build());
    expect(run.log).toEqual(['0+10 P1', '10+20 P1', '30+4 P0', '30+10 P1']);
    expect(run.busyCycles).toEqual([4, 40]);
  });

  it('what rests until there is work is looked at again when there is', () => {
    const builder = new SystemBuilder();
    const word = oneWord(builder, 'word');
    const TAKE = defineOperation({
      name: 'take',
      rests: true,
      perform: (cx) => (cx.read(word) === 0 ? BLOCKED : cx.read(word)),
      footprint: () => ({ reads: [word], writes: [] }),
    });
    const worker = routine('worker', function* () {
      yield operation(TAKE);
      yield* nop();
    });
    builder.processor({ name: 'worker', tasks: [program(worker)] });
    builder.processor({
      name: 'P',
      tasks: [
        program(
          routine('P', function* () {
            yield* nop();
            yield* xchg(word, 1);
          }),
        ),
      ],
    });
    expect(timed(builder.build())).toMatchObject({
      end: 'rest',
      log: ['0+10 P', '10+20 P', expect.stringMatching(/^30\+\d+ worker$/), expect.stringMatching(/\+10 worker$/)],
    });
  });

  it('a message is under way for the latency of its channel, and taken between two operations', () => {
    const build = (latency?: string): System => {
      const builder = new SystemBuilder();
      builder.component({ name: 'cpu', machine: processorMachine });
      const irq = builder.channel({ name: 'irq', to: 'cpu', policy: 'level', ...(latency ? { latency } : {}) });
      builder.processor({
        name: 'P0',
        tasks: [program(routine('sender', () => send(irq, { type: 'irq', vector: 'a' })))],
      });
      builder.processor({
        name: 'P1',
        component: 'cpu',
        tasks: [program(routine('task', () => rest()))],
        handlers: { a: program(routine('handler', () => nop())) },
      });
      return builder.build();
    };
    expect(timed(build()).log).toEqual(['0+4 P0', '100+50 deliver irq', '150+10 P1']);
    expect(timed(build('slow')).log).toEqual(['0+4 P0', '1000+50 deliver irq', '1050+10 P1']);
  });

  it('a store in the buffer drains a while later', () => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const word = oneWord(builder, 'word');
    builder.processor({
      name: 'P0',
      tasks: [
        program(
          routine('P0', function* () {
            yield* store(word, 1);
            yield* xchg(word, 2);
          }),
        ),
      ],
    });
    expect(timed(builder.build()).log).toEqual(['0+1 P0', '8+0 drain P0', '8+20 P0']);
  });

  it('what happens by itself happens every period', () => {
    const builder = new SystemBuilder();
    const heard = oneWord(builder, 'heard');
    builder.component({
      name: 'listener',
      machine: listenerMachine,
      effects: { heard: (cx, e) => cx.write(heard, cx.read(heard) + Number(e['n'])) },
    });
    builder.spontaneous({
      name: 'beat',
      kind: 'hardware',
      component: 'listener',
      message: { type: 'note', n: 1 },
      periodCycles: 300,
    });
    builder.spontaneous({ name: 'never', kind: 'hardware', component: 'listener', message: { type: 'note', n: 100 } });
    builder.processor({ name: 'P0', tasks: [program(routine('P0', () => waitFor(heard, 3, 3)))] });
    const run = timed(builder.build(), { until: [0] });
    expect(run.log).toEqual(['300+0 beat', '600+0 beat', '900+0 beat', '900+4 P0']);
    expect(run).toMatchObject({ end: 'done', cycles: 904 });
  });

  it('an effect that costs more is booked to the step', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'listener', machine: listenerMachine, effects: { heard: (cx) => cx.spend('slow', 2) } });
    const line = builder.channel({ name: 'line', to: 'listener', policy: 'fifo' });
    builder.processor({ name: 'P0', tasks: [program(routine('P0', () => send(line, { type: 'note', n: 1 })))] });
    expect(timed(builder.build()).log).toEqual(['0+4 P0', '100+2000 deliver line']);
  });

  it.each<[string, () => System, Partial<VirtualTimeOptions>, string]>([
    ['rest', () => oneProcessor(() => () => rest()), {}, 'rest'],
    [
      'a deadlock',
      () =>
        oneProcessor((b) => {
          const word = oneWord(b, 'word');
          return () => waitFor(word, 1, 1);
        }),
      {},
      'deadlock',
    ],
    ['the bound on steps', () => interruptSystem('sc'), { stepsMax: 50 }, 'steps'],
    [
      'a violation',
      () =>
        oneProcessor(
          () =>
            function* () {
              yield* nop();
              yield* assertThat(false, 'no');
              yield* nop();
            },
        ),
      {},
      'violation',
    ],
    ['the processors that count being done', () => oneProcessor(() => () => nop()), { until: [0] }, 'done'],
    ['the observer', () => interruptSystem('sc'), { onStep: () => false }, 'stopped'],
  ])('ends with %s', (_, system, options, end) => {
    expect(timed(system(), options).end).toBe(end);
  });

  it('the step that violates a property is timed and reported like any other', () => {
    const run = timed(
      oneProcessor(
        () =>
          function* () {
            yield* nop();
            yield* assertThat(false, 'no');
            yield* nop();
          },
      ),
    );
    expect(run).toMatchObject({ log: ['0+10 P0'], steps: 1, cycles: 10 });
  });

  it('ticks alone are rest, or a deadlock if somebody still waits', () => {
    const build = (waits: boolean): System => {
      const builder = new SystemBuilder();
      const word = oneWord(builder, 'word');
      builder.component({ name: 'listener', machine: listenerMachine, effects: { heard: () => undefined } });
      builder.spontaneous({
        name: 'beat',
        kind: 'hardware',
        component: 'listener',
        message: { type: 'note', n: 1 },
        periodCycles: 10,
      });
      builder.processor({
        name: 'P0',
        tasks: [
          program(
            routine('P0', function* () {
              if (waits) yield* waitFor(word, 1, 1);
            }),
          ),
        ],
      });
      return builder.build();
    };
    expect(timed(build(false)).end).toBe('rest');
    expect(timed(build(true)).end).toBe('deadlock');
  });

  it('a run in portions is the run in one go', () => {
    for (const build of [() => interruptSystem('tso'), () => deviceSystem('tso'), () => memorySystem('tso')]) {
      const log = (portions: readonly number[]): unknown => {
        const steps: string[] = [];
        const executor = new TabulatedExecutor(build());
        const scheduler = new VirtualTimeScheduler(executor, {
          costs,
          stepsMax: 500,
          onStep: (s) => void steps.push(`${s.entry} ${s.startCycles} ${s.durationCycles}`),
        });
        for (const portion of portions) scheduler.advance(portion);
        return { log: steps, ...scheduler.result(), fingerprint: executor.fingerprint };
      };
      expect(log([1, 2, 3, 94, 400, 100])).toEqual(log([Number.POSITIVE_INFINITY]));
    }
  });

  it('a run may begin with messages under way', () => {
    const builder = new SystemBuilder();
    const heard = oneWord(builder, 'heard');
    builder.component({
      name: 'listener',
      machine: listenerMachine,
      effects: { heard: (cx, e) => cx.write(heard, Number(e['n'])) },
    });
    const line = builder.channel({ name: 'line', to: 'listener', policy: 'fifo' });
    builder.processor({
      name: 'P0',
      tasks: [
        program(
          routine('P0', function* () {
            yield* send(line, { type: 'note', n: 5 });
            yield* waitFor(heard, 7, 5);
          }),
        ),
      ],
    });
    const executor = new TabulatedExecutor(builder.build());
    executor.step(0);
    expect(runVirtualTime(executor, { costs })).toMatchObject({ end: 'rest', steps: 2 });
  });

  it('of the messages on an unordered channel, one that is refused does not keep the others', () => {
    const builder = new SystemBuilder();
    builder.component({
      name: 'device',
      machine: deviceMachine,
      input: { channel: -1 },
      effects: { done: () => undefined },
    });
    const line = builder.channel({ name: 'line', to: 'device', policy: 'unordered' });
    builder.processor({
      name: 'P0',
      tasks: [
        program(
          routine('P0', function* () {
            for (const message of [{ type: 'ask', from: 1 }, { type: 'ask', from: 2 }, { type: 'ready' }])
              yield* send(line, message);
          }),
        ),
      ],
    });
    const executor = new TabulatedExecutor(builder.build());
    for (let i = 0; i < 3; i++) executor.step(0);
    const { steps } = runVirtualTime(executor, { costs });
    expect([steps, executor.channelEmpty(0)]).toEqual([3, true]);
  });

  it('what is said of a step may be kept, unless one object was asked for', () => {
    const builder = new SystemBuilder();
    builder.processor({ name: 'P0', tasks: [program(twoNops)] });
    const system = builder.build();
    const heard = (reusesStep: boolean): Set<TimedStep> => {
      const steps = new Set<TimedStep>();
      const seen: string[] = [];
      runVirtualTime(new DirectExecutor(system), {
        costs,
        reusesStep,
        onStep(step) {
          steps.add(step);
          seen.push(`${step.startCycles}+${step.durationCycles} ${step.operation?.definition.name ?? ''}`);
        },
      });
      expect(seen).toEqual(['0+10 nop', '10+10 nop']);
      return steps;
    };
    expect(heard(false).size).toBe(2);
    expect(heard(true).size).toBe(1);
  });

  it('a copy of an operation that costs something else costs that', () => {
    const builder = new SystemBuilder();
    const quick = defineOperation({ name: 'quick', cost: 'nop', perform: () => 0 });
    const P0 = routine('P0', function* () {
      yield operation(quick);
      yield operation({ ...quick, cost: 'slow' });
    });
    builder.processor({ name: 'P0', tasks: [program(P0)] });
    expect(timed(builder.build()).log).toEqual(['0+10 P0', '10+1000 P0']);
  });
});
