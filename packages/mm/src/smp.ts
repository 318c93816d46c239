/**
 * Cross-CPU function calls. Mirrors kernel/smp.c, smp_call_function_many_cond() and flush_smp_call_function_queue(), v6.18.
 *
 * A call is a csd word per (source, destination): locked by the caller, unlocked by the handler when the function has
 * returned. A destination's queue is the set of sources whose csd waits there; adding to an empty queue sends the IPI.
 */
import {
  load,
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
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, send_IPI, type Cpu } from '@shootdown/cpu';

/** The interrupt vector of cross-CPU calls. */
export const CALL_FUNCTION_VECTOR = 'CALL_FUNCTION_VECTOR';

/** A function that other CPUs can be made to run: `source` is the CPU that asked for it (its info lives in its words). */
export interface SmpFunction {
  readonly name: string;
  run(cpu: Cpu, source: number): Steps;
}

const CSD_UNLOCKED = 0;

/** smp_call_function() and its relatives, for a set of CPUs. */
export class Smp {
  readonly cpus: readonly Cpu[];
  readonly #functions: SmpFunction[] = [];
  /** csd[source * cpus + destination]: 0, or 1 + number of the function to run. */
  readonly #csd: Region;
  /** call_single_queue per destination: the set of sources. */
  readonly #queue: Region;

  readonly #doNothing: number;

  /** @param do_nothing what do_nothing() does besides: taking the interrupt may synchronize a context. Default: nothing */
  constructor(builder: SystemBuilder, cpus: readonly Cpu[], do_nothing: (cpu: Cpu) => Steps = function* () {}) {
    this.cpus = cpus;
    this.#doNothing = this.register({ name: 'do_nothing', run: do_nothing });
    const names = ['unlocked'];
    const format = (value: number): string => names[value] ?? this.#functions[value - 1]?.name ?? String(value);
    this.#csd = builder.region('csd', cpus.length * cpus.length, { format, memory: 'strong' });
    this.#queue = builder.region('call_single_queue', cpus.length, { memory: 'strong' });
  }

  /** Makes a function callable; returns its number. */
  register(fn: SmpFunction): number {
    return this.#functions.push(fn);
  }

  /**
   * smp_call_function_many_cond(): runs a function on the CPUs of a mask, concurrently on this CPU if `local` is given,
   * and waits until all have run it.
   * @param mask bit per CPU; the own bit is ignored
   */
  readonly smp_call_function_many = routine('smp_call_function_many', this.#many.bind(this));

  /** kick_all_cpus_sync(): returns when every other CPU has taken an interrupt since the call. */
  readonly kick_all_cpus_sync = routine('kick_all_cpus_sync', this.#kick.bind(this));

  *#many(cpu: Cpu, mask: number, fn: number, local?: () => Steps): Steps {
    const targets = this.cpus.filter((other) => other.id !== cpu.id && (mask & (1 << other.id)) !== 0);
    for (const target of targets) {
      const csd = this.#csdOf(cpu.id, target.id);
      yield* waitFor(csd, -1, CSD_UNLOCKED, { label: `csd_lock(${target.name})` });
      yield* store(csd, fn, { label: `csd(${target.name}) = ${this.#functions[fn - 1]?.name ?? '?'}` });
      const queued = yield* setBits(this.#queue.at(target.id), 1 << cpu.id, { label: `llist_add(${target.name})` });
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

  *#kick(cpu: Cpu): Steps {
    yield* this.smp_call_function_many(cpu, -1, this.#doNothing);
  }

  /** The handler of {@link CALL_FUNCTION_VECTOR} on a CPU. */
  handler(cpu: Cpu): Program {
    return program(this.#interrupt, this, cpu);
  }

  readonly #interrupt = routine('sysvec_call_function', function* (smp: Smp, cpu: Cpu): Steps {
    let queue = yield* xchg(smp.#queue.at(cpu.id), 0, { label: 'llist_del_all()' });
    for (; queue !== 0; queue &= queue - 1) {
      yield* point('csd', queue);
      const source = 31 - Math.clz32(queue & -queue);
      const csd = smp.#csdOf(source, cpu.id);
      const fn = yield* load(csd, { label: `csd(CPU${source})->func` });
      const body = smp.#functions[fn - 1];
      if (body) yield* body.run(cpu, source);
      yield* smp_store_release(csd, CSD_UNLOCKED, { label: `csd_unlock(CPU${source})` });
    }
  });

  #csdOf(source: number, destination: number) {
    return this.#csd.at(source * this.cpus.length + destination);
  }
}
