import { createActor } from 'xstate';
import { describe, expect, it } from 'vitest';
import { IDLE_TASK, runQueueMachine, type RunQueueEmitted, type RunQueueEvent } from './runqueue.machine.ts';

/** A run queue, and what it says to a message. */
function queue(tasks: readonly number[], sliceTicks: number) {
  const actor = createActor(runQueueMachine, { input: { tasks, sliceTicks } });
  let said: RunQueueEmitted[] = [];
  actor.on('*', (event) => void said.push(event));
  actor.start();
  const tell = (event: RunQueueEvent): RunQueueEmitted[] => {
    said = [];
    actor.send(event);
    return said;
  };
  const pick = (): number => {
    const picked = tell({ type: 'pick' })[0];
    return picked?.type === 'picked' ? picked.task : Number.NaN;
  };
  return { tell, pick, current: () => actor.getSnapshot().context.current };
}

const TICK = { type: 'tick' } as const;
const RESCHED = { type: 'resched' } as const;

describe('a run queue', () => {
  it('asks for the CPU back when the slice is over and another task wants it', () => {
    const { tell, pick } = queue([0, 1], 3);
    expect([tell(TICK), tell(TICK), tell(TICK)]).toEqual([[], [], [RESCHED]]);
    expect(pick()).toBe(1);
  });

  it('leaves a task alone that nobody waits for', () => {
    const { tell } = queue([0], 1);
    expect([tell(TICK), tell(TICK)]).toEqual([[], []]);
  });

  it('gives the CPU to whoever has had least', () => {
    const { tell, pick } = queue([0, 1, 2], 1);
    tell(TICK);
    expect(pick()).toBe(1);
    tell(TICK);
    tell(TICK);
    expect(pick()).toBe(2);
    tell(TICK);
    expect(pick()).toBe(0);
  });

  it('is idle when all sleep, and asks for the CPU when a time is over', () => {
    const { tell, pick, current } = queue([0], 1);
    tell({ type: 'block', ticks: 2 });
    expect(pick()).toBe(IDLE_TASK);
    expect(tell(TICK)).toEqual([]);
    expect(tell(TICK)).toEqual([RESCHED, { type: 'nr_running', count: 1 }]);
    expect(pick()).toBe(0);
    expect(current()).toBe(0);
  });

  it('does not take the CPU from a task in the middle of its slice for one that wakes up', () => {
    const { tell, pick } = queue([0, 1], 3);
    tell({ type: 'block', ticks: 0 });
    expect(pick()).toBe(1);
    expect(tell({ type: 'wake', task: 0 })).toEqual([{ type: 'nr_running', count: 2 }]);
  });

  it('gives a task that slept no credit for it', () => {
    const { tell, pick } = queue([0, 1], 1);
    tell({ type: 'block', ticks: 0 });
    expect(pick()).toBe(1);
    for (let i = 0; i < 10; i++) tell(TICK);
    tell({ type: 'wake', task: 0 });
    tell(TICK);
    expect(pick()).toBe(0);
    tell(TICK);
    expect(pick()).toBe(1);
  });

  it('gives away a task that waits for the CPU, and not the one that has it or one that sleeps', () => {
    const { tell, pick } = queue([0, 1, 2], 1);
    tell({ type: 'block', ticks: 0 });
    pick();
    expect(tell({ type: 'detach', task: 1 })).toEqual([]);
    expect(tell({ type: 'detach', task: 0 })).toEqual([]);
    expect(tell({ type: 'detach', task: 2 })).toEqual([{ type: 'nr_running', count: 1 }]);
    expect(tell({ type: 'attach', task: 7 })).toEqual([{ type: 'nr_running', count: 2 }]);
  });

  it('forgets a task that has ended', () => {
    const { tell, pick } = queue([0, 1], 1);
    tell({ type: 'exit' });
    expect(pick()).toBe(1);
    tell({ type: 'wake', task: 0 });
    tell({ type: 'exit' });
    expect(pick()).toBe(IDLE_TASK);
  });
});
