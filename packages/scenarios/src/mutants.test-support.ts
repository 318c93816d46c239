/**
 * Golden tables of `mutate`: every line of a variant, what it is needed for, and if it is not, why that is no surprise.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { changed, explore, linesOf, mutate, type JudgedMutant, type Mutant } from '@shootdown/explorer';
import { formatMutation, parseMutation, type CodeLine, type MemoryModel, type System } from '@shootdown/machine';
import { GoldenPlaces, placeOf } from './mutants.places.test-support.ts';

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
  /** Where another line is needed for what this one is there for: that is tried, and `because` says the rest. */
  readonly shownBy?: readonly [scenario: string, variant: string, change: string, setting?: Setting];
  /** A weaker memory model on which nothing goes wrong without the line either: that is tried. */
  readonly alsoOn?: MemoryModel;
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
const BOUNDS = { maxStates: 4_000_000 };

/** What a table is made with. */
export interface TableRequest {
  /** The first line of the table. */
  readonly heading: string;
  readonly variant: string;
  /** Default: on the memory model of the table. */
  readonly systemOf: (memoryModel?: MemoryModel) => System;
  /** A system of any shipped variant. */
  readonly shipped: (scenario: string, variant: string, setting?: Setting) => System;
  readonly survivors: readonly Survivor[];
  /** See `mutate`. */
  readonly compare?: boolean;
  /** Changes that are not judged. */
  readonly except?: ReadonlySet<string>;
}

/** A table, and where its lines stand. */
interface MadeTable {
  readonly rows: readonly string[];
  /** By step. */
  readonly places: ReadonlyMap<string, string>;
}

/** The table of one variant. Throws if a survivor is not explained, or its explanation does not hold. */
export async function mutantTable(request: TableRequest): Promise<MadeTable> {
  const { compare = true, except, heading } = request;
  const { mutants, lines } = await mutate(request.systemOf(), {
    bounds: BOUNDS,
    compare,
    wanted: (one) => except?.has(nameOf(one)) !== true,
  });
  linesKnown.set(heading, lines);
  const places = new Map(mutants.map((mutant) => [stepOf(nameOf(mutant)), placeOf(mutant.line)]));
  if (WRITE_GOLDEN) goldenPlaces.put(heading, places);
  return { rows: await rowsOf(request, mutants), places };
}

/** Writes where the lines of all golden tables stand. */
export function writePlaces(): void {
  const tablesWith = new Map<string, string[]>();
  for (const [heading, rows] of goldenTables())
    for (const step of new Set(rows.map(({ change }) => stepOf(change))))
      tablesWith.set(step, [...(tablesWith.get(step) ?? []), heading]);
  goldenPlaces.write((step) => tablesWith.get(step) ?? []);
}

async function rowsOf(request: TableRequest, mutants: readonly JudgedMutant[]): Promise<string[]> {
  const { heading } = request;
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
    throw new Error(`${heading}: nobody says why these are not needed:\n  ${unexplained.join('\n  ')}`);
  return rows;
}

/** Whether what is said holds whatever other tables say. */
function isOwn(survivor: Survivor | undefined): boolean {
  return survivor?.coveredBy !== undefined;
}

/** Why a line is not needed; undefined: nobody says why. Throws if what is said does not hold. */
export async function provedWhy(change: string, request: TableRequest): Promise<string | undefined> {
  const { heading, variant, survivors } = request;
  const survivor = explanationOf(survivors, variant, change);
  const elsewhere = neededElsewhere(change, heading);
  return isOwn(survivor) || !elsewhere ? survivor && (await reasonOf(survivor, change, request)) : elsewhere;
}

function nameOf({ line: { routine, step }, mutation: { change } }: Mutant): string {
  return formatMutation({ routine, step, change });
}

/** Why a line is not needed, in words, once what they claim has been tried. */
async function reasonOf(survivor: Survivor, change: string, request: TableRequest): Promise<string> {
  const { neededIn, shownBy, coveredBy, alsoOn } = survivor;
  const { heading, systemOf } = request;
  if (neededIn) return await neededThere(neededIn, change, request);
  if (coveredBy) {
    const { property } = await brokenBy(heading, systemOf, [change, ...coveredBy]);
    if (property === null) throw new Error(`${change}: without ${coveredBy.join(' and ')} as well, nothing breaks`);
    return `${claimOf(survivor)}${property}`;
  }
  if (shownBy) {
    const [scenario, variant, other, setting] = shownBy;
    const { property } = await brokenIn([scenario, variant, setting ?? {}], other, request);
    if (property === null) throw new Error(`${change}: ${claimOf(survivor)} nothing breaks`);
    return `${claimOf(survivor)}${property}`;
  }
  if (alsoOn) {
    const { property } = await brokenBy(`${heading}, ${alsoOn}`, () => systemOf(alsoOn), [change]);
    if (property !== null) throw new Error(`${change}: needed on ${alsoOn}: ${property}`);
  }
  return claimOf(survivor);
}

/** What a reason begins with of which the rest was tried; all of it, if it has no such rest. */
function claimOf({ neededIn, shownBy, coveredBy, alsoOn, because = '' }: Survivor): string {
  if (neededIn) return `needed in ${placeOfTable(neededIn)}: `;
  if (coveredBy) return `covered by ${coveredBy.join(' and ')}: without both, `;
  if (!shownBy) return alsoOn === undefined ? because : `${because}; nothing breaks on ${alsoOn} either`;
  const [scenario, variant, other, setting] = shownBy;
  return `${because}; without ${other} in ${placeOfTable([scenario, variant, setting ?? {}])}, `;
}

/** Throws unless the line is needed there, and is the same one. */
async function neededThere(there: Place, change: string, request: TableRequest): Promise<string> {
  const { property, places } = await brokenIn(there, change, request);
  if (property === null) throw new Error(`${change}: not needed in ${placeOfTable(there)} either`);
  const here = goldenPlaces.of(request.heading, stepOf(change));
  if (places[0] !== here)
    throw new Error(`${change}: in ${placeOfTable(there)} that is another line: ${places[0]}, and here ${here}`);
  return `needed in ${placeOfTable(there)}: ${property}`;
}

/** What a change comes to in another variant. */
async function brokenIn(there: Place, change: string, { heading, shipped }: TableRequest): Promise<Broken> {
  const name = `${placeOfTable(there)}, as from ${heading.endsWith(' on arm') ? 'arm' : 'elsewhere'}`;
  const key = `${name} ${change}`;
  const broken = brokenElsewhere.get(key) ?? (await brokenBy(name, () => shipped(...there), [change]));
  brokenElsewhere.set(key, broken);
  return broken;
}

/** A variant, as it ships or in another size. */
type Place = NonNullable<Survivor['neededIn']>;

/** `scenario / variant (parameter=0) on tso`. */
function placeOfTable([scenario, variant, setting = {}]: Place): string {
  const { parameters = {}, memoryModel } = setting;
  const sizes = Object.entries(parameters).map(([name, value]) => ` (${name}=${value})`);
  return `${scenario} / ${variant}${sizes.join('')}${memoryModel === undefined ? '' : ` on ${memoryModel}`}`;
}

/** What changes come to. */
interface Broken {
  /** What goes wrong; null: nothing. */
  readonly property: string | null;
  /** Where the changed lines stand. */
  readonly places: readonly string[];
}

/** What was tried in other variants already. */
const brokenElsewhere = new Map<string, Broken>();
/** The lines of systems that have been searched. */
const linesKnown = new Map<string, readonly CodeLine[]>();

/** Lines of a system by the names of their changes. @param name of the system: it is searched once */
async function changesNamed(name: string, systemOf: () => System, changes: readonly string[]): Promise<Mutant[]> {
  const lines = linesKnown.get(name) ?? (await linesOf(systemOf())).lines;
  linesKnown.set(name, lines);
  return changes.map((text) => {
    const { routine, step, change } = parseMutation(text);
    const line = lines.find((one) => one.routine === routine && one.step === step && one.changes.includes(change));
    if (!line) throw new Error(`${name}: no line has the change ${text}`);
    return { line, mutation: { routine, word: line.word, position: line.position, change } };
  });
}

/** A system with lines of it changed. */
function without(systemOf: () => System, mutants: readonly Mutant[]): System {
  return changed(
    systemOf(),
    mutants.map(({ mutation }) => mutation),
  );
}

/** What goes wrong with these changes of a system. */
async function brokenBy(name: string, systemOf: () => System, changes: readonly string[]): Promise<Broken> {
  const mutants = await changesNamed(name, systemOf, changes);
  const { property, kind, verdict } = await explore(without(systemOf, mutants), {
    bounds: BOUNDS,
    interleavingsStatesMax: 0,
  });
  if (verdict === 'bounded') throw new Error(`${name}: without ${changes.join(' and ')} no search ends`);
  return { property: kind === 'sometimes' ? null : property, places: mutants.map(({ line }) => placeOf(line)) };
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

/** Where the lines of all tables stand. */
export const goldenPlaces = new GoldenPlaces();

/** `routine/step` of a change. */
export function stepOf(change: string): string {
  return common(change.slice(0, change.lastIndexOf(':')));
}

/** By change: the tables in which it is needed. */
const neededAt = new Map<string, Set<string>>();
/** By table and change: what it says. */
const statedAt = new Map<string, string>();
for (const [heading, rows] of goldenTables())
  for (const { result, change, why } of rows) {
    statedAt.set(`${heading} ${change}`, why);
    if (result === 'needed') neededAt.set(common(change), (neededAt.get(common(change)) ?? new Set()).add(heading));
  }

/** How a table is named where others refer to it: on arm a line may be needed for its order alone. */
const referredTo = (heading: string): string =>
  heading.replace(/(?: \(only .*\))? on (\w+)$/, (_, model: string) => (model === 'arm' ? ' on arm' : ''));

/**
 * What a row of a golden table says today of why a line is not needed, by the explanations and the other tables; what
 * was proved when the table was written is not proved again. Undefined: nobody says why.
 */
export function statedWhy(
  { change, why }: GoldenRow,
  { heading, variant, survivors }: Pick<TableRequest, 'heading' | 'variant' | 'survivors'>,
): string | undefined {
  const survivor = explanationOf(survivors, variant, change);
  const elsewhere = neededElsewhere(change, heading);
  if (elsewhere !== undefined && !isOwn(survivor)) return elsewhere;
  if (!survivor) return undefined;
  const claim = claimOf(survivor);
  const { neededIn, shownBy, coveredBy } = survivor;
  if (neededIn ?? shownBy ?? coveredBy) return why.startsWith(claim) ? why : undefined;
  return claim;
}

/**
 * In which other table the same line is needed: in the one that is named already, or the first. A line of that name
 * that stands elsewhere is another one.
 */
function neededElsewhere(change: string, heading: string): string | undefined {
  const here = goldenPlaces.of(heading, stepOf(change));
  const tables = [...(neededAt.get(common(change)) ?? [])]
    .filter((table) => table !== heading && goldenPlaces.of(table, stepOf(change)) === here)
    .map(referredTo)
    .sort();
  const stated = tables.find((table) => statedAt.get(`${heading} ${change}`) === `needed in ${table}`);
  const table = stated ?? tables[0];
  return table === undefined ? undefined : `needed in ${table}`;
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
