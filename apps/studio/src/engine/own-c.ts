/** C of the reader's own: a program, or a function (or a patch) in place of a shipped scenario's. */
import { readProgram, replacements, sidesOf, type CFile, type OffersC } from '@shootdown/c';
import { resolveScenario, type KernelRoutines, type ResolvedScenario, type Scenario } from '@shootdown/explorer';
import { machineOf } from '@shootdown/litmus';
import { ModelError } from '@shootdown/machine';
import { scenarios } from '@shootdown/scenarios';
import type { OwnCode, SystemRequest } from './api.ts';

/** True if a C file is a whole program, and not a function for a scenario. */
export function isProgram({ name, text }: OwnCode): boolean {
  return name.endsWith('.c') && /\bP0\s*\(/.test(text);
}

/** A program with P0() ... Pn() as a scenario of one variant. */
export async function programScenario({ name, text }: OwnCode): Promise<Scenario> {
  const test = await readProgram(name, text);
  const { condition } = test;
  return {
    name,
    title: `the program ${name}`,
    variants: [
      {
        name: 'program',
        expected: {},
        source: name,
        summary: condition.observes.length === 0 ? 'its assertions hold' : `${condition.text} is not reached`,
      },
    ],
    build: ({ memoryModel }) => machineOf(test, { memoryModel }).system,
  };
}

/** A variant of a shipped scenario with functions of the text in place of its own. Throws CError, ModelError. */
export async function withFunctions(
  { name, text }: OwnCode,
  request: Omit<SystemRequest, 'own' | 'mutations'>,
): Promise<ResolvedScenario> {
  const shipped = resolveScenario(scenarios, request);
  const { scenario, variant, parameters } = shipped;
  if (!offersC(scenario)) throw new ModelError(`replace: ${name}: ${scenario.name} offers nothing to C`);
  const offer = await scenario.c();
  const own = scenario.routines?.(variant) ?? {};
  const compiled = (files: readonly CFile[], optional: boolean): Promise<KernelRoutines> =>
    replacements({ offer, files, parameters, own, optional });
  const replace = /\.(patch|diff)$/.test(name)
    ? await compiled((await sidesOf(name, text)).after, false)
    : await compiled([{ name, text }], false);
  return resolveScenario(scenarios, { ...request, replace });
}

function offersC(scenario: Scenario): scenario is Scenario & OffersC {
  return 'c' in scenario && typeof scenario.c === 'function';
}
