/**
 * What a reader of a trace need not see: the marks of checkers, and the steps of a round in which one processor tells
 * others something and waits for them.
 *
 * A round is printed as one line, with whom it told. If something else happened before it was over, there is a line,
 * too, wherever it had an effect (an invalidation, on either side), and where it returned. A round in which a property
 * is violated is printed step by step.
 *
 * The part of a round that a processor does alone (flush_tlb_func() on the CPU that flushes) is one line with its
 * effect, if nothing else happened meanwhile.
 */
import type { Trace, TraceStep } from '@shootdown/machine';
import { columnName, stepText } from './words.ts';

/** What is printed in place of a step. */
export type Told = Pick<TraceStep, 'text' | 'stack' | 'facts'>;

/** One call of a routine that is a round. */
interface Round {
  readonly column: number;
  readonly depth: number;
  readonly name: string;
  readonly own: readonly number[];
  /** Columns that it told, and on which channels. */
  readonly told: ReadonlySet<number>;
  readonly channels: readonly string[];
  /** The call returned before the trace ended. */
  readonly over: boolean;
}

/** Steps that are not printed as they are, by index: another text, or (null) not at all. */
export function hiddenSteps(trace: Trace): Map<number, Told | null> {
  const hidden = new Map<number, Told | null>();
  trace.steps.forEach((step, i) => {
    if (step.ghost === true && step.violation === null) hidden.set(i, null);
  });
  const rounds = roundsOf(trace).filter(({ own }) => own.every((i) => trace.steps[i]?.violation === null));
  for (const round of rounds) {
    const parts = partsOf(trace, round);
    const quiet = isQuiet(trace, round, parts);
    for (const part of parts) if (quiet || trace.steps[part]?.effect !== true) hidden.set(part, null);
    if (!quiet) for (const handler of handlersOf(trace, parts)) hidden.set(handler.at, handler.told);
  }
  // Lines of rounds after those of handlers, which may belong to several.
  for (const round of rounds) {
    const quiet = isQuiet(trace, round, partsOf(trace, round));
    const [first, last] = [round.own[0] as number, round.own.at(-1) as number];
    const stack = (trace.steps[first] as TraceStep).stack.slice(0, round.depth);
    const whom = [...round.told].toSorted((a, b) => a - b).map((to) => columnName(trace, to));
    const to = whom.length === 0 ? '' : ` -> ${whom.join(', ')}`;
    const text = `${round.name}()${to}${round.over ? '' : ': waits'}`;
    hidden.set(first, { text, stack, facts: quiet ? effectsOf(trace, round.own) : [] });
    if (round.over && last !== first && !quiet) hidden.set(last, { text: `${round.name}() returns`, stack, facts: [] });
  }
  return hidden;
}

/** The trace as its columns are laid out for. */
export function shownOf(trace: Trace, hidden: ReadonlyMap<number, Told | null> | null): Trace {
  if (hidden === null || hidden.size === 0) return trace;
  const steps = trace.steps.map((step, i) => {
    const told = hidden.get(i);
    if (told === undefined) return step;
    return told === null ? { ...step, text: '', facts: [], stack: [] } : { ...step, ...told };
  });
  return { ...trace, steps };
}

function isHandler({ kind, inInterrupt }: TraceStep): boolean {
  return kind === 'advance' && inInterrupt;
}

/** All rounds that told somebody, or that are a part done alone. */
function roundsOf(trace: Trace): Round[] {
  const rounds: Round[] = [];
  const taken = new Set<number>();
  /** Calls that are no rounds, at each of their steps. */
  const others = new Set<string>();
  trace.steps.forEach((step, first) => {
    if (step.kind !== 'advance' || step.inInterrupt) return;
    for (const [depth, name] of step.stack.entries()) {
      if (taken.has(first)) return;
      if (trace.rounds?.includes(name) !== true || others.has(`${first}:${depth}`)) continue;
      const round = roundFrom(trace, first, depth);
      if (round.told.size > 0 || isDoneAlone(trace, round)) {
        rounds.push(round);
        for (const i of round.own) taken.add(i);
      } else for (const i of round.own) others.add(`${i}:${depth}`);
    }
  });
  return rounds;
}

/** The call that is at `depth` in the stack of a step, from that step on. */
function roundFrom({ steps }: Trace, first: number, depth: number): Round {
  const { column, stack } = steps[first] as TraceStep;
  const own: number[] = [];
  let over = false;
  for (let i = first; i < steps.length && !over; i++) {
    const other = steps[i] as TraceStep;
    if (other.column !== column || other.kind !== 'advance' || other.inInterrupt) continue;
    over = !stack.slice(0, depth + 1).every((name, d) => other.stack[d] === name);
    if (!over) own.push(i);
  }
  const sent = own
    .flatMap((i) => steps[i]?.messages ?? [])
    .filter(
      ({ channel, synchronous, toColumn }) =>
        channel !== null && synchronous !== true && toColumn >= 0 && toColumn !== column,
    );
  const told = new Set(sent.map(({ toColumn }) => toColumn));
  const channels = sent.map(({ channel }) => channel as string);
  return { column, depth, name: stack[depth] as string, own, told, channels, over };
}

/** A call that tells nobody, calls nothing, does what rounds are for, and is not interrupted. */
function isDoneAlone(trace: Trace, round: Round): boolean {
  const steps = round.own.map((i) => trace.steps[i] as TraceStep);
  return (
    round.over &&
    steps.some(({ effect }) => effect === true) &&
    steps.every(({ stack, violation }) => stack.length === round.depth + 1 && violation === null) &&
    isQuiet(trace, round, round.own)
  );
}

/** The steps of a round, its own and those of handlers and deliveries that it caused; a handler ends after it. */
function partsOf({ steps }: Trace, { own, told, channels }: Round): number[] {
  const [first, last] = [own[0] as number, own.at(-1) as number];
  const parts: number[] = [...own];
  const busy = new Set<number>();
  for (let i = first; i < steps.length; i++) {
    const step = steps[i] as TraceStep;
    const delivered = step.kind === 'deliver' && channels.some((channel) => step.text.startsWith(`<${channel}:`));
    const handles = isHandler(step) && told.has(step.column) && (i <= last || busy.has(step.column));
    if (delivered) busy.add(step.column);
    if (handles) busy.add(step.column);
    else if (i > last && step.kind === 'advance') busy.delete(step.column);
    if (delivered || handles) parts.push(i);
  }
  return parts.toSorted((a, b) => a - b);
}

/** Nothing happened before it was over but its own steps and its handlers'. */
function isQuiet(trace: Trace, { own }: Round, parts: readonly number[]): boolean {
  const inside = new Set(parts);
  for (let i = own[0] as number; i <= (own.at(-1) as number); i++)
    if (!inside.has(i) && trace.steps[i]?.ghost !== true) return false;
  return true;
}

/** A line for each run of a handler, where it did what it is for. */
function handlersOf(trace: Trace, parts: readonly number[]): { readonly at: number; readonly told: Told }[] {
  const runs = new Map<number, number[]>();
  for (const i of parts) {
    const step = trace.steps[i] as TraceStep;
    if (isHandler(step)) runs.set(step.column, [...(runs.get(step.column) ?? []), i]);
  }
  return [...runs.values()].map((run) => {
    const at = run.findLast((i) => trace.steps[i]?.effect === true) ?? run.at(-1) ?? 0;
    const { stack } = trace.steps[at] as TraceStep;
    const facts = effectsOf(trace, run);
    return {
      at,
      told: { text: `${stack[0] ?? ''}()`, stack: [], facts: facts.length > 0 ? facts : ['nothing to do'] },
    };
  });
}

/** What the steps of a round did that matters to others. */
function effectsOf({ steps }: Trace, run: readonly number[]): string[] {
  return run.flatMap((i) => {
    const step = steps[i];
    return step?.effect === true ? [stepText(step)] : [];
  });
}
