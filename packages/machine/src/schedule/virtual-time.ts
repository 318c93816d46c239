/**
 * The virtual-time scheduler: every processor has a clock, and the choice that is ready first happens first.
 *
 * An operation takes effect when it starts and occupies its processor for its cost. A processor that had to wait goes
 * on when the step that let it go on is complete. A message is ready when it was sent plus its channel's latency, and a
 * processor takes it between two operations.
 */
import { checkOptions } from '../state/errors.ts';
import type { Executor } from '../execute/executor.ts';
import { CacheLines } from './cache-lines.ts';
import { ChoiceQueue } from './choice-queue.ts';
import { ChoicesOfProcessors, EndOfRun, rankOf, wordsBehind } from './processor-choices.ts';
import { Prices } from './prices.ts';
import { Refusals } from './refusals.ts';
import { scheduleEntry } from './schedule.ts';
import {
  stepRecord,
  VIRTUAL_TIME_KEYS,
  type Arrival,
  type StepRecord,
  type VirtualTimeOptions,
  type VirtualTimeRun,
} from './timed-run.ts';
import type { Operation } from '../routine/operation.ts';
import type { Channel, Choice, Spontaneous, System } from '../system/specs.ts';

const STEPS_MAX_DEFAULT = 100_000_000;
const NEVER = Number.POSITIVE_INFINITY;
/** Instead of a choice: none is ready before the limit. */
const LATER = -2;
/** So many spontaneous steps in a row without any other step mean that nothing else will ever happen. */
const IDLE_TICKS_MAX = 100_000;

/** Runs an executor (from its present state) in virtual time, to the end. */
export function runVirtualTime(executor: Executor, options: VirtualTimeOptions): VirtualTimeRun {
  const scheduler = new VirtualTimeScheduler(executor, options);
  scheduler.advance(Number.POSITIVE_INFINITY);
  return scheduler.result();
}

/** Drives an executor in virtual time, in as many portions as the caller likes. */
export class VirtualTimeScheduler {
  readonly #executor: Executor;
  readonly #system: System;
  readonly #options: VirtualTimeOptions;
  readonly #prices: Prices;
  readonly #isOver: EndOfRun;
  readonly #clock: number[];
  readonly #busy: number[];
  readonly #waited: boolean[];
  /** Choices by when they are ready; those that have been refused, until something changes. */
  readonly #queue: ChoiceQueue;
  readonly #refusals: Refusals;
  readonly #choicesOf: ChoicesOfProcessors;
  /** Per channel: what is on it was ready before the gate of its processor opened. */
  readonly #held: boolean[];
  /** Per channel: when each message in flight is ready, oldest first. */
  readonly #ready: number[][];
  /** Per channel: the processor that takes what comes on it, or -1. */
  readonly #target: Int32Array;
  readonly #next: number[];
  /** Per processor: since when it spins on the operation it is at; Infinity if it does not, or nobody wants to know. */
  readonly #spinsSince: number[];
  readonly #lines: CacheLines | null;
  /** Where the journal of the step under way begins. */
  #mark = 0;
  /** A refused processor of a weakly ordered machine may still have something to propagate. */
  readonly #isWeak: boolean;
  #now = 0;
  #completed = 0;
  #spent = 0;
  #waitedCycles = 0;
  /** Processor that performs the step under way; -1 if none does. */
  #acting = -1;
  #steps = 0;
  #ticks = 0;
  #end: VirtualTimeRun['end'] | null = null;
  #operation: Operation | null = null;
  #branch = 0;
  /** What happens by itself and was refused at its time: it comes again, but not before another step. */
  #postponed: number[] = [];
  /** See {@link VirtualTimeOptions.reusesStep}; null: each step has an object of its own. */
  readonly #step: StepRecord | null;
  /** No step begins at this time or later. */
  #limit = NEVER;
  /** Nothing is left to do before the limit. */
  #paused = false;
  #arrivals: Arrival[] = [];
  readonly #read = (address: number): number => this.#executor.store.read(address);
  readonly #askAgain = (choice: number): void => {
    this.#refusals.forget(choice);
    this.#update(choice);
  };

  constructor(executor: Executor, options: VirtualTimeOptions) {
    checkOptions('virtual time: new', options, VIRTUAL_TIME_KEYS, ['costs']);
    this.#executor = executor;
    this.#system = executor.system;
    this.#options = options;
    const { processors, channels, spontaneous, choices } = this.#system;
    this.#step = options.reusesStep === true && choices[0] ? stepRecord(choices[0]) : null;
    this.#lines = options.caches ? new CacheLines(this.#system.layout.lines(), options.caches) : null;
    this.#prices = new Prices(options.costs, options.caches);
    this.#isOver = new EndOfRun(executor, options);
    this.#clock = processors.map((_, i) => options.firstCycles?.[i] ?? 0);
    this.#busy = processors.map(() => 0);
    this.#waited = processors.map(() => false);
    this.#held = channels.map(() => false);
    this.#ready = channels.map(() => []);
    this.#choicesOf = new ChoicesOfProcessors(this.#system);
    this.#target = Int32Array.from(channels, ({ toComponent }) => this.#choicesOf.processorOf(toComponent));
    this.#next = spontaneous.map((s) => s.firstCycles ?? s.periodCycles ?? NEVER);
    this.#isWeak = this.#system.weak !== null;
    this.#spinsSince = processors.map(() => NEVER);
    this.#queue = new ChoiceQueue(Int32Array.from(choices, (choice, index) => rankOf(this.#system, choice, index)));
    this.#refusals = new Refusals(
      executor.store.words.length,
      choices.map((choice) => wordsBehind(this.#system, choice)),
    );
    for (const channel of channels) {
      // What was sent before the run began is ready.
      while (executor.messageOn(channel.index, (this.#ready[channel.index] as number[]).length) !== null) {
        this.#sent(channel.index, 0);
      }
    }
    const { latencyOf } = options;
    executor.onSend = (channel) => {
      const cycles = latencyOf?.(channel, executor.processor) ?? this.#prices.cyclesOf(channel.latency ?? 'message');
      this.#sent(channel.index, this.#now + cycles);
    };
    executor.onSpend = (cost, times) => this.#spend(times * this.#prices.cyclesOf(cost));
  }

  #sent(channel: number, ready: number): void {
    const queue = this.#ready[channel] as number[];
    queue.push(ready);
    this.#askAgain(this.#choicesOf.deliveryOf(channel));
    if (queue.length === 1) this.#choicesOf.begin(channel);
  }

  #received(channel: number): void {
    const queue = this.#ready[channel] as number[];
    queue.shift();
    this.#held[channel] = false;
    if (queue.length === 0) this.#choicesOf.end(channel);
    this.#update(this.#choicesOf.deliveryOf(channel));
  }

  /**
   * What a step costs beyond its operation is charged to the processor that performs it, or on which a component acts.
   */
  #spend(cycles: number): void {
    const { processor } = this.#executor;
    if (this.#acting < 0 || this.#acting === processor) this.#spent += cycles;
    if (this.#acting === processor) return;
    this.#clock[processor] = Math.max(this.#now, this.#clock[processor] as number) + cycles;
    this.#busy[processor] = (this.#busy[processor] as number) + cycles;
    this.#updateProcessor(processor);
  }

  /** Makes up to `steps` more steps; returns false once the run has ended. */
  advance(steps: number): boolean {
    const stepsMax = Math.min(this.#steps + steps, this.#options.stepsMax ?? STEPS_MAX_DEFAULT);
    // Whoever drives the run may have done something to the state in between.
    this.#askAll();
    while (this.#end === null && this.#steps < stepsMax) this.#end = this.#advanceOnce();
    if (this.#end === null && this.#steps >= (this.#options.stepsMax ?? STEPS_MAX_DEFAULT)) this.#end = 'steps';
    return this.#end === null;
  }

  /**
   * Makes the steps that begin before a time, with what arrives from outside meanwhile; returns false once the run has
   * ended. A machine that waits for messages from outside has not.
   */
  advanceTo(cycles: number, arrivals: readonly Arrival[] = []): boolean {
    this.#arrivals = [...this.#arrivals, ...arrivals].sort((a, b) => a.cycles - b.cycles);
    this.#askAll();
    const stepsMax = this.#options.stepsMax ?? STEPS_MAX_DEFAULT;
    for (let goesOn = true; goesOn && this.#end === null;) {
      const next = this.#arrivals[0];
      this.#limit = Math.min(cycles, next?.cycles ?? NEVER);
      this.#paused = false;
      this.#end = this.#steps >= stepsMax ? 'steps' : this.#advanceOnce();
      if (!this.#paused) continue;
      if (next === undefined || next.cycles >= cycles) goesOn = false;
      else this.#arrives(next);
    }
    this.#limit = NEVER;
    return this.#end === null;
  }

  /** When something happens next as far as this scheduler knows; Infinity: not before something else arrives. */
  get nextCycles(): number {
    const { first } = this.#queue;
    const own = first < 0 ? NEVER : Math.max(this.#queue.timeOf(first), 0);
    return Math.min(own, this.#arrivals[0]?.cycles ?? NEVER);
  }

  #arrives({ cycles, apply }: Arrival): void {
    this.#arrivals.shift();
    this.#now = cycles;
    this.#completed = Math.max(this.#completed, cycles);
    apply(this.#executor);
    this.#executor.store.commit();
    this.#askAll();
  }

  #askAll(): void {
    for (let choice = 0; choice < this.#system.choices.length; choice++) this.#askAgain(choice);
  }

  /** What there is to say so far; `end` is `stopped` if the run has not ended by itself. */
  result(): VirtualTimeRun {
    return { end: this.#end ?? 'stopped', steps: this.#steps, cycles: this.#completed, busyCycles: this.#busy };
  }

  #advanceOnce(): VirtualTimeRun['end'] | null {
    if (this.#isOver.reached()) return 'done';
    const index = this.#stepEarliest();
    if (index === LATER) {
      this.#paused = true;
      return null;
    }
    if (this.#postponed.length > 0) for (const choice of this.#postponed.splice(0)) this.#update(choice);
    const kind = index < 0 ? null : (this.#system.choices[index] as Choice).kind;
    this.#ticks = kind === 'spontaneous' ? this.#ticks + 1 : 0;
    if (kind === null || this.#ticks > IDLE_TICKS_MAX) return this.#executor.atRest() ? 'rest' : 'deadlock';
    this.#steps++;
    const { failed } = this.#executor;
    const goOn = this.#account(index) !== false;
    if (failed) return 'violation';
    return goOn ? null : 'stopped';
  }

  /** Tries the choices in the order in which they are ready; returns the one that happened, or -1. */
  #stepEarliest(): number {
    const { store } = this.#executor;
    for (;;) {
      const best = this.#queue.first;
      if (best < 0) return this.#limit === NEVER ? -1 : LATER;
      if (this.#queue.timeOf(best) >= this.#limit) return LATER;
      const choice = this.#system.choices[best] as Choice;
      const time = this.#queue.timeOf(best);
      this.#now = this.#hadToWait(choice) ? Math.max(time, this.#completed) : time;
      if (this.#now >= this.#limit) {
        // It has waited for a step that is complete later than that.
        this.#queue.set(best, this.#now);
        continue;
      }
      this.#spent = 0;
      this.#waitedCycles = choice.kind === 'advance' ? this.#now - (this.#clock[choice.processor] as number) : 0;
      this.#acting = this.#actingIn(choice);
      const { mark } = store;
      const commits = this.#executor.commitsEachStep;
      const pending = !commits && choice.kind === 'advance' ? this.#executor.pendingOperation(choice.processor) : null;
      const happens = this.#happens(best, choice);
      this.#operation = commits ? this.#executor.attempted : pending;
      if (happens) {
        this.#mark = commits ? 0 : mark;
        this.#refusals.changed(store, this.#mark, this.#askAgain);
        return best;
      }
      this.#refuse(best, choice);
    }
  }

  #refuse(index: number, choice: Choice): void {
    if (choice.kind === 'spontaneous' && this.#spontaneousOf(choice).spinner < 0) {
      this.#postpone(choice.spontaneous);
      this.#postponed.push(index);
      this.#queue.set(index, NEVER);
      return;
    }
    this.#refusals.add(index, this.#isWeak ? null : this.#readsOf(choice));
    this.#queue.set(index, NEVER);
    if (choice.kind === 'advance') this.#waits(choice.processor);
    if (choice.kind === 'deliver' && this.#mustWait(choice.channel)) this.#held[choice.channel] = true;
  }

  /** What else a refusal depends on: the words that the operation reads; null if it does not say which. */
  #readsOf(choice: Choice): readonly number[] | null {
    if (choice.kind !== 'advance' || this.#operation === null) return [];
    const { footprint, waitsFor } = this.#operation.definition;
    if (waitsFor) return waitsFor(this.#read, this.#operation, choice.processor);
    return footprint ? footprint(this.#operation, choice.processor).reads : null;
  }

  #spontaneousOf(choice: Extract<Choice, { kind: 'spontaneous' }>): Spontaneous {
    return this.#system.spontaneous[choice.spontaneous] as Spontaneous;
  }

  #actingIn(choice: Choice): number {
    switch (choice.kind) {
      case 'advance':
      case 'drain':
        return choice.processor;
      case 'deliver':
        return this.#target[choice.channel] as number;
      case 'spontaneous':
        return -1;
    }
  }

  /** A processor could not perform its operation. It spins from the moment it came to it, or came back to it. */
  #waits(processor: number): void {
    if (this.#choicesOf.afterSpinning(processor).length > 0) {
      if (this.#operation?.definition.spins !== true) this.#spinsNoMore(processor);
      else if (this.#spinsSince[processor] === NEVER) {
        this.#spinsSince[processor] = this.#waited[processor] ? this.#completed : (this.#clock[processor] as number);
        for (const choice of this.#choicesOf.afterSpinning(processor)) this.#update(choice);
      }
    }
    if (this.#waited[processor]) return;
    this.#waited[processor] = true;
    this.#updateDeliveries(processor);
  }

  #spinsNoMore(processor: number): void {
    if (this.#spinsSince[processor] === NEVER) return;
    this.#spinsSince[processor] = NEVER;
    for (const choice of this.#choicesOf.afterSpinning(processor)) this.#update(choice);
  }

  /** Its processor has its gate closed, or older stores in its buffer. */
  #mustWait(index: number): boolean {
    const target = this.#system.processors[this.#target[index] as number];
    const channel = this.#system.channels[index] as Channel;
    return (target !== undefined && !this.#executor.gateOpen(target)) || this.#executor.mustDrain(channel);
  }

  /** Waiting ends with the step that ended it, not when the wait began. */
  #hadToWait(choice: Choice): boolean {
    if (choice.kind === 'advance') return this.#waited[choice.processor] as boolean;
    return choice.kind === 'deliver' && (this.#held[choice.channel] as boolean);
  }

  /** A run takes the first outcome; of the messages on an unordered channel, the first that is not refused. */
  #happens(index: number, choice: Choice): boolean {
    const branches = choice.kind === 'deliver' ? this.#executor.branchesOf(index) : 1;
    for (this.#branch = 0; this.#branch < branches; this.#branch++) {
      if (this.#executor.step(index, this.#branch)) return true;
    }
    return false;
  }

  #update(choice: number): void {
    this.#queue.set(
      choice,
      this.#refusals.has(choice) ? NEVER : this.#readyTime(this.#system.choices[choice] as Choice),
    );
  }

  /** The clock of a processor, or whether it waits, has changed. */
  #updateProcessor(processor: number): void {
    for (const choice of this.#choicesOf.own(processor)) this.#update(choice);
    this.#updateDeliveries(processor);
  }

  #updateDeliveries(processor: number): void {
    for (const choice of this.#choicesOf.deliveriesTo(processor)) this.#update(choice);
  }

  /** When a choice can happen as far as this scheduler knows; Infinity: not before something else has. */
  #readyTime(choice: Choice): number {
    switch (choice.kind) {
      case 'advance':
        return this.#clock[choice.processor] as number;
      case 'drain':
        return (this.#clock[choice.processor] as number) + this.#prices.cyclesOf('drain');
      case 'deliver': {
        const ready = (this.#ready[choice.channel] as number[])[0] ?? NEVER;
        if (ready === NEVER) return NEVER;
        // What was pending when a gate opens comes before everything else.
        if (this.#held[choice.channel] === true) return 0;
        const target = this.#target[choice.channel] as number;
        return target < 0 || this.#waited[target] === true ? ready : Math.max(ready, this.#clock[target] as number);
      }
      case 'spontaneous': {
        const { spinner, afterSpinning } = this.#spontaneousOf(choice);
        if (spinner < 0 || !afterSpinning) return this.#next[choice.spontaneous] as number;
        const since = this.#spinsSince[spinner] as number;
        return since === NEVER ? NEVER : since + this.#executor.store.read(afterSpinning.cycles);
      }
    }
  }

  #postpone(spontaneous: number): void {
    this.#next[spontaneous] =
      (this.#next[spontaneous] as number) + (this.#system.spontaneous[spontaneous]?.periodCycles ?? NEVER);
  }

  /** What an operation costs, and what its cache lines add to that. */
  #cyclesOf(processor: number, operation: Operation): number {
    const { definition } = operation;
    const { cycles, traffic } = this.#prices.ofOperation(definition);
    if (this.#lines === null) return cycles;
    // What a step has written is in the journal; what it has only read is its operand.
    const read = definition.addressed === true ? operation.a : -1;
    return cycles + this.#lines.cyclesOf(processor, traffic, read, this.#now, this.#executor.store, this.#mark);
  }

  /** Books the time of the step that just happened. */
  #account(index: number): boolean | void {
    const choice = this.#system.choices[index] as Choice;
    let processor = -1;
    let duration = this.#spent;
    switch (choice.kind) {
      case 'advance':
        processor = choice.processor;
        if (this.#operation) duration += this.#cyclesOf(processor, this.#operation);
        break;
      case 'deliver': {
        this.#received(choice.channel);
        processor = this.#target[choice.channel] as number;
        if (processor >= 0) duration += this.#prices.cyclesOf('interrupt_entry');
        break;
      }
      case 'drain':
        break;
      case 'spontaneous': {
        const { spinner } = this.#spontaneousOf(choice);
        if (spinner >= 0) {
          this.#spinsNoMore(spinner);
          // If it spins on, it does so from now on.
          this.#askAgain(this.#choicesOf.advanceOf(spinner));
        } else {
          this.#postpone(choice.spontaneous);
          this.#update(index);
        }
        break;
      }
    }
    if (processor >= 0) {
      this.#spinsNoMore(processor);
      this.#clock[processor] = Math.max(this.#now, this.#clock[processor] as number) + duration;
      this.#busy[processor] = (this.#busy[processor] as number) + duration;
      this.#waited[processor] = false;
      this.#updateProcessor(processor);
    }
    this.#completed = Math.max(this.#completed, this.#now + duration);
    const { onStep } = this.#options;
    if (onStep === undefined) return true;
    const step = this.#step ?? stepRecord(choice);
    step.entry = scheduleEntry(index, this.#branch);
    step.choice = choice;
    step.startCycles = this.#now;
    step.durationCycles = duration;
    step.operation = this.#operation;
    step.waitedCycles = this.#waitedCycles;
    return onStep(step);
  }
}
