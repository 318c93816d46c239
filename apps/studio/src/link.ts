/**
 * The address of a view: `#/explore/<scenario>/<variant>?mm=sc&set=cpus:3&s=<schedule>&at=45`. A link says everything
 * that is needed to see the same step again; whatever in it cannot be understood is left out, and said.
 */
import { formatSchedule, MEMORY_MODELS, parseSchedule } from '@shootdown/machine';
import { studioFragment } from '@shootdown/report';
import type { SystemRequest } from './engine/api.ts';

export const tabs = ['explore', 'mutate', 'run', 'write'] as const;
export type Tab = (typeof tabs)[number];

/** Notes by step. */
export type Notes = Readonly<Record<number, string>>;

/** Machines as a link names them; null: none. */
export interface MachinesInLink {
  readonly a: string | null;
  readonly b: string | null;
}

/** What a link says. */
export interface Link {
  readonly tab: Tab;
  /** Null: the page chooses. */
  readonly request: Omit<SystemRequest, 'own'> | null;
  /** A walk of the sender's; null: the counterexample. */
  readonly schedule: readonly number[] | null;
  /** Steps done; null: as many as there are. */
  readonly at: number | null;
  /** What the sender says of steps. */
  readonly notes: Notes;
  /** Walks that the sender took by hand, besides the one that is shown. */
  readonly branches: readonly (readonly number[])[];
  /** Machines to run, A and B: names, or a name with a packed topology. */
  readonly machines: MachinesInLink;
  /** Code of the sender's own, packed. It is shown, and runs only when asked for. */
  readonly code: { readonly name: string; readonly packed: string } | null;
  /** What the reader is told about a part that was not understood. */
  readonly complaint: string | null;
}

/** Reads the fragment of an address. */
export function parseLink(fragment: string): Link {
  const [path = '', query = ''] = fragment.replace(/^#\/?/, '').split('?', 2);
  const parts = path.split('/').filter((part) => part !== '');
  const tab = tabs.find((name) => name === parts[0]) ?? 'explore';
  if (parts[0] === tab) parts.shift();
  const words = new URLSearchParams(query);
  const complaints: string[] = [];
  const [scenario, ...variant] = parts.map(decoded);
  const memoryModel = MEMORY_MODELS.find((model) => model === (words.get('mm') ?? 'sc'));
  if (memoryModel === undefined) complaints.push(`no memory model ${words.get('mm') ?? ''}`);
  const request =
    scenario === undefined || variant.length === 0
      ? null
      : {
          scenario,
          variant: variant.join('/'),
          memoryModel: memoryModel ?? 'sc',
          parameters: parametersOf(words.get('set') ?? '', complaints),
          mutations: words.getAll('m'),
        };
  const at = words.get('at');
  return {
    tab,
    request,
    schedule: scheduleOf(words.get('s'), complaints),
    at: at !== null && /^\d{1,8}$/.test(at) ? Number(at) : null,
    notes: notesIn(words.getAll('n')),
    branches: tab === 'run' ? [] : branchesIn(words, complaints),
    machines: { a: words.get('a'), b: words.get('b') },
    code: codeIn(words),
    complaint: complaints.length > 0 ? `The link was not understood in full: ${complaints.join('; ')}.` : null,
  };
}

const BRANCHES_MAX = 8;
const NOTES_MAX = 50;
const NOTE_LENGTH_MAX = 300;

function branchesIn(words: URLSearchParams, complaints: string[]): (readonly number[])[] {
  // Of a machine, `b` is the other one.
  return words
    .getAll('b')
    .slice(0, BRANCHES_MAX)
    .flatMap((text) => {
      const schedule = scheduleOf(text, complaints);
      return schedule === null ? [] : [schedule];
    });
}

/** `45:text` each. */
function notesIn(texts: readonly string[]): Notes {
  const notes: Record<number, string> = {};
  for (const text of texts.slice(0, NOTES_MAX)) {
    const [, step, note] = /^(\d{1,8}):(.+)$/s.exec(text) ?? [];
    if (step !== undefined && note !== undefined) notes[Number(step)] = note.slice(0, NOTE_LENGTH_MAX);
  }
  return notes;
}

/** Code by the name of its file, which says what language it is in. */
const FILE = /^[\w./-]{1,100}\.(?:[cm]?[jt]s|c|patch|diff)$/;

function codeIn(words: URLSearchParams): Link['code'] {
  const packed = words.get('code');
  const name = words.get('file') ?? 'module.ts';
  return packed === null ? null : { name: FILE.test(name) ? name : 'module.ts', packed };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function parametersOf(text: string, complaints: string[]): Record<string, number> {
  const parameters: Record<string, number> = {};
  for (const part of text.split(',').filter((p) => p !== '')) {
    const match = /^([A-Za-z][\w-]*):(\d{1,9})$/.exec(part);
    if (match) parameters[match[1] ?? ''] = Number(match[2]);
    else complaints.push(`set=${part}`);
  }
  return parameters;
}

function scheduleOf(text: string | null, complaints: string[]): readonly number[] | null {
  if (text === null) return null;
  try {
    return parseSchedule(text);
  } catch (error) {
    complaints.push(error instanceof Error ? error.message : String(error));
    return null;
  }
}

/** The fragment that says it. */
export function formatLink(link: Omit<Link, 'complaint'>): string {
  const { tab, request, schedule, at, notes, branches, machines, code } = link;
  if (tab === 'run') {
    const named = Object.entries(machines).flatMap(([name, word]) =>
      word === null ? [] : [`${name}=${encodeURIComponent(word)}`],
    );
    return named.length === 0 ? '#/run' : `#/run?${named.join('&')}`;
  }
  if (!request) return `#/${tab}${code === null ? '' : `?file=${encodeURIComponent(code.name)}&code=${code.packed}`}`;
  const said = [
    ...Object.entries(notes).map(([step, note]) => `&n=${encodeURIComponent(`${step}:${note}`)}`),
    ...branches.map((branch) => `&b=${formatSchedule(branch)}`),
  ];
  return `${studioFragment({ ...request, tab, schedule, at, code })}${said.join('')}`;
}
