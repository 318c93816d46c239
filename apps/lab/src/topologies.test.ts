import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MachineRunner, runMachine, type MachineRun } from '@shootdown/topology';
import { PlacedRun } from '@shootdown/topology/placed';
import { aboutTopology, machineNamed, topologyNames } from './machines.ts';

test('at least ten machines ship, and each says what to look at', () => {
  expect(topologyNames().length).toBeGreaterThanOrEqual(10);
  for (const name of topologyNames()) expect.soft(aboutTopology(name).length, name).toBeGreaterThan(150);
});

test('docs/runs.md says of each what its file says', () => {
  const page = readFileSync(new URL('../../../docs/runs.md', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');
  for (const name of topologyNames())
    expect.soft(page, name).toContain(`### \`${name}\` ${aboutTopology(name).replaceAll(/\s+/g, ' ')}`);
  for (const system of ['S0', 'S1', 'S2', 'S3', 'S4']) expect(page).toMatch(new RegExp(`${system} [^|]+\\| \``));
});

test.each(topologyNames())('%s runs', (name) => {
  const runner = new MachineRunner(machineNamed(name), { stepsMax: 3000 });
  runner.advance(Number.POSITIVE_INFINITY);
  expect(runner.result()).toMatchObject({ violation: null });
  expect(['done', 'steps']).toContain(runner.result().end);
});

test.each([
  ['two-cpu-shootdown', 1625, '638f930185c9d397'],
  ['kvm-two-vms', 13_677, '7033fe3c839c3521'],
])('%s comes to the same state every time, with one seed as well', (name, steps, fingerprint) => {
  const run = (seed: number): MachineRun => runMachine(machineNamed(name), { seed });
  expect(run(0)).toMatchObject({ end: 'done', steps, fingerprint });
  const { cycles, fingerprint: print } = run(5);
  expect(run(5)).toMatchObject({ cycles, fingerprint: print });
});

// In parts, in process and in a worker, it runs in packages/topology/src/placed-device.test.ts.
test.runIf(process.env['SHOOTDOWN_DEEP'] === '1')(
  'placed-device comes to the same state in process and in a worker',
  async () => {
    const { topology } = machineNamed('placed-device');
    for (const inProcess of [true, false]) {
      const placed = new PlacedRun(topology, { inProcess });
      while (await placed.advance(Number.POSITIVE_INFINITY));
      expect(placed.result()).toMatchObject({ end: 'done', violation: null, steps: 16_241 });
      expect(placed.parts.map(({ run }) => run?.fingerprint)).toEqual(['1e02ce558f6c61a7', '604ffe1541fc8500']);
      await placed.stop();
    }
  },
);
