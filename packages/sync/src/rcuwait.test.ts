import { load, program, routine, store, type MemoryModel, type Steps } from '@shootdown/machine';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { describe, expect, it } from 'vitest';
import { Rcuwait, rcuwait_wait_event, rcuwait_wake_up } from './rcuwait.ts';

describe.each<MemoryModel>(['sc', 'tso', 'arm'])('rcuwait on %s', (model) => {
  const run = (waker: (wait: Rcuwait, condition: Steps) => Steps) =>
    everyRun(
      systemOf(model, (builder) => {
        const wait = new Rcuwait(builder, 'wait');
        const event = builder.region('event', 1).at(0);
        const sleeper = routine('sleeper', function* () {
          yield* rcuwait_wait_event(wait, function* () {
            return (yield* load(event)) === 1;
          });
        });
        const other = routine('waker', () => waker(wait, store(event, 1)));
        return [program(sleeper), program(other)];
      }),
    ).deadlock;

  it('nobody sleeps for ever: the sleeper sees the event, or who makes it sees the sleeper', () => {
    const deadlock = run(function* (wait, happens) {
      yield* happens;
      yield* rcuwait_wake_up(wait);
    });
    expect(deadlock).toBe(false);
  });

  it('the event comes first: who looks for the sleeper before that may miss it', () => {
    const deadlock = run(function* (wait, happens) {
      yield* rcuwait_wake_up(wait);
      yield* happens;
    });
    expect(deadlock).toBe(true);
  });
});
