/** The scenarios that ship, each loaded when it is asked for: a first verdict does not wait for all of them. */
import type { Scenario } from '@shootdown/explorer';

const files = import.meta.glob<Readonly<Record<string, unknown>>>(
  '../../../../packages/scenarios/src/ptdump-vmalloc.ts',
);

/** The scenario of a name; if no file has that name, all there are. */
export async function shippedScenarios(name: string): Promise<readonly Scenario[]> {
  const load = Object.entries(files).find(([path]) => path.endsWith(`/${name}.ts`))?.[1];
  const found = load && Object.values(await load()).find((value) => isScenario(value, name));
  return found ? [found as Scenario] : await allScenarios();
}

/** All of them, in the order of the pickers. */
export async function allScenarios(): Promise<readonly Scenario[]> {
  return (await import('@shootdown/scenarios')).scenarios;
}

function isScenario(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && 'variants' in value && 'name' in value && value.name === name;
}
