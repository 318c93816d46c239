/**
 * The weak memory of a whole machine as numbered states: one word of the machine's state, as an XState component is.
 *
 * A request is asked of the model once per state, processor and request, and remembered.
 */
import { checkOptions, keysOf } from '../state/errors.ts';
import { access, synchroniseContext } from './access.ts';
import { promise } from './promises.ts';
import { dmb, dsb, isb, plainAccess, publish, receive, strongRead, strongWrite, tlbi } from './barriers.ts';
import { canonicalise } from './canonical.ts';
import { Model } from './model.ts';
import type { Prospect } from './prospect.ts';
import type { Access, Request, StoreToCome, Translation } from './requests.ts';
import { rulesBut, type OrderingRule } from './rules.ts';
import { NO_EVENT, NOTHING, numbersOf } from './events.ts';
import {
  copyState,
  initialState,
  keyOf,
  messageOf,
  newProcessor,
  View,
  type MemoryState,
  type ProcessorState,
} from './state.ts';
import { accessFlagsSet, fetchesOf } from './walk.ts';
import { hashString } from '../state/hash.ts';
import { ContentHashes } from '../state/words.ts';

/** How a weak memory is set up. */
export interface WeakMemoryOptions {
  /** The translation regime; default: addresses are those of words. */
  readonly translation?: Translation;
  /** Words whose histories are part of every state: those that translations lead to. */
  readonly translated?: readonly { readonly address: number; readonly value: number }[];
  /** Words that are fetched as instructions. */
  readonly code?: readonly number[];
  /**
   * Messages a location may have at one time; more is said, and ends the proof. Default {@link MESSAGES_MAX_DEFAULT}.
   */
  readonly messagesMax?: number;
  /** Ordering rules to leave out, to see that they are needed. */
  readonly leftOut?: ReadonlySet<OrderingRule>;
  /** False: states are not brought into canonical form. For checking that nothing depends on it. */
  readonly canonical?: boolean;
}

const WEAK_MEMORY_KEYS = keysOf<WeakMemoryOptions>()(
  'translation',
  'translated',
  'code',
  'messagesMax',
  'leftOut',
  'canonical',
);

/** Enough for every litmus test that we know. */
const MESSAGES_MAX_DEFAULT = 16;

/** One way a request may go. */
export interface WeakStep {
  /** The state afterwards. */
  readonly next: number;
  readonly result: number;
  /** Words whose newest message is another one now: address and value, one after the other. */
  readonly changed: readonly number[];
}

const NO_STEPS: readonly WeakStep[] = [];
/** State 0 is no state, so that the word of an unused memory is 0. */
const FIRST = 1;

/** The numbered states of one weak memory. */
export class WeakMemory {
  /** Contents of the states, for the fingerprint. */
  readonly hashes = new ContentHashes();
  readonly #model: Model;
  readonly #canonical: boolean;
  readonly #states: (MemoryState | null)[] = [null];
  readonly #ids = new Map<string, number>();
  readonly #requests = new Map<string, number>();
  readonly #numbers = new WeakMap<Request, number>();
  readonly #memo: (Map<number, readonly WeakStep[]> | undefined)[] = [undefined];
  readonly #processors: number;

  constructor(processors: number, options: WeakMemoryOptions = {}) {
    checkOptions('weak memory: new', options, WEAK_MEMORY_KEYS);
    const { translation = null, translated = [], messagesMax = MESSAGES_MAX_DEFAULT } = options;
    this.#processors = processors;
    this.#canonical = options.canonical ?? true;
    this.#model = new Model(
      processors,
      translation,
      rulesBut(options.leftOut ?? new Set()),
      messagesMax,
      translated,
      options.code,
    );
    const state = initialState(processors);
    for (const { address, value } of translated)
      state.histories.set(address, [messageOf(NO_EVENT, value, this.#model.isDescriptor(address) ? processors : 0)]);
    this.#intern(state);
  }

  /** The state that everything starts from. */
  get first(): number {
    return FIRST;
  }

  /** True if some location had as many messages as it may have, so that something may have been missed. */
  get boundHit(): boolean {
    return this.#model.boundHit;
  }

  /** Stores seen so far that might have overtaken an earlier load of their processor. */
  get storesToCome(): readonly (StoreToCome & { readonly processor: number })[] {
    return [...this.#model.stores.values()];
  }

  /**
   * Words and processors of the stores whose processor loads something as well: that one overtakes an earlier load is
   * not among the runs, unless it has been promised.
   */
  get storesBesideLoads(): readonly { readonly processor: number; readonly address: number }[] {
    const sites = new Map(this.storesToCome.map((store) => [`${store.processor},${store.site}`, store]));
    return [...sites.values()].filter(({ processor }) => this.#model.loaders.has(processor));
  }

  /** True if a store that is in memory has not been performed yet. */
  hasPromises(id: number): boolean {
    return [...this.#state(id).histories.values()].some((messages) => messages.some(({ promise: to }) => to !== null));
  }

  /** Number of states seen. */
  get size(): number {
    return this.#states.length - 1;
  }

  /** True if a location has several messages, or one that not everybody has seen. */
  has(id: number, address: number): boolean {
    return this.#state(id).histories.has(address);
  }

  /**
   * The values that a location has held and that somebody may still read, oldest first; empty if that is its word
   * alone.
   */
  valuesOf(id: number, address: number): readonly number[] {
    return (this.#state(id).histories.get(address) ?? []).map(({ value }) => value);
  }

  /** True while no processor misses anything and none has views: the memory is as one of words. */
  isPlain(id: number): boolean {
    const { before, histories, carried, plain } = this.#state(id);
    return before.length === 0 && histories.size === 0 && carried.size === 0 && plain.size === 0;
  }

  /**
   * All ways in which a request may go.
   * @param word what the word of the accessed location holds: its newest value
   */
  steps(id: number, processor: number, request: Request, word: number): readonly WeakStep[] {
    const needsWord = 'address' in request && !this.has(id, request.address);
    const key = (this.#numberOf(request, needsWord ? word : null) * this.#processors + processor) | 0;
    const memo = (this.#memo[id] ??= new Map());
    let steps = memo.get(key);
    if (!steps) memo.set(key, (steps = this.#compute(this.#state(id), processor, request, word)));
    return steps;
  }

  /**
   * The state that stands for this one, and for all others that cannot be told apart in what is left of the run: it
   * depends on what each processor may still do.
   */
  projected(id: number, prospects: readonly Prospect[]): number {
    // Who has retired makes no difference to a memory of words, and will be seen again from what is left of the run.
    if (this.isPlain(id)) return FIRST;
    const state = copyState(this.#state(id));
    const projected = this.#intern(state, prospects);
    return this.isPlain(projected) ? FIRST : projected;
  }

  /** A state as text, for tests. */
  describe(id: number): string {
    const { before, histories, invalidations, processors, carried, plain } = this.#state(id);
    const content = {
      plain: [...plain].map(([key, { reads, ...rest }]) => ({ key, ...rest, reads: [...reads] })),
      before,
      histories: [...histories],
      invalidations,
      processors: processors.map((p) => ({
        ...p,
        coherence: [...p.coherence],
        forwarded: [...p.forwarded],
        values: [...p.values],
        pointers: [...p.pointers],
        walked: [...p.walked],
      })),
      carried: [...carried],
    };
    return JSON.stringify(content, (_key, value: unknown) => (typeof value === 'bigint' ? numbersOf(value) : value));
  }

  #state(id: number): MemoryState {
    return this.#states[id] as MemoryState;
  }

  /** Requests are known by their content, and by the word they find where that is not part of the state. */
  #numberOf(request: Request, word: number | null): number {
    if (word === null) {
      const known = this.#numbers.get(request);
      if (known !== undefined) return known;
    }
    const key = `${contentOf(request)}${word === null ? '' : `@${word}`}`;
    let number = this.#requests.get(key);
    if (number === undefined) this.#requests.set(key, (number = this.#requests.size));
    if (word === null) this.#numbers.set(request, number);
    return number;
  }

  #compute(state: MemoryState, processor: number, request: Request, word: number): readonly WeakStep[] {
    const model = this.#model;
    model.wordOf = () => word;
    const before = copyState(state);
    if ('dependencies' in request && request.dependencies) {
      const me = model.processor(before, processor);
      const control = model.pickedThrough(me, request.dependencies.control, 0);
      me.views[View.control] |= control;
    }
    const nobodys = 'nobodys' in request && request.nobodys === true;
    if (nobodys) before.processors[processor] = newProcessor();
    const ways = this.#waysOf(before, processor, request);
    if (nobodys)
      for (const way of ways)
        way.state.processors[processor] = copyState(state).processors[processor] as ProcessorState;
    if (ways.length === 0) return NO_STEPS;
    const seen = new Set<string>();
    const steps: WeakStep[] = [];
    for (const way of ways) {
      const changed = this.#changedBy(state, way.state, word);
      const next = this.#intern(way.state);
      const key = `${next},${way.result},${changed.join()}`;
      if (seen.has(key)) continue;
      seen.add(key);
      steps.push({ next, result: way.result, changed });
    }
    return steps;
  }

  #waysOf(state: MemoryState, processor: number, request: Request): { state: MemoryState; result: number }[] {
    const model = this.#model;
    const exact = 'dependencies' in request && request.dependencies !== null;
    switch (request.kind) {
      case 'load':
      case 'store':
      case 'update':
        return access(model, state, processor, request);
      case 'dsb':
        return dsb(model, state, processor, request.type);
      case 'fetch':
        return fetchesOf(model, state, processor, request.address);
      case 'access-flag':
        return accessFlagsSet(model, state).map((after) => ({ state: after, result: 0 }));
      case 'dmb':
        dmb(model, state, processor, request.type);
        break;
      case 'isb':
        isb(model, state, processor, exact);
        break;
      case 'tlbi':
        tlbi(model, state, processor, request);
        break;
      case 'exception':
        synchroniseContext(model, state, processor, false, 'exception-entry');
        break;
      case 'retire':
        model.retire(state, processor);
        break;
      case 'publish':
        publish(model, state, processor, request.key, request.what);
        break;
      case 'receive':
        receive(model, state, processor, request.key, request.as);
        break;
      case 'promise':
        return promise(model, state, processor, request);
      case 'strong-read':
        strongRead(model, state, processor, request.key, request.acquire);
        break;
      case 'strong-write':
        strongWrite(model, state, processor, request.key, request.release);
        break;
      case 'plain-read':
      case 'plain-write': {
        const ordered = plainAccess(model, state, processor, request.key, request.kind === 'plain-write');
        return [{ state, result: ordered ? 0 : 1 }];
      }
      case 'forward': {
        const view = (state.carried.get(request.key) ?? NOTHING) | (state.carried.get(request.to) ?? NOTHING);
        if (view !== NOTHING) state.carried.set(request.to, view);
        break;
      }
      case 'forget':
        state.carried.delete(request.key);
        break;
    }
    return [{ state, result: 0 }];
  }

  /** Words that now end in another message. */
  #changedBy(before: MemoryState, after: MemoryState, word: number): number[] {
    const changed: number[] = [];
    for (const [address, messages] of after.histories) {
      const newest = messages.at(-1)?.value ?? word;
      const old = before.histories.get(address)?.at(-1)?.value ?? word;
      if (newest !== old) changed.push(address, newest);
    }
    return changed;
  }

  #intern(state: MemoryState, prospects: readonly Prospect[] | null = null): number {
    if (this.#canonical) canonicalise(this.#model, state, prospects);
    const key = keyOf(state);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#states.push(state) - 1;
    this.#memo.push(undefined);
    this.hashes.set(id, hashString(key));
    this.#ids.set(key, id);
    return id;
  }
}

function contentOf(request: Request): string {
  if (!isAccess(request)) return JSON.stringify(request);
  const { modify, ...rest } = request;
  return JSON.stringify({ ...rest, modify: modify?.key ?? null });
}

function isAccess(request: Request): request is Access {
  return request.kind === 'load' || request.kind === 'store' || request.kind === 'update';
}
