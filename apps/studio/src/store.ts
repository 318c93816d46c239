/** What the page knows: signals that the panes read, and the few things that change them. */
import { batch, computed, signal } from '@preact/signals';
import type { Beyond, OwnCode, ScenarioEntry, SearchProgress, SystemRequest, Verdict, Walk } from './engine/api.ts';
import { background, catalogue, foreground } from './engine/client.ts';
import type * as Packing from './pack.ts';
import { formatLink, parseLink, type Link, type MachinesInLink, type Notes, type Tab } from './link.ts';

export const tab = signal<Tab>('explore');
export const scenarios = signal<readonly ScenarioEntry[]>([]);
export const request = signal<SystemRequest | null>(null);
export const verdict = signal<Verdict | null>(null);
/** The walk on the screen: the counterexample, or one taken by hand. */
export const walk = signal<Walk | null>(null);
export const at = signal(0);
export const beyond = signal<Beyond | null>(null);
export const progress = signal<SearchProgress | null>(null);
/** One line for the reader when something could not be done. */
export const trouble = signal<string | null>(null);
/** What is said of steps, and walks that were taken by hand: both travel in links. */
export const notes = signal<Notes>({});
export const branches = signal<readonly (readonly number[])[]>([]);
/** Machines to run, as the address names them. */
export const machinesInLink = signal<MachinesInLink>({ a: null, b: null });
/** The scenarios of the reader's own code. */
export const ownEntries = signal<readonly ScenarioEntry[]>([]);
/** Code that came with a link and has not run: the reader has not asked for it. */
export const waitingCode = signal<OwnCode | null>(null);

export const steps = computed(() => walk.value?.trace.steps.length ?? 0);
export const isOwnWalk = computed(() => walk.value !== null && walk.value !== verdict.value?.walk);
/** What the pickers offer. */
export const offered = computed(() =>
  request.value?.own && ownEntries.value.length > 0 ? ownEntries.value : scenarios.value,
);
export const scenario = computed(() => offered.value.find(({ name }) => name === request.value?.scenario) ?? null);
export const variant = computed(
  () => scenario.value?.variants.find(({ name }) => name === request.value?.variant) ?? null,
);
/** Which question the answers on the screen belong to: later answers to older ones are dropped. */
let question = 0;
/** The system that the verdict on the screen is about. */
let explored = '';

/** An error as one line for the reader. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What is shown if the address names nothing. */
const FIRST: SystemRequest = {
  scenario: 'ptdump-vmalloc',
  variant: 'unlocked',
  memoryModel: 'sc',
  parameters: {},
  mutations: [],
  own: null,
};

/** Fetches what there is to choose from: a first verdict does not wait for it. */
async function loadCatalogue(): Promise<void> {
  if (scenarios.value.length > 0) return;
  try {
    scenarios.value = await catalogue.scenarios();
  } catch (error) {
    trouble.value = said(error);
  }
}

/** Reads the address and shows what it says. */
export async function openLink(): Promise<void> {
  clearTimeout(addressTimer);
  const link = parseLink(location.hash);
  batch(() => {
    tab.value = link.tab;
    machinesInLink.value = link.machines;
    notes.value = link.notes;
    branches.value = link.branches;
    trouble.value = link.complaint;
  });
  const code = await codeOf(link);
  const isWaiting = code !== null && !approved.has(keyOf(code));
  const wanted = !isWaiting && link.request ? { ...link.request, own: code } : FIRST;
  if (isWaiting) {
    // It is shown, and no more than that.
    batch(() => {
      waitingCode.value = code;
      waitingLink = location.hash;
      tab.value = 'write';
      request.value = wanted;
    });
    await loadCatalogue();
    return;
  }
  if (link.tab !== 'explore') {
    request.value = wanted;
    await loadCatalogue();
    return;
  }
  if (JSON.stringify(wanted) === explored && verdict.value) {
    await showWalk(link.schedule, link.at);
    return;
  }
  await exploreAgain(wanted, link.schedule, link.at);
}

/** Most links have no code. */
const packing = async (): Promise<typeof Packing> => await import('./pack.ts');

/** Code that the reader has asked to run, packed for links. */
const approved = new Map<string, string>();

function keyOf({ name, text }: OwnCode): string {
  return `${name}\n${text}`;
}

async function codeOf({ code }: Link): Promise<OwnCode | null> {
  if (code === null) return null;
  try {
    return { name: code.name, text: await (await packing()).unpack(code.packed) };
  } catch (error) {
    trouble.value = said(error);
    return null;
  }
}

/** What a link with such code asks for besides, once the code may run. */
let waitingLink: string | null = null;

/** The reader has asked for this code to run. Returns the link that it came with, if it is the same still. */
export async function approve(own: OwnCode): Promise<string | null> {
  const isSame = waitingCode.value !== null && keyOf(waitingCode.value) === keyOf(own);
  approved.set(keyOf(own), await (await packing()).pack(own.text));
  const link = isSame ? waitingLink : null;
  waitingCode.value = null;
  waitingLink = null;
  return link;
}

/** Searches a system and shows what comes out. */
async function exploreAgain(
  wanted: SystemRequest,
  schedule: readonly number[] | null = null,
  step: number | null = null,
): Promise<void> {
  const mine = ++question;
  foreground.stop();
  background.stop();
  explored = JSON.stringify(wanted);
  batch(() => {
    request.value = wanted;
    verdict.value = null;
    walk.value = null;
    beyond.value = null;
    progress.value = { states: 0, statesPerSecond: 0, depth: 0 };
  });
  try {
    const found = await foreground.explore(wanted, (now) => {
      if (mine === question) progress.value = now;
    });
    if (mine !== question) return;
    batch(() => {
      verdict.value = found;
      walk.value = found.walk;
      at.value = found.walk.trace.steps.length;
      progress.value = null;
    });
    void loadCatalogue();
    await showWalk(schedule, step);
  } catch (error) {
    void loadCatalogue();
    if (mine !== question) return;
    batch(() => {
      progress.value = null;
      trouble.value = said(error);
    });
  }
}

/** Ends the search under way; what was shown before is gone, and the page says so. */
export function stopSearch(): void {
  question++;
  foreground.stop();
  background.stop();
  batch(() => {
    progress.value = null;
    trouble.value = 'The search was stopped.';
  });
}

/** Shows a walk of one's own, or the counterexample again. */
export async function showWalk(schedule: readonly number[] | null, step: number | null = null): Promise<void> {
  const wanted = request.value;
  const found = verdict.value;
  if (!wanted || !found) return;
  const mine = question;
  try {
    const shown = schedule === null ? found.walk : await foreground.walk(wanted, schedule);
    if (mine !== question) return;
    batch(() => {
      walk.value = shown;
      at.value = Math.min(step ?? shown.trace.steps.length, shown.trace.steps.length);
      beyond.value = null;
    });
    const around = await background.beyond(wanted, shown.schedule);
    if (mine === question && walk.value === shown) beyond.value = around;
  } catch (error) {
    if (mine === question) trouble.value = said(error);
  }
}

/** Goes to a step. The address follows, without a new entry in the history. */
export function goTo(step: number): void {
  at.value = Math.max(0, Math.min(steps.value, step));
  replaceAddress();
}

function addressOf(schedule: readonly number[] | null, step: number | null): string {
  const own = request.value?.own ?? null;
  return formatLink({
    tab: tab.value,
    request: request.value,
    schedule,
    at: step,
    notes: notes.value,
    branches: branches.value,
    machines: machinesInLink.value,
    code: own ? { name: own.name, packed: approved.get(keyOf(own)) ?? '' } : null,
  });
}

/** The address of what is on the screen. */
export function currentAddress(): string {
  return addressOf(isOwnWalk.value ? (walk.value?.schedule ?? null) : null, at.value);
}

/** Addresses of long walks are long, and browsers bear only so many a second: while one steps on, every other waits. */
const ADDRESS_MS = 150;
let addressSaidAt = Number.NEGATIVE_INFINITY;
let addressTimer: ReturnType<typeof setTimeout> | undefined;

export function replaceAddress(): void {
  clearTimeout(addressTimer);
  const wait = addressSaidAt + ADDRESS_MS - performance.now();
  if (wait > 0) {
    addressTimer = setTimeout(replaceAddress, wait);
    return;
  }
  history.replaceState(null, '', currentAddress());
  addressSaidAt = performance.now();
}

/** A new entry in the history. */
export function pushAddress(schedule: readonly number[] | null, step: number | null): void {
  push(addressOf(schedule, step));
}

function push(address: string): void {
  clearTimeout(addressTimer);
  history.pushState(null, '', address);
}

/** Another system: a new entry in the history. */
export function choose(changes: Partial<SystemRequest>): void {
  const old = request.value;
  if (!old) return;
  const entry = offered.value.find(({ name }) => name === (changes.scenario ?? old.scenario));
  const variantName = changes.variant ?? (changes.scenario === undefined ? old.variant : entry?.variants[0]?.name);
  const picked = entry?.variants.find(({ name }) => name === variantName);
  // Another scenario or variant begins anew; anything else is a change of what is there.
  const kept = changes.scenario === undefined && changes.variant === undefined ? old : null;
  const next: SystemRequest = {
    scenario: changes.scenario ?? old.scenario,
    variant: variantName ?? '',
    memoryModel: changes.memoryModel ?? kept?.memoryModel ?? picked?.memoryModel ?? 'sc',
    parameters: changes.parameters ?? kept?.parameters ?? {},
    mutations: changes.mutations ?? kept?.mutations ?? [],
    own: changes.own === undefined ? old.own : changes.own,
  };
  batch(() => {
    request.value = next;
    trouble.value = null;
    notes.value = {};
    branches.value = [];
  });
  pushAddress(null, null);
  if (tab.value === 'explore') void exploreAgain(next);
}

/** Another screen of the studio. */
export function openTab(name: Tab): void {
  tab.value = name;
  const wanted = request.value;
  const stale = name === 'explore' && wanted !== null && JSON.stringify(wanted) !== explored;
  push(stale ? addressOf(null, null) : currentAddress());
  if (stale) void exploreAgain(wanted);
}

/** Mutates a system, on its screen. */
export function mutateSystem(wanted: SystemRequest): void {
  batch(() => {
    tab.value = 'mutate';
    request.value = wanted;
  });
  pushAddress(null, null);
}

/** Shows a system on the screen Explore. */
export function exploreSystem(wanted: SystemRequest): void {
  batch(() => {
    tab.value = 'explore';
    request.value = wanted;
  });
  pushAddress(null, null);
  void exploreAgain(wanted);
}
