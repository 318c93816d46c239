/**
 * Golden tables of `mutate`: every line of a variant, what it is needed for, and if it is not, why that is no surprise.
 */
import { readFileSync, writeFileSync } from 'node:fs';
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

/** The first explanation that speaks of a change of a variant. */
export function explanationOf(survivors: readonly Survivor[], variant: string, change: string): Survivor | undefined {
  return survivors.find(
    (survivor) => pattern(survivor.variants ?? '*').test(variant) && pattern(survivor.change).test(change),
  );
}

/** The table of one variant. Throws if a survivor is not explained, or its explanation does not hold. */
export async function mutantTable(
  variant: string,
  systemOf: () => System,
  survivors: readonly Survivor[],
): Promise<string[]> {
  const { mutants } = await mutate(systemOf());
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
    if (!survivor)
      unexplained.push(
        `${result}: ${change} (${mutant.line.text}${mutant.line.next === null ? '' : `, next ${mutant.line.next}`})`,
      );
    else rows.push(row(result, change, await reasonOf(survivor, change, systemOf)));
  }
  if (unexplained.length > 0)
    throw new Error(`${variant}: nobody says why these are not needed:\n  ${unexplained.join('\n  ')}`);
  return rows;
}

function nameOf({ line: { routine, step }, mutation: { change } }: JudgedMutant): string {
  return formatMutation({ routine, step, change });
}

/** A step that covers for the line has to be shown: without both, something breaks. */
async function reasonOf({ coveredBy, because }: Survivor, change: string, systemOf: () => System): Promise<string> {
  if (!coveredBy) return because ?? '';
  const mutations = await mutationsNamed(systemOf(), [change, ...coveredBy]);
  const without = mutations.reduce((system, mutation) => mutated(system, mutation).system, systemOf());
  const { property, kind } = await explore(without, { interleavingsStatesMax: 0 });
  if (property === null || kind === 'sometimes')
    throw new Error(`${change}: without ${coveredBy.join(' and ')} as well, nothing breaks`);
  return `covered by ${coveredBy.join(' and ')}: without both, ${property}`;
}

function row(result: string, change: string, why: string): string {
  return `  ${result.padEnd(13)}  ${change.padEnd(64)}  ${why}`.trimEnd();
}

const WRITE = process.env['SHOOTDOWN_WRITE'] === '1';

/** The golden file of a scenario: a section per variant. */
export class MutantGolden {
  readonly #path: URL;
  readonly #sections = new Map<string, string>();

  constructor(scenario: string) {
    this.#path = new URL(`golden/mutants.${scenario}.txt`, import.meta.url);
    for (const section of read(this.#path).split(/^(?=\S)/m)) {
      const [heading = ''] = section.split('\n');
      if (heading !== '') this.#sections.set(heading, section.trimEnd());
    }
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
