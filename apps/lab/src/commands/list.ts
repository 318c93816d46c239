/**
 * `shootdown list`: scenarios and demos, a line each; `shootdown list <scenario or module>`: all that is to be known of
 * one.
 */
import { expectedVerdict, resolveScenario, type Scenario, type Variant } from '@shootdown/explorer';
import { ModelError, printable } from '@shootdown/machine';
import { demos, scenarios } from '@shootdown/scenarios';
import { parseArguments } from '../arguments.ts';
import { offersC } from '../c-files.ts';
import { oneLine } from '../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { aboutTopology, FLUSH_COUNTS, topologyNames } from '../machines.ts';
import { scenariosNamed } from '../scenario-request.ts';
import { paint, width, widthFlag, wrapped } from '../terminal.ts';

export const flags = {
  c: { type: 'string', help: 'what a scenario offers to C, as a header that a C compiler takes' },
  json: { type: 'boolean', help: 'print the scenarios as one JSON array' },
  ...widthFlag,
  help: { type: 'boolean', help: 'this text' },
} as const;

const WIDTH = 100;
const SCENARIOS = 'scenarios: shootdown explore <name> --variant <variant>; shootdown list <name> shows its variants';

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'list [<scenario or module>] [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('list', argv, flags, 1);
  const forC = args.text('c');
  if (forC !== undefined) {
    args.refuse(['json', 'width'], 'does not go with --c');
    process.stdout.write(await headerOf(forC));
    return ExitCode.ok;
  }
  const columns = width(args, WIDTH);
  const [name] = args.positionals;
  const shown = name === undefined ? scenarios : await scenariosNamed(name);
  if (args.has('json')) process.stdout.write(`${JSON.stringify(shown.map(entryOf))}\n`);
  else if (name === undefined) process.stdout.write(lines(listLines(columns)));
  else process.stdout.write(lines(shown.flatMap((scenario) => [...scenarioLines(scenario, columns), ''])));
  return ExitCode.ok;
}

function lines(all: readonly string[]): string {
  return `${all.join('\n').trimEnd()}\n`;
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

function listLines(columns: number): string[] {
  const names = [...scenarios.map((s) => s.name), ...demos.map((d) => d.name), FLUSH_COUNTS, ...topologyNames()];
  const wide = Math.max(...names.map((name) => name.length)) + 2;
  const line = (name: string, text: string): string[] =>
    wrapped(`  ${paint.bold(name)}${' '.repeat(wide - name.length)}`, wide + 2, text, columns);
  const seeds = [...new Set(scenarios.map(({ seed }) => seed ?? 'others'))].sort((a, b) => a.localeCompare(b));
  return [
    ...wrapped('', 0, SCENARIOS, columns),
    ...seeds.flatMap((seed) => [
      '',
      paint.underline(seed),
      ...scenarios
        .filter((scenario) => (scenario.seed ?? 'others') === seed)
        .flatMap(({ name, title, variants }) =>
          line(name, `${title} (${variants.length} variant${variants.length === 1 ? '' : 's'})`),
        ),
    ]),
    '',
    'demos: shootdown run <name>',
    '',
    ...line(FLUSH_COUNTS, 'IPIs and flushes of mprotect, madvise and munmap, as a real kernel counts them'),
    ...demos.flatMap((demo) => line(demo.name, demo.title)),
    '',
    ...wrapped('', 0, 'machines: shootdown run <name>; each is a file, for a copy to begin with', columns),
    '',
    ...topologyNames().flatMap((name) => line(name, aboutTopology(name))),
  ];
}

/** A scenario in full. Its texts may be a user's own. */
function scenarioLines(scenario: Scenario, columns: number): string[] {
  const said = (text: unknown): string => oneLine(typeof text === 'string' ? text : printable(text));
  const paragraph = (indent: number, text: string): string[] => wrapped(' '.repeat(indent), indent, text, columns);
  const { name, title, seed, parameters, variants } = scenario;
  return [
    ...wrapped(
      '',
      2,
      `${paint.bold(said(name))}${seed === undefined ? '' : ` (${said(seed)})`}: ${said(title)}`,
      columns,
    ),
    ...Object.entries(parameters ?? {}).flatMap(([parameter, p]) =>
      wrapped('', 4, `  --set ${said(parameter)}=${p.default}: ${said(p.meaning)} (${p.min} to ${p.max})`, columns),
    ),
    ...variants.flatMap((variant) => [
      '',
      ...wrapped('', 4, `  ${paint.bold(said(variant.name))}: ${expectations(variant)}`, columns),
      ...paragraph(4, said(variant.summary)),
      ...paragraph(4, `source: ${said(variant.source)}`),
    ]),
  ];
}

function expectations({ expected, expectedOn, memoryModel = 'sc' }: Variant): string {
  const further = Object.entries(expectedOn ?? {}).map(([model, verdict]) => `, ${verdict} on ${model}`);
  if (typeof expected === 'string')
    return `${oneLine(expected)}${memoryModel === 'sc' ? '' : ` (explored on ${memoryModel})`}${further.join('')}`;
  return Object.entries({ ...expected, ...expectedOn })
    .map(([model, verdict]) => `${verdict} on ${model}`)
    .join(', ');
}
