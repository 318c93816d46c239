/**
 * What live and tabulated execution have in common: the meaning of a step.
 *
 * An executor owns one state of a system. {@link Executor.step} makes one choice happen, or says that it is not
 * enabled. How routines and components keep their local state is up to the subclass.
 */
import { ModelError, printable, thrown } from '../state/errors.ts';
import {
  BLOCKED,
  type Explanation,
  type Mark,
  type Message,
  type Operation,
  type OperationContext,
} from '../routine/operation.ts';
import type { Channel, Component, Processor, System } from '../system/system.ts';
import { symmetricSeeds, watchedWords, weakOptions } from '../system/system-words.ts';
import { ContentHashes, isWord, WordStore } from '../state/words.ts';
import type { Request } from '../memory/requests.ts';
import { WeakMemory } from '../memory/weak-memory.ts';
import { WeakPort } from './weak-port.ts';

/** The tag of component states in which the processor executes instructions. */
export const EXECUTES_TAG = 'executes';

/** A violation of a property by a step. */
export interface Violation {
  readonly property: string;
  readonly detail: string;
}

/** An emitted event that the executor itself understands; any other type must be one of the component's effects. */
export type Emitted =
  | { readonly type: 'send'; readonly channel: number; readonly message: Message }
  | { readonly type: 'interrupt'; readonly vector: string }
  /** The processor goes on with the task of that slot. Left out: with the next in turn that has not returned. */
  | { readonly type: 'switch'; readonly slot?: number }
  /** The task of the processor goes on on another one, by name, where a task has returned. */
  | { readonly type: 'migrate'; readonly to: string };

/** The message a CPU component gets when its interrupt handler has returned. */
export const IRET: Message = { type: 'iret' };

const NO_MESSAGE = 0;

/** A message as watchers see it. */
export interface SentMessage {
  /** Names of components; `hardware` or `host` for what happens by itself. */
  readonly from: string;
  readonly to: string;
  readonly type: string;
  /** The channel that carries it; null: it is synchronous, delivered within the step. */
  readonly channel: string | null;
}

/** {@link Executor} sender: the processor whose operation is performed. */
const PROCESSOR = -1;

/** One running system. */
export abstract class Executor implements OperationContext {
  readonly system: System;
  readonly store: WordStore;
  /** Processor of the step under way. */
  processor = 0;
  /** Result of the operation performed last. */
  lastResult = 0;
  /** Outcomes the choice tried last can have (1 unless an operation or channel offers more). */
  branchCount = 1;
  /** Set when the step under way violated a property. */
  failed = false;
  /** Set to observe counters and details: exploration leaves it off. */
  observe = false;
  /** True if the journal of the store begins anew with every step. */
  get commitsEachStep(): boolean {
    return false;
  }
  /** Called with every violation (when it happens), if set. */
  onViolation: ((violation: Violation) => void) | null = null;
  /** Called with every counted event, if {@link observe} is set. */
  onCount: ((processor: number, counter: string, amount: number) => void) | null = null;
  /** Called with what steps say to readers of a trace, if {@link observe} is set. */
  onExplain: ((explanation: Explanation) => void) | null = null;
  /** Called when a component has taken a message, if {@link observe} is set. */
  onDelivery: ((component: Component, message: Message) => void) | null = null;
  /** Called when a step costs more than its operation, if set. */
  onSpend: ((cost: string, times: number) => void) | null = null;
  /** Called when a message enters a channel, if set. */
  onSend: ((channel: Channel) => void) | null = null;
  /** Every message: when it is sent, on a channel or within the step. */
  onMessage: ((message: SentMessage) => void) | null = null;
  /** The component whose output is being applied; -1: a processor's operation. */
  #sender = PROCESSOR;
  protected readonly messages: Message[] = [{ type: 'none' }];
  protected readonly messageHashes = new ContentHashes();
  /** 1 + index of the watch of each word, or null when nothing is watched. */
  protected readonly watched: Int32Array | null;
  /** The way to the weak memory (`arm`), or null. */
  readonly weak: WeakPort | null;
  /** While it is true nothing is reported: the outcomes of an operation are only counted. */
  silent = false;
  #messageIds = new Map<string, number>();
  #violation: Violation | null = null;

  constructor(system: System) {
    this.system = system;
    this.store = new WordStore(system.layout.initial(), symmetricSeeds(system));
    this.watched = watchedWords(system);
    this.weak = system.weak && new WeakPort(this, new WeakMemory(system.processors.length, weakOptions(system)));
  }

  /** The violation of the last step, if it failed. */
  get violation(): Violation | null {
    return this.failed ? this.#violation : null;
  }

  /** 64 bits of the whole state, as 16 hex digits: equal for equal states, in any process, with either executor. */
  get fingerprint(): string {
    return this.store.fingerprint();
  }

  /** The operation a processor would perform next, or null (done, or not executing). */
  abstract pendingOperation(processor: number): Operation | null;
  /** Names of the routines on the processor's stack, outermost first. */
  abstract stackOf(processor: number): readonly string[];
  /** The tag test on a component's present state. */
  abstract hasTag(component: number, tag: string): boolean;
  /** A component's present state, as `{value, context}` JSON. */
  abstract describeComponent(component: number): string;

  /** Starts a program: the id of its first local state, for the word at `address`. */
  protected abstract startRoutine(address: number, program: number): void;
  /** Takes the routine that has returned off its word. */
  protected abstract clearRoutine(address: number): void;
  /** Exchanges the routines of two words. */
  protected abstract swapRoutines(a: number, b: number): void;
  /** Advances the routine at `address` by a result; returns true when it has returned. */
  protected abstract advanceRoutine(address: number, result: number): boolean;
  /** Steps a component; false if it does not accept the message. Applies the outputs. */
  protected abstract stepComponent(component: Component, message: number): boolean;
  /** The operation pending at a routine word, or null when it has returned. */
  protected abstract operationAt(address: number): Operation | null;
  /** The id of a message, equal for equal content. */
  protected abstract internMessage(message: Message): number;
  /** Back to the initial state. */
  abstract reset(): void;

  /** Makes one choice happen. False: it is not enabled in this state (nothing changed). */
  step(choiceIndex: number, branch = 0): boolean {
    const choice = this.system.choices[choiceIndex];
    if (!choice)
      throw new ModelError(`schedule: step: no choice ${choiceIndex} (this system has ${this.system.choices.length})`);
    this.failed = false;
    this.branchCount = 1;
    switch (choice.kind) {
      case 'advance':
        return this.advance(choice.processor, branch);
      case 'deliver':
        return this.#deliver(this.system.channels[choice.channel] as Channel, branch);
      case 'drain':
        return this.#drain(this.system.processors[choice.processor] as Processor);
      case 'spontaneous': {
        const spontaneous = this.system.spontaneous[choice.spontaneous];
        if (!spontaneous) return false;
        const component = this.system.components[spontaneous.toComponent] as Component;
        this.processor = Math.max(component.processor, 0);
        if (this.mustDrain(spontaneous)) return false;
        return this.#stepAndReport(component, this.internMessage(spontaneous.message), spontaneous.kind);
      }
    }
  }

  /** Outcomes a choice has in this state (1 for a deterministic one): some of them may be refused. Changes nothing. */
  branchesOf(choiceIndex: number): number {
    const choice = this.system.choices[choiceIndex];
    if (choice?.kind === 'deliver') {
      const channel = this.system.channels[choice.channel] as Channel;
      return channel.policy === 'unordered' ? Math.max(1, this.#messagesOn(channel)) : 1;
    }
    if (choice?.kind !== 'advance') return 1;
    const op = this.pendingOperation(choice.processor);
    if (!op) return 1;
    this.processor = choice.processor;
    const own = op.definition.branches?.(this, op) ?? 1;
    return this.weak ? this.weak.outcomesOf(op, own) : own;
  }

  /** Restores the initial state (words only; subclasses reset what else they keep). */
  protected begin(): void {
    const { store, system } = this;
    this.failed = false;
    store.words.set(system.layout.initial());
    store.rehash();
    this.weak?.begin();
    for (const p of system.processors) {
      p.tasks.forEach((program, slot) => {
        this.processor = p.index;
        this.startRoutine(p.taskBase + slot, program);
      });
    }
    store.commit();
  }

  /** True when the processor may execute now. */
  executes(processor: Processor): boolean {
    return this.gateOpen(processor) && (processor.component < 0 || this.hasTag(processor.component, EXECUTES_TAG));
  }

  /** True unless the processor has a gate and that is closed: then nothing happens to it at all. */
  gateOpen(processor: Processor): boolean {
    return processor.gate < 0 || this.hasTag(processor.gate, EXECUTES_TAG);
  }

  /** True if something has to wait for older stores of the processor that it stops or interrupts. */
  mustDrain({ drained, toComponent }: { readonly drained?: boolean; readonly toComponent: number }): boolean {
    if (drained !== true) return false;
    const component = this.system.components[toComponent] as Component;
    const processor = this.system.processors[component.processor >= 0 ? component.processor : component.gates];
    return processor !== undefined && processor.bufferBase >= 0 && this.store.read(processor.bufferBase) > 0;
  }

  /** The word of the routine on top of the processor's stack. */
  topAddress(processor: Processor): number {
    if (processor.interruptAddress >= 0 && this.store.read(processor.interruptAddress) !== 0)
      return processor.interruptAddress;
    return processor.currentAddress < 0
      ? processor.taskBase
      : processor.taskBase + this.store.read(processor.currentAddress);
  }

  operationOf(index: number): Operation | null {
    return this.operationAt(this.topAddress(this.system.processors[index] as Processor));
  }

  /** True when every task of the processor has returned. */
  isDone(index: number): boolean {
    const processor = this.system.processors[index] as Processor;
    return processor.tasks.every((_, slot) => this.operationAt(processor.taskBase + slot) === null);
  }

  /** True when every task of every processor has returned or rests where resting is meant. */
  atRest(): boolean {
    return this.system.processors.every((processor) => this.rests(processor.index));
  }

  /** The same of one processor: its tasks have returned or reached `rest`, and it is in no interrupt handler. */
  rests(index: number): boolean {
    const processor = this.system.processors[index] as Processor;
    if (processor.interruptAddress >= 0 && this.store.read(processor.interruptAddress) !== 0) return false;
    for (let slot = 0; slot < processor.tasks.length; slot++) {
      const op = this.operationAt(processor.taskBase + slot);
      if (op !== null && op.definition.rests !== true) return false;
    }
    return true;
  }

  /** Performs the pending operation of a processor. */
  protected advance(index: number, branch: number): boolean {
    return this.performPending(index, branch);
  }

  /** {@link advance} in full: nothing is inlined or assumed. */
  protected performPending(index: number, branch: number): boolean {
    const processor = this.system.processors[index] as Processor;
    if (!this.executes(processor)) return false;
    const address = this.topAddress(processor);
    const op = this.operationAt(address);
    if (op === null) return false;
    this.processor = index;
    let result: number;
    try {
      if (op.definition.branches) this.branchCount = wholeNumber(op.definition.branches(this, op), 'outcomes');
      if (this.weak !== null) {
        const way = this.weak.perform(op, this.branchCount, branch);
        this.branchCount = way.outcomes;
        result = way.result;
      } else {
        if (branch >= this.branchCount) return false;
        result = op.definition.perform(this, op, branch);
      }
      if (result === BLOCKED) return false;
      if ((result | 0) !== result) result = wholeNumber(result, 'result');
    } catch (error) {
      throw this.#blamed(error, address, op);
    }
    this.finishAdvance(processor, address, result);
    if (this.weak !== null && processor.component < 0 && this.isDone(index)) {
      this.processor = index;
      this.weak.retire();
    }
    return true;
  }

  /** What went wrong in an operation, with the routine and step that performed it. */
  #blamed(error: unknown, address: number, op: Operation): ModelError {
    const said = error instanceof ModelError ? error.message : `threw ${thrown(error)}`;
    if (said.startsWith('routine: ')) return new ModelError(said, { cause: error });
    const routine = this.stackOf(this.processor).at(-1) ?? '?';
    const step = this.stepsAt(address);
    return new ModelError(
      `routine: ${routine}: ${step === null ? '' : `step ${step}: `}${op.label ?? op.definition.name}: ${said}`,
      { cause: error },
    );
  }

  /** Operations that the routine at `address` has performed since it began; null if that is not kept. */
  protected stepsAt(_address: number): number | null {
    return null;
  }

  protected finishAdvance(processor: Processor, address: number, result: number): void {
    this.lastResult = result;
    if (this.advanceRoutine(address, result) && address === processor.interruptAddress)
      this.#returnFromInterrupt(processor);
  }

  #returnFromInterrupt(processor: Processor): void {
    this.weak?.exception();
    this.clearRoutine(processor.interruptAddress);
    if (processor.component >= 0) this.tell(processor.component, IRET);
  }

  load(address: number): number {
    if (this.weak !== null) return this.weak.isWeak(address) ? this.weak.load(address) : this.weak.read(address);
    const processor = this.system.processors[this.processor] as Processor;
    const base = processor.bufferBase;
    if (base >= 0) {
      const words = this.store.words;
      for (let i = (words[base] as number) - 1; i >= 0; i--) {
        if (words[base + 1 + 2 * i] === address) return words[base + 2 + 2 * i] as number;
      }
    }
    return this.store.read(address);
  }

  storeBuffered(address: number, value: number): boolean {
    if (this.weak !== null) {
      if (this.weak.isWeak(address)) this.weak.store(address, value);
      else this.weak.write(address, value);
      return true;
    }
    const processor = this.system.processors[this.processor] as Processor;
    const base = processor.bufferBase;
    if (base < 0) {
      this.write(address, value);
      return true;
    }
    const count = this.store.read(base);
    if (count === this.system.storeBufferEntries) return false;
    this.store.write(base + 1 + 2 * count, address);
    this.store.write(base + 2 + 2 * count, value);
    this.store.write(base, count + 1);
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
    this.store.write(address, value);
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address);
  }

  /** Is told of accesses, by operations on a weak memory, to words that have no history there. */
  noteStrong(_address: number, _writes: boolean): void {}

  /** Is told of every request to the weak memory. */
  noteRequest(_request: Request): void {}

  /** Writes a word of memory and tells its watcher. */
  writeWord(address: number, value: number): void {
    this.store.write(address, value);
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address);
  }

  /** Tells the watcher of a word that memory has changed. */
  protected reportWrite(address: number): void {
    const index = (this.watched as Int32Array)[address] as number;
    this.system.watches[index - 1]?.watcher(this, address);
  }

  drained(): boolean {
    this.weak?.drained();
    return this.buffered() === 0;
  }

  buffered(): number {
    const base = (this.system.processors[this.processor] as Processor).bufferBase;
    return base < 0 ? 0 : this.store.read(base);
  }

  fail(property: string, detail: () => string): void {
    if (this.silent) return;
    this.failed = true;
    this.#violation = { property, detail: this.observe ? detail() : '' };
    this.onViolation?.(this.#violation);
  }

  send(channelIndex: number, message: Message, from = this.#sender): void {
    const channel = this.system.channels[channelIndex];
    if (!channel) throw new ModelError(`wire: send: no channel ${channelIndex} (message ${message.type})`);
    const id = this.internMessage(message);
    this.weak?.publishMessage(channel.base);
    for (let i = 0; i < channel.capacity; i++) {
      const word = this.store.read(channel.base + i);
      if (word === NO_MESSAGE) {
        this.store.writeInterned(channel.base + i, id, this.messageHashes);
        if (channel.policy === 'unordered') this.#sortMessages(channel);
        if (!this.silent) this.onSend?.(channel);
        this.#sent(channel, message, from);
        return;
      }
      if (channel.policy === 'level' && word === id) {
        this.#sent(channel, message, from);
        return;
      }
    }
    throw new ModelError(
      `wire: send: channel ${channel.name} is full (${channel.capacity} messages): ${remedyForFull(channel)}`,
    );
  }

  tell(component: number, message: Message, from = this.#sender): boolean {
    const target = this.system.components[component] as Component;
    const sender = this.onMessage === null ? null : this.#nameOf(from);
    if (this.weak === null) return this.#stepAndReport(target, this.internMessage(message), sender);
    // What a processor tells its own component, it tells nobody.
    const own = target.processor === this.processor;
    if (!own) this.weak.publishMessage(target.address);
    const accepted = this.#stepAndReport(target, this.internMessage(message), sender);
    if (accepted && !own) this.weak.receive(target.address, 'acquire');
    return accepted;
  }

  note(from: number, to: number, type: string): void {
    if (this.onMessage === null) return;
    this.#report(this.#nameOf(from < 0 ? this.#sender : from), this.#nameOf(to), type, null);
  }

  #sent(channel: Channel, message: Message, from: number): void {
    if (this.onMessage === null || this.silent) return;
    const sender = this.#nameOf(channel.fromComponent < 0 ? from : channel.fromComponent);
    this.#report(sender, channel.to, message.type, channel.name);
  }

  #report(from: string, to: string, type: string, channel: string | null): void {
    if (!this.silent) this.onMessage?.({ from, to, type, channel });
  }

  /** A component's name; -1 is the one that controls the processor, or the processor if none does. */
  #nameOf(component: number): string {
    const processor = this.system.processors[this.processor];
    const index = component < 0 ? (processor?.component ?? -1) : component;
    return this.system.components[index]?.name ?? processor?.name ?? 'nobody';
  }

  spend(cost: string, times = 1): void {
    if (!this.silent) this.onSpend?.(cost, times);
  }

  count(counter: string, amount = 1): void {
    if (this.observe && !this.silent) this.onCount?.(this.processor, counter, amount);
  }

  explain(what: () => Explanation | null): void {
    if (!this.observe || this.silent || this.onExplain === null) return;
    const explanation = what();
    if (explanation !== null) this.onExplain(explanation);
  }

  channelEmpty(channelIndex: number): boolean {
    return this.store.read((this.system.channels[channelIndex] as Channel).base) === NO_MESSAGE;
  }

  channelFull(channelIndex: number): boolean {
    const channel = this.system.channels[channelIndex] as Channel;
    return this.store.read(channel.base + channel.capacity - 1) !== NO_MESSAGE;
  }

  /** The message a channel would deliver on this branch, or null. */
  messageOn(channelIndex: number, branch = 0): Message | null {
    const channel = this.system.channels[channelIndex] as Channel;
    const id = branch < channel.capacity ? this.store.read(channel.base + branch) : NO_MESSAGE;
    return id === NO_MESSAGE ? null : (this.messages[id] as Message);
  }

  protected internById(key: string, message: Message, hash: { lo: number; hi: number }): number {
    const known = this.#messageIds.get(key);
    if (known !== undefined) return known;
    const id = this.messages.push(message) - 1;
    this.messageHashes.set(id, hash);
    this.#messageIds.set(key, id);
    return id;
  }

  /** Applies what routines said between two operations. */
  protected hear(said: readonly Mark[]): void {
    for (const mark of said) {
      if (mark.mark === 'fail') this.fail(mark.property, () => mark.detail);
      else if (mark.mark === 'count') this.count(mark.counter, mark.amount);
    }
  }

  /** Applies one emitted event of a component. */
  protected applyOutput(component: Component, event: Message): void {
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
        this.#switch(component, emitted.slot);
        return;
      case 'migrate':
        this.#migrate(component, emitted.to);
        return;
      default:
        this.#applyEffect(component, event);
    }
  }

  #applyEffect(component: Component, event: Message): void {
    const effect = component.effects?.[event.type];
    if (!effect) {
      const known = ['send', 'interrupt', 'switch', 'migrate', ...Object.keys(component.effects ?? {})];
      throw new ModelError(
        `component: ${component.name}: emitted ${event.type}, which nothing handles (have: ${known.join(', ')})`,
      );
    }
    const outer = this.#sender;
    this.#sender = component.index;
    effect(this, event);
    this.#sender = outer;
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
    if (this.operationAt(processor.interruptAddress) === null) this.#returnFromInterrupt(processor);
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

  #switch(component: Component, slot?: number): void {
    const processor = this.system.processors[component.processor];
    if (!processor || processor.currentAddress < 0)
      throw new ModelError(
        `component: ${component.name}: emitted switch, but it controls no processor with several tasks`,
      );
    const tasks = processor.tasks.length;
    if (slot !== undefined) {
      if (!(slot >= 0 && slot < tasks))
        throw new ModelError(`component: ${component.name}: emitted switch to task ${slot} of ${tasks}`);
      this.store.write(processor.currentAddress, slot);
      return;
    }
    const current = this.store.read(processor.currentAddress);
    for (let i = 1; i <= tasks; i++) {
      const next = (current + i) % tasks;
      if (this.operationAt(processor.taskBase + next) !== null) {
        this.store.write(processor.currentAddress, next);
        return;
      }
    }
  }

  /** Nothing happens where no task of the target has returned. Either processor goes on with a task that has not. */
  #migrate(component: Component, to: string): void {
    const from = this.system.processors[component.processor];
    const target = this.system.processors.find(({ name }) => name === to);
    if (!from || !target || !from.migratesTo.includes(target.index))
      throw new ModelError(`component: ${component.name}: emitted migrate to ${to}, where its tasks may not migrate`);
    const slotOf = (p: Processor): number => (p.currentAddress < 0 ? 0 : this.store.read(p.currentAddress));
    const leaving = from.taskBase + slotOf(from);
    const free = target.tasks.findIndex((_, slot) => this.operationAt(target.taskBase + slot) === null);
    if (free < 0 || this.operationAt(leaving) === null) return;
    const targetIsIdle = this.operationAt(target.taskBase + slotOf(target)) === null;
    this.swapRoutines(leaving, target.taskBase + free);
    if (targetIsIdle && target.currentAddress >= 0) this.store.write(target.currentAddress, free);
    if (from.currentAddress >= 0) this.#switch(component);
  }

  #deliver(channel: Channel, branch: number): boolean {
    if (branch >= (channel.policy === 'unordered' ? channel.capacity : 1)) return false;
    const id = this.store.read(channel.base + branch);
    if (id === NO_MESSAGE) return false;
    if (channel.policy === 'unordered') this.branchCount = this.#messagesOn(channel);
    const component = this.system.components[channel.toComponent] as Component;
    this.processor = Math.max(component.processor, 0);
    const processor = this.system.processors[component.processor];
    if (this.mustDrain(channel) || (processor && !this.gateOpen(processor)) || !this.canAccept(component, id))
      return false;
    for (let i = branch; i < channel.capacity; i++) {
      const next = i + 1 < channel.capacity ? this.store.read(channel.base + i + 1) : NO_MESSAGE;
      this.store.writeInterned(channel.base + i, next, this.messageHashes);
    }
    if (this.weak !== null) {
      this.weak.forward(channel.base, component.address);
      if (this.store.read(channel.base) === NO_MESSAGE) this.weak.forget(channel.base);
    }
    const accepted = this.#stepAndReport(component, id, null);
    if (accepted && channel.answer !== undefined && channel.from !== undefined)
      this.#report(component.name, channel.from, channel.answer, channel.name);
    return accepted;
  }

  /** Whether a component would accept a message now. */
  protected abstract canAccept(component: Component, message: number): boolean;

  /** @param from who sends it within this step; null if it was sent before, or nobody wants to know */
  #stepAndReport(component: Component, message: number, from: string | null): boolean {
    // Reported before what it leads to.
    if (from !== null && this.onMessage !== null && this.canAccept(component, message))
      this.#report(from, component.name, (this.messages[message] as Message).type, null);
    const saved = this.processor;
    if (component.processor >= 0) this.processor = component.processor;
    else if (component.gates >= 0) this.processor = component.gates;
    const accepted = this.stepComponent(component, message);
    if (accepted && this.observe && !this.silent) this.onDelivery?.(component, this.messages[message] as Message);
    this.processor = saved;
    return accepted;
  }

  #messagesOn(channel: Channel): number {
    let count = 0;
    while (count < channel.capacity && this.store.read(channel.base + count) !== NO_MESSAGE) count++;
    return count;
  }

  /**
   * An unordered channel is a bag: kept in one order (of content, not of discovery), so that equal bags are equal
   * states.
   */
  #sortMessages(channel: Channel): void {
    const count = this.#messagesOn(channel);
    const ids = Array.from({ length: count }, (_, i) => this.store.read(channel.base + i));
    const { lo, hi } = this.messageHashes;
    ids.sort((x, y) => (lo[x] as number) - (lo[y] as number) || (hi[x] as number) - (hi[y] as number));
    ids.forEach((id, i) => this.store.writeInterned(channel.base + i, id, this.messageHashes));
  }

  #drain(processor: Processor): boolean {
    const { store } = this;
    const base = processor.bufferBase;
    const count = base < 0 ? 0 : store.read(base);
    if (count === 0) return false;
    this.processor = processor.index;
    const address = store.read(base + 1);
    store.write(address, store.read(base + 2));
    for (let i = 1; i < count; i++) {
      store.write(base + 2 * i - 1, store.read(base + 2 * i + 1));
      store.write(base + 2 * i, store.read(base + 2 * i + 2));
    }
    store.write(base + 2 * count - 1, 0);
    store.write(base + 2 * count, 0);
    store.write(base, count - 1);
    if (this.watched !== null && this.watched[address] !== 0) this.reportWrite(address);
    for (const watcher of this.system.drainWatchers) watcher(this, address);
    return true;
  }
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
