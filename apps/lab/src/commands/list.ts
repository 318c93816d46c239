/**
 * `shootdown list`: scenarios, demos and machines, in short; `shootdown list <scenario, machine or module>`: all that
 * is to be known of one.
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
/** Room for the number of variants. */
const COUNT_WIDTH = 4;
/** Sentences of a machine are taken until there are so many characters. */
const ABOUT_MIN = 25;
const SCENARIOS =
  'scenarios, with their variants: shootdown explore <name> --variant <variant>; shootdown list <name> has them all';
const MACHINES = 'machines: shootdown run <name>; shootdown list <name> says what to look at; each is a file to copy';

/** The systems that scenarios are about. */
const SYSTEMS: Readonly<Record<string, string>> = {
  S0: 'Lazy MMU mode',
  S1: 'KVM guests, TLB flushes and lockless walks',
  S2: 'ptdump, vmalloc and the kernel page table',
  S3: 'Secondary MMUs',
  S4: 'Contiguous PTEs',
};

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'list [<scenario, machine or module>] [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('list', argv, flags, 1);
  const forC = args.text('c');
  if (forC !== undefined) {
    args.refuse(['json', 'width'], 'does not go with --c');
    process.stdout.write(await headerOf(forC));
    return ExitCode.ok;
  }
  const columns = width(args, WIDTH);
  const [name] = args.positionals;
  if (name !== undefined && !args.has('json') && topologyNames().includes(name)) {
    process.stdout.write(lines(machineLines(name, columns)));
    return ExitCode.ok;
  }
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
  const line = (name: string, text: string, count = ''): string[] =>
    wrapped(
      `  ${paint.bold(name)}${' '.repeat(wide - name.length)}${count === '' ? '' : count.padStart(COUNT_WIDTH - 2).padEnd(COUNT_WIDTH)}`,
      wide + 2 + (count === '' ? 0 : COUNT_WIDTH),
      text,
      columns,
    );
  const seeds = [...new Set(scenarios.map(({ seed }) => seed ?? 'others'))].sort((a, b) => a.localeCompare(b));
  return [
    ...wrapped('', 0, SCENARIOS, columns),
    ...seeds.flatMap((seed) => [
      '',
      paint.underline(SYSTEMS[seed] === undefined ? seed : `${seed} ${SYSTEMS[seed]}`),
      ...scenarios
        .filter((scenario) => (scenario.seed ?? 'others') === seed)
        // The heading has said what it is about.
        .flatMap(({ name, title, variants }) =>
          line(name, title.replace(`${SYSTEMS[seed] ?? seed}: `, ''), String(variants.length)),
        ),
    ]),
    '',
    'demos: shootdown run <name>',
    '',
    ...line(FLUSH_COUNTS, 'IPIs and flushes of mprotect, madvise and munmap, as a real kernel counts them'),
    ...demos.flatMap((demo) => line(demo.name, demo.title)),
    '',
    ...wrapped('', 0, MACHINES, columns),
    '',
    ...topologyNames().flatMap((name) => line(name, inShort(aboutTopology(name)))),
  ];
}

/** The first sentences. */
function inShort(about: string): string {
  const sentences = about.split(/(?<=[.:?]) /);
  const last = sentences.findIndex((_, i) => sentences.slice(0, i + 1).join(' ').length >= ABOUT_MIN);
  return sentences
    .slice(0, last < 0 ? sentences.length : last + 1)
    .join(' ')
    .replace(/:$/, '');
}

/** A machine in full. */
function machineLines(name: string, columns: number): string[] {
  return [
    ...wrapped('', 2, `${paint.bold(name)}: shootdown run ${name}`, columns),
    '',
    ...wrapped('  ', 2, aboutTopology(name), columns),
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
