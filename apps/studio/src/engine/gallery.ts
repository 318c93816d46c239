/** Things to begin with: the files of the shipped scenarios, and the examples of the README and of docs/c.md. */
import { scenarios } from '@shootdown/scenarios';
import type { GalleryEntry, GalleryText } from './api.ts';

const sources = import.meta.glob<string>(
  [
    '../../../../packages/scenarios/src/**/*.ts',
    '!../../../../packages/scenarios/src/**/*.test.ts',
    '!../../../../packages/scenarios/src/**/*.test-support.ts',
  ],
  { query: '?url', import: 'default', eager: true },
);
const pages = import.meta.glob<string>(['../../../../README.md', '../../../../docs/c.md'], {
  query: '?url',
  import: 'default',
  eager: true,
});

const ROOT = '../../../../';
/** A block with a name, and what follows it up to the next block with a name. */
const EXAMPLE = /^```(ts|c|diff) ([\w.-]+)\n(.*?)^```$(.*?)(?=^```(?:ts|c|diff) |$(?![\s\S]))/gms;
const COMMAND = /shootdown explore ([\w-]+) (?:.*?)--variant (\S+)(?:.*?)--replace/;

async function textOf(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`gallery: ${url}: ${response.status}`);
  return await response.text();
}

interface Example {
  readonly name: string;
  readonly text: string;
  readonly scenario: string | null;
  readonly variant: string | null;
}

async function examplesOf(url: string): Promise<Example[]> {
  const page = await textOf(url);
  return [...page.matchAll(EXAMPLE)].flatMap(([, language, name = '', text = '', after = '']): Example[] => {
    // A module of the page is alone: one that imports a file of its own cannot stand here.
    if (/from '(?:\.|xstate)/.test(text)) return [];
    const [, scenario = null, variant = null] = COMMAND.exec(after) ?? [];
    const file = language === 'ts' ? `${name}.ts` : name;
    const isWhole = language === 'ts' ? /\bScenario\b/.test(text) : scenario !== null || /\bP0\s*\(/.test(text);
    return isWhole ? [{ name: file, text, scenario, variant }] : [];
  });
}

/** What there is. */
export async function galleryEntries(): Promise<GalleryEntry[]> {
  const examples = await Promise.all(
    Object.entries(pages).map(async ([path, url]) =>
      (await examplesOf(url)).map(({ name }) => ({ group: path.replace(ROOT, ''), name })),
    ),
  );
  const named = new Set(scenarios.map(({ name }) => name));
  const shipped = Object.keys(sources)
    .map((path) => path.replace(ROOT, ''))
    .filter((path) => named.has(path.replace(/^.*\/|\.ts$/g, '')) || /lazy-mmu\/lazy-(sections|tasks)\.ts$/.test(path))
    .map((name) => ({ group: 'scenarios that ship', name }));
  return [...examples.flat(), ...shipped];
}

/** One of them. Throws Error. */
export async function galleryText(group: string, name: string): Promise<GalleryText> {
  const source = sources[ROOT + name];
  if (source !== undefined) return { name, text: await textOf(source), scenario: null, variant: null };
  const page = pages[ROOT + group];
  const found = page === undefined ? undefined : (await examplesOf(page)).find((example) => example.name === name);
  if (!found) throw new Error(`gallery: no ${name} in ${group}`);
  return found;
}
