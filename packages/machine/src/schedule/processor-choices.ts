/** What a run in virtual time looks up of its system: which choices belong to whom, and what they depend on. */
import type { Executor } from '../execute/executor.ts';
import type { Choice, Component, Processor, System } from '../system/specs.ts';

/** Choices by the processor that they are about. */
export class ChoicesOfProcessors {
  readonly #system: System;
  readonly #own: number[][];
  readonly #advance: number[];
  readonly #afterSpinning: number[][];
  /** Per processor: deliveries to it from channels that are not empty. */
  readonly #deliveries: number[][];
  readonly #deliveryOf: Int32Array;

  constructor(system: System) {
    this.#system = system;
    this.#own = system.processors.map(() => []);
    this.#advance = system.processors.map(() => -1);
    this.#afterSpinning = system.processors.map(() => []);
    this.#deliveries = system.processors.map(() => []);
    this.#deliveryOf = new Int32Array(system.channels.length);
    system.choices.forEach((choice, index) => {
      if (choice.kind === 'advance') this.#advance[choice.processor] = index;
      if (choice.kind === 'advance' || choice.kind === 'drain') this.#own[choice.processor]?.push(index);
      if (choice.kind === 'deliver') this.#deliveryOf[choice.channel] = index;
      if (choice.kind === 'spontaneous')
        this.#afterSpinning[system.spontaneous[choice.spontaneous]?.spinner ?? -1]?.push(index);
    });
  }

  /** The processor that a component controls; -1: none. */
  processorOf(component: number): number {
    return (this.#system.components[component] as Component).processor;
  }

  /** What a processor does itself. */
  own(processor: number): readonly number[] {
    return this.#own[processor] as number[];
  }

  /** The next operation of its routines. */
  advanceOf(processor: number): number {
    return this.#advance[processor] as number;
  }

  /** What happens when it has spun for some time. */
  afterSpinning(processor: number): readonly number[] {
    return this.#afterSpinning[processor] as number[];
  }

  /** What is on its way to it. */
  deliveriesTo(processor: number): readonly number[] {
    return this.#deliveries[processor] as number[];
  }

  /** The choice that delivers from a channel. */
  deliveryOf(channel: number): number {
    return this.#deliveryOf[channel] as number;
  }

  /** A channel is not empty any more, */
  begin(channel: number): void {
    this.#listOf(channel)?.push(this.deliveryOf(channel));
  }

  /** or is empty again. */
  end(channel: number): void {
    const list = this.#listOf(channel);
    list?.splice(list.indexOf(this.deliveryOf(channel)), 1);
  }

  #listOf(channel: number): number[] | undefined {
    return this.#deliveries[this.processorOf(this.#system.channels[channel]?.toComponent ?? -1)];
  }
}

/**
 * Of those ready at one time a delivery comes first: a busy processor takes an interrupt after the operation it is in.
 * What happens after spinning comes last.
 */
export function rankOf({ choices, spontaneous }: System, choice: Choice, index: number): number {
  if (choice.kind === 'deliver') return index;
  const last = choice.kind === 'spontaneous' && (spontaneous[choice.spontaneous]?.spinner ?? -1) >= 0;
  return index + (last ? 2 : 1) * choices.length;
}

/** Words on which it depends whether a choice is refused, whatever operation a processor is at. */
export function wordsBehind(system: System, choice: Choice): number[] {
  const { processors, components, channels, spontaneous } = system;
  const stateOf = (component: number): number => components[component]?.address ?? -1;
  const heldUpBy = (component: number): number[] => {
    const { processor, gates } = components[component] as Component;
    const of = processors[processor >= 0 ? processor : gates];
    return of ? [of.bufferBase, stateOf(of.gate)] : [];
  };
  switch (choice.kind) {
    case 'advance': {
      const p = processors[choice.processor] as Processor;
      const tasks = p.tasks.map((_, slot) => p.taskBase + slot);
      return [stateOf(p.component), stateOf(p.gate), p.currentAddress, p.interruptAddress, p.bufferBase, ...tasks];
    }
    case 'drain':
      return [(processors[choice.processor] as Processor).bufferBase];
    case 'deliver': {
      const to = channels[choice.channel]?.toComponent ?? -1;
      return [stateOf(to), ...heldUpBy(to)];
    }
    case 'spontaneous': {
      const { toComponent = -1, afterSpinning } = spontaneous[choice.spontaneous] ?? {};
      return [stateOf(toComponent), ...heldUpBy(toComponent), afterSpinning?.cycles ?? -1];
    }
  }
}

/** When a run is over. */
interface End {
  readonly until?: readonly number[];
  readonly untilAtRest?: readonly number[];
  readonly untilZero?: readonly number[];
}

/** Looks whether a run is over: asked before every step, so it asks first who was not done the last time. */
export class EndOfRun {
  readonly #conditions: (() => boolean)[];
  readonly #never: boolean;
  #asks = 0;

  constructor(executor: Executor, { until, untilAtRest, untilZero }: End) {
    this.#never = until === undefined && untilAtRest === undefined && untilZero === undefined;
    this.#conditions = [
      ...(untilZero ?? []).map((address) => () => executor.store.read(address) === 0),
      ...(until ?? []).map((processor) => () => executor.isDone(processor)),
      ...(untilAtRest ?? []).map((processor) => () => executor.rests(processor)),
    ];
  }

  /** True if all that has to be done is done. */
  reached(): boolean {
    if (this.#never) return false;
    const all = this.#conditions;
    for (let i = 0; i < all.length; i++) {
      if (all[this.#asks]?.() !== true) return false;
      this.#asks = (this.#asks + 1) % all.length;
    }
    return true;
  }
}
