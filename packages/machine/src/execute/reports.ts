/**
 * What an executor says to whoever watches: violations, counters, costs, messages. Nothing here is state.
 */
import { shownText } from '../state/errors.ts';
import type { Explanation, Message } from '../routine/operation.ts';
import type { Channel, Component, System } from '../system/specs.ts';

/** A violation of a property by a step. */
export interface Violation {
  readonly property: string;
  readonly detail: string;
}

/** A message as watchers see it. */
export interface SentMessage {
  /** Names of components; `hardware` or `host` for what happens by itself. */
  readonly from: string;
  readonly to: string;
  readonly type: string;
  /** The channel that carries it; null: a component tells itself, or its like, without one. */
  readonly channel: string | null;
  /** True: it is delivered within the step that sends it. Default false. */
  readonly synchronous?: boolean;
}

/** Where watchers are attached, and how they are told. */
export abstract class Reports {
  readonly system: System;
  /** Processor of the step under way. */
  processor = 0;
  /** Set when the step under way violated a property. */
  failed = false;
  /** Set to observe counters and details: exploration leaves it off. */
  observe = false;
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
  /** While it is true nothing is reported: the outcomes of an operation are only counted. */
  silent = false;
  #violation: Violation | null = null;

  constructor(system: System) {
    this.system = system;
  }

  /** The violation of the last step, if it failed. */
  get violation(): Violation | null {
    return this.failed ? this.#violation : null;
  }

  fail(property: string, detail: () => string): void {
    if (this.silent) return;
    this.failed = true;
    this.#violation = { property, detail: this.observe ? shownText(detail()) : '' };
    this.onViolation?.(this.#violation);
  }

  protected report(from: string, to: string, type: string, channel: string | null, synchronous: boolean): void {
    if (!this.silent) this.onMessage?.({ from, to, type, channel, synchronous });
  }

  /** A component's name; -1 is the one that controls the processor, or the processor if none does. */
  protected nameOf(component: number): string {
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
}
