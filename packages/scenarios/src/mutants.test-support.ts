/**
 * Golden tables of `mutate`: every line of a variant, what it is needed for, and if it is not, why that is no surprise.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { explore, mutate, mutationsNamed, type JudgedMutant } from '@shootdown/explorer';
import { formatMutation, mutated, type System } from '@shootdown/machine';

/** Why a line is not needed in a scenario. */
export interface Survivor {
  /** The change, `routine/step:change`; `*` stands for any characters. */
  readonly change: string;
  /** Variants that this is said of, `*` as above. Default: all. */
  readonly variants?: string;
  /** Changes that break something together with this one. */
  readonly coveredBy?: readonly string[];
  /** A scenario and a variant of it in which the line is needed: that is tried. */
  readonly neededIn?: readonly [scenario: string, variant: string];
  /** Another kernel has a line of that name, which is another one: that it is needed there says nothing of this one. */
  readonly namesakes?: boolean;
  /** Why nothing here can need it. */
  readonly because?: string;
}

const pattern = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('*')
      .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );

/** One routine, named as the architecture names what takes its interrupt: see `Smp`. */
const common = (change: string): string => change.replace(/^(do_)?handle_IPI\//, 'sysvec_call_function/');

/** The first explanation that speaks of a change of a variant. */
export function explanationOf(survivors: readonly Survivor[], variant: string, change: string): Survivor | undefined {
  return survivors.find(
    (survivor) => pattern(survivor.variants ?? '*').test(variant) && pattern(survivor.change).test(common(change)),
  );
}

/** What a table is made with. */
export interface TableRequest {
  /** `scenario / variant`. */
  readonly where: string;
  readonly variant: string;
  readonly systemOf: () => System;
  /** A system of any shipped variant. */
  readonly shipped: (scenario: string, variant: string) => System;
  readonly survivors: readonly Survivor[];
  /** See `mutate`. */
  readonly compare?: boolean;
}

/** The table of one variant. Throws if a survivor is not explained, or its explanation does not hold. */
export async function mutantTable(request: TableRequest): Promise<string[]> {
  const { compare = true } = request;
  const { mutants } = await mutate(request.systemOf(), { compare });
  return tableOf(request, mutants);
}

/** The same of mutants that have been judged. */
async function tableOf(request: TableRequest, mutants: readonly JudgedMutant[]): Promise<string[]> {
  const { where, variant, survivors } = request;
  const rows: string[] = [];
  const unexplained: string[] = [];
  for (const mutant of mutants) {
    const { result = 'not judged', property } = mutant.judgement ?? {};
    const change = nameOf(mutant);
    if (result === 'needed') {
      rows.push(row(mutant.judgement?.witnessGone ? 'witness gone' : 'needed', change, property ?? ''));
      continue;
    }
    const survivor = explanationOf(survivors, variant, change);
    const elsewhere = neededElsewhere(change, where);
    const own = survivor?.coveredBy !== undefined || survivor?.namesakes === true;
    const why = own || !elsewhere ? survivor && (await reasonOf(survivor, change, request)) : elsewhere;
    if (why === undefined)
      unexplained.push(
        `${result}: ${change} (${mutant.line.text}${mutant.line.next === null ? '' : `, next ${mutant.line.next}`})`,
      );
    else rows.push(row(result, change, why));
  }
  if (unexplained.length > 0)
    throw new Error(`${where}: nobody says why these are not needed:\n  ${unexplained.join('\n  ')}`);
  return rows;
}

function nameOf({ line: { routine, step }, mutation: { change } }: JudgedMutant): string {
  return formatMutation({ routine, step, change });
}

/** A step that covers for the line has to be shown: without both, something breaks. */
async function reasonOf(
  { coveredBy, neededIn, because }: Survivor,
  change: string,
  { systemOf, shipped }: TableRequest,
): Promise<string> {
  if (neededIn) {
    const key = [...neededIn, change].join(' ');
    const property = brokenElsewhere.get(key) ?? (await brokenBy(() => shipped(...neededIn), [change]));
    if (property !== null) brokenElsewhere.set(key, property);
    if (property === null) throw new Error(`${change}: not needed in ${neededIn.join(' ')} either`);
    return `needed in ${neededIn.join(' / ')}: ${property}`;
  }
  if (!coveredBy) return because ?? '';
  const property = await brokenBy(systemOf, [change, ...coveredBy]);
  if (property === null) throw new Error(`${change}: without ${coveredBy.join(' and ')} as well, nothing breaks`);
  return `covered by ${coveredBy.join(' and ')}: without both, ${property}`;
}

/** What was tried in other variants already, and broke them. */
const brokenElsewhere = new Map<string, string>();

/** What goes wrong with these changes; null: nothing. */
async function brokenBy(systemOf: () => System, changes: readonly string[]): Promise<string | null> {
  const mutations = await mutationsNamed(systemOf(), changes);
  const without = mutations.reduce((system, mutation) => mutated(system, mutation).system, systemOf());
  const { property, kind } = await explore(without, { interleavingsStatesMax: 0 });
  return kind === 'sometimes' ? null : property;
}

const GOLDEN = new URL('golden/', import.meta.url);
const NEEDED_ROW = /^ {2}needed +(\S.*?) {2,}\S/;

/** By change: the first scenario and variant in whose golden table the line is needed. */
const needed = new Map<string, string>();
for (const file of readdirSync(GOLDEN)) {
  if (!file.startsWith('mutants.')) continue;
  for (const section of sectionsOf(new URL(file, GOLDEN))) {
    const [heading = '', ...rows] = section.split('\n');
    const where = heading.replace(/ on \w+$/, '');
    for (const line of rows) {
      const row = NEEDED_ROW.exec(line)?.[1];
      const change = row === undefined ? undefined : common(row);
      const before = change === undefined ? undefined : needed.get(change);
      if (change !== undefined && (before === undefined || where < before)) needed.set(change, where);
    }
  }
}

/** Where else the line is needed, by the tables that are there. */
function neededElsewhere(change: string, where: string): string | undefined {
  const other = needed.get(common(change));
  return other === undefined || other === where ? undefined : `needed in ${other}`;
}

/** How far a routine had come changes with every step before it, and says nothing of the line. */
const STEP = /: step \d+(?: \(after .*?\))?(?=: )/g;

function row(result: string, change: string, why: string): string {
  return `  ${result.padEnd(13)}  ${change.padEnd(64)}  ${why.replaceAll(STEP, '')}`.trimEnd();
}

const WRITE = process.env['SHOOTDOWN_WRITE'] === '1';

/** The golden file of a scenario: a section per variant. */
export class MutantGolden {
  readonly #path: URL;
  readonly #sections = new Map<string, string>();

  constructor(scenario: string) {
    this.#path = new URL(`golden/mutants.${scenario}.txt`, import.meta.url);
    for (const section of sectionsOf(this.#path)) this.#sections.set(section.split('\n')[0] ?? '', section);
  }

  /** What is written of a variant; with `SHOOTDOWN_WRITE=1` what is given is written, and read again. */
  section(heading: string, rows: readonly string[]): string | undefined {
    if (WRITE) {
      this.#sections.set(heading, [heading, ...rows].join('\n'));
      writeFileSync(this.#path, `${[...this.#sections.values()].join('\n\n')}\n`);
    }
    return this.#sections.get(heading);
  }
}

function read(path: URL): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function sectionsOf(path: URL): string[] {
  return read(path)
    .split(/^(?=\S)/m)
    .map((section) => section.trimEnd())
    .filter((section) => section !== '');
}
