import { expect, test } from 'vitest';
import { measuredOf } from './statistics.ts';

test('the interval is that of a textbook', () => {
  expect(measuredOf([9, 10, 11])).toEqual({ mean: 10, interval: 4.303 * Math.sqrt(1 / 3) });
  expect(measuredOf([4, 4, 4, 4])).toEqual({ mean: 4, interval: 0 });
  expect(measuredOf([7])).toEqual({ mean: 7, interval: 0 });
  // 40 values, beyond the table: 1.96 s / sqrt(n).
  const values = Array.from({ length: 40 }, (_, i) => i % 2);
  expect(measuredOf(values).interval).toBeCloseTo(1.96 * Math.sqrt((0.25 * 40) / 39 / 40), 10);
});
