/** A litmus test as a scenario: `shootdown explore FILE.litmus`, and the counterexample of a reached `exists`. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { explore, type Scenario, type Variant } from '@shootdown/explorer';
import {
  CONDITION,
  frontEnds as ownFrontEnds,
  frontEndOf,
  machineOf,
  readLitmus,
  type FrontEnd,
  type LitmusResult,
  type LitmusTest,
} from '@shootdown/litmus';
import { ModelError, recordTrace, TabulatedExecutor, type MemoryModel } from '@shootdown/machine';
import { renderTrace } from '@shootdown/report';

/** The kernel's C: its front end is loaded when there is C to read. */
const linuxC: FrontEnd = {
  dialect: 'C',
  memoryModel: 'arm',
  read: async (text) => await (await import('@shootdown/c')).linuxC.read(text),
};

/** Every dialect there is. */
export const frontEnds: readonly FrontEnd[] = [...ownFrontEnds, linuxC];

/**
 * Reads a C file with P0() ... Pn() as a scenario of one variant: its assertions hold, and its condition is not
 * reached.
 */
export async function programScenario(path: string): Promise<Scenario> {
  const { readProgram } = await import('@shootdown/c');
  const test = await readProgram(basename(path), textOf(path));
  const variant: Variant = {
    name: 'program',
    expected: {},
    source: path,
    summary: test.condition.observes.length === 0 ? 'its assertions hold' : `${test.condition.text} is not reached`,
  };
  return {
    name: basename(path),
    title: `the program ${basename(path)}`,
    variants: [variant],
    build: ({ memoryModel }) => machineOf(test, { memoryModel }).system,
  };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ModelError(`litmus: cannot be read (${path}: ${String((error as NodeJS.ErrnoException).code)})`);
  }
}

/** Reads a file as a scenario of one variant, whose property is that the condition is not reached. */
export async function litmusScenario(path: string): Promise<Scenario> {
  const text = textOf(path);
  const test = await readLitmus(text, frontEnds);
  const variant: Variant = {
    name: 'test',
    expected: {},
    source: path,
    summary: `${test.condition.text}: a violation is a run that ends so`,
    memoryModel: frontEndOf(text, frontEnds).memoryModel,
  };
  return {
    name: test.name,
    title: `the litmus test ${test.name}`,
    variants: [variant],
    build: ({ memoryModel }) => machineOf(test, { memoryModel }).system,
  };
}

/** The shortest run to the condition, in columns, if it is reached by a test that asks whether it exists. */
export async function litmusCounterexample(
  path: string,
  answer: { readonly test: LitmusTest | null; readonly result: LitmusResult | null },
  options: { readonly memoryModel: MemoryModel | undefined; readonly ets2: boolean },
): Promise<string | null> {
  const { test, result } = answer;
  if (!test || !result || test.condition.quantifier === 'forall') return null;
  if (!result.outcomes.some(({ holds }) => holds)) return null;
  const memoryModel = options.memoryModel ?? frontEndOf(readFileSync(path, 'utf8'), frontEnds).memoryModel;
  const { system } = machineOf(test, { memoryModel, ets2: options.ets2 });
  const found = await explore(system);
  if (found.schedule === null || found.property !== CONDITION) return null;
  const trace = recordTrace(new TabulatedExecutor(system), found.schedule);
  return renderTrace('text', trace, {});
}
