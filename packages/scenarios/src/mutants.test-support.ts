/**
 * Golden tables of `mutate`: every line of a variant, what it is needed for, and if it is not, why that is no surprise.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { explore, mutate, mutationsNamed, type JudgedMutant, type Mutant } from '@shootdown/explorer';
import { formatMutation, mutated, type MemoryModel, type System } from '@shootdown/machine';

/** What of a variant is not its default. */
export interface Setting {
  readonly parameters?: Readonly<Record<string, number>>;
  readonly memoryModel?: MemoryModel;
}

/** Why a line is not needed in a scenario. */
export interface Survivor {
  /** The change, `routine/step:change`; `*` stands for any characters. */
  readonly change: string;
  /** Variants that this is said of, `*` as above. Default: all. */
  readonly variants?: string;
  /** Changes that break something together with this one. */
  readonly coveredBy?: readonly string[];
  /** A scenario and a variant of it in which the line is needed: that is tried. */
  readonly neededIn?: readonly [scenario: string, variant: string, setting?: Setting];
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

/** A change may make a space endless. */
const BOUNDS = { maxStates: 1_000_000 };

/** What a table is made with. */
export interface TableRequest {
  /** `scenario / variant`. */
  readonly where: string;
  readonly variant: string;
  readonly systemOf: () => System;
  /** A system of any shipped variant. */
  readonly shipped: (scenario: string, variant: string, setting?: Setting) => System;
  readonly survivors: readonly Survivor[];
  /** See `mutate`. */
  readonly compare?: boolean;
  /** Changes that are not judged. */
  readonly except?: ReadonlySet<string>;
}

/** The table of one variant. Throws if a survivor is not explained, or its explanation does not hold. */
export async function mutantTable(request: TableRequest): Promise<string[]> {
  const { compare = true, except } = request;
  const { mutants } = await mutate(request.systemOf(), {
    bounds: BOUNDS,
    compare,
    wanted: (one) => except?.has(nameOf(one)) !== true,
  });
  return tableOf(request, mutants);
}

/** The same of mutants that have been judged. */
async function tableOf(request: TableRequest, mutants: readonly JudgedMutant[]): Promise<string[]> {
  const { where } = request;
  const rows: string[] = [];
  const unexplained: string[] = [];
  for (const mutant of mutants) {
    const { result = 'not judged', property } = mutant.judgement ?? {};
    const change = nameOf(mutant);
    if (result === 'needed') {
      rows.push(row(mutant.judgement?.witnessGone ? 'witness gone' : 'needed', change, property ?? ''));
      continue;
    }
    const why = await provedWhy(change, request);
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

/** Whether what is said holds whatever other tables say. */
function isOwn(survivor: Survivor | undefined): boolean {
  return survivor?.coveredBy !== undefined || survivor?.namesakes === true;
}

/** Why a line is not needed; undefined: nobody says why. Throws if what is said does not hold. */
export async function provedWhy(change: string, request: TableRequest): Promise<string | undefined> {
  const { where, variant, survivors } = request;
  const survivor = explanationOf(survivors, variant, change);
  const elsewhere = neededElsewhere(change, where);
  return isOwn(survivor) || !elsewhere ? survivor && (await reasonOf(survivor, change, request)) : elsewhere;
}

function nameOf({ line: { routine, step }, mutation: { change } }: Mutant): string {
  return formatMutation({ routine, step, change });
}

/** A step that covers for the line has to be shown: without both, something breaks. */
async function reasonOf(
  { coveredBy, neededIn, because }: Survivor,
  change: string,
  { systemOf, shipped }: TableRequest,
): Promise<string> {
  if (neededIn) {
    const there = placeOf(neededIn);
    const key = `${there} ${change}`;
    const property = brokenElsewhere.get(key) ?? (await brokenBy(() => shipped(...neededIn), [change]));
    if (property !== null) brokenElsewhere.set(key, property);
    if (property === null) throw new Error(`${change}: not needed in ${there} either`);
    return `needed in ${there}: ${property}`;
  }
  if (!coveredBy) return because ?? '';
  const property = await brokenBy(systemOf, [change, ...coveredBy]);
  if (property === null) throw new Error(`${change}: without ${coveredBy.join(' and ')} as well, nothing breaks`);
  return `covered by ${coveredBy.join(' and ')}: without both, ${property}`;
}

/** `scenario / variant (parameter=0) on tso`. */
function placeOf([scenario, variant, setting = {}]: NonNullable<Survivor['neededIn']>): string {
  const { parameters = {}, memoryModel } = setting;
  const sizes = Object.entries(parameters).map(([name, value]) => ` (${name}=${value})`);
  return `${scenario} / ${variant}${sizes.join('')}${memoryModel === undefined ? '' : ` on ${memoryModel}`}`;
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
const ROW = /^ {2}(needed|witness gone|not needed|no difference|bounded) +(\S.*?) {2,}(\S.*)$/;

/** A row of a golden table. */
export interface GoldenRow {
  readonly result: string;
  readonly change: string;
  readonly why: string;
}

/** All golden tables, by their headings. */
export function goldenTables(): ReadonlyMap<string, readonly GoldenRow[]> {
  const files = readdirSync(GOLDEN).filter((file) => file.startsWith('mutants.'));
  return new Map(
    files
      .flatMap((file) => sectionsOf(new URL(file, GOLDEN)))
      .map((section) => {
        const [heading = '', ...lines] = section.split('\n');
        return [heading, lines.map(rowOf)] as const;
      }),
  );
}

function rowOf(line: string): GoldenRow {
  const [, result, change, why] = ROW.exec(line) ?? [];
  if (result === undefined || change === undefined || why === undefined)
    throw new Error(`golden table: no row (${line})`);
  return { result, change, why };
}

/** By change: where it is needed, by the golden tables. */
const neededAt = new Map<string, Set<string>>();
/** By scenario, variant and change: what its golden table says. */
const statedAt = new Map<string, string>();
for (const [heading, rows] of goldenTables()) {
  const where = heading.replace(/(?: \(only .*\))? on \w+$/, '');
  for (const { result, change, why } of rows) {
    statedAt.set(`${where} ${change}`, why);
    if (result === 'needed') neededAt.set(common(change), (neededAt.get(common(change)) ?? new Set()).add(where));
  }
}

/**
 * What a row of a golden table says today of why a line is not needed, by the explanations and the other tables; what
 * was proved when the table was written is not proved again. Undefined: nobody says why.
 */
export function statedWhy(
  { change, why }: GoldenRow,
  { where, variant, survivors }: Pick<TableRequest, 'where' | 'variant' | 'survivors'>,
): string | undefined {
  const survivor = explanationOf(survivors, variant, change);
  const elsewhere = neededElsewhere(change, where);
  if (elsewhere !== undefined && !isOwn(survivor)) return elsewhere;
  if (!survivor) return undefined;
  const { neededIn, coveredBy, because } = survivor;
  const proved = neededIn ? `needed in ${placeOf(neededIn)}: ` : coveredBy && `covered by ${coveredBy.join(' and ')}: `;
  return proved === undefined ? because : why.startsWith(proved) ? why : undefined;
}

/** Where else the line is needed, by the tables that are there: the place that is named already, or the first. */
function neededElsewhere(change: string, where: string): string | undefined {
  const places = [...(neededAt.get(common(change)) ?? [])].filter((place) => place !== where).sort();
  const stated = places.find((place) => statedAt.get(`${where} ${change}`) === `needed in ${place}`);
  const place = stated ?? places[0];
  return place === undefined ? undefined : `needed in ${place}`;
}

/** How far a routine had come changes with every step before it, and says nothing of the line. */
const STEP = /: step \d+(?: \(after .*?\))?(?=: )/g;

/** A row as it is written. */
export function row(result: string, change: string, why: string): string {
  return `  ${result.padEnd(13)}  ${change.padEnd(64)}  ${why.replaceAll(STEP, '')}`.trimEnd();
}

/** Golden tables are written instead of compared. */
export const WRITE_GOLDEN = process.env['SHOOTDOWN_WRITE'] === '1';

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
    if (WRITE_GOLDEN) {
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
