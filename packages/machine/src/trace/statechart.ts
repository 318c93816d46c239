/** The statechart of an actor, drawn from its XState machine: a Mermaid state diagram. */
import type { AnyStateMachine } from '../execute/xstate-adapter.ts';

/** What a machine's description has of a state, as far as it is drawn. */
interface StateConfig {
  readonly type?: string;
  readonly initial?: string;
  readonly tags?: readonly string[] | string;
  readonly on?: Readonly<Record<string, unknown>>;
  readonly always?: unknown;
  readonly states?: Readonly<Record<string, StateConfig>>;
}

interface Transition {
  readonly target?: string;
  readonly guard?: string | { readonly type: string };
  readonly reenter?: boolean;
}

/**
 * Draws a machine as a `stateDiagram-v2`: states with what they are tagged, and what each event does, with the guard in
 * brackets. An event that leaves a state as it is (it only acts) is an arrow to itself; what every state takes alike is
 * a note at the first.
 */
export function statechart(machine: AnyStateMachine): string {
  const root = machine.config as unknown as StateConfig;
  const lines = ['stateDiagram-v2', ...bodyOf(root, '', '  ')];
  const everywhere = transitionsOf(root);
  const first = root.initial ?? Object.keys(root.states ?? {})[0];
  if (everywhere.length > 0 && first !== undefined) {
    const texts = everywhere.map(
      ({ event, guard, target }) =>
        `${labelOf(event, guard)}${target === undefined ? '' : `: to ${target.replace(/^\./, '')}`}`,
    );
    // A note of one line has no colon in its text.
    lines.push(`  note right of ${idOf('', first)}`, `    in every state: ${texts.join(', ')}`, '  end note');
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** The states below one, and what leads from each to which. */
function bodyOf(parent: StateConfig, path: string, indent: string): string[] {
  const lines: string[] = [];
  const states = Object.entries(parent.states ?? {});
  if (parent.initial !== undefined) lines.push(`${indent}[*] --> ${idOf(path, parent.initial)}`);
  for (const [name, state] of states) {
    const id = idOf(path, name);
    const tags = [state.tags ?? []].flat();
    if (id !== name || tags.length > 0)
      lines.push(`${indent}${id}: ${name}${tags.length > 0 ? ` (${tags.join(', ')})` : ''}`);
    if (state.states) lines.push(`${indent}state ${id} {`, ...bodyOf(state, id, `${indent}  `), `${indent}}`);
    for (const { event, guard, target } of transitionsOf(state))
      lines.push(
        `${indent}${id} --> ${target === undefined ? id : targetOf(path, id, target)}: ${labelOf(event, guard)}`,
      );
  }
  return lines;
}

interface Drawn {
  readonly event: string;
  readonly guard: string | undefined;
  /** Beside the state, or, with a dot before it, below. Left out: the state stays. */
  readonly target: string | undefined;
}

function transitionsOf({ on = {}, always }: StateConfig): Drawn[] {
  const entries: [string, unknown][] = [
    ...Object.entries(on),
    ...(always === undefined ? [] : [['', always] as [string, unknown]]),
  ];
  return entries.flatMap(([event, given]) =>
    [given].flat().map((one) => {
      const { target, guard }: Transition = typeof one === 'string' ? { target: one } : (one as Transition);
      return { event, guard: typeof guard === 'object' ? guard.type : guard, target };
    }),
  );
}

function labelOf(event: string, guard: string | undefined): string {
  return [event, guard === undefined ? '' : `[${guard}]`].filter((part) => part !== '').join(' ') || 'at once';
}

function targetOf(path: string, id: string, target: string): string {
  return target.startsWith('.') ? idOf(id, target.slice(1)) : idOf(path, target);
}

/** Mermaid takes letters, digits and underscores. */
function idOf(path: string, name: string): string {
  const id = name.replaceAll(/\W/g, '_');
  return path === '' ? id : `${path}_${id}`;
}
