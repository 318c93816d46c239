import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChoiceQueue } from './choice-queue.ts';

const CHOICES = 12;

test('the queue has first what a search of all choices finds: the earliest, and of those the lowest rank', () => {
  const change = fc.record({
    choice: fc.nat(CHOICES - 1),
    time: fc.oneof(fc.nat(8), fc.constant(Number.POSITIVE_INFINITY)),
  });
  const ranks = fc.shuffledSubarray(
    Array.from({ length: CHOICES }, (_, i) => i),
    { minLength: CHOICES },
  );
  fc.assert(
    fc.property(ranks, fc.array(change, { maxLength: 60 }), (rank, changes) => {
      const queue = new ChoiceQueue(Int32Array.from(rank));
      const times = Array.from({ length: CHOICES }, () => Number.POSITIVE_INFINITY);
      for (const { choice, time } of changes) {
        queue.set(choice, time);
        times[choice] = time;
        const [first = -1] = times
          .flatMap((at, i) => (at === Number.POSITIVE_INFINITY ? [] : [i]))
          .sort((a, b) => (times[a] as number) - (times[b] as number) || (rank[a] as number) - (rank[b] as number));
        expect(queue.first).toBe(first);
        if (first >= 0) expect(queue.timeOf(first)).toBe(times[first]);
      }
    }),
    { numRuns: 200 },
  );
});
