/**
 * Static keys: branches that are patched into the code. Mirrors kernel/jump_label.c and arch/arm64/kernel/jump_label.c,
 * v6.18.
 *
 * Patching is a store of an instruction, cache maintenance that makes it fetchable (arm64: DC CVAU, DSB, IC IVAU, DSB;
 * x86: the INT3 sequence), and then `kick_all_cpus_sync()`, which has every processor take an interrupt. A processor
 * that has not synchronized its context since the maintenance was complete may still execute the old instruction: both
 * outcomes are explored. Taking an interrupt and ISB synchronize the context: {@link
 * JumpLabels.contextSynchronization}.
 *
 * arm64 has had the kick since "arm64: jump_label: Ensure patched jump_labels are visible to all CPUs" (v6.11).
 */
import {
  BLOCKED,
  defineOperation,
  load,
  operation,
  routine,
  type Address,
  type Footprint,
  type Operation,
  type OperationContext,
  type Steps,
  type SystemBuilder,
  noted,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { misuse } from './misuse.ts';
import { Mutex, mutex_lock, mutex_unlock } from './mutex.ts';

/** How code is patched on this machine. */
export interface JumpLabelOptions {
  /** Processors that execute the code, numbered from 0. */
  readonly processors: number;
  /**
   * kick_all_cpus_sync() on behalf of a processor. Left out: patching ends with the cache maintenance (arm64 before
   * v6.11).
   */
  readonly kick_all_cpus_sync?: (processor: number) => Steps;
}

const JUMP_LABEL_VALUES: OptionValues<JumpLabelOptions> = {
  processors: is.whole(1),
  kick_all_cpus_sync: is.callable,
};

/** Code patching of one system: all static keys share jump_label_mutex. */
export class JumpLabels {
  static {
    noteMethods(this);
  }

  readonly processors: number;
  readonly mutex: Mutex;
  readonly keys: StaticKey[] = [];
  readonly #builder: SystemBuilder;
  readonly #kick: JumpLabelOptions['kick_all_cpus_sync'];

  constructor(builder: SystemBuilder, options: JumpLabelOptions) {
    checkValues('jump labels: new', options, JUMP_LABEL_VALUES, ['processors']);
    this.#builder = builder;
    this.processors = options.processors;
    this.#kick = options.kick_all_cpus_sync;
    this.mutex = new Mutex(builder, 'jump_label_mutex');
  }

  /** DEFINE_STATIC_KEY_FALSE(name). */
  key(name: string): StaticKey {
    const key = new StaticKey(this.#builder, this, name);
    this.keys.push(key);
    return key;
  }

  /** The processor performing this executes no old instruction any more (ISB, exception entry and return, IRET). */
  *contextSynchronization(label = 'isb()'): Steps {
    yield operation(SYNCHRONIZE, 0, 0, 0, this, { label });
  }

  /** jump_label_update(): what the branch does from here on, on all processors when it returns. */
  *update(key: StaticKey, processor: number, on: boolean): Steps {
    yield operation(PATCH, key.instruction, on ? 1 : 0, 0, key, {
      label: `${on ? 'NOP -> B' : 'B -> NOP'} (${key.name})`,
    });
    yield operation(MAINTENANCE, key.instruction, 0, 0, key, { label: 'caches_clean_inval_pou()' });
    if (this.#kick) yield* this.#kick(processor);
  }
}

/**
 * The count is changed by fully ordered atomics. On a weakly ordered machine the memory knows who may still execute
 * what; the two last words are how the others know it.
 */
const STRONG = { memory: 'strong' } as const;
const GHOST = { memory: 'ghost' } as const;

const Fetchable = { yes: 0, notYet: 1 } as const;

/** A static key: a count, and the instruction at its branch. */
export class StaticKey {
  readonly name: string;
  readonly labels: JumpLabels;
  /** key->enabled: 0, the count, or -1 while the first enabler patches. */
  readonly enabled: Address;
  /** What the patched code says: 1 takes the branch. */
  readonly instruction: Address;
  /** A bit per processor that may still execute the old instruction. */
  readonly stale: Address;
  /** 1 between the store of the instruction and the end of the cache maintenance. */
  readonly dirty: Address;
  readonly words: readonly number[];

  constructor(builder: SystemBuilder, labels: JumpLabels, name: string) {
    this.name = name;
    this.labels = labels;
    this.enabled = builder.region(`${name}.enabled`, 1, STRONG).at(0);
    this.instruction = builder
      .region(`${name}.instruction`, 1, { memory: 'code', format: (v) => (v === 0 ? 'NOP' : 'B') })
      .at(0);
    this.stale = builder.region(`${name}.stale`, 1, GHOST).at(0);
    this.dirty = builder.region(`${name}.dirty`, 1, GHOST).at(0);
    this.words = [this.enabled, this.instruction, this.stale, this.dirty];
  }
}

const keyOf = (op: Operation): StaticKey => op.data as StaticKey;
const patching = (op: Operation): Footprint => {
  const { instruction, stale, dirty } = keyOf(op);
  return { reads: [instruction, stale, dirty], writes: [instruction, stale, dirty] };
};

const PATCH = defineOperation({
  name: 'insn_patch',
  cost: 'store',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const key = keyOf(op);
    cx.write(key.instruction, op.b);
    cx.write(key.stale, ((1 << key.labels.processors) - 1) & ~(1 << cx.processor));
    cx.write(key.dirty, Fetchable.notYet);
    return 0;
  },
  weak(_cx, memory, op) {
    memory.store(op.a, op.b);
    return 0;
  },
  footprint: patching,
});

const MAINTENANCE = defineOperation({
  name: 'caches_clean_inval_pou',
  cost: 'dsb',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    cx.write(keyOf(op).dirty, Fetchable.yes);
    return 0;
  },
  /** caches_clean_inval_pou() of arch/arm64/mm/cache.S: DC CVAU, DSB, IC IVAU, DSB, ISB. */
  weak(_cx, memory, op) {
    memory.request(DSB);
    memory.request({ kind: 'tlbi', pages: [op.a], broadcast: true, dependencies: null });
    memory.request(DSB);
    memory.request(ISB);
    return 0;
  },
  footprint: patching,
});

const DSB = { kind: 'dsb', type: 'full', dependencies: null } as const;
const ISB = { kind: 'isb', dependencies: null } as const;

function forgetOld(cx: OperationContext, { keys }: JumpLabels): void {
  for (const key of keys)
    if (cx.read(key.dirty) === Fetchable.yes) cx.write(key.stale, cx.read(key.stale) & ~(1 << cx.processor));
}

const SYNCHRONIZE = defineOperation({
  name: 'isb',
  perform(cx, op) {
    forgetOld(cx, op.data as JumpLabels);
    return 0;
  },
  weak(_cx, memory) {
    memory.request(ISB);
    return 0;
  },
  footprint: (op) => {
    const { keys } = op.data as JumpLabels;
    return { reads: keys.flatMap((key) => [key.dirty, key.stale]), writes: keys.map((key) => key.stale) };
  },
});

/** Branch 0 is the instruction in memory, so that a run that does not explore sees what was written last. */
const FETCH = defineOperation({
  name: 'static_branch',
  leftOut: () => 0,
  cost: 'choose',
  branches: (cx, op) => ((cx.read(keyOf(op).stale) & (1 << cx.processor)) !== 0 ? 2 : 1),
  perform: (cx, op, branch) => cx.read(op.a) ^ branch,
  weak: (_cx, memory, op) => memory.request({ kind: 'fetch', address: op.a }),
  footprint: (op) => ({ reads: [op.a, keyOf(op).stale], writes: [] }),
});

const FAST_INC = defineOperation({
  name: 'static_key_fast_inc_not_disabled',
  cost: 'cmpxchg',
  perform(cx, op) {
    const count = cx.load(op.a);
    if (count <= 0) return 0;
    if (!cx.drained()) return BLOCKED;
    cx.write(op.a, count + 1);
    return 1;
  },
  footprint: (op) => ({ reads: [op.a], writes: [op.a] }),
});

/** Operand of DEC: leave the last count alone, as that takes the mutex. */
const NOT_ONE = 1;

/** Result 0: not done, the count is one; 1: it is zero now; 2: it is not. */
const DEC = defineOperation({
  name: 'static_key_dec',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (op.b === NOT_ONE && cx.load(op.a) === 1) return 0;
    if (!cx.drained()) return BLOCKED;
    const count = cx.read(op.a);
    if (count <= 0) misuse(cx, 'static_branch_dec', keyOf(op).name, `whose count is ${count}`);
    else cx.write(op.a, count - 1);
    return count - 1 === 0 ? 1 : 2;
  },
  footprint: (op) => ({ reads: [op.a], writes: [op.a] }),
});

/** A cmpxchg that does not look first. One that fails orders nothing on arm64 and is a full barrier on x86. */
const SET_ENABLED = defineOperation({
  name: 'static_key_set',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (cx.buffered() > 0) return BLOCKED;
    const count = cx.load(op.a);
    if (count !== op.b) return count;
    if (!cx.drained()) return BLOCKED;
    cx.write(op.a, op.c);
    return count;
  },
  footprint: (op) => ({ reads: [op.a], writes: [op.a] }),
});

/** Changes `enabled` from one value to another if it has the first one; returns what it was. */
function* changeEnabled(key: StaticKey, from: number, to: number): Steps<number> {
  return yield operation(SET_ENABLED, key.enabled, from, to, key, {
    label: `${key.name}.enabled: ${from} -> ${to}`,
    fact: (was) => `was ${was}`,
  });
}

/** static_branch_unlikely(): fetches the instruction; 1 if the branch is taken. No load, no barrier. */
export const static_branch_unlikely = noted(function* static_branch_unlikely(key: StaticKey): Steps<number> {
  return yield operation(FETCH, key.instruction, 0, 0, key, {
    label: `static_branch_unlikely(${key.name})`,
    fact: (r) => (r ? 'on' : 'off'),
  });
});

/** static_branch_inc(): counts; the first one patches the code and returns when every processor sees it. */
export const static_branch_inc = routine('static_branch_inc', function* (key: StaticKey, processor: number): Steps {
  const counted = yield operation(FAST_INC, key.enabled, 0, 0, key, {
    label: `static_key_fast_inc(${key.name})`,
    fact: (r) => (r ? 'was on' : 'was off'),
  });
  if (counted === 1) return;
  yield* mutex_lock(key.labels.mutex);
  const was = yield* changeEnabled(key, 0, -1);
  if (was === 0) {
    yield* key.labels.update(key, processor, true);
    yield* changeEnabled(key, -1, 1);
  } else {
    yield operation(FAST_INC, key.enabled, 0, 0, key, { label: `static_key_fast_inc(${key.name})` });
  }
  yield* mutex_unlock(key.labels.mutex);
});

/** static_branch_dec(): the last one patches the code back. */
export const static_branch_dec = routine('static_branch_dec', function* (key: StaticKey, processor: number): Steps {
  const done = yield operation(DEC, key.enabled, NOT_ONE, 0, key, {
    label: `static_key_dec_not_one(${key.name})`,
    fact: (r) => (r ? undefined : 'is one'),
  });
  if (done !== 0) return;
  yield* mutex_lock(key.labels.mutex);
  const last = yield operation(DEC, key.enabled, 0, 0, key, {
    label: `static_key_dec(${key.name})`,
    fact: (r) => (r === 1 ? 'off' : 'on'),
  });
  if (last === 1) yield* key.labels.update(key, processor, false);
  yield* mutex_unlock(key.labels.mutex);
});

/** static_branch_enable(): not counted. Enabling an enabled key does nothing, which is the trap. */
export const static_branch_enable = routine(
  'static_branch_enable',
  function* (key: StaticKey, processor: number): Steps {
    const seen = yield* load(key.enabled, { label: `static_key_enabled(${key.name})` });
    if (seen > 0) return;
    yield* mutex_lock(key.labels.mutex);
    const was = yield* changeEnabled(key, 0, -1);
    if (was === 0) {
      yield* key.labels.update(key, processor, true);
      yield* changeEnabled(key, -1, 1);
    }
    yield* mutex_unlock(key.labels.mutex);
  },
);

/** static_branch_disable(): off, whoever enabled it. */
export const static_branch_disable = routine(
  'static_branch_disable',
  function* (key: StaticKey, processor: number): Steps {
    const seen = yield* load(key.enabled, { label: `static_key_enabled(${key.name})` });
    if (seen !== 1) return;
    yield* mutex_lock(key.labels.mutex);
    const was = yield* changeEnabled(key, 1, 0);
    if (was === 1) yield* key.labels.update(key, processor, false);
    yield* mutex_unlock(key.labels.mutex);
  },
);
