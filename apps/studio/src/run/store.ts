/** What the screen Run knows: two machines, A and perhaps B, and what their runs gave. */
import { batch, computed, signal } from '@preact/signals';
import type { MachineEntry, RanMachine } from '../engine/api.ts';
import { laboratory } from '../engine/client.ts';
import { pack, unpack } from '../pack.ts';
import { machinesInLink, pushAddress, said, trouble } from '../store.ts';

/** A machine to run: one that ships, or a topology file's text. */
export interface MachineChoice {
  readonly name: string;
  readonly text: string;
  /** How a link says it: the name, or `name~` and the packed text. */
  readonly word: string;
}

export const machines = signal<readonly MachineEntry[]>([]);
export const choiceA = signal<MachineChoice | null>(null);
export const choiceB = signal<MachineChoice | null>(null);
export const ranA = signal<RanMachine | null>(null);
export const ranB = signal<RanMachine | null>(null);
export const running = signal<{ readonly name: string; readonly steps: number; readonly nanoseconds: number } | null>(
  null,
);
export const phase = signal('');
/** The counter whose course is drawn. */
export const counter = signal<string | null>(null);
/** What is wrong with a topology, said at its text. */
export const mistake = signal<string | null>(null);

/** Counters of the phase that is looked at. */
export const countersA = computed(() => countersOf(ranA.value));
export const countersB = computed(() => countersOf(ranB.value));

function countersOf(ran: RanMachine | null): RanMachine['total'] {
  return ran ? (ran.phases[phase.value] ?? ran.total) : {};
}

let run = 0;

/** Fetches the list, and runs the machines that a link names. */
export async function openRun(a: string | null, b: string | null): Promise<void> {
  try {
    if (machines.value.length === 0) machines.value = await laboratory.machines();
    const [machineA, machineB] = await Promise.all([a ?? machines.value[0]?.name ?? null, b].map(machineOf));
    await runBoth(machineA ?? null, machineB ?? null);
  } catch (error) {
    trouble.value = said(error);
  }
}

/** The machine that a link names. Throws Error (one line). */
async function machineOf(word: string | null): Promise<MachineChoice | null> {
  if (word === null) return null;
  const [name = '', packed] = word.split('~', 2);
  if (packed !== undefined) return { name, text: await unpack(packed), word };
  const shipped = machines.value.find((entry) => entry.name === name);
  if (!shipped) throw new Error(`machine: no machine ${name}: have ${machines.value.map((m) => m.name).join(', ')}`);
  return { name, text: shipped.text, word };
}

/** A machine of one's own. */
export async function ownMachine(name: string, text: string): Promise<MachineChoice> {
  const plain = name.replaceAll('~', '-');
  return { name: plain, text, word: `${plain}~${await pack(text)}` };
}

/** Runs other machines: a new entry in the history. */
export function chooseMachines(a: string | null, b: string | null): void {
  machinesInLink.value = { a, b };
  pushAddress(null, null);
}

/** Runs A, then B. */
async function runBoth(a: MachineChoice | null, b: MachineChoice | null): Promise<void> {
  const mine = ++run;
  if (running.value !== null) laboratory.stop();
  const keepsA = ranA.value !== null && a !== null && a.word === choiceA.value?.word;
  batch(() => {
    choiceA.value = a;
    choiceB.value = b;
    mistake.value = null;
    if (!keepsA) ranA.value = null;
    ranB.value = null;
  });
  try {
    if (a && !keepsA) ranA.value = await ranOf(a, mine);
    if (b && mine === run) ranB.value = await ranOf(b, mine);
  } catch (error) {
    if (mine === run) mistake.value = said(error);
  }
  if (mine !== run) return;
  batch(() => {
    running.value = null;
    if (ranA.value && !(phase.value in ranA.value.phases)) phase.value = '';
  });
}

async function ranOf(machine: MachineChoice, mine: number): Promise<RanMachine | null> {
  running.value = { name: machine.name, steps: 0, nanoseconds: 0 };
  const ran = await laboratory.run(machine.name, machine.text, (steps, nanoseconds) => {
    if (mine === run) running.value = { name: machine.name, steps, nanoseconds };
  });
  return mine === run ? ran : null;
}

/** Ends the run under way. */
export function stopRun(): void {
  run++;
  laboratory.stop();
  batch(() => {
    running.value = null;
    mistake.value = 'The run was stopped.';
  });
}
