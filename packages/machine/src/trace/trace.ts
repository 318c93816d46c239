/**
 * A Trace: what happened, step by step, in words. Every renderer (two columns, Mermaid, Perfetto, JSON) reads this one
 * form.
 */
import type { Executor } from '../execute/executor.ts';
import type { SentMessage, Violation } from '../execute/reports.ts';
import { wordReturned } from '../memory/instructions.ts';
import type { Explanation, Operation } from '../routine/operation.ts';
import { entryBranch, entryChoice } from '../schedule/schedule.ts';
import { ModelError, shownText, thrown, withoutControls } from '../state/errors.ts';
import type { Choice, Component, Processor, System } from '../system/specs.ts';

/** One step of a run. */
export interface TraceStep {
  /** The schedule entry that makes it happen again. */
  readonly entry: number;
  readonly kind: Choice['kind'];
  /** Column (processor) it belongs to; -1 for steps of no processor. */
  readonly column: number;
  /** Routines on the processor's stack before the step, outermost first. */
  readonly stack: readonly string[];
  /** What happened: `pud_clear(pudp)`. */
  readonly text: string;
  /** Bracketed state facts: `table 0x42`. */
  readonly facts: readonly string[];
  /** True while an interrupt handler is on top of the stack. */
  readonly inInterrupt: boolean;
  /** Messages that were sent in this step, in order. Left out: none. */
  readonly messages?: readonly TraceMessage[];
  /** True for what no kernel does: marks of a checker. Left out: a step of the system. */
  readonly ghost?: true;
  /** True for what a round is for: where it is printed as one line, this is named. Left out: it need not be. */
  readonly effect?: true;
  /** What hardware did by itself right after this step, as later steps show. Left out: nothing that mattered. */
  readonly asides?: readonly TraceAside[];
  /** The property the step violated, in words. */
  readonly violation: Violation | null;
  /** Virtual time at the start and duration, if the run had a cost model. */
  readonly startCycles: number | null;
  readonly durationCycles: number | null;
}

/** Something that no routine did, in a column. */
export interface TraceAside {
  readonly column: number;
  readonly text: string;
}

/** A message of a step, with the columns of its ends; -1 for those of no processor. */
export interface TraceMessage extends SentMessage {
  /** True on a level-triggered channel: what is sent twice before it is delivered is delivered once. Left out: no. */
  readonly level?: true;
  readonly fromColumn: number;
  readonly toColumn: number;
}

/** How a trace ended. */
export interface TraceEnd {
  readonly kind: 'violation' | 'deadlock' | 'finally' | 'end';
  /** The property or situation in words. */
  readonly text: string;
}

/** A run in words. */
export interface Trace {
  /** Column headings: processors with the routine each began with. */
  readonly columns: readonly { readonly name: string; readonly routine: string }[];
  readonly steps: readonly TraceStep[];
  readonly end: TraceEnd | null;
  /** Names of routines that may be printed as one line: see {@link SystemBuilder.round}. Left out: none. */
  readonly rounds?: readonly string[];
  /** Fingerprint of the last state. */
  readonly fingerprint: string;
}

/**
 * Executes one schedule entry and describes it; null if the choice is not enabled.
 * @param explained is given what the step has to say besides
 */
export function describeStep(executor: Executor, entry: number, explained?: Explanation[]): TraceStep | null {
  const { system } = executor;
  const choice = system.choices[entryChoice(entry)];
  if (!choice)
    throw new ModelError(`schedule: step: no choice ${entryChoice(entry)} (this system has ${system.choices.length})`);
  const before = describeBefore(executor, choice, entryBranch(entry));
  const observe = executor.observe;
  const buffered = bufferedStores(executor, before.column);
  const { onMessage, onExplain } = executor;
  const said: string[] = [];
  const messages: TraceMessage[] = [];
  executor.observe = true;
  executor.onMessage = (message) => {
    const { from, to, channel } = message;
    const level =
      channel !== null && system.channels.some(({ name, policy }) => name === channel && policy === 'level');
    const ends = { fromColumn: columnNamed(system, from), toColumn: columnNamed(system, to) };
    messages.push({ ...message, ...(level && { level: true as const }), ...ends });
    onMessage?.(message);
  };
  executor.onExplain = (explanation) => {
    if (explanation.kind === 'fact') said.push(explanation.text);
    else explained?.push(explanation);
    onExplain?.(explanation);
  };
  const happened = executor.step(entryChoice(entry), entryBranch(entry));
  executor.observe = observe;
  executor.onMessage = onMessage;
  executor.onExplain = onExplain;
  if (!happened) return null;
  const fact = factOf(before, executor.lastResult);
  return {
    entry,
    kind: choice.kind,
    column: before.column,
    stack: plainStack(before.stack),
    text: shownText(before.text),
    facts: [fact, ...said, bufferedStores(executor, before.column) > buffered ? 'in store buffer' : undefined]
      .filter((f) => f !== undefined)
      .map(shownText),
    inInterrupt: before.inInterrupt,
    ...(messages.length > 0 && { messages }),
    ...(before.ghost && { ghost: true as const }),
    ...(before.effect && { effect: true as const }),
    violation: executor.violation,
    startCycles: null,
    durationCycles: null,
  };
}

/** By stack: executors give the same one as long as nothing is called and nothing returns. */
const plainStacks = new WeakMap<readonly string[], readonly string[]>();

function plainStack(stack: readonly string[]): readonly string[] {
  let plain = plainStacks.get(stack);
  if (plain === undefined) {
    plain = stack.map((name) => withoutControls(name));
    plainStacks.set(stack, plain);
  }
  return plain;
}

/** Stores of a processor that memory has not seen yet. */
function bufferedStores(executor: Executor, column: number): number {
  const base = executor.system.processors[column]?.bufferBase ?? -1;
  return base < 0 ? 0 : executor.store.read(base);
}

/**
 * Runs a schedule from the initial state and describes every step. Throws ModelError at an entry that is not enabled.
 */
export function recordTrace(executor: Executor, schedule: readonly number[]): Trace {
  executor.reset();
  const explained: Explanation[][] = [];
  const recorded = schedule.map((entry, i) => {
    const said: Explanation[] = [];
    explained.push(said);
    const step = describeStep(executor, entry, said);
    if (!step) {
      const name = executor.system.choices[entryChoice(entry)]?.name ?? `choice ${entryChoice(entry)}`;
      throw new ModelError(`schedule: step ${i}: ${name} is not enabled there`);
    }
    return step;
  });
  const steps = withAsides(executor.system, recorded, explained);
  const { rounds } = executor.system;
  return {
    columns: columnsOf(executor),
    steps,
    end: endOf(steps),
    ...(rounds.length > 0 && { rounds }),
    fingerprint: executor.fingerprint,
  };
}

/**
 * Shows what later steps rely on where it became possible last: a translation that a TLB must have cached before memory
 * said something else. What was so from the start is said at the step that relies on it.
 */
function withAsides(
  system: System,
  steps: readonly TraceStep[],
  explained: readonly (readonly Explanation[])[],
): readonly TraceStep[] {
  const asides = new Map<number, TraceAside[]>();
  const facts = new Map<number, string[]>();
  explained.forEach((said, i) => {
    for (const relied of said) {
      if (relied.kind !== 'relies') continue;
      const offers = (step: readonly Explanation[]) =>
        step.find((one) => one.kind === 'offers' && one.key === relied.key);
      const at = explained.slice(0, i).findLastIndex((step) => offers(step) !== undefined);
      const offer = at < 0 ? undefined : offers(explained[at] as readonly Explanation[]);
      const text = shownText(offer ? relied.text : `${relied.text}, cached since the start`);
      facts.set(i, [...(facts.get(i) ?? []), text]);
      if (offer?.kind !== 'offers') continue;
      const aside = { column: columnNamed(system, offer.component), text: offer.text };
      const there = asides.get(at) ?? [];
      if (!there.some(({ text: known }) => known === aside.text)) asides.set(at, [...there, aside]);
    }
  });
  return steps.map((step, i) => {
    const [own, more] = [asides.get(i), facts.get(i)];
    if (!own && !more) return step;
    return { ...step, facts: [...step.facts, ...(more ?? [])], ...(own && { asides: own }) };
  });
}

/** The column of a component by name: what belongs to a processor is named after it: `CPU1.mmu`. */
function columnNamed(system: System, name: string): number {
  const column = columnOf(
    system,
    system.components.find((one) => one.name === name),
  );
  return column >= 0 ? column : system.processors.findIndex((processor) => name.startsWith(`${processor.name}.`));
}

/** Column headings of a system: each processor with the routine it runs. */
export function columnsOf(executor: Executor): Trace['columns'] {
  return executor.system.processors.map((p) => ({
    name: withoutControls(p.name),
    routine: withoutControls(p.tasks.map((program) => executor.system.programs[program]?.name ?? '?').join(', ')),
  }));
}

function endOf(steps: readonly TraceStep[]): TraceEnd | null {
  const violation = steps.at(-1)?.violation;
  if (!violation) return null;
  return {
    kind: 'violation',
    text: violation.detail === '' ? violation.property : `${violation.property}: ${violation.detail}`,
  };
}

/** What a step says of its result. Throws ModelError if that throws. */
function factOf({ fact, stack, text }: Before, result: number): string | undefined {
  try {
    return fact?.(result);
  } catch (error) {
    throw new ModelError(`routine: ${stack.at(-1) ?? '?'}: ${shownText(text)}: fact: threw ${thrown(error)}`, {
      cause: error,
    });
  }
}

interface Before {
  readonly column: number;
  readonly stack: readonly string[];
  readonly text: string;
  readonly inInterrupt: boolean;
  readonly fact: ((result: number) => string | undefined) | undefined;
  readonly ghost: boolean;
  readonly effect: boolean;
}

function describeBefore(executor: Executor, choice: Choice, branch: number): Before {
  const { system } = executor;
  const blank = { stack: [], inInterrupt: false, fact: undefined, ghost: false, effect: false };
  switch (choice.kind) {
    case 'advance': {
      const processor = system.processors[choice.processor] as Processor;
      const op = executor.pendingOperation(choice.processor);
      const text = op ? labelOf(system, op) : '(nothing to do)';
      const inInterrupt = executor.topAddress(processor) === processor.interruptAddress;
      const { ghost = false, effect = false } = op?.definition ?? {};
      const stack = executor.stackOf(choice.processor);
      const fact = op?.fact ?? (op ? valueOf(system, op) : undefined);
      return { column: choice.processor, stack, text, inInterrupt, fact, ghost, effect };
    }
    case 'deliver': {
      const channel = system.channels[choice.channel];
      const component = channel && system.components[channel.toComponent];
      const message = executor.messageOn(choice.channel, branch);
      return {
        ...blank,
        column: columnOf(system, component),
        text: `<${channel?.name ?? '?'}: ${message?.type ?? 'nothing'}>`,
      };
    }
    case 'drain': {
      const processor = system.processors[choice.processor] as Processor;
      const { store } = executor;
      const pending = processor.bufferBase >= 0 && store.read(processor.bufferBase) > 0;
      const address = pending ? store.read(processor.bufferBase + 1) : 0;
      const value = pending ? store.read(processor.bufferBase + 2) : 0;
      const text = pending
        ? `<store buffer: ${system.layout.nameOf(address)} = ${system.layout.formatValue(address, value)}>`
        : '<store buffer empty>';
      return { ...blank, column: choice.processor, text };
    }
    case 'spontaneous': {
      const spontaneous = system.spontaneous[choice.spontaneous];
      const column = columnOf(system, spontaneous && system.components[spontaneous.toComponent]);
      return { ...blank, column, text: `<${spontaneous?.name ?? '?'}>` };
    }
  }
}

/** What a step says that says nothing else: the value that it returns or stores, as the word's region prints it. */
function valueOf({ layout }: System, op: Operation): Before['fact'] {
  const { name, role, reads, halves, ghost } = op.definition;
  if (ghost === true) return undefined;
  if (role === 'store') {
    const value = layout.formatValue(op.a, op.b);
    // What is cleared is named so, and many a label has the value.
    const isSaid = op.b === 0 || typeof op.label !== 'string' || op.label.includes(value);
    return isSaid || (value === String(op.b) && op.label?.includes(' = ') !== true) ? undefined : () => value;
  }
  const address = role === 'read' ? (reads?.(op) ?? op.a) : (halves?.address(op) ?? wordReturned(op));
  if (address === undefined) return undefined;
  // Beside what is stored, or what a bit is set in, the value is the one of before.
  const was = name.startsWith('atomic_fetch') || (role !== 'read' && op.label?.includes(' = ') === true) ? 'was ' : '';
  return (value) => was + layout.formatValue(address, value);
}

/** The column of a component: the processor that it controls, or whose gate it is. */
function columnOf(system: System, component: Component | undefined): number {
  if (!component) return -1;
  return component.processor >= 0
    ? component.processor
    : system.processors.findIndex((p) => p.gate === component.index);
}

/** An operation in words: its label, or one made from what it is. */
export function labelOf({ layout }: System, { label, definition: { name }, a, b }: Operation): string {
  // JavaScript may have given something else.
  if (typeof label === 'string') return label;
  switch (name) {
    case 'load':
      return `READ_ONCE(${layout.nameOf(a)})`;
    case 'store':
      return `WRITE_ONCE(${layout.nameOf(a)}, ${layout.formatValue(a, b)})`;
    case 'xchg':
    case 'cmpxchg':
    case 'atomic_add_return':
    case 'atomic_fetch_or':
    case 'atomic_fetch_andnot':
    case 'wait':
    case 'acquire':
      return `${name}(${layout.nameOf(a)})`;
    default:
      return `${name}()`;
  }
}
