/**
 * What a step means.
 *
 * An executor owns one state of a system. {@link Executor.step} makes one choice happen, or says that it is not
 * enabled. How routines and components keep their local state is up to the two keepers it is composed of.
 */
import { inOtherWords, ModelError, printable, thrown, ThrownError } from '../state/errors.ts';
import { BLOCKED, type Operation, type OperationDefinition } from '../routine/operation.ts';
import type { Message, Replacements } from '../routine/operation.ts';
import { synchronousChannel } from '../system/system.ts';
import type { Channel, Choice, Component, Processor, System } from '../system/specs.ts';
import { watchedWords, weakOptions } from '../system/system-words.ts';
import { isWord } from '../state/words.ts';
import type { ComponentKeeper, Kept, RoutineKeeper } from './keepers.ts';
import type { Request } from '../memory/requests.ts';
import { WeakMemory } from '../memory/weak-memory.ts';
import { WeakPort } from './weak-port.ts';
import { Wire } from './wire.ts';

/** The message a CPU component gets when its interrupt handler has returned. */
export const IRET: Message = { type: 'iret' };

/** One running system. */
export abstract class Executor<
  R extends RoutineKeeper = RoutineKeeper,
  C extends ComponentKeeper = ComponentKeeper,
> extends Wire<R, C> {
  /** Result of the operation performed last. */
  lastResult = 0;
  /**
   * The operation that the last step has performed, or tried to; null: it was none. Of executors that go on and never
   * back ({@link Wire.commitsEachStep}): the inner loop of a search keeps no such thing.
   */
  attempted: Operation | null = null;
  /** 1 + index of the watch of each word, or null when nothing is watched. */
  protected readonly watched: Int32Array | null;
  override readonly weak: WeakPort | null;
  #begun = false;
  /** Routines are being started, and there is no step yet. */
  #starting = false;
  /** The step is a processor's own: what components do by themselves goes through nobody's store buffer. */
  #isOperation = true;

  /** @param keepers makes the two that this kind of executor is composed of */
  constructor(system: System, keepers: (kept: Kept) => { readonly routines: R; readonly components: C }) {
    super(system, keepers);
    this.watched = watchedWords(system);
    this.weak = system.weak && new WeakPort(this, new WeakMemory(system.processors.length, weakOptions(system)));
    this.reset();
  }

  /** 64 bits of the whole state, as 16 hex digits: equal for equal states, in any process, with either executor. */
  get fingerprint(): string {
    this.routines.settle();
    return this.store.fingerprint();
  }

  /** The operation a processor would perform next, or null (done, or not executing). */
  pendingOperation(processor: number): Operation | null {
    const p = this.system.processors[processor] as Processor;
    return this.executes(p) ? this.routines.operationAt(this.topAddress(p)) : null;
  }

  /** Names of the routines on the processor's stack, outermost first. */
  stackOf(processor: number): readonly string[] {
    return this.stackAt(this.topAddress(this.system.processors[processor] as Processor));
  }

  /** Names of the routines on the stack that the word of a routine stands for, outermost first. */
  stackAt(address: number): readonly string[] {
    return this.routines.stackAt(address);
  }

  /** The same, and above what it interrupts those of an interrupt handler. */
  wholeStackOf(processor: number): readonly string[] {
    const p = this.system.processors[processor] as Processor;
    const top = this.topAddress(p);
    return top === p.interruptAddress
      ? [...this.routines.stackAt(this.#taskAddress(p)), ...this.routines.stackAt(top)]
      : this.routines.stackAt(top);
  }

  /** The tag test on a component's present state. */
  hasTag(component: number, tag: string): boolean {
    return this.components.hasTag(component, tag);
  }

  /** A component's present state, as `{value, context}` JSON. */
  describeComponent(component: number): string {
    return this.components.describe(component);
  }

  /** Makes one choice happen. False: it is not enabled in this state (nothing changed). */
  step(choiceIndex: number, branch = 0): boolean {
    const choice = this.system.choices[choiceIndex];
    if (!choice)
      throw new ModelError(`schedule: step: no choice ${choiceIndex} (this system has ${this.system.choices.length})`);
    this.failed = false;
    this.branchCount = 1;
    this.#isOperation = choice.kind === 'advance';
    this.attempted = null;
    if (choice.kind === 'advance') return this.advance(choice.processor, branch);
    try {
      return this.#happen(choice, branch);
    } catch (error) {
      // Nobody's operation: what an effect or a watcher throws is named by what has set it off.
      if (error instanceof ModelError) throw error;
      throw new ThrownError(`${choice.name}: threw ${thrown(error)}`, { cause: error });
    }
  }

  /** What happens without an operation of a processor. */
  #happen(choice: Exclude<Choice, { readonly kind: 'advance' }>, branch: number): boolean {
    switch (choice.kind) {
      case 'deliver':
        return this.deliver(this.system.channels[choice.channel] as Channel, branch);
      case 'drain':
        return this.#drain(choice.processor);
      case 'spontaneous': {
        const spontaneous = this.system.spontaneous[choice.spontaneous];
        if (!spontaneous) return false;
        const component = this.system.components[spontaneous.toComponent] as Component;
        this.beginStepOf(component);
        if (this.mustDrain(spontaneous)) return false;
        return this.stepAndReport(component, this.messages.intern(spontaneous.message), spontaneous.kind);
      }
    }
  }

  /** Outcomes a choice has in this state (1 for a deterministic one): some of them may be refused. Changes nothing. */
  branchesOf(choiceIndex: number): number {
    const choice = this.system.choices[choiceIndex];
    if (choice?.kind === 'deliver') {
      const channel = this.system.channels[choice.channel] as Channel;
      return channel.policy === 'unordered' ? Math.max(1, this.channels.count(channel)) : 1;
    }
    if (choice?.kind !== 'advance') return 1;
    const op = this.pendingOperation(choice.processor);
    if (!op) return 1;
    this.processor = choice.processor;
    this.#isOperation = true;
    const own = this.#ownOutcomes(choice.processor, op);
    if (this.weak === null) return own;
    try {
      return this.weak.outcomesOf(op, own);
    } catch (error) {
      throw this.#blamed(error, this.topAddress(this.system.processors[choice.processor] as Processor), op);
    }
  }

  /** Outcomes of an operation, without those that a weak memory may choose. */
  #ownOutcomes(index: number, op: Operation): number {
    const { branches } = op.definition;
    if (!branches) return 1;
    try {
      return this.#asked(branches, op);
    } catch (error) {
      throw this.#blamed(error, this.topAddress(this.system.processors[index] as Processor), op);
    }
  }

  #asked(branches: NonNullable<OperationDefinition['branches']>, op: Operation): number {
    if (this.weak === null) return outcomesOf(branches(this, op));
    return this.weak.asked(() => outcomesOf(branches(this, op)));
  }

  /** Back to the initial state. */
  reset(): void {
    const { store, system } = this;
    this.failed = false;
    this.routines.begin();
    // The words of a new executor are the initial ones.
    if (this.#begun) store.restart(() => system.layout.initial());
    this.#begun = true;
    this.weak?.begin();
    this.#starting = true;
    for (const p of system.processors) {
      p.tasks.forEach((program, slot) => {
        this.processor = p.index;
        this.startRoutine(p.taskBase + slot, program);
      });
    }
    this.#starting = false;
    this.components.begin();
    store.commit();
  }

  /** Starts a program, for the word at `address`. */
  protected startRoutine(address: number, program: number): void {
    this.routines.start(address, program);
    this.#hear();
  }

  /** The word of the routine on top of the processor's stack. */
  topAddress(processor: Processor): number {
    const { interruptAddress } = processor;
    const handles = interruptAddress >= 0 && this.store.words[interruptAddress] !== 0;
    return handles ? interruptAddress : this.#taskAddress(processor);
  }

  #taskAddress({ currentAddress, taskBase }: Processor): number {
    return currentAddress < 0 ? taskBase : taskBase + (this.store.words[currentAddress] as number);
  }

  operationOf(index: number): Operation | null {
    return this.routines.operationAt(this.topAddress(this.system.processors[index] as Processor));
  }

  /** True when every task of the processor has returned. */
  isDone(index: number): boolean {
    return this.tasks.areDone(this.system.processors[index] as Processor);
  }

  /** True when every task of every processor has returned or rests where resting is meant. */
  atRest(): boolean {
    return this.system.processors.every((processor) => this.rests(processor.index));
  }

  /** The same of one processor: its tasks have returned or reached `rest`, and it is in no interrupt handler. */
  rests(index: number): boolean {
    return this.tasks.rest(this.system.processors[index] as Processor);
  }

  /** Performs the pending operation of a processor. */
  protected advance(index: number, branch: number): boolean {
    const processor = this.system.processors[index] as Processor;
    if (!this.executes(processor)) return false;
    const address = this.topAddress(processor);
    const op = this.routines.operationAt(address);
    return op !== null && this.perform(processor, address, op, branch);
  }

  /** Performs the operation of the routine at `address`, the top of the processor's stack. */
  protected perform(processor: Processor, address: number, op: Operation, branch: number): boolean {
    this.processor = processor.index;
    this.attempted = op;
    const { mark } = this.store;
    let result: number;
    try {
      const { branches } = op.definition;
      if (branches) this.branchCount = this.#asked(branches, op);
      if (this.weak !== null) {
        const way = this.weak.perform(op, this.branchCount, branch);
        this.branchCount = way.outcomes;
        result = way.result;
      } else {
        if (branch >= this.branchCount) return false;
        result = op.definition.perform(this, op, branch);
      }
      if (result === BLOCKED) {
        if (this.store.mark !== mark) throw new ModelError(`is BLOCKED, but has changed ${this.#lastChanged}`);
        return false;
      }
      if ((result | 0) !== result) result = wholeNumber(result, 'result');
    } catch (error) {
      throw this.#blamed(error, address, op);
    }
    this.finishAdvance(processor, address, result);
    if (this.weak !== null && processor.component < 0 && this.isDone(processor.index)) {
      this.processor = processor.index;
      this.weak.retire();
    }
    return true;
  }

  /** Name of the word that was written last. */
  get #lastChanged(): string {
    return this.system.layout.nameOf(this.store.journalAddress(this.store.mark - 1));
  }

  /** What went wrong in an operation, with the routine and step that performed it. */
  #blamed(error: unknown, address: number, op: Operation): ModelError {
    const said = error instanceof ModelError ? error.message : `threw ${thrown(error)}`;
    if (said.startsWith('routine: ')) return inOtherWords(said, error);
    const routine = this.stackOf(this.processor).at(-1) ?? '?';
    const step = this.routines.stepsAt(address);
    return inOtherWords(
      `routine: ${routine}: ${step === null ? '' : `step ${step}: `}${op.label ?? op.definition.name}: ${said}`,
      error,
    );
  }

  protected finishAdvance(processor: Processor, address: number, result: number): void {
    this.lastResult = result;
    const { routines } = this;
    const returned = routines.advance(address, result);
    if (routines.said.length > 0) this.#hear();
    if (returned && address === processor.interruptAddress) this.#returnFromInterrupt(processor);
  }

  #returnFromInterrupt(processor: Processor): void {
    this.weak?.exception();
    this.routines.clear(processor.interruptAddress);
    if (processor.component >= 0) this.tell(processor.component, IRET);
  }

  get replacements(): Replacements | undefined {
    return this.system.replacements;
  }

  load(address: number): number {
    if (this.weak !== null) {
      if (this.weak.isWeak(address)) return this.weak.load(address);
      this.weak.notePlain(address, false);
      return this.weak.look(address);
    }
    return this.#isOperation ? this.buffers.load(this.processor, address) : this.read(address);
  }

  storeBuffered(address: number, value: number): boolean {
    if (this.weak !== null) {
      if (this.weak.isWeak(address)) this.weak.store(address, value);
      else {
        this.weak.notePlain(address, true);
        this.write(address, value);
      }
      return true;
    }
    if (this.#isOperation && this.buffers.has(this.processor)) return this.buffers.put(this.processor, address, value);
    this.write(address, value);
    return true;
  }

  read(address: number): number {
    return this.weak === null ? this.store.read(address) : this.weak.read(address);
  }

  write(address: number, value: number): void {
    if (this.weak !== null) {
      this.weak.write(address, value);
      return;
    }
    const old = this.store.words[address] as number;
    this.store.write(address, value);
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address, old);
  }

  /** Is told of accesses, by operations on a weak memory, to words that have no history there. */
  noteStrong(_address: number, _writes: boolean): void {}

  /** Is told that an operation is tried on the weak memory, in one of the ways it may go. */
  beginAttempt(): void {}

  /** And that it may go that way. */
  endAttempt(): void {}

  /** Is told of every request to the weak memory. */
  noteRequest(_request: Request): void {}

  /** Writes a word of memory and tells its watcher. */
  writeWord(address: number, value: number): void {
    const old = this.store.words[address] as number;
    this.store.write(address, value);
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address, old);
  }

  /** Tells the watcher of a word that memory has changed. */
  protected reportWrite(address: number, old: number): void {
    const index = (this.watched as Int32Array)[address] as number;
    this.weak?.beginEffect();
    try {
      this.system.watches[index - 1]?.watcher(this, address, old);
    } finally {
      this.weak?.endEffect();
    }
  }

  drained(): boolean {
    this.weak?.drained();
    return this.buffered() === 0;
  }

  buffered(): number {
    return this.buffers.count(this.processor);
  }

  /** Applies what routines said between two operations. */
  #hear(): void {
    for (const mark of this.routines.said) {
      if (mark.mark === 'fail') this.fail(mark.property, () => mark.detail);
      else if (mark.mark === 'count') this.count(mark.counter, mark.amount);
      else if (mark.mark === 'tell') this.#hearTold(mark.port, mark.message);
    }
  }

  /** A routine says how far it has come: that is nothing which memory orders. */
  #hearTold(port: number, message: Message): void {
    const channel = synchronousChannel(this.system, port);
    if (!channel) throw new ModelError(`wire: tell: no synchronous channel ${port} (message ${message.type})`);
    if (this.#starting)
      throw new ModelError(
        `wire: tell: ${channel.name}: ${message.type} before the first operation: there is no step to take it in`,
      );
    const component = this.system.components[channel.toComponent] as Component;
    const from = this.onMessage === null ? null : this.nameOf(channel.fromComponent);
    this.stepAndReport(component, this.messages.intern(message), from, channel.name);
  }

  protected override beginHandler(processor: Processor, program: number): void {
    this.startRoutine(processor.interruptAddress, program);
    // A handler without operations (one that only counts) has returned already.
    if (this.routines.operationAt(processor.interruptAddress) === null) this.#returnFromInterrupt(processor);
  }

  #drain(processor: number): boolean {
    const address = this.buffers.drain(processor);
    if (address < 0) return false;
    this.processor = processor;
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address, this.buffers.replaced);
    for (const watcher of this.system.drainWatchers) watcher(this, address, this.buffers.replaced);
    return true;
  }
}

/** A number of outcomes. Throws ModelError on what is none: an operation that cannot happen now is BLOCKED. */
function outcomesOf(value: unknown): number {
  const outcomes = wholeNumber(value, 'outcomes');
  if (outcomes < 1) throw new ModelError(`outcomes: there must be at least 1 (${outcomes})`);
  return outcomes;
}

/** A result as a 32-bit integer. Throws ModelError on what is none. */
function wholeNumber(value: unknown, what: string): number {
  if (!isWord(value)) throw new ModelError(`${what}: ${printable(value)} is no 32-bit integer`);
  return value | 0;
}
