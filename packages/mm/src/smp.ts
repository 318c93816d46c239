/**
 * Cross-CPU function calls. Mirrors kernel/smp.c, smp_call_function_many_cond() and flush_smp_call_function_queue(),
 * v6.18.
 *
 * A call is a csd word per (source, destination): locked by the caller, unlocked by the handler when the function has
 * returned. A destination's queue is the set of sources whose csd waits there; adding to an empty queue sends the IPI.
 *
 * The set is one word on machines of at most 32 CPUs. On larger ones adding to it and taking all of it are one step
 * each, too, over several words, and what was taken is read from words of the CPU's own.
 */
import {
  BLOCKED,
  defineOperation,
  load,
  operation,
  point,
  program,
  routine,
  setBits,
  smp_store_release,
  store,
  waitFor,
  xchg,
  type Program,
  type Region,
  type Routine,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, send_IPI, type Cpu } from '@shootdown/cpu';
import {
  BITS_PER_WORD,
  cpuBit,
  WORD_SHIFT,
  cpumask_test_cpu,
  cpumaskWhere,
  cpumaskWords,
  type CpuMask,
} from './cpumask.ts';

/** The interrupt vector of cross-CPU calls. */
export const CALL_FUNCTION_VECTOR = 'CALL_FUNCTION_VECTOR';

/**
 * A function that other CPUs can be made to run: `source` is the CPU that asked for it (its info lives in its words).
 */
export interface SmpFunction {
  readonly name: string;
  run(cpu: Cpu, source: number): Steps;
}

/** Routines that end in such a call, outermost first in a trace: what a reader wants to know is whom it reached. */
const ROUNDS: readonly string[] = [
  'flush_tlb_mm_range',
  'flush_tlb_kernel_range',
  'tlb_remove_table_sync_one',
  'kick_all_cpus_sync',
  'smp_call_function_many',
  'flush_tlb_func',
];

const CSD_UNLOCKED = 0;

/**
 * Adds CPU `c` to the set of `b` words at `a`; result 0 if it was empty. A full barrier, like the cmpxchg() it stands
 * for.
 */
const LLIST_ADD = defineOperation({
  name: 'llist_add',
  cost: 'xchg',
  perform(cx, { a, b, c }) {
    if (!cx.drained()) return BLOCKED;
    let queued = 0;
    for (let word = 0; word < b; word++) queued |= cx.read(a + word);
    const word = a + (c >>> WORD_SHIFT);
    cx.write(word, cx.read(word) | cpuBit(c));
    return queued === 0 ? 0 : 1;
  },
});

/** Moves the set of `b` words at `a` to `c`: an xchg() of the list's head. */
const LLIST_DEL_ALL = defineOperation({
  name: 'llist_del_all',
  cost: 'xchg',
  perform(cx, { a, b, c }) {
    if (!cx.drained()) return BLOCKED;
    for (let word = 0; word < b; word++) {
      cx.write(c + word, cx.read(a + word));
      cx.write(a + word, 0);
    }
    return 0;
  },
});

/** Reads a word of what was taken, and empties it. Going from one entry to the next costs with the entry. */
const TAKEN = defineOperation({
  name: 'llist_entry',
  cost: 'nop',
  perform(cx, { a }) {
    const word = cx.read(a);
    cx.write(a, 0);
    return word;
  },
});

/** Who takes the interrupt of a call: on x86, on arm64, on RISC-V. */
export type SmpHandler = 'sysvec_call_function' | 'do_handle_IPI' | 'handle_IPI';

/** smp_call_function() and its relatives, for a set of CPUs. */
export class Smp {
  readonly cpus: readonly Cpu[];
  readonly #functions: SmpFunction[] = [];
  /** csd[source * cpus + destination]: 0, or 1 + number of the function to run. */
  readonly #csd: Region;
  /** call_single_queue per destination: the set of sources, {@link #words} words. */
  readonly #queue: Region;
  /** Per CPU: the sources it has taken off its queue. Larger machines only. */
  readonly #taken: Region | null;
  readonly #words: number;
  /** All CPUs. */
  readonly everyone: CpuMask;

  readonly #doNothing: number;
  readonly #interrupt: Routine<[smp: Smp, cpu: Cpu]>;

  /**
   * @param do_nothing what do_nothing() does besides: taking the interrupt may synchronize a context. Default: nothing
   * @param handler what the architecture calls the function that takes the interrupt. Default: as on x86
   */
  constructor(
    builder: SystemBuilder,
    cpus: readonly Cpu[],
    do_nothing: (cpu: Cpu) => Steps = function* () {},
    handler: SmpHandler = 'sysvec_call_function',
  ) {
    this.#interrupt = routine(handler, function* (smp: Smp, cpu: Cpu): Steps {
      yield* smp.#takeCalls(cpu);
    });
    for (const name of ROUNDS) builder.round(name);
    this.cpus = cpus;
    this.#doNothing = this.register({ name: 'do_nothing', run: do_nothing });
    const names = ['unlocked'];
    const format = (value: number): string => names[value] ?? this.#functions[value - 1]?.name ?? String(value);
    this.#csd = builder.region('csd', cpus.length * cpus.length, { format, memory: 'strong', lineWords: 1 });
    this.#words = cpumaskWords(cpus.length);
    const queues = cpus.length * this.#words;
    this.#queue = builder.region('call_single_queue', queues, { memory: 'strong', lineWords: this.#words });
    this.#taken = this.#words === 1 ? null : builder.region('call_single_queue.taken', queues, { memory: 'strong' });
    this.everyone = cpumaskWhere(cpus, () => true);
  }

  /** Makes a function callable; returns its number. */
  register(fn: SmpFunction): number {
    return this.#functions.push(fn);
  }

  /**
   * smp_call_function_many_cond(): runs a function on the CPUs of a mask, concurrently on this CPU if `local` is given,
   * and waits until all have run it.
   * @param mask the own bit is ignored
   */
  readonly smp_call_function_many = routine('smp_call_function_many', this.#many.bind(this));

  /** kick_all_cpus_sync(): returns when every other CPU has taken an interrupt since the call. */
  readonly kick_all_cpus_sync = routine('kick_all_cpus_sync', this.#kick.bind(this));

  *#many(cpu: Cpu, mask: CpuMask, fn: number, local?: () => Steps): Steps {
    const targets = this.cpus.filter((other) => other.id !== cpu.id && cpumask_test_cpu(other.id, mask));
    for (const target of targets) {
      const csd = this.#csdOf(cpu.id, target.id);
      yield* waitFor(csd, -1, CSD_UNLOCKED, { label: `csd_lock(${target.name})` });
      yield* store(csd, fn, { label: `csd(${target.name}) = ${this.#functions[fn - 1]?.name ?? '?'}` });
      const queued = yield* this.#llist_add(cpu, target);
      if (queued === 0) yield* send_IPI(target, CALL_FUNCTION_VECTOR);
    }
    if (local) {
      const flags = yield* local_irq_save(cpu);
      yield* local();
      yield* local_irq_restore(cpu, flags);
    }
    for (const target of targets) {
      yield* waitFor(this.#csdOf(cpu.id, target.id), -1, CSD_UNLOCKED, { label: `csd_lock_wait(${target.name})` });
    }
  }

  /** llist_add(): 0 if the queue was empty. */
  *#llist_add(cpu: Cpu, target: Cpu): Steps<number> {
    const label = `llist_add(${target.name})`;
    if (this.#words === 1) return yield* setBits(this.#queue.at(target.id), cpuBit(cpu.id), { label });
    const queue = this.#queue.at(target.id * this.#words);
    return yield operation(LLIST_ADD, queue, this.#words, cpu.id, undefined, { label });
  }

  *#kick(cpu: Cpu): Steps {
    yield* this.smp_call_function_many(cpu, this.everyone, this.#doNothing);
  }

  /** The handler of {@link CALL_FUNCTION_VECTOR} on a CPU. */
  handler(cpu: Cpu): Program {
    return program(this.#interrupt, this, cpu);
  }

  /** __flush_smp_call_function_queue(), which every architecture's handler calls. */
  *#takeCalls(cpu: Cpu): Steps {
    if (this.#taken) {
      const taken = this.#taken.at(cpu.id * this.#words);
      yield operation(LLIST_DEL_ALL, this.#queue.at(cpu.id * this.#words), this.#words, taken, undefined, {
        label: 'llist_del_all()',
      });
      for (let word = 0; word < this.#words; word++) {
        const queue = yield operation(TAKEN, taken + word, 0, 0, undefined, { label: 'llist_for_each_entry()' });
        yield* this.#run(cpu, queue, word * BITS_PER_WORD);
      }
    } else yield* this.#run(cpu, yield* xchg(this.#queue.at(cpu.id), 0, { label: 'llist_del_all()' }), 0);
  }

  /** Runs what the sources of a word of the queue have asked for: bit 0 is CPU `first`. */
  *#run(cpu: Cpu, word: number, first: number): Steps {
    for (let queue = word; queue !== 0; queue &= queue - 1) {
      if (first === 0) yield* point('csd', queue);
      else yield* point('csd', queue, first);
      const source = first + 31 - Math.clz32(queue & -queue);
      const csd = this.#csdOf(source, cpu.id);
      const fn = yield* load(csd, { label: `csd(CPU${source})->func` });
      const body = this.#functions[fn - 1];
      if (body) yield* body.run(cpu, source);
      yield* smp_store_release(csd, CSD_UNLOCKED, { label: `csd_unlock(CPU${source})` });
    }
  }

  #csdOf(source: number, destination: number) {
    return this.#csd.at(source * this.cpus.length + destination);
  }
}
