/** What the screen Mutate knows: configurations, what is judged so far, which line is looked at. */
import { batch, computed, signal } from '@preact/signals';
import type { JudgedLine, Mutated, SystemRequest, Walk } from '../engine/api.ts';
import { foreground, laboratory } from '../engine/client.ts';
import { request, said, trouble } from '../store.ts';
import { rowsOf, type Kind } from './table.ts';

/** A configuration: a column of the strip. */
export interface Configuration {
  readonly request: SystemRequest;
  readonly lines: readonly JudgedLine[];
  /** Null while it is worked on. */
  readonly outcome: Mutated | null;
  /** Changes that are judged, of so many. */
  readonly judged: number;
  readonly all: number;
}

/** What is looked at: a line, changed, in one configuration. */
export interface Selection {
  readonly name: string;
  readonly column: number;
}

export const configurations = signal<readonly Configuration[]>([]);
export const kind = signal<Kind>('leave out');
export const selection = signal<Selection | null>(null);
/** The counterexample of what is selected; null while it is not there. */
export const shownWalk = signal<Walk | null>(null);
export const stepShown = signal(0);
export const rows = computed(() =>
  rowsOf(
    configurations.value.map(({ lines }) => lines),
    kind.value,
  ),
);
export const isWorking = computed(() => configurations.value.some(({ outcome }) => outcome === null));

/** Which measurement the answers belong to. */
let measurement = 0;
/** Configurations are worked on one after the other: a page has one processor to spare. */
let queue: Promise<void> = Promise.resolve();

const sameSystem = (a: SystemRequest, b: SystemRequest): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Measures a system anew, on its own memory model and on the other one that every scenario has. */
export function measure(base: SystemRequest): void {
  if (configurations.value[0] && sameSystem(configurations.value[0].request, base)) return;
  stopMeasuring();
  batch(() => {
    configurations.value = [];
    selection.value = null;
    shownWalk.value = null;
  });
  addConfiguration(base);
  if (base.memoryModel === 'sc') addConfiguration({ ...base, memoryModel: 'tso' });
}

/** One more column. */
export function addConfiguration(wanted: SystemRequest): void {
  if (configurations.value.some((known) => sameSystem(known.request, wanted))) return;
  const column = configurations.value.length;
  configurations.value = [...configurations.value, { request: wanted, lines: [], outcome: null, judged: 0, all: 0 }];
  const mine = measurement;
  queue = queue.then(() => (mine === measurement ? work(column, wanted, mine) : undefined));
}

function update(column: number, change: Partial<Configuration>): void {
  configurations.value = configurations.value.map((old, i) => (i === column ? { ...old, ...change } : old));
}

async function work(column: number, wanted: SystemRequest, mine: number): Promise<void> {
  const lines: JudgedLine[] = [];
  try {
    const outcome = await laboratory.mutate(wanted, (line, judged, all) => {
      if (mine !== measurement) return;
      lines.push(line);
      update(column, { lines: [...lines], judged, all });
    });
    if (mine !== measurement) return;
    update(column, { outcome });
    // Something to look at, until the reader chooses.
    const broken = rows.value.find(({ cells }) => cells[column]?.schedule);
    if (selection.value === null && broken) await select(broken.name, column);
  } catch (error) {
    if (mine === measurement) trouble.value = said(error);
  }
}

/** Ends the work; what is judged stays on the screen. */
export function stopMeasuring(): void {
  measurement++;
  queue = Promise.resolve();
  laboratory.stop();
  configurations.value = configurations.value.filter(({ lines, outcome }) => lines.length > 0 || outcome !== null);
}

/** Looks at a cell, and fetches its counterexample. */
export async function select(name: string, column: number): Promise<void> {
  const chosen = { name, column };
  batch(() => {
    selection.value = chosen;
    shownWalk.value = null;
  });
  const system = systemOf(chosen);
  const schedule = rows.value.find((row) => row.name === name)?.cells[column]?.schedule;
  if (!system || !schedule) return;
  try {
    const walk = await foreground.walk(system, schedule);
    if (selection.value !== chosen) return;
    batch(() => {
      shownWalk.value = walk;
      stepShown.value = walk.trace.steps.length;
    });
  } catch (error) {
    trouble.value = said(error);
  }
}

/** The changed system of a selection. */
export function systemOf({ name, column }: Selection): SystemRequest | null {
  const base = configurations.value[column]?.request ?? request.value;
  return base && { ...base, mutations: [...base.mutations, name] };
}
