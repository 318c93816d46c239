/**
 * What a step means.
 *
 * An executor owns one state of a system. {@link Executor.step} makes one choice happen, or says that it is not
 * enabled. How routines and components keep their local state is up to the two keepers it is composed of.
 */
import { inOtherWords, LimitError, ModelError, printable, thrown, ThrownError } from '../state/errors.ts';
import {
  BLOCKED,
  type Message,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type Replacements,
} from '../routine/operation.ts';
import { synchronousChannel } from '../system/system.ts';
import type {
  Channel,
  Choice,
  Component,
  Effect,
  Processor,
  Spontaneous,
  SynchronousChannel,
  System,
} from '../system/specs.ts';
import { symmetricSeeds, watchedWords, weakOptions } from '../system/system-words.ts';
import { isWord, WordStore } from '../state/words.ts';
import { ChannelWords } from './channel-words.ts';
import { EMITTED_TYPES, type ComponentKeeper, type Kept, type Output, type RoutineKeeper } from './keepers.ts';
import { MessageTable, NO_MESSAGE } from './message-table.ts';
import { Reports } from './reports.ts';
import { StoreBuffers } from './store-buffers.ts';
import { Tasks } from './tasks.ts';
import type { Request } from '../memory/requests.ts';
import { WeakMemory } from '../memory/weak-memory.ts';
import { WeakPort } from './weak-port.ts';

/** An emitted event that the executor itself understands; any other type must be one of the component's effects. */
export type Emitted =
  | { readonly type: 'send'; readonly channel: number; readonly message: Message }
  | { readonly type: 'interrupt'; readonly vector: string }
  /** The processor goes on with the task of that slot. Left out: with the next in turn that has not returned. */
  | { readonly type: 'switch'; readonly slot?: number }
  /** The task of the processor goes on on another one, by name, where a task has returned. */
  | { readonly type: 'migrate'; readonly to: string }
  /**
   * The task of a slot that waits for the processor goes on in a slot of another one, by name, whose task has returned.
   */
  | { readonly type: 'give'; readonly to: string; readonly slot: number; readonly into: number };

/** The message a CPU component gets when its interrupt handler has returned. */
export const IRET: Message = { type: 'iret' };

/** {@link Executor} sender: the processor whose operation is performed. */
const PROCESSOR = -1;

/** One running system. */
export abstract class Executor<R extends RoutineKeeper = RoutineKeeper, C extends ComponentKeeper = ComponentKeeper>
  extends Reports
  implements OperationContext
{
  readonly store: WordStore;
  /** Result of the operation performed last. */
  lastResult = 0;
  /** Outcomes the choice tried last can have (1 unless an operation or channel offers more). */
  branchCount = 1;
  /** True if the journal of the store begins anew with every step. */
  get commitsEachStep(): boolean {
    return false;
  }
  /** The component whose output is being applied; -1: a processor's operation. */
  #sender = PROCESSOR;
  protected readonly routines: R;
  protected readonly components: C;
  protected readonly messages = new MessageTable();
  readonly #channels: ChannelWords;
  readonly #buffers: StoreBuffers;
  readonly #tasks: Tasks;
  /** 1 + index of the watch of each word, or null when nothing is watched. */
  protected readonly watched: Int32Array | null;
  /** The way to the weak memory (`arm`), or null. */
  readonly weak: WeakPort | null;
  #begun = false;
  /** Routines are being started, and there is no step yet. */
  #starting = false;
  /** The step is a processor's own: what components do by themselves goes through nobody's store buffer. */
  #isOperation = true;

  /** @param keepers makes the two that this kind of executor is composed of */
  constructor(system: System, keepers: (kept: Kept) => { readonly routines: R; readonly components: C }) {
    super(system);
    this.store = new WordStore(system.layout.initial(), symmetricSeeds(system));
    this.watched = watchedWords(system);
    this.weak = system.weak && new WeakPort(this, new WeakMemory(system.processors.length, weakOptions(system)));
    this.#channels = new ChannelWords(this.store, this.messages);
    this.#buffers = new StoreBuffers(system, this.store);
    const { routines, components } = keepers({ system, store: this.store, messages: this.messages });
    this.routines = routines;
    this.components = components;
    this.#tasks = new Tasks(system, this.store, routines);
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
    return this.routines.stackAt(this.topAddress(this.system.processors[processor] as Processor));
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
        return this.#deliver(this.system.channels[choice.channel] as Channel, branch);
      case 'drain':
        return this.#drain(choice.processor);
      case 'spontaneous': {
        const spontaneous = this.system.spontaneous[choice.spontaneous];
        if (!spontaneous) return false;
        const component = this.system.components[spontaneous.toComponent] as Component;
        this.#beginStepOf(component);
        if (this.mustDrain(spontaneous)) return false;
        return this.#stepAndReport(component, this.messages.intern(spontaneous.message), spontaneous.kind);
      }
    }
  }

  /** Outcomes a choice has in this state (1 for a deterministic one): some of them may be refused. Changes nothing. */
  branchesOf(choiceIndex: number): number {
    const choice = this.system.choices[choiceIndex];
    if (choice?.kind === 'deliver') {
      const channel = this.system.channels[choice.channel] as Channel;
      return channel.policy === 'unordered' ? Math.max(1, this.#channels.count(channel)) : 1;
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

  /** True when the processor may execute now. */
  executes(processor: Processor): boolean {
    return this.gateOpen(processor) && (processor.component < 0 || this.components.executes(processor.component));
  }

  /** True unless the processor has a gate and that is closed: then nothing happens to it at all. */
  gateOpen(processor: Processor): boolean {
    return processor.gate < 0 || this.components.executes(processor.gate);
  }

  /** True if something has to wait for older stores of the processor that it stops or interrupts. */
  mustDrain({ drained, toComponent }: Pick<Channel | Spontaneous, 'drained' | 'toComponent'>): boolean {
    if (drained !== true) return false;
    const component = this.system.components[toComponent] as Component;
    const processor = this.system.processors[processorOf(component)];
    return processor !== undefined && this.#buffers.count(processor.index) > 0;
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
    return this.#tasks.areDone(this.system.processors[index] as Processor);
  }

  /** True when every task of every processor has returned or rests where resting is meant. */
  atRest(): boolean {
    return this.system.processors.every((processor) => this.rests(processor.index));
  }

  /** The same of one processor: its tasks have returned or reached `rest`, and it is in no interrupt handler. */
  rests(index: number): boolean {
    return this.#tasks.rest(this.system.processors[index] as Processor);
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
    return this.#isOperation ? this.#buffers.load(this.processor, address) : this.read(address);
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
    if (this.#isOperation && this.#buffers.has(this.processor))
      return this.#buffers.put(this.processor, address, value);
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
    return this.#buffers.count(this.processor);
  }

  send(channelIndex: number, message: Message, from = this.#sender): boolean {
    const synchronous = synchronousChannel(this.system, channelIndex);
    if (synchronous) return this.#deliverNow(synchronous.toComponent, message, from, synchronous);
    const channel = this.system.channels[channelIndex];
    if (!channel) throw new ModelError(`wire: send: no channel ${channelIndex} (message ${message.type})`);
    this.weak?.publishMessage(channel.base);
    const put = this.#channels.put(channel, this.messages.intern(message));
    if (put !== 'full') {
      if (put === 'in flight' && !this.silent) this.onSend?.(channel);
      this.#sent(channel, message, from);
      return true;
    }
    throw new LimitError(
      `wire: send: channel ${channel.name} is full (${channel.capacity} messages): ${remedyForFull(channel)}`,
    );
  }

  tell(component: number, message: Message, from = this.#sender): boolean {
    return this.#deliverNow(component, message, from, null);
  }

  #deliverNow(component: number, message: Message, from: number, channel: SynchronousChannel | null): boolean {
    const target = this.system.components[component] as Component;
    const sender =
      this.onMessage === null ? null : this.nameOf(channel?.from === undefined ? from : channel.fromComponent);
    const on = channel?.name ?? null;
    if (this.weak === null) return this.#stepAndReport(target, this.messages.intern(message), sender, on);
    // What a processor tells its own component, it tells nobody.
    const own = target.processor === this.processor;
    if (!own) this.weak.publishMessage(target.address);
    const accepted = this.#stepAndReport(target, this.messages.intern(message), sender, on);
    if (accepted && !own) this.weak.receive(target.address, 'acquire');
    return accepted;
  }

  note(channelIndex: number, type: string, back = false): void {
    if (this.onMessage === null) return;
    const channel = synchronousChannel(this.system, channelIndex);
    if (!channel) throw new ModelError(`wire: note: no synchronous channel ${channelIndex} (message ${type})`);
    const { name, toComponent, fromComponent } = channel;
    if (back) this.report(this.nameOf(toComponent), this.nameOf(fromComponent), type, name, true);
    else
      this.report(
        this.nameOf(fromComponent < 0 ? this.#sender : fromComponent),
        this.nameOf(toComponent),
        type,
        name,
        true,
      );
  }

  #sent(channel: Channel, message: Message, from: number): void {
    if (this.onMessage === null || this.silent) return;
    const sender = this.nameOf(channel.fromComponent < 0 ? from : channel.fromComponent);
    this.report(sender, channel.to, message.type, channel.name, false);
  }

  channelEmpty(channelIndex: number): boolean {
    return (
      synchronousChannel(this.system, channelIndex) !== undefined ||
      this.#channels.isEmpty(this.system.channels[channelIndex] as Channel)
    );
  }

  channelFull(channelIndex: number): boolean {
    return (
      !synchronousChannel(this.system, channelIndex) &&
      this.#channels.isFull(this.system.channels[channelIndex] as Channel)
    );
  }

  /** The message a channel would deliver on this branch, or null. */
  messageOn(channelIndex: number, branch = 0): Message | null {
    const id = this.#channels.at(this.system.channels[channelIndex] as Channel, branch);
    return id === NO_MESSAGE ? null : this.messages.at(id);
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
    this.#stepAndReport(component, this.messages.intern(message), from, channel.name);
  }

  /** Gives a component a message and applies what it emits; false if it does not accept it. */
  protected stepComponent(component: Component, message: number): boolean {
    const outputs = this.components.step(component, message);
    if (outputs === null) return false;
    for (let i = 0; i < outputs.length; i++) this.applyOutput(component, outputs[i] as Output);
    return true;
  }

  /** Applies what a component has emitted. */
  protected applyOutput(component: Component, { event, effect }: Output): void {
    if (effect !== undefined) {
      this.#applyEffect(component, event, effect);
      return;
    }
    const emitted = event as unknown as Emitted;
    switch (emitted.type) {
      case 'send':
        this.send(emitted.channel, emitted.message, component.index);
        this.weak?.forward(component.address, (this.system.channels[emitted.channel] as Channel).base);
        return;
      case 'interrupt':
        this.#interrupt(component, emitted.vector);
        return;
      case 'switch':
        this.#tasks.switch(component, emitted.slot);
        return;
      case 'migrate':
        this.#tasks.migrate(component, emitted.to);
        return;
      case 'give':
        this.#tasks.give(component, emitted.to, emitted.slot, emitted.into);
        return;
      default: {
        const known = [...EMITTED_TYPES, ...Object.keys(component.effects ?? {})];
        throw new ModelError(
          `component: ${component.name}: emitted ${event.type}, which nothing handles (have: ${known.join(', ')})`,
        );
      }
    }
  }

  #applyEffect(component: Component, event: Message, effect: Effect): void {
    const outer = this.#sender;
    this.#sender = component.index;
    this.weak?.beginEffect();
    try {
      effect(this, event);
    } finally {
      this.weak?.endEffect();
      this.#sender = outer;
    }
  }

  #interrupt(component: Component, vector: string): void {
    const processor = this.system.processors[component.processor];
    const program = processor?.handlers[vector];
    if (!processor || program === undefined)
      throw new ModelError(`component: ${component.name}: no handler for interrupt ${vector}`);
    if (this.store.read(processor.interruptAddress) !== 0)
      throw new ModelError(`component: ${component.name}: interrupt ${vector} inside a handler`);
    this.#takeInterrupt(component);
    this.startRoutine(processor.interruptAddress, program);
    // A handler without operations (one that only counts) has returned already.
    if (this.routines.operationAt(processor.interruptAddress) === null) this.#returnFromInterrupt(processor);
  }

  /**
   * Taking an interrupt synchronises the context, and what the message says has been completed is so for what follows.
   */
  #takeInterrupt(component: Component): void {
    if (this.weak === null) return;
    this.weak.receive(component.address, 'context');
    this.weak.forget(component.address);
    this.weak.exception();
  }

  /** A step begins that a component makes by itself. */
  #beginStepOf(component: Component): void {
    const processor = processorOf(component);
    this.processor = Math.max(processor, 0);
    this.weak?.beginStep(processor < 0);
  }

  #deliver(channel: Channel, branch: number): boolean {
    if (branch >= (channel.policy === 'unordered' ? channel.capacity : 1)) return false;
    const id = this.#channels.at(channel, branch);
    if (id === NO_MESSAGE) return false;
    if (channel.policy === 'unordered') this.branchCount = this.#channels.count(channel);
    const component = this.system.components[channel.toComponent] as Component;
    this.#beginStepOf(component);
    const processor = this.system.processors[component.processor];
    if (this.mustDrain(channel) || (processor && !this.gateOpen(processor)) || !this.components.accepts(component, id))
      return false;
    this.#channels.take(channel, branch);
    if (this.weak !== null) {
      this.weak.forward(channel.base, component.address);
      if (this.#channels.isEmpty(channel)) this.weak.forget(channel.base);
    }
    const accepted = this.#stepAndReport(component, id, null);
    if (accepted && channel.answer !== undefined && channel.from !== undefined)
      this.report(component.name, channel.from, channel.answer, channel.name, false);
    return accepted;
  }

  /**
   * @param from who sends it within this step; null if it was sent before, or nobody wants to know
   * @param channel the synchronous one that carries it
   */
  #stepAndReport(component: Component, message: number, from: string | null, channel: string | null = null): boolean {
    // Reported before what it leads to.
    if (from !== null && this.onMessage !== null && this.components.accepts(component, message))
      this.report(from, component.name, this.messages.at(message).type, channel, true);
    const { processor: saved, weak } = this;
    const processor = processorOf(component);
    const nobodys = weak !== null && weak.nobodys;
    if (processor >= 0) {
      this.processor = processor;
      if (weak !== null) weak.nobodys = false;
    }
    const accepted = this.stepComponent(component, message);
    if (accepted && this.observe && !this.silent) this.onDelivery?.(component, this.messages.at(message));
    this.processor = saved;
    if (weak !== null) weak.nobodys = nobodys;
    return accepted;
  }

  #drain(processor: number): boolean {
    const address = this.#buffers.drain(processor);
    if (address < 0) return false;
    this.processor = processor;
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address, this.#buffers.replaced);
    for (const watcher of this.system.drainWatchers) watcher(this, address, this.#buffers.replaced);
    return true;
  }
}

/** Whose doing a step of a component counts as; -1: nobody's. */
function processorOf({ processor, gates }: Component): number {
  return processor >= 0 ? processor : gates;
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

function remedyForFull(channel: Channel): string {
  return channel.policy === 'level'
    ? 'a level channel holds one message, so give every message its own'
    : 'raise its capacity';
}
