/** jiffies: a word that a timer advances. */
import type { Address, SystemBuilder } from '@shootdown/machine';
import { timerMachine } from './timer.machine.ts';

/**
 * Adds a timer of `hz` ticks per second of virtual time, on a machine of so many cycles per second; returns the address
 * of jiffies.
 */
export function addTimer(builder: SystemBuilder, hz: number, hertz: number): Address {
  const jiffies = builder.region('jiffies', 1).at(0);
  builder.component({
    name: 'timer',
    machine: timerMachine,
    effects: { 'timer.tick': (cx) => cx.write(jiffies, cx.read(jiffies) + 1) },
  });
  builder.spontaneous({
    name: 'timer tick',
    kind: 'hardware',
    component: 'timer',
    message: { type: 'tick' },
    periodCycles: Math.round(hertz / hz),
  });
  return jiffies;
}
