/**
 * The virtual-time scheduler: every processor has a clock, and the choice that is ready first happens first.
 *
 * An operation takes effect when it starts and occupies its processor for its cost. A processor that had to wait goes
 * on when the step that let it go on is complete. A message is ready when it was sent plus its channel's latency, and a
 * processor takes it between two operations.
 */
import { checkOptions, keysOf } from '../state/errors.ts';
import { cyclesOf, type CostModel } from './cost.ts';
import type { Executor } from '../execute/executor.ts';
import { scheduleEntry } from './schedule.ts';
import type { Operation } from '../routine/operation.ts';
import type { Channel, Choice, Component, Processor, Spontaneous, System } from '../system/system.ts';

/** One step as the scheduler saw it, for observers. */
export interface TimedStep {
  readonly entry: number;
  readonly choice: Choice;
  readonly startCycles: number;
  readonly durationCycles: number;
  /** The operation performed, for `advance`. */
  readonly operation: Operation | null;
}

/** What a run needs besides the executor. */
export interface VirtualTimeOptions {
  readonly costs: CostModel;
  /** The run ends when these processors' tasks have returned. Default: when everything is at rest. */
  readonly until?: readonly number[];
  /** Processors that count as done when they rest, besides those. */
  readonly untilAtRest?: readonly number[];
  /** Steps at most. Default 100 million. */
  readonly stepsMax?: number;
  /** Called after every step; return false to stop the run. */
  readonly onStep?: (step: TimedStep) => boolean | void;
}

const VIRTUAL_TIME_KEYS = keysOf<VirtualTimeOptions>()('costs', 'until', 'untilAtRest', 'stepsMax', 'onStep');

/** How a run ended. */
export interface VirtualTimeRun {
  readonly end: 'done' | 'rest' | 'deadlock' | 'steps' | 'stopped' | 'violation';
  readonly steps: number;
  /** Virtual time when the last step was complete. */
  readonly cycles: number;
  /** Cycles each processor spent performing operations. */
  readonly busyCycles: readonly number[];
}

const STEPS_MAX_DEFAULT = 100_000_000;
const NEVER = Number.POSITIVE_INFINITY;
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
  readonly #clock: number[];
  readonly #busy: number[];
  readonly #waited: boolean[];
  /**
   * Per choice: what it is, and the processor, channel or spontaneous step it is about: looked at before every step,
   * for all of them.
   */
  readonly #kind: readonly Choice['kind'][];
  readonly #subject: Int32Array;
  /** Per choice: the attempt at a step in which it was last refused. */
  readonly #refused: Int32Array;
  #attempt = 0;
  /** Per channel: what is on it was ready before the gate of its processor opened. */
  readonly #held: boolean[];
  /** Per channel: when each message in flight is ready, oldest first. */
  readonly #ready: number[][];
  /** Per channel: when its oldest message is ready; Infinity if there is none. */
  readonly #head: Float64Array;
  /** Per channel: the processor that takes what comes on it, or -1. */
  readonly #target: Int32Array;
  readonly #next: number[];
  /** Per processor: since when it spins on the operation it is at; Infinity if it does not, or nobody wants to know. */
  readonly #spinsSince: number[];
  #spinning = 0;
  /** Choices that happen after spinning: looked at only while somebody spins. */
  readonly #afterSpinning: readonly number[];
  readonly #isWatched: readonly boolean[];
  /** A refused processor of a weakly ordered machine may still have something to propagate. */
  readonly #isWeak: boolean;
  /** Choices to look at before every step: what processors do. */
  readonly #always: readonly number[];
  /** What happens by itself, and the earliest time of any of it: nobody has to look before that. */
  readonly #periodic: readonly number[];
  #nextPeriodic = NEVER;
  /** Per channel: the choice that delivers from it. */
  readonly #deliveryOf: Int32Array;
  /** Deliveries from the channels that are not empty, in the order of choices. */
  readonly #deliveries: number[] = [];
  #now = 0;
  #completed = 0;
  #spent = 0;
  /** Processor that performs the step under way; -1 if none does. */
  #acting = -1;
  #steps = 0;
  #ticks = 0;
  #end: VirtualTimeRun['end'] | null = null;
  #operation: Operation | null = null;
  #branch = 0;
  #best = -1;
  #bestTime = 0;

  constructor(executor: Executor, options: VirtualTimeOptions) {
    checkOptions('virtual time: new', options, VIRTUAL_TIME_KEYS, ['costs']);
    this.#executor = executor;
    this.#system = executor.system;
    this.#options = options;
    this.#clock = this.#system.processors.map(() => 0);
    this.#busy = this.#system.processors.map(() => 0);
    this.#waited = this.#system.processors.map(() => false);
    this.#kind = this.#system.choices.map(({ kind }) => kind);
    this.#subject = Int32Array.from(this.#system.choices, subjectOf);
    this.#refused = new Int32Array(this.#system.choices.length);
    this.#held = this.#system.channels.map(() => false);
    this.#ready = this.#system.channels.map(() => []);
    this.#head = new Float64Array(this.#system.channels.length).fill(NEVER);
    this.#target = Int32Array.from(
      this.#system.channels,
      ({ toComponent }) => (this.#system.components[toComponent] as Component).processor,
    );
    this.#next = this.#system.spontaneous.map((s) => s.firstCycles ?? s.periodCycles ?? Number.POSITIVE_INFINITY);
    const indexes = this.#system.choices.map((_, i) => i);
    this.#deliveryOf = new Int32Array(this.#system.channels.length);
    this.#system.choices.forEach((choice, i) => {
      if (choice.kind === 'deliver') this.#deliveryOf[choice.channel] = i;
    });
    this.#afterSpinning = indexes.filter((i) => this.#spinnerOf(this.#system.choices[i] as Choice) >= 0);
    this.#always = indexes.filter((i) => ['advance', 'drain'].includes(this.#kind[i] as string));
    this.#periodic = indexes.filter((i) => this.#isPeriodic(this.#system.choices[i] as Choice));
    this.#findNextPeriodic();
    this.#isWeak = this.#system.weak !== null;
    this.#spinsSince = this.#system.processors.map(() => NEVER);
    this.#isWatched = this.#system.processors.map((p) => this.#system.spontaneous.some((s) => s.spinner === p.index));
    for (const channel of this.#system.channels) {
      // What was sent before the run began is ready.
      while (executor.messageOn(channel.index, (this.#ready[channel.index] as number[]).length) !== null) {
        this.#sent(channel.index, 0);
      }
    }
    executor.onSend = (channel) => {
      this.#sent(channel.index, this.#now + cyclesOf(this.#options.costs, channel.latency ?? 'message'));
    };
    executor.onSpend = (cost, times) => this.#spend(times * cyclesOf(this.#options.costs, cost));
  }

  #sent(channel: number, ready: number): void {
    if ((this.#ready[channel] as number[]).push(ready) > 1) return;
    this.#head[channel] = ready;
    const choice = this.#deliveryOf[channel] as number;
    const after = this.#deliveries.findIndex((other) => other > choice);
    this.#deliveries.splice(after < 0 ? this.#deliveries.length : after, 0, choice);
  }

  #received(channel: number): void {
    const queue = this.#ready[channel] as number[];
    queue.shift();
    this.#head[channel] = queue[0] ?? NEVER;
    this.#held[channel] = false;
    if (queue.length === 0) this.#deliveries.splice(this.#deliveries.indexOf(this.#deliveryOf[channel] as number), 1);
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
  }

  /** What happens by itself happens in a run only if the run is told when. */
  #isPeriodic(choice: Choice): boolean {
    if (choice.kind !== 'spontaneous') return false;
    const { periodCycles, firstCycles, spinner } = this.#spontaneousOf(choice);
    return spinner < 0 && (periodCycles !== undefined || firstCycles !== undefined);
  }

  #spinnerOf(choice: Choice): number {
    return choice.kind === 'spontaneous' ? this.#spontaneousOf(choice).spinner : -1;
  }

  /** Makes up to `steps` more steps; returns false once the run has ended. */
  advance(steps: number): boolean {
    const stepsMax = Math.min(this.#steps + steps, this.#options.stepsMax ?? STEPS_MAX_DEFAULT);
    while (this.#end === null && this.#steps < stepsMax) this.#end = this.#advanceOnce();
    if (this.#end === null && this.#steps >= (this.#options.stepsMax ?? STEPS_MAX_DEFAULT)) this.#end = 'steps';
    return this.#end === null;
  }

  /** What there is to say so far; `end` is `stopped` if the run has not ended by itself. */
  result(): VirtualTimeRun {
    return { end: this.#end ?? 'stopped', steps: this.#steps, cycles: this.#completed, busyCycles: this.#busy };
  }

  #advanceOnce(): VirtualTimeRun['end'] | null {
    if (this.#reached()) return 'done';
    const index = this.#stepEarliest();
    const kind = index < 0 ? null : (this.#system.choices[index] as Choice).kind;
    this.#ticks = kind === 'spontaneous' ? this.#ticks + 1 : 0;
    if (kind === null || this.#ticks > IDLE_TICKS_MAX) return this.#executor.atRest() ? 'rest' : 'deadlock';
    this.#steps++;
    const { failed } = this.#executor;
    const goOn = this.#account(index) !== false;
    if (failed) return 'violation';
    return goOn ? null : 'stopped';
  }

  #reached(): boolean {
    const { until, untilAtRest } = this.#options;
    if (until === undefined && untilAtRest === undefined) return false;
    for (const processor of until ?? []) if (!this.#executor.isDone(processor)) return false;
    for (const processor of untilAtRest ?? []) if (!this.#executor.rests(processor)) return false;
    return true;
  }

  /** Tries the choices in the order in which they are ready; returns the one that happened, or -1. */
  #stepEarliest(): number {
    const choices = this.#system.choices;
    this.#attempt++;
    for (;;) {
      const best = this.#earliest();
      if (best < 0) return -1;
      const choice = choices[best] as Choice;
      this.#now = this.#hadToWait(choice) ? Math.max(this.#bestTime, this.#completed) : this.#bestTime;
      this.#operation = choice.kind === 'advance' ? this.#executor.pendingOperation(choice.processor) : null;
      this.#spent = 0;
      this.#acting = this.#actingIn(choice);
      if (this.#happens(best, choice)) return best;
      this.#refused[best] = this.#attempt;
      if (choice.kind === 'advance') this.#waits(choice.processor);
      if (choice.kind === 'deliver' && this.#mustWait(choice.channel)) this.#held[choice.channel] = true;
      if (choice.kind === 'spontaneous' && this.#spontaneousOf(choice).spinner < 0) this.#postpone(choice.spontaneous);
    }
  }

  /** A processor that found its gate closed is not asked again before it opens. */
  #isShutOut(index: number): boolean {
    const processor = this.#system.processors[index] as Processor;
    if (processor.gate < 0 || this.#executor.gateOpen(processor)) return false;
    this.#spinsNoMore(index);
    return true;
  }

  /**
   * A processor that has been refused at an operation that never happens, or has none left, would be refused again:
   * asking all CPUs that idle or spin in user mode before every step made a step take time quadratic in their number.
   * An interrupt gives it another operation. One that is still booked as spinning is asked, so that this ends.
   */
  #cannotGoOn(index: number): boolean {
    if (this.#isWeak || this.#spinsSince[index] !== NEVER) return false;
    const operation = this.#executor.pendingOperation(index);
    return operation === null || operation.definition.rests === true;
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
    if (this.#isWatched[processor]) {
      if (this.#operation?.definition.spins !== true) this.#spinsNoMore(processor);
      else if (this.#spinsSince[processor] === NEVER) {
        this.#spinsSince[processor] = this.#waited[processor] ? this.#completed : (this.#clock[processor] as number);
        this.#spinning++;
      }
    }
    this.#waited[processor] = true;
  }

  #spinsNoMore(processor: number): void {
    if (this.#spinsSince[processor] === NEVER) return;
    this.#spinsSince[processor] = NEVER;
    this.#spinning--;
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

  /**
   * Of those ready at one time a delivery comes first: a busy processor takes an interrupt after the operation it is
   * in.
   */
  #earliest(): number {
    this.#best = -1;
    this.#bestTime = NEVER;
    if (this.#deliveries.length > 0) this.#lookAt(this.#deliveries);
    this.#lookAt(this.#always);
    if (this.#nextPeriodic < this.#bestTime) this.#lookAt(this.#periodic);
    if (this.#spinning > 0) this.#lookAt(this.#afterSpinning);
    return this.#best;
  }

  #lookAt(list: readonly number[]): void {
    for (const choice of list) {
      const time = this.#readyTime(choice);
      if (time < this.#bestTime && this.#refused[choice] !== this.#attempt) {
        this.#best = choice;
        this.#bestTime = time;
      }
    }
  }

  /** When a choice can happen as far as this scheduler knows; Infinity: not before something else has. */
  #readyTime(choice: number): number {
    const subject = this.#subject[choice] as number;
    switch (this.#kind[choice] as Choice['kind']) {
      case 'advance':
        return this.#waited[subject] === true && (this.#isShutOut(subject) || this.#cannotGoOn(subject))
          ? NEVER
          : (this.#clock[subject] as number);
      case 'drain':
        return (this.#clock[subject] as number) + cyclesOf(this.#options.costs, 'drain');
      case 'deliver': {
        const ready = this.#head[subject] as number;
        if (ready === NEVER) return NEVER;
        // What was pending when a gate opens comes before everything else; until then it would be refused again.
        if (this.#held[subject] === true) return this.#mustWait(subject) ? NEVER : 0;
        const target = this.#target[subject] as number;
        return target < 0 || this.#waited[target] === true ? ready : Math.max(ready, this.#clock[target] as number);
      }
      case 'spontaneous': {
        const { spinner, afterSpinning } = this.#system.spontaneous[subject] as Spontaneous;
        if (spinner < 0 || !afterSpinning) return this.#next[subject] as number;
        return (this.#spinsSince[spinner] as number) + this.#executor.store.read(afterSpinning.cycles);
      }
    }
  }

  #postpone(spontaneous: number): void {
    this.#next[spontaneous] =
      (this.#next[spontaneous] as number) + (this.#system.spontaneous[spontaneous]?.periodCycles ?? 0);
    this.#findNextPeriodic();
  }

  #findNextPeriodic(): void {
    this.#nextPeriodic = NEVER;
    for (const choice of this.#periodic)
      this.#nextPeriodic = Math.min(this.#nextPeriodic, this.#next[this.#subject[choice] as number] as number);
  }

  /** Books the time of the step that just happened. */
  #account(index: number): boolean | void {
    const choice = this.#system.choices[index] as Choice;
    const { costs } = this.#options;
    let processor = -1;
    let duration = this.#spent;
    switch (choice.kind) {
      case 'advance':
        processor = choice.processor;
        duration += this.#operation
          ? cyclesOf(costs, this.#operation.definition.cost ?? this.#operation.definition.name)
          : 0;
        break;
      case 'deliver': {
        this.#received(choice.channel);
        processor = this.#target[choice.channel] as number;
        if (processor >= 0) duration += cyclesOf(costs, 'interrupt_entry');
        break;
      }
      case 'drain':
        break;
      case 'spontaneous': {
        const { spinner } = this.#spontaneousOf(choice);
        if (spinner >= 0) this.#spinsNoMore(spinner);
        else this.#postpone(choice.spontaneous);
        break;
      }
    }
    if (processor >= 0) {
      this.#spinsNoMore(processor);
      this.#clock[processor] = Math.max(this.#now, this.#clock[processor] as number) + duration;
      this.#busy[processor] = (this.#busy[processor] as number) + duration;
      this.#waited[processor] = false;
    }
    this.#completed = Math.max(this.#completed, this.#now + duration);
    const onStep = this.#options.onStep;
    return onStep?.({
      entry: scheduleEntry(index, this.#branch),
      choice,
      startCycles: this.#now,
      durationCycles: duration,
      operation: this.#operation,
    });
  }
}

function subjectOf(choice: Choice): number {
  switch (choice.kind) {
    case 'advance':
    case 'drain':
      return choice.processor;
    case 'deliver':
      return choice.channel;
    case 'spontaneous':
      return choice.spontaneous;
  }
}
