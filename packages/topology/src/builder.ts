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

interface ProcessDraft {
  readonly name: string;
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
    let draft = this.#processes.find((p) => p.name === process);
    if (!draft) {
      draft = { name: process, threads: [] };
      this.#processes.push(draft);
    }
    if (typeof run === 'function') this.#own.set(ownThreadKey(process, draft.threads.length), run);
    draft.threads.push({ cpu, run: typeof run === 'function' ? [] : run });
    return this;
  }

  /** Checks the description and assembles the machine. Throws a ModelError of one line if something is wrong. */
  assemble(): AssembledMachine {
    const topology = parseTopology({ ...this.#options, processes: this.#processes }, this.#options.name);
    return assemble(topology, this.#own);
  }
}

/** Begins the description of a machine. */
export function machine(options: MachineOptions): MachineBuilder {
  return new MachineBuilder(options);
}
