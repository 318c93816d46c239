/** What a routine begins that goes on when it is over: a timer, a promise. */
import { createHook } from 'node:async_hooks';
import { noteLater } from '@shootdown/machine';

/** As Node names what goes on later, and as the user does. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['Timeout', 'a timer'],
  ['Immediate', 'setImmediate()'],
  ['Microtask', 'queueMicrotask()'],
  ['TickObject', 'process.nextTick()'],
  ['PROMISE', 'a promise'],
]);

let watched = false;

/** From now on a routine that begins such a thing is refused. */
export function watchForLater(): void {
  if (watched) return;
  watched = true;
  createHook({
    init(_id, type) {
      const name = NAMES.get(type);
      if (name !== undefined) noteLater(name);
    },
  }).enable();
}
