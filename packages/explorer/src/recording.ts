/**
 * A tabulated executor that learns which words every step touches. Partial-order reduction is built on what it learns,
 * so no declaration of anybody's has to be believed.
 *
 * Whatever can happen by itself is an *agent*, and each agent has a row in the sets: per processor and routine node the
 * operation pending there, per processor the draining of its store buffer, per channel its delivery, per spontaneous
 * choice its message. What a component does in return (effects, messages, interrupts), and what a watcher does, counts
 * as done by the agent that set it off. Attempts count as well as successes: a blocked operation has read what blocks
 * it.
 */
import {
  Code,
  ModelError,
  TabulatedExecutor,
  WordClass,
  type Choice,
  type Component,
  type Message,
  type Operation,
  type OperationContext,
  type Processor,
  type Request,
  type System,
} from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import { Requests } from './prospects.ts';

/** Which parts of the context touch words. A new method must be given its place here, or the build fails. */
const CONTEXT: Readonly<
  Record<keyof OperationContext, 'recorded' | 'own processor' | 'outside the state' | 'refused'>
> = {
  processor: 'own processor',
  load: 'recorded',
  storeBuffered: 'recorded',
  read: 'recorded',
  write: 'recorded',
  drained: 'own processor',
  buffered: 'own processor',
  fail: 'outside the state',
  send: 'recorded',
  tell: 'recorded',
  channelEmpty: 'recorded',
  channelFull: 'recorded',
  operationOf: 'refused',
  spend: 'outside the state',
  count: 'outside the state',
  explain: 'outside the state',
  note: 'outside the state',
  replacements: 'outside the state',
};
void CONTEXT;

/** The row of what is no step: setting up the initial state. */
const NOBODY = 0;

/** Words touched per agent. */
export class Accesses {
  readonly reads: WordSets;
  /** Words written in memory by the step itself. */
  readonly writes: WordSets;
  /** Words whose new value went into a store buffer: they are written when it drains. */
  readonly buffered: WordSets;
  /** Grows whenever something new is learnt. */
  learnt = 0;
  readonly #system: System;
  readonly #processors: number;
  readonly #fixed: number;
  /** Rows that all sets have. */
  #reserved = 0;
  /** Interchangeable processors count as the first of them: which one stands for the others is chance. */
  readonly #standIn: Int32Array;

  constructor(system: System) {
    this.#system = system;
    this.#standIn = Int32Array.from(
      system.processors,
      (p) => system.symmetric.find((group) => group.includes(p.index))?.[0] ?? p.index,
    );
    this.#processors = system.processors.length;
    this.#fixed = 1 + this.#processors + system.channels.length + system.spontaneous.length;
    const words = system.layout.words;
    this.reads = new WordSets(words);
    this.writes = new WordSets(words);
    this.buffered = new WordSets(words);
    this.reserve(this.#fixed);
    for (const channel of system.channels) this.touchChannel(this.ofChannel(channel.index), channel.index);
    for (const { index, toComponent } of system.spontaneous)
      this.touch(this.ofSpontaneous(index), (system.components[toComponent] as Component).address);
    for (const { index, toComponent } of system.channels) {
      const component = system.components[toComponent] as Component;
      const gate = system.components[system.processors[component.processor]?.gate ?? -1];
      this.touch(this.ofChannel(index), component.address);
      // Nothing is delivered to a processor whose gate is closed.
      if (gate) this.touch(this.ofChannel(index), gate.address);
    }
    this.learnt = 0;
  }

  /** All sets, for another thread. */
  toArrays(nodes: number): AccessArrays {
    const rows = this.#fixed + nodes * this.#processors;
    this.reserve(rows);
    const copy = (sets: WordSets): Int32Array<ArrayBuffer> => sets.bits.slice(0, rows * sets.stride);
    return { rows, reads: copy(this.reads), writes: copy(this.writes), buffered: copy(this.buffered) };
  }

  /** Learns what another thread has seen. @param nodes own numbers of its nodes */
  adopt({ rows, reads, writes, buffered }: AccessArrays, nodes: readonly number[]): void {
    const words = this.#system.layout.words;
    const pairs: [WordSets, WordSets][] = [
      [this.reads, WordSets.of(words, reads)],
      [this.writes, WordSets.of(words, writes)],
      [this.buffered, WordSets.of(words, buffered)],
    ];
    for (let row = 0; row < rows; row++) {
      const step = row - this.#fixed;
      const own =
        step < 0 ? row : this.ofNode(nodes[Math.floor(step / this.#processors)] as number, step % this.#processors);
      this.reserve(own);
      for (const [sets, theirs] of pairs) if (sets.unite(own, theirs, row)) this.learnt++;
    }
  }

  ofDrain(processor: number): number {
    return 1 + processor;
  }

  ofChannel(channel: number): number {
    return 1 + this.#processors + channel;
  }

  ofSpontaneous(spontaneous: number): number {
    return 1 + this.#processors + this.#system.channels.length + spontaneous;
  }

  /** What a processor is asked for by others. On a weak memory, which has no store buffers. */
  ofOthers(processor: number): number {
    return this.ofDrain(processor);
  }

  /** The operation pending at a node, performed by a processor. */
  ofNode(node: number, processor: number): number {
    return this.#fixed + node * this.#processors + (this.#standIn[processor] as number);
  }

  reserve(row: number): void {
    if (row < this.#reserved) return;
    this.#reserved = row + 1;
    this.reads.reserve(row);
    this.writes.reserve(row);
    this.buffered.reserve(row);
  }

  read(row: number, word: number): void {
    if (this.reads.add(row, word)) this.learnt++;
  }

  write(row: number, word: number): void {
    if (this.writes.add(row, word)) this.learnt++;
  }

  buffer(row: number, word: number): void {
    if (this.buffered.add(row, word)) this.learnt++;
  }

  /** Reads and writes a word. */
  touch(row: number, word: number): void {
    this.read(row, word);
    this.write(row, word);
  }

  touchChannel(row: number, index: number): void {
    const channel = this.#system.channels[index];
    if (!channel) return;
    for (let i = 0; i < channel.capacity; i++) this.touch(row, channel.base + i);
  }
}

/** {@link Accesses} in transit: the sets, by row, in the sender's numbers of nodes. */
export interface AccessArrays {
  readonly rows: number;
  readonly reads: Int32Array<ArrayBuffer>;
  readonly writes: Int32Array<ArrayBuffer>;
  readonly buffered: Int32Array<ArrayBuffer>;
}

/** Runs a system by table look-up and records what every step touches. */
export class RecordingExecutor extends TabulatedExecutor {
  readonly accesses: Accesses;
  /** Words that translations go through and lead to: which of them one uses is not known beforehand. */
  readonly #translated: readonly number[];
  /** Words that are fetched as instructions. */
  readonly #code: readonly number[];
  /** What is asked of a weak memory; null: there is none, or one that translates, whose requests say too little. */
  readonly requests: Requests | null;
  #row = NOBODY;
  /** The processor that {@link #row} is a step of; -1: of none. */
  #stepOf = -1;
  /**
   * Per choice whose doing it is; of an operation it depends on where the processor (which has the number of the
   * choice) stands.
   */
  readonly #rows: Int32Array;

  constructor(system: System) {
    super(system);
    this.accesses = new Accesses(system);
    const forgetful = system.weak !== null && !system.weak.translation && system.weak.canonical !== false;
    this.requests = forgetful ? new Requests(system.layout.words) : null;
    this.#code = [...system.wordClasses.keys()].filter((word) => system.wordClasses[word] === WordClass.code);
    this.#translated = (system.weak?.translated ?? []).map(({ address }) => address);
    this.#rows = Int32Array.from(system.choices, (choice) => this.#rowOf(choice));
  }

  override reset(): void {
    // The constructor of the base class resets, too, when there are no fields here yet.
    if (this.accesses as Accesses | undefined) this.#row = NOBODY;
    super.reset();
  }

  override step(choiceIndex: number, branch = 0): boolean {
    this.#begin(choiceIndex);
    return super.step(choiceIndex, branch);
  }

  /** Asking how many outcomes there are may read words, too. */
  override branchesOf(choiceIndex: number): number {
    this.#begin(choiceIndex);
    return super.branchesOf(choiceIndex);
  }

  #rowOf(choice: Choice): number {
    switch (choice.kind) {
      case 'advance':
        return NOBODY;
      case 'deliver':
        return this.accesses.ofChannel(choice.channel);
      case 'drain':
        return this.accesses.ofDrain(choice.processor);
      case 'spontaneous':
        return this.accesses.ofSpontaneous(choice.spontaneous);
    }
  }

  /** What follows is that agent's doing. */
  #begin(choiceIndex: number): void {
    const row = this.#rows[choiceIndex];
    this.#stepOf = row === NOBODY ? choiceIndex : -1;
    if (row === NOBODY) this.#beginAdvance(this.system.processors[choiceIndex] as Processor);
    else if (row !== undefined) this.#row = row;
  }

  /** Loads and stores may be inlined, so they are recorded here and not in the context's methods. */
  #beginAdvance(processor: Processor): void {
    const node = this.store.words[this.topAddress(processor)] as number;
    const row = this.accesses.ofNode(node, processor.index);
    this.accesses.reserve(row);
    this.requests?.reserve(row);
    this.#row = row;
    const code = this.nodes.code[node];
    if (code === Code.load) this.accesses.read(row, this.nodes.a[node] as number);
    else if (code === Code.store && processor.bufferBase < 0) this.accesses.write(row, this.nodes.a[node] as number);
    else if (code === Code.store) this.accesses.buffer(row, this.nodes.a[node] as number);
  }

  override load(address: number): number {
    this.accesses.read(this.#row, address);
    return super.load(address);
  }

  override storeBuffered(address: number, value: number): boolean {
    if ((this.system.processors[this.processor] as Processor).bufferBase >= 0) this.accesses.buffer(this.#row, address);
    return super.storeBuffered(address, value);
  }

  override read(address: number): number {
    this.accesses.read(this.#row, address);
    return super.read(address);
  }

  override write(address: number, value: number): void {
    this.accesses.write(this.#row, address);
    super.write(address, value);
  }

  /**
   * What the weak memory does at one location has to do with what it does there for others, and barriers with nobody
   * but their own processor: with its interrupt handler, too, which its component starts.
   */
  override noteRequest(request: Request): void {
    // The constructor of the base class sets up the tasks, when there are no fields here yet.
    if (!(this.accesses as Accesses | undefined)) return;
    const { processor } = this;
    const own = processor === this.#stepOf;
    this.requests?.note(own ? this.#row : this.accesses.ofOthers(processor), own, request);
    const { component } = this.system.processors[processor] as Processor;
    if (component >= 0) this.accesses.touch(this.#row, (this.system.components[component] as Component).address);
    switch (request.kind) {
      case 'load':
      case 'store':
      case 'update':
        this.accesses.read(this.#row, request.address);
        if (request.kind !== 'load') this.accesses.write(this.#row, request.address);
        if (!request.translated) return;
        break;
      case 'fetch':
        this.accesses.touch(this.#row, request.address);
        return;
      case 'tlbi':
        for (const address of request.pages) this.accesses.touch(this.#row, address);
        break;
      case 'dsb':
        // It may complete an invalidation of what others fetch.
        for (const address of this.#code) this.accesses.touch(this.#row, address);
        break;
      case 'access-flag':
        break;
      default:
        return;
    }
    for (const address of this.#translated) this.accesses.touch(this.#row, address);
  }

  override beginAttempt(): void {
    (this.requests as Requests | null | undefined)?.begin();
  }

  override endAttempt(): void {
    this.requests?.end(this.#row);
  }

  override noteStrong(address: number, writes: boolean): void {
    this.accesses.read(this.#row, address);
    if (writes) this.accesses.write(this.#row, address);
  }

  override send(channel: number, message: Message, from?: number): boolean {
    this.accesses.touchChannel(this.#row, channel);
    return super.send(channel, message, from);
  }

  override channelEmpty(channel: number): boolean {
    this.#readChannel(channel);
    return super.channelEmpty(channel);
  }

  override channelFull(channel: number): boolean {
    this.#readChannel(channel);
    return super.channelFull(channel);
  }

  /** Where another processor stands is in the words of its routines, whose writes are nobody's access. */
  override operationOf(index: number): Operation | null {
    throw new ModelError(
      `explorer: reduction: ${this.system.processors[index]?.name ?? index} is asked which operation it is at, which reduction cannot follow: explore without it`,
    );
  }

  protected override stepComponent(component: Component, message: number): boolean {
    this.accesses.touch(this.#row, component.address);
    return super.stepComponent(component, message);
  }

  /** An interrupt begins. (`accesses` is not there yet while the constructor starts the tasks.) */
  protected override startRoutine(address: number, program: number): void {
    (this.accesses as Accesses | undefined)?.write(this.#row, address);
    super.startRoutine(address, program);
  }

  #readChannel(index: number): void {
    const channel = this.system.channels[index];
    if (!channel) return;
    for (let i = 0; i < channel.capacity; i++) this.accesses.read(this.#row, channel.base + i);
  }
}
