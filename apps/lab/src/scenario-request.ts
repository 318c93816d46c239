/** A scenario by what the user typed: name, --variant, --memory-model, --set. */
import { resolveScenario, type ResolvedScenario } from '@shootdown/explorer';
import { UsageError, type Arguments, type Flag } from './arguments.ts';
import { scenarios } from './scenarios/index.ts';

/** Flags of every command that takes a scenario. */
export const scenarioFlags = {
  variant: { type: 'string', help: 'which design (see shootdown list)' },
  'memory-model': { type: 'string', help: 'sc or tso' },
  set: { type: 'string', multiple: true, help: 'name=value: a parameter of the scenario; may be repeated' },
} as const satisfies Readonly<Record<string, Flag>>;

/** Resolves the scenario. Throws ModelError or UsageError. */
export function scenarioOf(command: string, name: string, args: Arguments): ResolvedScenario {
  return resolveScenario(scenarios, {
    scenario: name,
    variant: args.text('variant'),
    memoryModel: args.oneOf('memory-model', ['sc', 'tso'] as const),
    parameters: Object.fromEntries(args.texts('set').map((text) => parameter(command, text))),
  });
}

function parameter(command: string, text: string): [string, number] {
  const match = /^([A-Za-z][\w-]*)=(\d+)$/.exec(text);
  if (!match) throw new UsageError(`shootdown ${command}: --set: expected name=whole number (${text})`);
  return [match[1] ?? '', Number(match[2])];
}

/** The part of a command line that names the same system again. */
export function scenarioWords(resolved: ResolvedScenario): string {
  const { scenario, variant, memoryModel, parameters } = resolved;
  const changed = Object.entries(parameters).filter(([name, value]) => variant.parameters?.[name] !== value && scenario.parameters?.[name]?.default !== value);
  const words = [scenario.name, `--variant ${variant.name}`];
  if (memoryModel !== (variant.memoryModel ?? 'sc')) words.push(`--memory-model ${memoryModel}`);
  for (const [name, value] of changed) words.push(`--set ${name}=${value}`);
  return words.join(' ');
}
