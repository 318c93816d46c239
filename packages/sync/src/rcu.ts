/**
 * RCU: read-side sections, synchronize_rcu(), call_rcu(). Mirrors the guarantees of kernel/rcu/tree.c and tree_exp.h,
 * v6.18.
 *
 * What counts as a reader: rcu_read_lock() sections always; with {@link RcuOptions.interrupts} also every stretch with
 * interrupts off, because a processor is then asked by an interrupt (as rcu_exp_handler() does) and answers when it
 * takes it.
 *
 * rcu_read_lock() is no barrier and yet no grace period misses the reader; rcu_read_unlock() is no barrier and yet what
 * the section stored is visible when a grace period ends. So opening a section is visible at once, and closing it is a
 * store that goes through the store buffer behind the section's stores.
 */
import {
  BLOCKED,
  defineOperation,
  messageFor,
  ModelError,
  operation,
  point,
  program,
  routine,
  type Footprint,
  type Message,
  type Operation,
  type OperationContext,
  type Program,
  type Region,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { closes, misuse, opens } from './misuse.ts';
import { gracePeriodMachine } from './rcu.machine.ts';

/** What an RCU callback does; `argument` is what call_rcu() was given. */
export type RcuCallback = (argument: number) => Steps;

/** How many processors there are, and how they are asked for a quiescent state. */
export interface RcuOptions {
  /** Processors that read or update, numbered from 0. */
  readonly processors: number;
  /** Asks a processor for a quiescent state by interrupt; its handler is {@link Rcu.rcu_exp_handler}. */
  readonly interrupts?: { request(from: number, to: number): Steps };
  /** Callbacks a processor may have pending. Default 4. */
  readonly callbacksMax?: number;
}

const RCU_VALUES: OptionValues<RcuOptions> = {
  processors: is.whole(1),
  interrupts: is.withMethods('request'),
  callbacksMax: is.whole(),
};

const CALLBACKS_MAX_DEFAULT = 4;
/**
 * Sections of one processor that memory may see open: the current one, and under `tso` earlier ones whose end is still
 * buffered.
 */
/** What orders here is said by the operations: see their `order`. */
const STRONG = { memory: 'strong' } as const;
const GHOST = { memory: 'ghost' } as const;
const SECTIONS = { sc: 1, tso: 3, arm: 1 } as const;
const BITS_MAX = 31;
/** An argument and the number of its callback share one word. */
const ARGUMENT_BITS = 16;
const COLLECT: Message = { type: 'collect' };
const startMessage = messageFor((readers: number) => ({ type: 'start', readers }));
const quiescentMessage = messageFor((readers: number) => ({ type: 'quiescent', readers }));

/** RCU of one system. */
export class Rcu {
  static {
    noteMethods(this);
  }

  readonly processors: number;
  readonly sectionsPerProcessor: number;
  /** Without store buffers a processor's list has no gaps. */
  readonly listsAreDense: boolean;
  /** rcu_read_lock_nesting, per processor. */
  readonly nesting: Region;
  /** Open sections as memory sees them. */
  readonly sections: Region;
  /** Per processor: it was asked for a quiescent state while in a section, and answers when it leaves it. */
  readonly deferred: Region;
  /** Per grace period: 1 when it is over and nobody has seen it yet. One per processor, and the last for callbacks. */
  readonly over: Region;
  /** Callbacks that no grace period has been started for, and those waiting for the present one. */
  readonly cblist: Region;
  readonly batch: Region;
  readonly #gracePeriods: readonly number[];
  /** Channels to them. */
  readonly #ports: readonly number[];
  readonly #interrupts: RcuOptions['interrupts'];
  readonly #functions: { readonly name: string; readonly run: RcuCallback }[] = [];
  readonly #builder: SystemBuilder;
  #words: readonly number[] | null = null;

  constructor(builder: SystemBuilder, options: RcuOptions) {
    checkValues('rcu: new', options, RCU_VALUES, ['processors']);
    const { processors, interrupts, callbacksMax = CALLBACKS_MAX_DEFAULT } = options;
    this.processors = processors;
    this.#interrupts = interrupts;
    this.#builder = builder;
    this.listsAreDense = builder.memoryModel !== 'tso';
    this.sectionsPerProcessor = interrupts ? 1 : SECTIONS[builder.memoryModel];
    if (processors * this.sectionsPerProcessor > BITS_MAX)
      throw new ModelError(
        `rcu: new: at most ${BITS_MAX} sections, ${processors} processors need ${processors * this.sectionsPerProcessor}`,
      );
    const format = (value: number): string => this.#formatCallback(value);
    this.nesting = builder.region('rcu.nesting', processors, GHOST);
    this.sections = builder.region('rcu.section', processors * this.sectionsPerProcessor, STRONG);
    this.deferred = builder.region('rcu.deferred', processors, GHOST);
    this.over = builder.region('rcu.grace_period_over', processors + 1, GHOST);
    this.cblist = builder.region('rcu.cblist', processors * callbacksMax, { ...STRONG, format });
    this.batch = builder.region('rcu.batch', processors * callbacksMax, { ...GHOST, format });
    this.#gracePeriods = Array.from({ length: processors + 1 }, (_, i) => {
      const effect = (cx: OperationContext, event: { readonly [key: string]: unknown }): void =>
        cx.write(this.over.base + i, event['over'] === true ? 1 : 0);
      return builder.component({ name: `rcu.gp${i}`, machine: gracePeriodMachine, effects: { grace_period: effect } });
    });
    this.#ports = this.#gracePeriods.map((_, i) => builder.port(`rcu.gp${i}`));
    if (!interrupts) builder.watch(this.sections, (cx, address) => this.#sectionChanged(cx, address));
  }

  /** Makes a callback known; call_rcu() takes the number returned. */
  register(name: string, run: RcuCallback): number {
    return this.#functions.push({ name, run });
  }

  /** Every word an RCU operation may touch, the grace-period actors included. */
  get words(): readonly number[] {
    return (this.#words ??= this.#builder.layout.regions
      .filter((r) => r.name.startsWith('rcu.'))
      .flatMap((r) => Array.from({ length: r.cells }, (_, i) => r.base + i)));
  }

  /** rcu_read_lock(): nests, never waits, orders nothing. */
  *rcu_read_lock(): Steps {
    yield operation(READ_LOCK, 0, 0, 0, this, { label: 'rcu_read_lock()' });
  }

  /** rcu_read_unlock(). */
  *rcu_read_unlock(processor: number): Steps {
    const asked = yield operation(READ_UNLOCK, 0, 0, 0, this, { label: 'rcu_read_unlock()' });
    if (asked === 1 && this.#interrupts) yield* this.#interrupts.request(processor, processor);
  }

  /** synchronize_rcu(): sleeps until all sections that are open now have been left. A full barrier at both ends. */
  readonly synchronize_rcu = routine('synchronize_rcu', (processor: number) => this.#synchronize(processor, processor));

  /** call_rcu(): `callback` (from {@link register}) is called with `argument` after a grace period, by {@link rcuc}. */
  *call_rcu(callback: number, argument: number): Steps {
    const name = this.#functions[callback - 1]?.name ?? String(callback);
    yield operation(CALL_RCU, callback + (argument << ARGUMENT_BITS), 0, 0, this, {
      label: `call_rcu(${name}, 0x${argument.toString(16)})`,
    });
  }

  /**
   * The kernel thread that waits for grace periods on behalf of callbacks and calls them, one batch per grace period.
   * Give it a processor of its own, with this number.
   */
  rcuc(processor: number): Program {
    return program(this.#rcuc, processor);
  }

  /** Handler of the interrupt by which a processor is asked for a quiescent state. */
  rcu_exp_handler(processor: number): Program {
    return program(this.#handler, processor);
  }

  readonly #handler = routine('rcu_exp_handler', (_processor: number) => this.#answer());
  readonly #rcuc = routine('rcuc', (processor: number) => this.#serveCallbacks(processor));

  *#answer(): Steps {
    yield operation(EXP_HANDLER, 0, 0, 0, this, {
      label: 'rcu_exp_handler()',
      fact: (r) => (r ? 'in a reader' : 'quiescent'),
    });
  }

  *#synchronize(processor: number, slot: number): Steps {
    yield operation(START, slot, processor, 0, this, { label: 'start grace period' });
    if (this.#interrupts) {
      for (let to = 0; to < this.processors; to++) {
        if (to !== processor) yield* this.#interrupts.request(processor, to);
      }
    }
    yield operation(WAIT, slot, 0, 0, this, { label: 'wait for grace period' });
  }

  *#serveCallbacks(processor: number): Steps {
    for (;;) {
      yield* point('rcuc');
      yield operation(TAKE_BATCH, 0, 0, 0, this, { label: 'rcu_advance_cbs()' });
      yield* this.#synchronize(processor, this.processors);
      for (;;) {
        yield* point('rcu_do_batch');
        const callback = yield operation(NEXT_CALLBACK, 0, 0, 0, this, {
          label: 'rcu_do_batch()',
          fact: (r) => (r === 0 ? 'done' : this.#formatCallback(r)),
        });
        if (callback === 0) break;
        const fn = this.#functions[(callback & ((1 << ARGUMENT_BITS) - 1)) - 1];
        if (fn) yield* fn.run(callback >> ARGUMENT_BITS);
      }
    }
  }

  /** A bit per section that is open now, of processors other than the updater's own. */
  openSections(cx: OperationContext, updater: number): number {
    if (this.#interrupts) return ((1 << this.processors) - 1) & ~(1 << updater);
    let open = 0;
    for (let i = 0; i < this.sections.cells; i++) if (cx.read(this.sections.base + i) !== 0) open |= 1 << i;
    return open;
  }

  tellGracePeriod(cx: OperationContext, slot: number, type: 'start' | 'collect', readers = 0): void {
    cx.send(this.#ports[slot] as number, type === 'start' ? startMessage(readers) : COLLECT);
  }

  quiescent(cx: OperationContext, readers: number): void {
    const message = quiescentMessage(readers);
    for (const port of this.#ports) cx.send(port, message);
  }

  #sectionChanged(cx: OperationContext, address: number): void {
    if (cx.read(address) === 0) this.quiescent(cx, 1 << (address - this.sections.base));
  }

  /** The components that wait for sections to be left: they hand on what those have seen who began a grace period. */
  get gracePeriods(): readonly number[] {
    return this.#gracePeriods;
  }

  /** True if sections are found by asking processors, not by their words. */
  get asks(): boolean {
    return this.#interrupts !== undefined;
  }

  #formatCallback(value: number): string {
    if (value === 0) return 'none';
    const fn = this.#functions[(value & ((1 << ARGUMENT_BITS) - 1)) - 1];
    return `${fn?.name ?? '?'}(0x${(value >> ARGUMENT_BITS).toString(16)})`;
  }
}

const rcuOf = (op: Operation): Rcu => op.data as Rcu;
/** To start one and to wait for it is one thing to do. */
const gracePeriod = ({ a: slot }: Operation): string => `grace period ${slot}`;
const footprint = (op: Operation): Footprint => ({ reads: rcuOf(op).words, writes: rcuOf(op).words });

const READ_LOCK = defineOperation({
  name: 'rcu_read_lock',
  ...opens(() => 'rcu'),
  cost: 'store',
  perform: enterSection,
  /** A section that no grace period waits for sees what was stored before that began. */
  weak(cx, memory, op) {
    const rcu = rcuOf(op);
    for (const component of rcu.gracePeriods) memory.receiveFrom(component);
    return enterSection(cx, op);
  },
  footprint,
});

function enterSection(cx: OperationContext, op: Operation): number {
  const rcu = rcuOf(op);
  const nesting = rcu.nesting.base + cx.processor;
  const depth = cx.read(nesting);
  if (depth === 0 && !rcu.asks) {
    const section = freeSection(cx, rcu);
    if (section < 0) return BLOCKED;
    cx.write(section, 1);
  }
  cx.write(nesting, depth + 1);
  return 0;
}

/** A section word that is closed both in memory and in the own store buffer, or -1. */
function freeSection(cx: OperationContext, rcu: Rcu): number {
  const first = rcu.sections.base + cx.processor * rcu.sectionsPerProcessor;
  for (let address = first; address < first + rcu.sectionsPerProcessor; address++)
    if (cx.read(address) === 0) return address;
  return -1;
}

/** Result 1: the processor was asked for a quiescent state meanwhile, and has to be asked again. */
const READ_UNLOCK = defineOperation({
  name: 'rcu_read_unlock',
  order: 'release',
  ...closes(() => 'rcu'),
  cost: 'store',
  perform(cx, op) {
    const rcu = rcuOf(op);
    const nesting = rcu.nesting.base + cx.processor;
    const depth = cx.read(nesting);
    if (depth === 0) {
      misuse(cx, 'rcu_read_unlock', 'rcu', 'which is in no read-side section');
      return 0;
    }
    const asked = depth === 1 ? cx.read(rcu.deferred.base + cx.processor) : 0;
    if (depth === 1 && !rcu.asks && !closeSection(cx, rcu)) return BLOCKED;
    cx.write(nesting, depth - 1);
    if (asked !== 0) cx.write(rcu.deferred.base + cx.processor, 0);
    return asked;
  },
  footprint,
});

function closeSection(cx: OperationContext, rcu: Rcu): boolean {
  const first = rcu.sections.base + cx.processor * rcu.sectionsPerProcessor;
  for (let address = first; address < first + rcu.sectionsPerProcessor; address++) {
    if (cx.load(address) !== 0) return cx.storeBuffered(address, 0);
  }
  return true;
}

const EXP_HANDLER = defineOperation({
  name: 'rcu_exp_handler',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const rcu = rcuOf(op);
    if (cx.read(rcu.nesting.base + cx.processor) !== 0) {
      cx.write(rcu.deferred.base + cx.processor, 1);
      return 1;
    }
    rcu.quiescent(cx, 1 << cx.processor);
    return 0;
  },
  footprint,
});

const START = defineOperation({
  name: 'rcu_start_grace_period',
  ...opens(gracePeriod),
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const rcu = rcuOf(op);
    if (cx.read(rcu.nesting.base + cx.processor) !== 0)
      misuse(cx, 'synchronize_rcu', 'rcu', 'which is in a read-side section');
    rcu.tellGracePeriod(cx, op.a, 'start', rcu.openSections(cx, op.b));
    return 0;
  },
  footprint,
});

const WAIT = defineOperation({
  name: 'rcu_wait_grace_period',
  ...closes(gracePeriod),
  cost: 'rcu_grace_period',
  perform(cx, op) {
    const rcu = rcuOf(op);
    if (!cx.drained() || cx.read(rcu.over.base + op.a) === 0) return BLOCKED;
    rcu.tellGracePeriod(cx, op.a, 'collect');
    return 0;
  },
  footprint,
});

/**
 * The enqueueing is a store behind the caller's earlier stores: a grace period that covers the callback covers them.
 */
const CALL_RCU = defineOperation({
  name: 'call_rcu',
  order: 'release',
  cost: 'store',
  perform(cx, op) {
    const { cblist, processors } = rcuOf(op);
    const perProcessor = cblist.cells / processors;
    const first = cblist.base + cx.processor * perProcessor;
    for (let address = first; address < first + perProcessor; address++) {
      if (cx.load(address) === 0 && cx.read(address) === 0) return cx.storeBuffered(address, op.a) ? 0 : BLOCKED;
    }
    throw new ModelError(
      `rcu: call_rcu: processor ${cx.processor} has ${perProcessor} callbacks pending: raise callbacksMax`,
    );
  },
  footprint,
});

/** The thread rests when there is nothing to do. */
const TAKE_BATCH = defineOperation({
  name: 'rcu_advance_cbs',
  role: 'environment',
  cost: 'xchg',
  rests: true,
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { cblist, batch, processors, listsAreDense } = rcuOf(op);
    const perProcessor = cblist.cells / processors;
    let moved = 0;
    for (let first = cblist.base; first < cblist.base + cblist.cells; first += perProcessor) {
      for (let address = first; address < first + perProcessor; address++) {
        const callback = cx.read(address);
        if (callback === 0 && listsAreDense) break;
        if (callback === 0) continue;
        cx.write(batch.base + moved++, callback);
        cx.write(address, 0);
      }
    }
    return moved === 0 ? BLOCKED : 0;
  },
  footprint,
});

const NEXT_CALLBACK = defineOperation({
  name: 'rcu_do_batch',
  role: 'environment',
  cost: 'load',
  perform(cx, op) {
    const { batch } = rcuOf(op);
    const callback = cx.read(batch.base);
    for (let i = 0; i + 1 < batch.cells; i++) cx.write(batch.base + i, cx.read(batch.base + i + 1));
    cx.write(batch.base + batch.cells - 1, 0);
    return callback;
  },
  footprint,
});
