import { expect, test } from 'vitest';
import { MachineRunner } from '@shootdown/topology';
import { aboutTopology, machineNamed, topologyNames } from './machines.ts';

test('at least ten machines ship, and each says what to look at', () => {
  expect(topologyNames().length).toBeGreaterThanOrEqual(10);
  for (const name of topologyNames()) expect.soft(aboutTopology(name).length, name).toBeGreaterThan(150);
});

test.each(topologyNames())('%s runs', (name) => {
  const runner = new MachineRunner(machineNamed(name), { stepsMax: 3000 });
  runner.advance(Number.POSITIVE_INFINITY);
  expect(runner.result()).toMatchObject({ violation: null });
  expect(['done', 'steps']).toContain(runner.result().end);
});
