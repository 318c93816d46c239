/**
 * What passes between components: messages on channels and within a step, what machines emit, and interrupts. A step
 * (`executor.ts`) is made of these.
 */
import { LimitError, ModelError } from '../state/errors.ts';
import type { Message, Operation, OperationContext, Replacements } from '../routine/operation.ts';
import { synchronousChannel } from '../system/system.ts';
import type {
  Channel,
  Component,
  Effect,
  Processor,
  Spontaneous,
  SynchronousChannel,
  System,
} from '../system/specs.ts';
import { symmetricSeeds } from '../system/system-words.ts';
import { WordStore } from '../state/words.ts';
import { ChannelWords } from './channel-words.ts';
import {
  effectOf,
  EMITTED_TYPES,
  type ComponentKeeper,
  type Kept,
  type Output,
  type RoutineKeeper,
} from './keepers.ts';
import { MessageTable, NO_MESSAGE } from './message-table.ts';
import { Reports } from './reports.ts';
import { StoreBuffers } from './store-buffers.ts';
import { Tasks } from './tasks.ts';
import type { WeakPort } from './weak-port.ts';

/** An emitted event that executors themselves understand; any other type must be one of the component's effects. */
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

/** {@link Wire} sender: the processor whose operation is performed. */
const PROCESSOR = -1;

/** The components of one running system, and what is between them. */
export abstract class Wire<R extends RoutineKeeper, C extends ComponentKeeper>
  extends Reports
  implements OperationContext
{
  readonly store: WordStore;
  /** The way to the weak memory (`arm`), or null. */
  abstract readonly weak: WeakPort | null;
  protected readonly routines: R;
  protected readonly components: C;
  protected readonly messages = new MessageTable();
  protected readonly channels: ChannelWords;
  protected readonly buffers: StoreBuffers;
  protected readonly tasks: Tasks;
  /** Outcomes the choice tried last can have (1 unless an operation or channel offers more). */
  branchCount = 1;
  /** By component and number of the type of event, once it has been emitted. */
  readonly #effects: (Effect | null | undefined)[][];
  /** The component whose output is being applied; -1: a processor's operation. */
  #sender = PROCESSOR;

  /** True if the journal of the store begins anew with every step: then nobody comes back to a state. */
  get commitsEachStep(): boolean {
    return false;
  }

  /** @param keepers makes the two that this kind of executor is composed of */
  constructor(system: System, keepers: (kept: Kept) => { readonly routines: R; readonly components: C }) {
    super(system);
    this.#effects = system.components.map(() => []);
    this.store = new WordStore(system.layout.initial(), symmetricSeeds(system), !this.commitsEachStep);
    this.channels = new ChannelWords(this.store, this.messages);
    this.buffers = new StoreBuffers(system, this.store);
    const { routines, components } = keepers({ system, store: this.store, messages: this.messages });
    this.routines = routines;
    this.components = components;
    this.tasks = new Tasks(system, this.store, routines);
  }

  // Effects see memory, and routines, as the executor has them.
  abstract load(address: number): number;
  abstract storeBuffered(address: number, value: number): boolean;
  abstract read(address: number): number;
  abstract write(address: number, value: number): void;
  abstract drained(): boolean;
  abstract buffered(): number;
  abstract operationOf(processor: number): Operation | null;
  abstract get replacements(): Replacements | undefined;

  /** Starts the handler of an interrupt that a processor takes. */
  protected abstract beginHandler(processor: Processor, program: number): void;

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
    return processor !== undefined && this.buffers.count(processor.index) > 0;
  }

  send(channelIndex: number, message: Message, from = this.#sender): boolean {
    const synchronous = synchronousChannel(this.system, channelIndex);
    if (synchronous) return this.#deliverNow(synchronous.toComponent, message, from, synchronous);
    const channel = this.system.channels[channelIndex];
    if (!channel) throw new ModelError(`wire: send: no channel ${channelIndex} (message ${message.type})`);
    this.weak?.publishMessage(channel.base);
    const put = this.channels.put(channel, this.messages.intern(message));
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
    if (this.weak === null) return this.stepAndReport(target, this.messages.intern(message), sender, on);
    // What a processor tells its own component, it tells nobody.
    const own = target.processor === this.processor;
    if (!own) this.weak.publishMessage(target.address);
    const accepted = this.stepAndReport(target, this.messages.intern(message), sender, on);
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
      this.channels.isEmpty(this.system.channels[channelIndex] as Channel)
    );
  }

  channelFull(channelIndex: number): boolean {
    return (
      !synchronousChannel(this.system, channelIndex) &&
      this.channels.isFull(this.system.channels[channelIndex] as Channel)
    );
  }

  /** The message a channel would deliver on this branch, or null. */
  messageOn(channelIndex: number, branch = 0): Message | null {
    const id = this.channels.at(this.system.channels[channelIndex] as Channel, branch);
    return id === NO_MESSAGE ? null : this.messages.at(id);
  }

  /** Gives a component a message and applies what it emits; false if it does not accept it. */
  protected stepComponent(component: Component, message: number): boolean {
    const outputs = this.components.step(component, message);
    if (outputs === null) return false;
    for (let i = 0; i < outputs.length; i++) this.applyOutput(component, outputs[i] as Output);
    return true;
  }

  /** Applies what a component has emitted. */
  protected applyOutput(component: Component, { event, type }: Output): void {
    const effects = this.#effects[component.index] as (Effect | null | undefined)[];
    const known = effects[type];
    const effect = known === undefined ? (effects[type] = effectOf(component, event)) : known;
    if (effect !== null) {
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
        this.tasks.switch(component, emitted.slot);
        return;
      case 'migrate':
        this.tasks.migrate(component, emitted.to);
        return;
      case 'give':
        this.tasks.give(component, emitted.to, emitted.slot, emitted.into);
        return;
      default: {
        const handled = [...EMITTED_TYPES, ...Object.keys(component.effects ?? {})];
        throw new ModelError(
          `component: ${component.name}: emitted ${event.type}, which nothing handles (have: ${handled.join(', ')})`,
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
    this.beginHandler(processor, program);
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
  protected beginStepOf(component: Component): void {
    const processor = processorOf(component);
    this.processor = Math.max(processor, 0);
    this.weak?.beginStep(processor < 0);
  }

  protected deliver(channel: Channel, branch: number): boolean {
    if (branch >= (channel.policy === 'unordered' ? channel.capacity : 1)) return false;
    const id = this.channels.at(channel, branch);
    if (id === NO_MESSAGE) return false;
    if (channel.policy === 'unordered') this.branchCount = this.channels.count(channel);
    const component = this.system.components[channel.toComponent] as Component;
    this.beginStepOf(component);
    const processor = this.system.processors[component.processor];
    if (this.mustDrain(channel) || (processor && !this.gateOpen(processor)) || !this.components.accepts(component, id))
      return false;
    this.channels.take(channel, branch);
    if (this.weak !== null) {
      this.weak.forward(channel.base, component.address);
      if (this.channels.isEmpty(channel)) this.weak.forget(channel.base);
    }
    const accepted = this.stepAndReport(component, id, null);
    if (accepted && channel.answer !== undefined && channel.from !== undefined)
      this.report(component.name, channel.from, channel.answer, channel.name, false);
    return accepted;
  }

  /**
   * @param from who sends it within this step; null if it was sent before, or nobody wants to know
   * @param channel the synchronous one that carries it
   */
  protected stepAndReport(
    component: Component,
    message: number,
    from: string | null,
    channel: string | null = null,
  ): boolean {
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
}

/** Whose doing a step of a component counts as; -1: nobody's. */
function processorOf({ processor, gates }: Component): number {
  return processor >= 0 ? processor : gates;
}

function remedyForFull(channel: Channel): string {
  return channel.policy === 'level'
    ? 'a level channel holds one message, so give every message its own'
    : 'raise its capacity';
}
