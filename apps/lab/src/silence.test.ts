import { expect, it } from 'vitest';
import { Silence } from './silence.ts';

/** A thread that is listened to, and a clock that goes when it is told to. */
function listened() {
  let now = { seconds: 100, cpuSeconds: 10 };
  const silence = new Silence(() => now);
  const pass = (seconds: number, cpuSeconds: number): void => {
    now = { seconds: now.seconds + seconds, cpuSeconds: now.cpuSeconds + cpuSeconds };
  };
  return { silence, pass };
}

it('a late thread that a busy machine gives no time is waited for', () => {
  const { silence, pass } = listened();
  pass(30, 3);
  expect([silence.forEver, silence.longerThan(15)]).toEqual([false, false]);
});

it('one that is alive and gets on is waited for', () => {
  const { silence, pass } = listened();
  for (let i = 0; i < 60; i++) {
    pass(3, 3);
    silence.hear(true);
    expect([silence.forEver, silence.longerThan(2)]).toEqual([false, false]);
  }
});

it('one that has had its time and says nothing loops', () => {
  const { silence, pass } = listened();
  silence.hear(true);
  pass(4, 4);
  expect([silence.forEver, silence.longerThan(3), silence.longerThan(4)]).toEqual([true, true, false]);
});

it('one that is alive and gets nowhere waits for one that loops', () => {
  const { silence, pass } = listened();
  const seen: boolean[] = [];
  for (let i = 0; i < 11; i++) {
    pass(1, 1);
    silence.hear(false);
    seen.push(silence.forEver);
  }
  expect(seen.indexOf(true)).toBe(9);
});

it('one that uses no time waits for nothing', () => {
  const { silence, pass } = listened();
  pass(60, 0);
  expect([silence.forEver, silence.longerThan(0)]).toEqual([true, false]);
  pass(1, 0);
  expect(silence.longerThan(0)).toBe(true);
});
