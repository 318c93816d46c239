/** `shootdown list`: scenarios with their variants, and the demos. */
import { expectedVerdict, type Scenario, type Variant } from '@shootdown/explorer';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { demos, scenarios } from '@shootdown/scenarios';

const flags = {
  json: { type: 'boolean', help: 'print the scenarios as one JSON array' },
  help: { type: 'boolean', help: 'this text' },
} as const;

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, 'list [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('list', argv, flags, 0);
  process.stdout.write(args.has('json') ? `${JSON.stringify(scenarios.map(entryOf))}\n` : listText());
  return ExitCode.ok;
}

function entryOf(scenario: Scenario): unknown {
  const { name, title, seed } = scenario;
  return {
    scenario: name,
    title,
    seed,
    variants: scenario.variants.map((v) => ({ name: v.name, expected: expectedOf(v), source: v.source })),
  };
}

function expectedOf(variant: Variant): string | null {
  return expectedVerdict(variant, variant.memoryModel ?? 'sc');
}

function listText(): string {
  const names = [...scenarios.flatMap((s) => s.variants.map((v) => v.name)), ...demos.map((d) => d.name)];
  const width = 2 + Math.max(...names.map((name) => name.length));
  const lines = scenarios.flatMap((scenario) => [
    `${scenario.name} (${scenario.seed}): ${scenario.title}`,
    ...Object.entries(scenario.parameters ?? {}).map(
      ([name, p]) => `  --set ${name}=${p.default}`.padEnd(width + 2) + `${p.meaning} (${p.min} to ${p.max})`,
    ),
    ...scenario.variants.map((v) => `  ${v.name.padEnd(width)}${v.summary}`),
    '',
  ]);
  lines.push('demos (shootdown run <name>)');
  lines.push(
    `  ${'flush-counts'.padEnd(width)}IPIs and flushes of mprotect, madvise and munmap, as a real kernel counts them`,
  );
  for (const demo of demos) lines.push(`  ${demo.name.padEnd(width)}${demo.title}`);
  return `${lines.join('\n')}\n`;
}
