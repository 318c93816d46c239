import { explore, resolveScenario } from '@shootdown/kit';
import { expect, test } from 'vitest';
import { mremap } from './scenario.ts';

test.each(['v4.18', 'v4.19'])('%s is as expected', async (variant) => {
  const resolved = resolveScenario([mremap], { scenario: mremap.name, variant });
  expect((await explore(resolved.build())).verdict).toBe(resolved.expected);
});
