/** The timer: every tick advances jiffies. Time is a message, so a schedule says when it passes. */
import { emit, setup } from 'xstate';

export type TimerEvent = { readonly type: 'tick' };
export type TimerEmitted = { readonly type: 'timer.tick' };

export const timerMachine = setup({
  types: { events: {} as TimerEvent, emitted: {} as TimerEmitted },
  actions: { tick: emit({ type: 'timer.tick' as const }) },
}).createMachine({ id: 'timer', initial: 'running', states: { running: { on: { tick: { actions: 'tick' } } } } });
