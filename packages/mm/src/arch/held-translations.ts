/**
 * What the hardware of CPUs may hold of one small mapping, as sets: every page that memory has offered since the CPU's
 * last invalidation, and every table, which its walk caches may point to. Nothing is looked up here; whoever frees a
 * frame that is still in a set has freed it too early.
 */
import {
  BLOCKED,
  defineOperation,
  noteMethods,
  operation,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';

/** Frames, a bit each. */
export interface Reachable {
  readonly tables: number;
  readonly pages: number;
}

/** What is held, of what. */
export interface HeldMapping {
  readonly builder: SystemBuilder;
  /** CPUs that run the mm, and so may hold something. */
  readonly cpus: readonly number[];
  /** The entries: whenever one changes, memory offers something else. */
  readonly entries: Region;
  /** What a walk finds now that begins at the root, or at one of these tables. */
  readonly reachable: (read: (address: number) => number, tables: number) => Reachable;
}

const WORDS = 2;

/** The sets of a machine; empty until they are connected to a mapping. */
export class HeldTranslations {
  static {
    noteMethods(this);
  }

  #mapping: HeldMapping | null = null;
  #held: Region | null = null;

  /** Begins to follow a mapping. */
  connect(mapping: HeldMapping): void {
    const { builder, cpus, entries, reachable } = mapping;
    const words = builder.layout.initial();
    const { tables, pages } = reachable((address) => words[address] as number, 0);
    this.#mapping = mapping;
    this.#held = builder.region('held', WORDS * (1 + Math.max(...cpus)), {
      initial: Array.from({ length: 1 + Math.max(...cpus) }, (_, cpu) =>
        cpus.includes(cpu) ? [tables, pages] : [0, 0],
      ).flat(),
      memory: 'ghost',
    });
    builder.watch(entries, (cx) => {
      for (const cpu of cpus) this.#offered(cx, cpu);
    });
  }

  /** The word of the tables that a CPU may hold, and after it that of the pages. */
  wordsOf(cpu: number): readonly [tables: number, pages: number] {
    const base = (this.#held as Region).at(WORDS * cpu);
    return [base, base + 1];
  }

  /** A CPU forgets; what memory offers still, it may hold again at once. */
  invalidated(cx: OperationContext, cpu: number): void {
    if (!this.#mapping?.cpus.includes(cpu)) return;
    for (const word of this.wordsOf(cpu)) cx.write(word, 0);
    this.#offered(cx, cpu);
  }

  #offered(cx: OperationContext, cpu: number): void {
    const [tables, pages] = this.wordsOf(cpu);
    const reached = (this.#mapping as HeldMapping).reachable((address) => cx.read(address), cx.read(tables));
    cx.write(tables, cx.read(tables) | reached.tables);
    cx.write(pages, cx.read(pages) | reached.pages);
  }

  /** Every CPU forgets, whatever it is doing. */
  broadcast(cx: OperationContext): void {
    for (const cpu of this.#mapping?.cpus ?? []) this.invalidated(cx, cpu);
  }

  /** An instruction that invalidates on the CPU that performs it. */
  *local(cpu: number, saying: Saying): Steps {
    yield operation(LOCAL, cpu, 0, 0, this, saying);
  }

  /** An instruction that invalidates on every CPU, between two full barriers. */
  *everywhere(saying: Saying): Steps {
    yield operation(EVERYWHERE, 0, 0, 0, this, saying);
  }

  /** A hypervisor is asked to invalidate on every CPU: 0 if it has, otherwise it refuses. Both are explored. */
  *hypercall(saying: Saying): Steps<number> {
    return yield operation(HYPERCALL, 0, 0, 0, this, saying);
  }
}

const heldBy = (op: Operation): HeldTranslations => op.data as HeldTranslations;

const LOCAL = defineOperation({
  name: 'invlpg',
  perform(cx, op) {
    heldBy(op).invalidated(cx, op.a);
    return 0;
  },
});

const EVERYWHERE = defineOperation({
  name: 'invalidate_broadcast',
  cost: 'invlpgb',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    heldBy(op).broadcast(cx);
    return 0;
  },
  weak(cx, memory, op) {
    memory.dmb('full');
    heldBy(op).broadcast(cx);
    return 0;
  },
});

const HYPERCALL = defineOperation({
  name: 'hypercall',
  branches: () => 2,
  perform(cx, op, branch) {
    if (branch === 0) heldBy(op).broadcast(cx);
    return branch;
  },
});
