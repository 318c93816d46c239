import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { gracePeriodMachine, type GracePeriodEmitted, type GracePeriodEvent } from './rcu.machine.ts';

/** The actor after some messages, and what it emitted on the way. */
function run(...events: readonly GracePeriodEvent[]) {
  const actor = createActor(gracePeriodMachine);
  const emitted: GracePeriodEmitted[] = [];
  actor.on('*', (event) => emitted.push(event));
  actor.start();
  for (const event of events) actor.send(event);
  return { snapshot: actor.getSnapshot(), emitted };
}

const start = (readers: number): GracePeriodEvent => ({ type: 'start', readers });
const quiescent = (readers: number): GracePeriodEvent => ({ type: 'quiescent', readers });

describe('grace period', () => {
  it('is over at once if nobody reads', () => {
    expect(run(start(0)).emitted).toEqual([{ type: 'grace_period', over: true }]);
  });

  it('is over when the last of the readers it found has left', () => {
    expect(run(start(0b101), quiescent(0b001)).emitted).toEqual([]);
    expect(run(start(0b101), quiescent(0b001), quiescent(0b100)).emitted).toEqual([
      { type: 'grace_period', over: true },
    ]);
  });

  it('does not listen to readers that came later', () => {
    const { snapshot } = run(start(0b001));
    expect(snapshot.can(quiescent(0b010))).toBe(false);
    expect(snapshot.can(quiescent(0b001))).toBe(true);
  });

  it('cannot be started twice, and is forgotten when it has been seen', () => {
    expect(run(start(1)).snapshot.can(start(1))).toBe(false);
    const { snapshot, emitted } = run(start(0), { type: 'collect' });
    expect(snapshot.value).toBe('idle');
    expect(emitted.at(-1)).toEqual({ type: 'grace_period', over: false });
  });
});
