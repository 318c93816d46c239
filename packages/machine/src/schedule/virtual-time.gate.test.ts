import { describe, expect, it } from 'vitest';
import { withCosts, x86Costs } from './cost.ts';
import { setup } from '../execute/gate.test-support.machine.ts';
import {
  DirectExecutor,
  nop,
  program,
  routine,
  runVirtualTime,
  SystemBuilder,
  type System,
  type TimedStep,
} from '../index.ts';
import { send } from '../execute/systems.test-support.ts';

const costs = withCosts(x86Costs, { nop: 10, message: 15, interrupt_entry: 50 });

/** P0 sends P1 an interrupt at once, while P1 works; a host may take P1 away at 5 and give it back at 1000. */
function machine(preempted: boolean): System {
  const builder = new SystemBuilder();
  builder.component({ name: 'cpu', machine: setup.listener });
  builder.component({ name: 'host', machine: setup.host });
  const irq = builder.channel({ name: 'irq', to: 'cpu', policy: 'level' });
  const works = routine('works', function* () {
    for (let i = 0; i < 4; i++) yield* nop();
  });
  const sends = routine('sends', function* () {
    yield* send(irq, { type: 'ipi' });
  });
  builder.processor({ name: 'P0', tasks: [program(sends)] });
  builder.processor({ name: 'P1', tasks: [program(works)], component: 'cpu', gate: 'host' });
  if (preempted) {
    builder.spontaneous({
      name: 'preempt',
      kind: 'host',
      component: 'host',
      message: { type: 'preempt' },
      firstCycles: 5,
      periodCycles: 1_000_000,
    });
    builder.spontaneous({
      name: 'resume',
      kind: 'host',
      component: 'host',
      message: { type: 'resume' },
      firstCycles: 1000,
      periodCycles: 1_000_000,
    });
  }
  return builder.build();
}

function timesOf(system: System, name: string): number[] {
  const times: number[] = [];
  runVirtualTime(new DirectExecutor(system), {
    costs,
    stepsMax: 20,
    onStep: (step: TimedStep) => void (step.choice.name === name && times.push(step.startCycles)),
  });
  return times;
}

describe('virtual time and interrupts', () => {
  it('a busy processor takes an interrupt after the operation it is in, not when it has nothing more to do', () => {
    expect(timesOf(machine(false), 'deliver irq')).toEqual([20]);
    expect(timesOf(machine(false), 'P1')).toEqual([0, 10, 70, 80]);
  });

  it('a processor whose gate was closed goes on when it opens: what was pending first', () => {
    expect(timesOf(machine(true), 'deliver irq')).toEqual([1000]);
    expect(timesOf(machine(true), 'P1')).toEqual([0, 1050, 1060, 1070]);
  });
});
