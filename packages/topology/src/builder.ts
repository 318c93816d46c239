/**
 * Composing a machine in TypeScript: the same description as a topology file, plus routines of one's own.
 */
import type { Steps } from '@shootdown/machine';
import { assemble, type AssembledMachine } from './assemble.ts';
import { ownThreadKey } from './kernel.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';
import type { ThreadContext } from './script.ts';

/** Everything of a machine but its processes. */
export type MachineOptions = Omit<TopologyInput, 'processes'>;

/** What a process may have besides its threads. */
export type ProcessOptions = Omit<NonNullable<TopologyInput['processes']>[number], 'name' | 'threads'>;

interface ProcessDraft {
  readonly name: string;
  options: ProcessOptions;
  readonly threads: { readonly cpu: number; readonly run: readonly Action[] }[];
}

/** Collects processes and threads; see {@link machine}. */
export class MachineBuilder {
  readonly #options: MachineOptions;
  readonly #processes: ProcessDraft[] = [];
  readonly #own = new Map<string, (context: ThreadContext) => Steps>();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /**
   * Puts a thread of a process on a CPU. The first thread of a process starts it.
   * @param run actions, or a routine of one's own
   */
  thread(process: string, cpu: number, run: readonly Action[] | ((context: ThreadContext) => Steps)): this {
    const draft = this.#draft(process);
    if (typeof run === 'function') this.#own.set(ownThreadKey(process, draft.threads.length), run);
    draft.threads.push({ cpu, run: typeof run === 'function' ? [] : run });
    return this;
  }

  /** Says what a process has besides its threads: secondary MMUs, for one. */
  process(name: string, options: ProcessOptions): this {
    this.#draft(name).options = options;
    return this;
  }

  #draft(name: string): ProcessDraft {
    const known = this.#processes.find((p) => p.name === name);
    if (known) return known;
    const draft: ProcessDraft = { name, options: {}, threads: [] };
    this.#processes.push(draft);
    return draft;
  }

  /** Checks the description and assembles the machine. Throws a ModelError of one line if something is wrong. */
  assemble(): AssembledMachine {
    const topology = parseTopology(
      {
        ...this.#options,
        processes: this.#processes.map(({ name, options, threads }) => ({ name, ...options, threads })),
      },
      this.#options.name,
    );
    return assemble(topology, this.#own);
  }
}

/** Begins the description of a machine. */
export function machine(options: MachineOptions): MachineBuilder {
  return new MachineBuilder(options);
}
