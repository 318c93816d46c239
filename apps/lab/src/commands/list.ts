/** `shootdown list`: scenarios with their variants, and the demos. */
import { expectedVerdict, resolveScenario, type Scenario, type Variant } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';
import { parseArguments } from '../arguments.ts';
import { offersC } from '../c-files.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { demos, scenarios } from '@shootdown/scenarios';

const flags = {
  c: { type: 'string', help: 'what a scenario offers to C, as a header that a C compiler takes' },
  json: { type: 'boolean', help: 'print the scenarios as one JSON array' },
  help: { type: 'boolean', help: 'this text' },
} as const;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'list [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('list', argv, flags, 0);
  const forC = args.text('c');
  if (forC !== undefined) {
    args.refuse(['json'], 'does not go with --c');
    process.stdout.write(await headerOf(forC));
    return ExitCode.ok;
  }
  process.stdout.write(args.has('json') ? `${JSON.stringify(scenarios.map(entryOf))}\n` : listText());
  return ExitCode.ok;
}

/** The header of a scenario, with its default parameters. Throws ModelError. */
async function headerOf(name: string): Promise<string> {
  const { scenario, parameters } = resolveScenario(scenarios, { scenario: name });
  if (!offersC(scenario)) {
    const have = scenarios.filter(offersC).map((s) => s.name);
    throw new ModelError(`list: ${name} offers nothing to C (have: ${have.join(', ')})`);
  }
  const [{ printedHeader }, offer] = await Promise.all([import('@shootdown/c'), scenario.c()]);
  return printedHeader(offer, parameters);
}

function entryOf(scenario: Scenario): unknown {
  const { name, title, seed } = scenario;
  return {
    scenario: name,
    title,
    seed,
    variants: scenario.variants.map((v) => ({
      name: v.name,
      expected: expectedOf(v),
      source: v.source,
      ...(v.expectedOn && { expectedOn: v.expectedOn }),
    })),
  };
}

function expectedOf(variant: Variant): string | null {
  return expectedVerdict(variant, variant.memoryModel ?? 'sc');
}

/** Memory models on which it is explored when asked: ` (also --memory-model arm: safe)`. */
function furtherModels({ expectedOn }: Variant): string {
  const models = Object.entries(expectedOn ?? {}).map(([model, verdict]) => `${model}: ${verdict}`);
  return models.length === 0 ? '' : ` (also --memory-model ${models.join(', ')})`;
}

function listText(): string {
  const names = [...scenarios.flatMap((s) => s.variants.map((v) => v.name)), ...demos.map((d) => d.name)];
  const width = 2 + Math.max(...names.map((name) => name.length));
  const lines = scenarios.flatMap((scenario) => [
    `${scenario.name} (${scenario.seed}): ${scenario.title}`,
    ...Object.entries(scenario.parameters ?? {}).map(
      ([name, p]) => `  --set ${name}=${p.default}`.padEnd(width + 2) + `${p.meaning} (${p.min} to ${p.max})`,
    ),
    ...scenario.variants.map((v) => `  ${v.name.padEnd(width)}${v.summary}${furtherModels(v)}`),
    '',
  ]);
  lines.push('demos (shootdown run <name>)');
  lines.push(
    `  ${'flush-counts'.padEnd(width)}IPIs and flushes of mprotect, madvise and munmap, as a real kernel counts them`,
  );
  for (const demo of demos) lines.push(`  ${demo.name.padEnd(width)}${demo.title}`);
  return `${lines.join('\n')}\n`;
}
