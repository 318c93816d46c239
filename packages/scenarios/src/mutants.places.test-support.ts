/**
 * Where the lines of golden tables stand: two kernels, or two versions of one routine, have lines of the same name, and
 * that one of them is needed says nothing of the other.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CodeLine } from '@shootdown/machine';

/** Functions of the machine make operations, and are no place of the kernel's. */
const OF_MACHINE = 'machine/src/';
const FRAME = /^(?:file:\/\/)?.*?\/packages\/(.+?\.ts):(\d+):\d+$/;

const NOT_KNOWN = '(not known)';

/** Lines of a source file, by its path below packages/. */
const sources = new Map<string, readonly string[]>();

function sourceOf(file: string): readonly string[] {
  let lines = sources.get(file);
  if (!lines) {
    const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
    sources.set(
      file,
      (lines = readFileSync(path, 'utf8')
        .split('\n')
        .map((line) => line.trim())),
    );
  }
  return lines;
}

/** The text of a line; of several that read the same, with its number among them. */
function textAt(file: string, line: number): string {
  const lines = sourceOf(file);
  const text = lines[line - 1] ?? '';
  const same = lines.slice(0, line - 1).filter((other) => other === text).length;
  return same === 0 ? text : `${text} (${same + 1})`;
}

/**
 * The file of the routine, and the text of the line in it: of all lines from the routine to the last function of that
 * file.
 */
export function placeOf({ place }: Pick<CodeLine, 'place'>): string {
  const frames = place
    .map((frame) => FRAME.exec(frame))
    .flatMap((match) => (match ? [{ file: match[1] ?? '', line: Number(match[2]) }] : []))
    .filter(({ file }) => !file.startsWith(OF_MACHINE));
  const [first] = frames;
  if (!first) return NOT_KNOWN;
  const end = frames.findIndex(({ file }) => file !== first.file);
  const inside = end < 0 ? frames : frames.slice(0, end);
  return `${first.file}: ${inside.map(({ file, line }) => textAt(file, line)).join(' > ')}`;
}

/** Whether a place is in the sources today: its file has every line that it names. */
function isThere(place: string): boolean {
  const colon = place.indexOf(': ');
  const file = place.slice(0, colon);
  const named = new Set(sourceOf(file).map((_, line) => textAt(file, line + 1)));
  const from = (rest: string): boolean =>
    named.has(rest) ||
    [...rest.matchAll(/ > /g)].some(
      ({ index }) => named.has(rest.slice(0, index)) && from(rest.slice(index + ' > '.length)),
    );
  return from(place.slice(colon + 2));
}

const PATH = new URL('golden/mutants-places.txt', import.meta.url);
const TABLE = '    ';
const PLACE = '  ';

/**
 * The golden file: by step, the places that lines of that name have, the one of most tables first; and below every
 * other place its tables.
 */
export class GoldenPlaces {
  readonly #steps = new Map<string, Map<string, Set<string>>>();

  constructor() {
    let places = new Map<string, Set<string>>();
    let tables = new Set<string>();
    for (const line of read().split('\n')) {
      if (line.startsWith(TABLE)) tables.add(line.slice(TABLE.length));
      else if (line.startsWith(PLACE)) places.set(line.slice(PLACE.length), (tables = new Set()));
      else if (line !== '') this.#steps.set(line, (places = new Map()));
    }
  }

  /** Where a step of a table stands; undefined: nobody knows. */
  of(table: string, step: string): string | undefined {
    const places = this.#steps.get(step);
    if (!places) return undefined;
    const [first] = places.keys();
    return [...places].find(([, tables]) => tables.has(table))?.[0] ?? first;
  }

  /** Places that are in the sources no more. */
  get gone(): string[] {
    const places = new Set([...this.#steps.values()].flatMap((of) => [...of.keys()]));
    return [...places].filter((place) => place !== NOT_KNOWN && !isThere(place));
  }

  /** Takes in where the steps of a table stand. */
  put(table: string, steps: ReadonlyMap<string, string>): void {
    for (const [name, place] of steps) {
      const places = this.#steps.get(name) ?? new Map<string, Set<string>>();
      this.#steps.set(name, places);
      for (const tables of places.values()) tables.delete(table);
      places.set(place, (places.get(place) ?? new Set()).add(table));
    }
  }

  /** Writes the file. @param tablesWith the tables that have a step: of what is in none, nothing is kept */
  write(tablesWith: (step: string) => readonly string[]): void {
    const text: string[] = [];
    for (const name of [...this.#steps.keys()].sort()) {
      const tables = tablesWith(name);
      if (tables.length === 0) continue;
      const places = new Map<string, string[]>();
      for (const table of tables) {
        const place = this.of(table, name) ?? NOT_KNOWN;
        places.set(place, [...(places.get(place) ?? []), table]);
      }
      const [first, ...others] = [...places].sort(([a, of], [b, than]) => than.length - of.length || (a < b ? -1 : 1));
      text.push(name, `${PLACE}${first?.[0] ?? ''}`);
      for (const [place, of] of others) text.push(`${PLACE}${place}`, ...of.sort().map((table) => TABLE + table));
    }
    writeFileSync(PATH, `${text.join('\n')}\n`);
  }
}

function read(): string {
  try {
    return readFileSync(PATH, 'utf8');
  } catch {
    return '';
  }
}
