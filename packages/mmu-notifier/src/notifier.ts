/**
 * The mmu notifiers of one address space: who has subscribed, and the calls by which the primary MMU tells them.
 *
 * Mirrors mm/mmu_notifier.c, v6.18: mmu_notifier_register(), __mmu_notifier_invalidate_range_start() and its relatives.
 * What has been removed since (invalidate_page() in v4.14, change_pte() in v6.10) is here as it was.
 */
import {
  defineOperation,
  operation,
  routine,
  type Address,
  type Message,
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
import {
  CALLBACK_SLEEPS,
  checkContracts,
  CONTRACTS,
  EAGAIN,
  NOTIFIER_CONTRACT,
  type CallbackName,
  type Contracts,
} from './contract.ts';
import { subscriptionMachine } from './subscription.machine.ts';

/**
 * A call of a callback: struct mmu_notifier_range, and what the callee must know of its caller. Ranges are page
 * numbers, half open.
 */
export interface NotifierCall {
  readonly callback: CallbackName;
  readonly start: number;
  readonly end: number;
  /** False: the callee must not sleep, whatever the callback's contract (mmu_notifier_range_blockable()). */
  readonly blockable: boolean;
  readonly subscriptions: MmuNotifierSubscriptions;
}

/** What a subscriber does: struct mmu_notifier_ops. */
export interface MmuNotifierOps {
  /** 0, or {@link EAGAIN} if it would have to sleep and may not. */
  readonly invalidate_range_start?: (call: NotifierCall) => Steps<number>;
  readonly invalidate_range_end?: (call: NotifierCall) => Steps;
  readonly invalidate_page?: (call: NotifierCall) => Steps;
  /** @param pte the new entry, which is not in the table yet, or is since a moment ago */
  readonly change_pte?: (call: NotifierCall, pte: number) => Steps;
  readonly arch_invalidate_secondary_tlbs?: (call: NotifierCall) => Steps;
  /** Young if the result is not 0. */
  readonly clear_flush_young?: (call: NotifierCall) => Steps<number>;
  readonly clear_young?: (call: NotifierCall) => Steps<number>;
  readonly test_young?: (call: NotifierCall) => Steps<number>;
  readonly release?: (call: NotifierCall) => Steps;
}

/** One subscriber: struct mmu_notifier. */
export interface MmuNotifier {
  readonly name: string;
  readonly ops: MmuNotifierOps;
  /** Index of its actor. */
  readonly component: number;
  /** Channel to it: a call of the chain is taken within the caller's step. */
  readonly port: number;
}

/** Rules and surroundings of the notifiers of one address space. */
export interface MmuNotifierOptions {
  /** Words of the spinlocks that a caller may hold: 1 + the processor that holds it, 0 if nobody does. */
  readonly spinlocks?: readonly Address[];
  /** Default {@link CONTRACTS}. */
  readonly contracts?: Contracts;
  /** change_pte() must come within a bracket. Default true (v3.7 to v6.9). */
  readonly changePteNeedsBracket?: boolean;
}

const MMU_NOTIFIER_VALUES: OptionValues<MmuNotifierOptions> = {
  spinlocks: is.listOf(is.anything),
  contracts: checkContracts,
  changePteNeedsBracket: is.flag,
};

/** How a subscriber begins. */
export interface RegisterOptions {
  /**
   * False: it subscribes with {@link MmuNotifierSubscriptions.mmu_notifier_register} while the machine runs. Default
   * true.
   */
  readonly registered?: boolean;
}

const REGISTER_VALUES: OptionValues<RegisterOptions> = { registered: is.flag };

/** struct mmu_notifier_subscriptions. */
export class MmuNotifierSubscriptions {
  static {
    noteMethods(this);
  }

  readonly contracts: Contracts;
  readonly #builder: SystemBuilder;
  readonly #name: string;
  readonly #options: MmuNotifierOptions;
  /** The newest first, as hlist_add_head_rcu() leaves them. */
  readonly #list: MmuNotifier[] = [];

  /** @param name prefix of the actors' names: the address space */
  constructor(builder: SystemBuilder, name: string, options: MmuNotifierOptions = {}) {
    checkValues(`mmu-notifier: ${name}: new`, options, MMU_NOTIFIER_VALUES);
    this.contracts = options.contracts ?? CONTRACTS;
    this.#builder = builder;
    this.#name = name;
    this.#options = options;
  }

  /** Adds a subscriber to the machine. */
  add(name: string, ops: MmuNotifierOps, options: RegisterOptions = {}): MmuNotifier {
    checkValues(`mmu-notifier: ${this.#name}: add ${name}`, options, REGISTER_VALUES);
    const { registered = true } = options;
    const actor = `${this.#name}.${name}.subscription`;
    const component = this.#builder.component({
      name: actor,
      machine: subscriptionMachine,
      input: { registered, changePteNeedsBracket: this.#options.changePteNeedsBracket ?? true },
      effects: {
        called: (cx, event) => cx.count(`${name}: ${String(event['callback'])}`),
        breach: (cx, event) => cx.fail(NOTIFIER_CONTRACT, () => `${String(event['rule'])} (${name})`),
      },
    });
    const notifier: MmuNotifier = { name, ops, component, port: this.#builder.port(actor) };
    this.#list.unshift(notifier);
    return notifier;
  }

  /** mm_has_notifiers(). */
  get any(): boolean {
    return this.#list.length > 0;
  }

  /**
   * True if somebody who may subscribe has no change_pte(): as mm_has_notifiers() in this model, it does not look at
   * who has by now.
   */
  get someLackChangePte(): boolean {
    return this.#list.some(({ ops }) => !ops.change_pte);
  }

  /**
   * mmu_notifier_register(). The caller holds mm_take_all_locks(), so that nobody is between invalidate_range_start()
   * and invalidate_range_end().
   */
  *mmu_notifier_register(notifier: MmuNotifier): Steps {
    yield operation(TELL, notifier.port, 0, 0, REGISTER, { label: `mmu_notifier_register(${notifier.name})` });
  }

  /** mmu_notifier_unregister(), without the release() that goes before it if the address space still lives. */
  *mmu_notifier_unregister(notifier: MmuNotifier): Steps {
    yield operation(TELL, notifier.port, 0, 0, UNREGISTER, { label: `mmu_notifier_unregister(${notifier.name})` });
  }

  /**
   * mmu_notifier_invalidate_range_start(): from its return to the end, no subscriber establishes a mapping of the
   * range.
   */
  readonly mmu_notifier_invalidate_range_start = routine(
    'mmu_notifier_invalidate_range_start',
    (start: number, end: number) => this.#start(start, end, true),
  );

  /**
   * mmu_notifier_invalidate_range_start_nonblock(): 0, or {@link EAGAIN} if somebody would have to sleep; then all are
   * told that it is over, so who may refuse must have no invalidate_range_end().
   */
  readonly mmu_notifier_invalidate_range_start_nonblock = routine(
    'mmu_notifier_invalidate_range_start_nonblock',
    (start: number, end: number) => this.#start(start, end, false),
  );

  /** mmu_notifier_invalidate_range_end(). */
  readonly mmu_notifier_invalidate_range_end = routine(
    'mmu_notifier_invalidate_range_end',
    (start: number, end: number) => this.#end(start, end, true),
  );

  /** mmu_notifier_invalidate_page(), until v4.13. */
  readonly mmu_notifier_invalidate_page = routine('mmu_notifier_invalidate_page', (vpn: number) =>
    this.#each('invalidate_page', vpn, vpn + 1, (ops, call) => ops.invalidate_page?.(call)),
  );

  /**
   * invalidate_page() for those who have no change_pte(): the fallback before v3.7, and the second half of the proposal
   * of 2014.
   */
  readonly mmu_notifier_invalidate_page_if_missing_change_pte = routine(
    'mmu_notifier_invalidate_page_if_missing_change_pte',
    (vpn: number) =>
      this.#each('invalidate_page', vpn, vpn + 1, (ops, call) =>
        ops.change_pte ? undefined : ops.invalidate_page?.(call),
      ),
  );

  /**
   * mmu_notifier_change_pte(), until v6.9. `fallback`: who has no change_pte() gets invalidate_page() instead (before
   * v3.7).
   */
  readonly mmu_notifier_change_pte = routine('mmu_notifier_change_pte', (vpn: number, pte: number, fallback: boolean) =>
    this.#changePte(vpn, pte, fallback),
  );

  /**
   * mmu_notifier_arch_invalidate_secondary_tlbs(), until v6.5 mmu_notifier_invalidate_range(): for hardware that walks
   * the primary table.
   */
  readonly mmu_notifier_arch_invalidate_secondary_tlbs = routine(
    'mmu_notifier_arch_invalidate_secondary_tlbs',
    (start: number, end: number) =>
      this.#each('arch_invalidate_secondary_tlbs', start, end, (ops, call) =>
        ops.arch_invalidate_secondary_tlbs?.(call),
      ),
  );

  /**
   * mmu_notifier_clear_flush_young(): whether any secondary MMU has used the range; what it remembers of that is gone,
   * everywhere.
   */
  readonly mmu_notifier_clear_flush_young = routine('mmu_notifier_clear_flush_young', (start: number, end: number) =>
    this.#anyYoung('clear_flush_young', start, end),
  );

  /** mmu_notifier_clear_young(): the same without flushing, so a translation that is cached may hide a later use. */
  readonly mmu_notifier_clear_young = routine('mmu_notifier_clear_young', (start: number, end: number) =>
    this.#anyYoung('clear_young', start, end),
  );

  /** mmu_notifier_test_young(): only looks; ends with the first that says yes. */
  readonly mmu_notifier_test_young = routine('mmu_notifier_test_young', (vpn: number) =>
    this.#anyYoung('test_young', vpn, vpn + 1),
  );

  /** __mmu_notifier_release(): the address space goes; nobody is told anything afterwards. */
  readonly mmu_notifier_release = routine('mmu_notifier_release', () => this.#release());

  *#start(start: number, end: number, blockable: boolean): Steps<number> {
    let failed = false;
    for (const notifier of this.#list) {
      const begin = notifier.ops.invalidate_range_start;
      const call = this.#call('invalidate_range_start', start, end, blockable);
      if (!begin || !(yield* this.#tell(notifier, call)) || (yield* begin(call)) === 0) continue;
      failed = true;
      if (blockable)
        yield operation(
          REFUSED,
          0,
          0,
          0,
          `invalidate_range_start() that may block must not be refused (${notifier.name})`,
        );
      // Nobody can tell it apart from the others when they are told that it is over.
      if (notifier.ops.invalidate_range_end)
        yield operation(
          REFUSED,
          0,
          0,
          0,
          `who has invalidate_range_end() must not refuse invalidate_range_start() (${notifier.name})`,
        );
    }
    if (failed) yield* this.#end(start, end, blockable);
    return failed ? EAGAIN : 0;
  }

  *#end(start: number, end: number, blockable: boolean): Steps {
    yield* this.#each('invalidate_range_end', start, end, (ops, call) => ops.invalidate_range_end?.(call), blockable);
  }

  /** All are told before the first is taken off the list: a callback may come as long as release() has not returned. */
  *#release(): Steps {
    yield* this.#each('release', 0, Number.MAX_SAFE_INTEGER, (ops, call) => ops.release?.(call));
    for (const { port, name } of this.#list)
      yield operation(TELL, port, 0, 0, UNHASH, { label: `hlist_del_init_rcu(${name})` });
  }

  *#changePte(vpn: number, pte: number, fallback: boolean): Steps {
    for (const notifier of this.#list) {
      const { change_pte, invalidate_page } = notifier.ops;
      const call = this.#call(change_pte ? 'change_pte' : 'invalidate_page', vpn, vpn + 1, false);
      const body = change_pte ? change_pte(call, pte) : fallback ? invalidate_page?.(call) : undefined;
      if (body && (yield* this.#tell(notifier, call))) yield* body;
    }
  }

  *#each(
    callback: CallbackName,
    start: number,
    end: number,
    body: (ops: MmuNotifierOps, call: NotifierCall) => Steps | undefined,
    blockable = true,
  ): Steps {
    const call = this.#call(callback, start, end, blockable);
    for (const notifier of this.#list) {
      const steps = body(notifier.ops, call);
      if (steps && (yield* this.#tell(notifier, call))) yield* steps;
    }
  }

  *#anyYoung(callback: 'clear_flush_young' | 'clear_young' | 'test_young', start: number, end: number): Steps<number> {
    const call = this.#call(callback, start, end, true);
    let young = 0;
    for (const notifier of this.#list) {
      const steps = notifier.ops[callback]?.(call);
      if (steps && (yield* this.#tell(notifier, call))) young |= yield* steps;
      if (young !== 0 && callback === 'test_young') break;
    }
    return young;
  }

  #call(callback: CallbackName, start: number, end: number, blockable: boolean): NotifierCall {
    return { callback, start, end, blockable, subscriptions: this };
  }

  /**
   * One element of the list is visited: false if it has not subscribed. Calling what may sleep under a spinlock is a
   * breach.
   */
  *#tell(notifier: MmuNotifier, call: NotifierCall): Steps<boolean> {
    const { maySleep, rule } = this.contracts[call.callback];
    const data: Visit = {
      message: MESSAGES[call.callback],
      notifier,
      call,
      ...(maySleep && call.blockable && { rule }),
    };
    return (
      (yield operation(VISIT, notifier.port, 0, 0, data, {
        label: `${notifier.name}->${call.callback}()`,
        fact: onList,
      })) === 1
    );
  }

  /** The spinlock that a processor holds: its index, or -1. */
  heldBy(cx: OperationContext): number {
    return (this.#options.spinlocks ?? []).findIndex((word) => cx.load(word) === 1 + cx.processor);
  }
}

/**
 * might_sleep() in a callback, before it takes a lock that sleeps: violates {@link CALLBACK_SLEEPS} under a spinlock,
 * and where the caller has said that nobody may block.
 */
export const might_sleep = noted(function* might_sleep(call: NotifierCall, what: string): Steps {
  yield operation(MIGHT_SLEEP, 0, 0, 0, { call, what } satisfies Sleep, { label: `might_sleep() in ${what}` });
});

interface Visit {
  readonly message: Message;
  readonly notifier: MmuNotifier;
  readonly call: NotifierCall;
  /** The rule that a caller under a spinlock breaks. */
  readonly rule?: string;
}

interface Sleep {
  readonly call: NotifierCall;
  readonly what: string;
}

const REGISTER: Message = { type: 'mmu_notifier_register' };
const UNREGISTER: Message = { type: 'mmu_notifier_unregister' };
const UNHASH: Message = { type: 'hlist_del_init_rcu' };

/** What a visit that finds nobody says in traces. */
const onList = (result: number): string | undefined => (result === 1 ? undefined : 'not on the list');

/** One object per message: executors recognise messages by identity before they compare content. */
const MESSAGES = Object.fromEntries(
  Object.keys(CONTRACTS).map((callback) => [callback, { type: callback }]),
) as Readonly<Record<CallbackName, Message>>;

const TELL = defineOperation({
  name: 'subscription',
  cost: 'xchg',
  perform: (cx, op) => (cx.send(op.a, op.data as Message) ? 1 : 0),
});

const REFUSED = defineOperation({
  name: 'mmu_notifier_refused',
  cost: 'choose',
  perform(cx, op) {
    cx.fail(NOTIFIER_CONTRACT, () => String(op.data));
    return 0;
  },
});

const VISIT = defineOperation({
  name: 'mmu_notifier_call',
  cost: 'load',
  perform(cx, op: Operation) {
    const { message, notifier, call, rule } = op.data as Visit;
    if (!cx.send(op.a, message)) return 0;
    if (rule !== undefined && call.subscriptions.heldBy(cx) >= 0)
      cx.fail(CALLBACK_SLEEPS, () => `${rule} (${notifier.name})`);
    return 1;
  },
});

const MIGHT_SLEEP = defineOperation({
  name: 'might_sleep',
  cost: 'choose',
  perform(cx, op: Operation) {
    const { call, what } = op.data as Sleep;
    if (call.subscriptions.heldBy(cx) >= 0)
      cx.fail(CALLBACK_SLEEPS, () => `${call.subscriptions.contracts[call.callback].rule}, and ${what} does`);
    else if (!call.blockable)
      cx.fail(CALLBACK_SLEEPS, () => `${call.callback}() was told not to block, and ${what} sleeps`);
    return 0;
  },
});
