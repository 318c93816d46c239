/** What the packages export notes a forgotten `yield*`: none of it is a plain generator function. */
import * as c from '@shootdown/c';
import * as cpu from '@shootdown/cpu';
import * as hypervisor from '@shootdown/hypervisor';
import * as kit from '@shootdown/kit';
import * as litmus from '@shootdown/litmus';
import * as machine from '@shootdown/machine';
import * as mm from '@shootdown/mm';
import * as mmu from '@shootdown/mmu';
import * as mmuNotifier from '@shootdown/mmu-notifier';
import * as ptdump from '@shootdown/ptdump';
import * as scenarios from '@shootdown/scenarios';
import * as sync from '@shootdown/sync';
import * as topology from '@shootdown/topology';
import { expect, it } from 'vitest';

const packages = { c, cpu, hypervisor, kit, litmus, machine, mm, mmu, mmuNotifier, ptdump, scenarios, sync, topology };
const GENERATOR_FUNCTION = Object.getPrototypeOf(function* () {}) as object;
/** They make no steps. */
const OTHERS = ['scenarios.flushCountsInPortions'];

/** Plain generator functions in a value, with methods of classes. What `routine()` was given is its own affair. */
function plainIn(value: unknown, path: string, seen: Set<unknown>): string[] {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return [];
  seen.add(value);
  if (Object.getPrototypeOf(value) === GENERATOR_FUNCTION) return [path];
  // What a module exports may be behind getters, depending on who has loaded it.
  if (Object.prototype.toString.call(value) === '[object Module]')
    return Object.entries(value).flatMap(([name, exported]) => plainIn(exported, `${path}.${name}`, seen));
  return Object.entries(Object.getOwnPropertyDescriptors(value)).flatMap(([name, property]) =>
    name === 'body' || !('value' in property) ? [] : plainIn(property.value, `${path}.${name}`, seen),
  );
}

it('no exported function is a plain generator function', () => {
  const seen = new Set<unknown>([Object.prototype, Function.prototype, Array.prototype]);
  const plain = Object.entries(packages).flatMap(([name, exported]) => plainIn({ ...exported }, name, seen));
  expect(plain.filter((path) => !OTHERS.includes(path))).toEqual([]);
  // It would find one.
  expect(plain).toEqual(OTHERS);
});
