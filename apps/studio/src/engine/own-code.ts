/** Systems of the reader's own code: loaded when there is some. */
import { resolveScenario, type ResolvedScenario, type Scenario } from '@shootdown/explorer';
import type { Mistake, OwnCode, SystemRequest } from './api.ts';
import { closeTheDoors, located, scenariosOfModule } from './own-module.ts';

/** Code that is loaded, by its text: a module is loaded once. */
const known = new Map<string, Promise<readonly Scenario[]>>();

/** The scenarios that the code itself is; none if it is a function for a shipped one. */
export function ownScenarios(own: OwnCode): Promise<readonly Scenario[]> {
  const key = `${own.name}\n${own.text}`;
  let found = known.get(key);
  if (!found) known.set(key, (found = load(own)));
  return found;
}

async function load(own: OwnCode): Promise<readonly Scenario[]> {
  if (/\.[cm]?[jt]s$/.test(own.name)) {
    closeTheDoors();
    return await scenariosOfModule(own.name, own.text);
  }
  const { isProgram, programScenario } = await import('./own-c.ts');
  return isProgram(own) ? [await programScenario(own)] : [];
}

/** The system that a request with code of one's own means. Throws an Error of one line. */
export async function resolveOwn(
  own: OwnCode,
  request: Omit<SystemRequest, 'own' | 'mutations'>,
): Promise<ResolvedScenario> {
  const scenarios = await ownScenarios(own);
  if (scenarios.length === 0) return await (await import('./own-c.ts')).withFunctions(own, request);
  const found = resolveScenario(scenarios, request);
  return { ...found, build: () => guarded(() => found.build()) };
}

function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw located(error);
  }
}

/** An error of one's own code, with the line at which it arose. */
export function oneLine(error: unknown): Error {
  return new Error(linesOf(error)?.[0] ?? located(error).message);
}

/** Every mistake that an error tells of, with its line where it is known. */
export function mistakesIn(error: unknown): Mistake[] {
  const lines = linesOf(error) ?? [located(error).message];
  return lines.map((text) => {
    const [, line, what] = /^[^\s:]+:(\d+): (.*)$/s.exec(text) ?? [];
    return line === undefined ? { line: null, text } : { line: Number(line), text: what ?? text };
  });
}

/** C says all mistakes at once. */
function linesOf(error: unknown): readonly string[] | null {
  const lines = (error as { readonly lines?: unknown } | null)?.lines;
  return Array.isArray(lines) ? lines.map(String) : null;
}
