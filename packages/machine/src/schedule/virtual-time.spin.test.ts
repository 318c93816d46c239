import { describe, expect, it } from 'vitest';
import { withCosts, x86Costs } from './cost.ts';
import { setup } from '../execute/gate.test-support.machine.ts';
import {
  DirectExecutor,
  nop,
  program,
  routine,
  runVirtualTime,
  store,
  SystemBuilder,
  waitFor,
  type System,
  type TimedStep,
} from '../index.ts';

const costs = withCosts(x86Costs, { nop: 10, store: 10, wait: 1 });

/** P1 waits for what P0 writes after 100 cycles; whenever it has spun for as long as the word says, its gate shuts. */
function machine(windowCycles: number): System {
  const builder = new SystemBuilder();
  const flag = builder.region('flag', 1).at(0);
  const window = builder.region('window', 1, { initial: windowCycles }).at(0);
  builder.component({ name: 'host', machine: setup.host });
  const writes = routine('writes', function* () {
    for (let i = 0; i < 10; i++) yield* nop();
    yield* store(flag, 1);
  });
  const waits = routine('waits', function* () {
    yield* nop();
    yield* waitFor(flag, -1, 1);
  });
  builder.processor({ name: 'P0', tasks: [program(writes)] });
  builder.processor({ name: 'P1', tasks: [program(waits)], gate: 'host' });
  builder.spontaneous({
    name: 'spun',
    kind: 'hardware',
    component: 'host',
    message: { type: 'preempt' },
    afterSpinning: { processor: 'P1', cycles: window },
  });
  builder.spontaneous({
    name: 'resume',
    kind: 'host',
    component: 'host',
    message: { type: 'resume' },
    firstCycles: 70,
    periodCycles: 1_000_000,
  });
  return builder.build();
}

function timesOf(system: System, name: string): number[] {
  const times: number[] = [];
  runVirtualTime(new DirectExecutor(system), {
    costs,
    stepsMax: 60,
    onStep: (step: TimedStep) => void (step.choice.name === name && times.push(step.startCycles)),
  });
  return times;
}

describe('what happens after spinning', () => {
  it('happens when the processor has spun for as many cycles as the word says, counted from when it came to its operation', () => {
    expect(timesOf(machine(30), 'spun')[0]).toBe(40);
  });

  it('begins anew when the gate opens again', () => {
    const [first, second] = timesOf(machine(15), 'spun') as [number, number];
    expect(first).toBe(25);
    // The gate opens at 70; the processor notices after the step that was under way.
    expect(second).toBeGreaterThanOrEqual(70 + 15);
    expect(second).toBeLessThanOrEqual(80 + 15);
  });

  it('does not happen to a processor whose wait is over before', () => {
    expect(timesOf(machine(200), 'spun')).toEqual([]);
  });
});
