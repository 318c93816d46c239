/** What the screen Write knows: a text, what it holds, what the search of it has found. */
import { batch, computed, signal } from '@preact/signals';
import type { GalleryEntry, Mistake, OwnCode, ScenarioEntry, SystemRequest, Verdict } from '../engine/api.ts';
import { catalogue, foreground } from '../engine/client.ts';
import { parseLink } from '../link.ts';
import {
  approve,
  openLink,
  ownEntries,
  pushAddress,
  request,
  said,
  scenarios,
  tab,
  trouble,
  waitingCode,
} from '../store.ts';

export const name = signal('my-patch.ts');
/** The text that is to be in the editor: set from outside. */
export const opened = signal<OwnCode | null>(null);
export const gallery = signal<readonly GalleryEntry[]>([]);
export const mistakes = signal<readonly Mistake[]>([]);
export const isBusy = signal<'reading' | 'searching' | null>(null);
export const states = signal(0);
export const found = signal<Verdict | null>(null);
/** What the verdict is about. */
export const searched = signal<SystemRequest | null>(null);
export const step = signal(0);
/** A shipped scenario whose function the C is; taken from the example, or chosen. */
export const target = signal<{ readonly scenario: string; readonly variant: string } | null>(null);
export const isFunction = computed(() => /\.(c|patch|diff)$/.test(name.value));
export const targets = computed(() => scenarios.value.filter(({ offersC }) => offersC));

let work = 0;

/** Fetches the gallery, and opens the first example if there is nothing to show. */
export async function openWrite(): Promise<void> {
  try {
    if (gallery.value.length === 0) gallery.value = await catalogue.gallery();
    if (opened.value !== null && waitingCode.value === null) return;
    const waiting = waitingCode.value ?? request.value?.own ?? null;
    const place = waitingTarget();
    if (place) target.value = place;
    if (waiting) openCode(waiting);
    else if (gallery.value[0]) await openExample(gallery.value[0]);
  } catch (error) {
    trouble.value = said(error);
  }
}

/** What a link says the code is for. */
function waitingTarget(): { readonly scenario: string; readonly variant: string } | null {
  const { request: wanted, code } = parseLink(location.hash);
  return code !== null && wanted ? { scenario: wanted.scenario, variant: wanted.variant } : null;
}

/** Shows a text. Nothing of it runs. */
function openCode(code: OwnCode): void {
  const now = request.value;
  batch(() => {
    opened.value = code;
    name.value = code.name;
    mistakes.value = [];
    found.value = null;
    if (now?.own && now.own.text === code.text) target.value = { scenario: now.scenario, variant: now.variant };
  });
}

/** Opens an example of the gallery. */
export async function openExample({ group, name: which }: GalleryEntry): Promise<void> {
  try {
    const { text, name: file, scenario, variant } = await catalogue.galleryText(group, which);
    target.value = scenario !== null && variant !== null ? { scenario, variant } : null;
    openCode({ name: file, text });
  } catch (error) {
    trouble.value = said(error);
  }
}

/** Runs the text: the reader has asked for it. */
export async function runCode(text: string, wanted: Partial<SystemRequest> = {}): Promise<void> {
  const mine = ++work;
  foreground.stop();
  const own: OwnCode = { name: name.value, text };
  batch(() => {
    isBusy.value = 'reading';
    mistakes.value = [];
    found.value = null;
    states.value = 0;
  });
  const link = await approve(own);
  try {
    const place = target.value ?? defaultTarget();
    const read = await foreground.read(own, place);
    if (mine !== work) return;
    ownEntries.value = read.scenarios;
    if (read.mistakes.length > 0) {
      mistakes.value = read.mistakes;
      return;
    }
    // What the sender was looking at.
    if (link !== null && parseLink(link).tab !== 'write') {
      history.pushState(null, '', link);
      await openLink();
      return;
    }
    const system = requestOf(own, read.scenarios, wanted);
    if (!system) return;
    batch(() => {
      isBusy.value = 'searching';
      request.value = system;
      searched.value = system;
    });
    if (tab.value === 'write') pushAddress(null, null);
    const verdict = await foreground.explore(system, (progress) => {
      if (mine === work) states.value = progress.states;
    });
    if (mine !== work) return;
    batch(() => {
      found.value = verdict;
      step.value = verdict.walk.trace.steps.length;
    });
  } catch (error) {
    if (mine === work) mistakes.value = [mistakeOf(said(error))];
  } finally {
    if (mine === work) isBusy.value = null;
  }
}

/** A message that begins with file and line. */
function mistakeOf(text: string): Mistake {
  const [, line, what] = /^[^\s:]+:(\d+): (.*)$/s.exec(text) ?? [];
  return line === undefined ? { line: null, text } : { line: Number(line), text: what ?? text };
}

function defaultTarget(): { readonly scenario: string; readonly variant: string } | null {
  const first = targets.value[0];
  const variant = first?.variants[0];
  return first && variant ? { scenario: first.name, variant: variant.name } : null;
}

/** The system that is searched first: what was asked for, or the first variant of the first scenario. */
function requestOf(
  own: OwnCode,
  entries: readonly ScenarioEntry[],
  wanted: Partial<SystemRequest>,
): SystemRequest | null {
  const place = target.value ?? defaultTarget();
  const list = entries.length > 0 ? entries : scenarios.value.filter((entry) => entry.name === place?.scenario);
  const before = searched.value;
  const entry = list.find((one) => one.name === (wanted.scenario ?? before?.scenario)) ?? list[0];
  const variantName = wanted.variant ?? (entries.length > 0 ? before?.variant : place?.variant);
  const variant = entry?.variants.find((one) => one.name === variantName) ?? entry?.variants[0];
  if (!entry || !variant) return null;
  return {
    scenario: entry.name,
    variant: variant.name,
    memoryModel: wanted.memoryModel ?? variant.memoryModel,
    parameters: wanted.parameters ?? {},
    mutations: [],
    own,
  };
}

/** Ends whatever the text does. */
export function stopCode(): void {
  work++;
  foreground.stop();
  batch(() => {
    isBusy.value = null;
    mistakes.value = [{ line: null, text: 'It was stopped.' }];
  });
}
