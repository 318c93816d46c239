import { describe, expect, it } from 'vitest';
import { setup } from './gate.test-support.machine.ts';
import { LiveExecutor, nop, program, routine, SystemBuilder, TabulatedExecutor, type Executor } from '../index.ts';

const work = routine('work', function* () {
  yield* nop();
  yield* nop();
});

function gatedSystem() {
  const builder = new SystemBuilder();
  builder.component({ name: 'cpu', machine: setup.listener });
  builder.component({ name: 'host', machine: setup.host });
  builder.processor({ name: 'vCPU0', tasks: [program(work)], component: 'cpu', gate: 'host' });
  const channel = builder.channel({ name: 'irr', to: 'cpu', policy: 'level' });
  builder.spontaneous({ name: 'preempt', kind: 'host', component: 'host', message: { type: 'preempt' } });
  builder.spontaneous({ name: 'resume', kind: 'host', component: 'host', message: { type: 'resume' } });
  return { system: builder.build(), channel };
}

describe.each([
  ['tabulated', (system: ReturnType<typeof gatedSystem>['system']): Executor => new TabulatedExecutor(system)],
  ['live', (system: ReturnType<typeof gatedSystem>['system']): Executor => new LiveExecutor(system)],
])('a gate, %s', (_name, executorOf) => {
  it('that is closed stops the processor and everything delivered to its component, until it opens', () => {
    const { system, channel } = gatedSystem();
    const executor = executorOf(system);
    const index = (name: string): number => system.choices.findIndex((c) => c.name === name);
    executor.send(channel, { type: 'ipi' });
    expect(executor.step(index('vCPU0'))).toBe(true);
    expect(executor.step(index('preempt'))).toBe(true);
    expect(executor.step(index('vCPU0'))).toBe(false);
    expect(executor.step(index('deliver irr'))).toBe(false);
    expect(executor.step(index('resume'))).toBe(true);
    expect(executor.step(index('deliver irr'))).toBe(true);
    expect(executor.step(index('vCPU0'))).toBe(true);
  });
});
