/**
 * What a trace cannot say in words: the whole shared state before and after each step, what else could have happened
 * there, and the state of every actor. Views that step through a run read this beside the {@link Trace}.
 */
import type { TabulatedExecutor } from '../execute/tabulated.ts';
import { entryBranch, entryChoice, scheduleEntry } from '../schedule/schedule.ts';
import { ModelError } from '../state/errors.ts';
import type { System } from '../system/specs.ts';
import { CallNumbers } from './call-numbers.ts';
import { describeStep } from './trace.ts';

/** A word of the machine. */
export interface StateWord {
  readonly address: number;
  /** As a trace prints it: `pmd[3]`. */
  readonly name: string;
  readonly region: string;
}

/** A word that a step has written. `text`: the new value as its region prints it. */
export interface WordChange {
  readonly address: number;
  readonly before: number;
  readonly after: number;
  readonly text: string;
}

/** Something that a scheduler could choose. */
export interface EnabledChoice {
  readonly entry: number;
  /** Column (processor) it belongs to; -1 for none. */
  readonly column: number;
  readonly text: string;
  /** It violates a property at once. */
  readonly violates: boolean;
}

/** What is true before a step, and what the step changes. */
export interface StateStep {
  readonly enabled: readonly EnabledChoice[];
  readonly changes: readonly WordChange[];
  /** The result that the routine received, for a step of a processor; null for others. */
  readonly result: number | null;
  /** Actors whose state the step has changed: the new one, as `{value, context}`. */
  readonly actors: Readonly<Record<string, string>>;
  /** Channels on which the step has put a message. */
  readonly sent: readonly string[];
  /** The channel whose message the step has delivered; null if it is no delivery. */
  readonly delivered: string | null;
  /**
   * Routines on the stack of every processor before the step, outermost first; those of an interrupt handler stand
   * above those that it has interrupted.
   */
  readonly stacks: readonly (readonly string[])[];
  /** Which call each of these is, by numbers of this run: two calls in a row of one routine have two. */
  readonly calls: readonly (readonly number[])[];
}

/** The states along one schedule. */
export interface StateTrace {
  /**
   * Every word of the machine's shared state; what executors keep for themselves (local states, channels) is left out.
   */
  readonly words: readonly StateWord[];
  /** Initial values, by position in `words`, with the texts of those that are not 0. */
  readonly initial: readonly { readonly value: number; readonly text: string }[];
  readonly actors: Readonly<Record<string, string>>;
  readonly steps: readonly StateStep[];
  /** What could happen after the last step. */
  readonly enabledAtEnd: readonly EnabledChoice[];
}

/** Words that hold local states, messages or buffered stores: numbers that mean nothing to a reader. */
function internalWords(system: System): Set<number> {
  const internal = new Set<number>();
  const add = (base: number, cells: number): void => {
    for (let i = 0; i < cells && base >= 0; i++) internal.add(base + i);
  };
  for (const p of system.processors) {
    add(p.taskBase, p.tasks.length);
    add(p.interruptAddress, 1);
    add(p.currentAddress, 1);
    add(p.bufferBase, 1 + 2 * system.storeBufferEntries);
  }
  for (const { address } of system.components) add(address, 1);
  add(system.weakAddress, 1);
  for (const { base, capacity } of system.channels) add(base, capacity);
  return internal;
}

/** Everything that can happen in the state an executor is in, in words. The executor is left as it was. */
export function enabledChoices(executor: TabulatedExecutor): EnabledChoice[] {
  const { store, system } = executor;
  const { mark, lo, hi } = store;
  return system.choices.flatMap((_, choice) => {
    const enabled: EnabledChoice[] = [];
    for (let branch = 0, branches = 1; branch < branches; branch++) {
      const step = describeStep(executor, scheduleEntry(choice, branch));
      branches = Math.max(branches, executor.branchCount);
      store.undo(mark, lo, hi);
      if (!step) continue;
      const text = [step.text, ...step.facts.map((fact) => `[ ${fact} ]`)].join(' ');
      enabled.push({ entry: step.entry, column: step.column, text, violates: step.violation !== null });
    }
    return enabled;
  });
}

/**
 * Runs a schedule from the initial state and writes down every state on the way. Throws ModelError at an entry that is
 * not enabled.
 */
export function recordStates(executor: TabulatedExecutor, schedule: readonly number[]): StateTrace {
  executor.reset();
  const { store, system } = executor;
  const { layout } = system;
  const internal = internalWords(system);
  const words = layout.regions.flatMap(({ name: region, base, cells }) =>
    Array.from({ length: cells }, (_, i) => ({ address: base + i, name: layout.nameOf(base + i), region })).filter(
      ({ address }) => !internal.has(address),
    ),
  );
  const textOf = (address: number, value: number): string => layout.formatValue(address, value);
  const initial = words.map(({ address }) => ({
    value: store.read(address),
    text: textOf(address, store.read(address)),
  }));
  const actorStates = (): string[] => system.components.map(({ index }) => executor.describeComponent(index));
  let sent: string[] = [];
  const onSend = executor.onSend;
  executor.onSend = (channel) => void sent.push(channel.name);
  const numbers = new CallNumbers(executor);
  let before = actorStates();
  const actors = Object.fromEntries(system.components.map(({ name }, i) => [name, before[i] ?? '']));
  const steps = schedule.map((entry, position): StateStep => {
    store.commit();
    const enabled = enabledChoices(executor);
    const stacks = system.processors.map(({ index }) => executor.wholeStackOf(index));
    const calls = system.processors.map((processor) => numbers.of(processor));
    sent = [];
    const choice = system.choices[entryChoice(entry)];
    const advanced = choice?.kind === 'advance' ? numbers.topOf(choice.processor) : null;
    if (!executor.step(entryChoice(entry), entryBranch(entry)))
      throw new ModelError(`schedule: step ${position}: choice ${entryChoice(entry)} is not enabled there`);
    const olds = new Map<number, number>();
    for (let i = store.mark - 1; i >= 0; i--) olds.set(store.journalAddress(i), store.journalOld(i));
    const changes = [...olds]
      .filter(([address, old]) => !internal.has(address) && old !== store.read(address))
      .sort(([a], [b]) => a - b)
      .map(([address, old]) => {
        const after = store.read(address);
        return { address, before: old, after, text: textOf(address, after) };
      });
    numbers.follow(advanced);
    const after = actorStates();
    const changed = system.components.flatMap(({ name }, i) =>
      after[i] === before[i] ? [] : [[name, after[i] ?? '']],
    );
    before = after;
    const result = choice?.kind === 'advance' ? executor.lastResult : null;
    const delivered = choice?.kind === 'deliver' ? (system.channels[choice.channel]?.name ?? null) : null;
    return { enabled, changes, result, actors: Object.fromEntries(changed), sent, delivered, stacks, calls };
  });
  store.commit();
  executor.onSend = onSend;
  return { words, initial, actors, steps, enabledAtEnd: enabledChoices(executor) };
}
