import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { transition, type AnyMachineSnapshot, type AnyStateMachine, type EventObject } from 'xstate';
import { accepts, contentOf, PureStepper } from './xstate-adapter.ts';
import { deviceMachine, historyMachine, listenerMachine, processorMachine } from './processor.test-support.machine.ts';

const cases: readonly {
  readonly machine: AnyStateMachine;
  readonly input?: unknown;
  readonly events: readonly EventObject[];
}[] = [
  {
    machine: processorMachine,
    events: [
      ...['mask', 'unmask', 'iret', 'tick', 'halt', 'nest', 'unnest', 'unknown'].map((type) => ({ type })),
      { type: 'irq', vector: 'a' } as EventObject,
    ],
  },
  {
    machine: deviceMachine,
    input: { channel: 2 },
    events: [{ type: 'ready' }, { type: 'ask', from: 1 } as EventObject, { type: 'ask', from: 2 } as EventObject],
  },
  { machine: listenerMachine, events: [1, 2].map((n) => ({ type: 'note', n }) as EventObject) },
  { machine: historyMachine, events: ['swap', 'away', 'back'].map((type) => ({ type })) },
];

describe('PureStepper agrees with XState call by call', () => {
  it.each(cases.map((c) => [c.machine.id, c] as const))('%s', (_, { machine, input, events }) => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 30 }), (sequence) => {
        const stepper = new PureStepper();
        let ours = stepper.initial(machine, input);
        let theirs = ours;
        for (const event of sequence) {
          const step = stepper.step(machine, ours, event);
          const [next, actions] = transition(machine, theirs as never, event as never) as unknown as [
            AnyMachineSnapshot,
            { type: string; params?: { event?: unknown } }[],
          ];
          const emitted = actions.filter((a) => a.type === 'xstate.emit').map((a) => a.params?.event);
          expect(step.emitted).toEqual(emitted);
          expect([step.snapshot.value, step.snapshot.context, step.snapshot.status]).toEqual([
            next.value,
            next.context,
            next.status,
          ]);
          expect(accepts(ours, event)).toBe(theirs.can(event as never));
          ours = step.snapshot;
          theirs = next;
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('contentOf', () => {
  it('tells states apart that differ in what a history state remembers', () => {
    const stepper = new PureStepper();
    const run = (...types: string[]): AnyMachineSnapshot =>
      types.reduce(
        (snapshot, type) => stepper.step(historyMachine, snapshot, { type }).snapshot,
        stepper.initial(historyMachine, undefined),
      );
    expect(run('away').value).toEqual(run('swap', 'away').value);
    expect(contentOf(run('away'))).not.toBe(contentOf(run('swap', 'away')));
    expect(contentOf(run('swap', 'swap', 'away'))).toBe(contentOf(run('away')));
    expect(run('swap', 'away', 'back').value).toEqual({ on: 'right' });
  });
});
