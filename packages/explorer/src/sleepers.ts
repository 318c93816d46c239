/**
 * Who sleeps, and may be woken before a step: channels, which deliver when they hold a message, and interrupt handlers.
 *
 * A sleeper is woken by a write to one word: a channel by a write to its first message, a handler by one to the word of
 * its interrupt. Which writes can still come is known per local state, and whether what a sleeper then does (or another
 * that it wakes in turn) conflicts with a step is worked out once per step. What is left to ask in each state is
 * whether two small sets have a member in common.
 */
import type { Processor, System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import type { Known } from './known.ts';
import type { Accesses } from './recording.ts';

const NOBODY = -1;
/** What is known of a step, as bits of one byte. */
const Bit = { known: 1, conflicts: 2, conflictsWhileDraining: 4 } as const;

/** Answers whether anything that is no processor's next steps can conflict with a step. */
export class Sleepers {
  readonly #system: System;
  readonly #words: Int32Array;
  readonly #accesses: Accesses;
  readonly #known: Known;
  /** Channels in order of their numbers, then the handlers of each processor. */
  readonly #count: number;
  /** Per word: the sleeper that a write to it wakes. */
  readonly #wokenBy: Int32Array;
  /**
   * Per sleeper, per processor (by what happens besides processors; by draining its buffer), per node and processor:
   * whom it may wake.
   */
  readonly #wakes: WordSets;
  readonly #othersWake: WordSets;
  readonly #drainWakes: WordSets;
  readonly #laterWakes: WordSets;
  /** Per node and processor: sleepers that conflict with its step once they are awake. */
  readonly #conflicting: WordSets;
  readonly #steps: Uint8Array;

  constructor(system: System, words: Int32Array, accesses: Accesses, known: Known) {
    this.#system = system;
    this.#words = words;
    this.#accesses = accesses;
    this.#known = known;
    this.#count = system.channels.length + system.processors.length;
    this.#wokenBy = new Int32Array(words.length).fill(NOBODY);
    for (const channel of system.channels) this.#wokenBy[channel.base] = channel.index;
    for (const p of system.processors)
      if (p.interruptAddress >= 0) this.#wokenBy[p.interruptAddress] = this.#handlerOf(p);
    this.#wakes = new WordSets(this.#count, this.#count);
    this.#othersWake = new WordSets(this.#count, system.processors.length);
    this.#drainWakes = new WordSets(this.#count, system.processors.length);
    this.#laterWakes = new WordSets(this.#count, known.rows);
    this.#conflicting = new WordSets(this.#count, known.rows);
    this.#steps = new Uint8Array(known.rows);
    this.#findWhoWakesWhom();
  }

  /**
   * Whether a sleeper, a spontaneous event or a store buffer may conflict with the step at `node` of `p` before it is
   * made.
   */
  conflict(node: number, p: Processor, draining: boolean): boolean {
    const step = this.#known.rowOf(node, p.index);
    if (this.#steps[step] === 0) this.#steps[step] = this.#lookAt(step, node, p);
    const bits = this.#steps[step] as number;
    if ((bits & Bit.conflicts) !== 0 || (draining && (bits & Bit.conflictsWhileDraining) !== 0)) return true;
    if (this.#conflicting.isEmpty(step)) return false;
    const { channels, processors } = this.#system;
    for (const { index, base } of channels)
      if (this.#words[base] !== 0 && this.#conflicting.has(step, index)) return true;
    for (const q of processors) if (q !== p && this.#mayWake(q, step)) return true;
    return false;
  }

  /** Whether a processor may still wake somebody who conflicts with a step. */
  #mayWake(q: Processor, step: number): boolean {
    const words = this.#words;
    for (let slot = 0; slot < q.tasks.length; slot++)
      if (this.#routineMayWake(words[q.taskBase + slot] as number, q, step)) return true;
    if (q.interruptAddress >= 0 && this.#routineMayWake(words[q.interruptAddress] as number, q, step)) return true;
    if (q.bufferBase < 0) return false;
    for (let i = 0; i < (words[q.bufferBase] as number); i++) {
      const woken = this.#wokenBy[words[q.bufferBase + 1 + 2 * i] as number] as number;
      if (woken !== NOBODY && this.#conflicting.has(step, woken)) return true;
    }
    return false;
  }

  #routineMayWake(node: number, q: Processor, step: number): boolean {
    return this.#laterWakes.meets(this.#known.rowOf(node, q.index), this.#conflicting, step);
  }

  #findWhoWakesWhom(): void {
    const { writes, laterWrites, rows, handlers } = this.#known;
    const accesses = this.#accesses;
    this.#wokenBy.forEach((sleeper, word) => {
      if (sleeper === NOBODY) return;
      for (let row = 0; row < rows; row++) if (laterWrites.has(row, word)) this.#laterWakes.add(row, sleeper);
      for (const { index } of this.#system.channels)
        if (writes.has(accesses.ofChannel(index), word)) this.#wakes.add(index, sleeper);
      for (const s of this.#system.spontaneous) {
        if (writes.has(accesses.ofSpontaneous(s.index), word))
          for (const p of this.#system.processors) this.#othersWake.add(p.index, sleeper);
      }
      for (const p of this.#system.processors) {
        for (const root of handlers[p.index] ?? [])
          if (laterWrites.has(this.#known.rowOf(root, p.index), word)) this.#wakes.add(this.#handlerOf(p), sleeper);
        if (p.bufferBase < 0 || !writes.has(accesses.ofDrain(p.index), word)) continue;
        this.#drainWakes.add(p.index, sleeper);
        for (const q of this.#system.processors) if (q !== p) this.#othersWake.add(q.index, sleeper);
      }
    });
  }

  /** What can be said of a step in every state. */
  #lookAt(step: number, node: number, p: Processor): number {
    const row = this.#accesses.ofNode(node, p.index);
    this.#findConflicting(step, row, p);
    const { reads, writes, own } = this.#known;
    const { spontaneous, processors } = this.#system;
    const conflicts = (other: number): boolean => this.#conflict(reads, writes, other, row, p);
    const always =
      spontaneous.some((s) => conflicts(this.#accesses.ofSpontaneous(s.index))) ||
      processors.some(
        (q) =>
          q !== p &&
          (own.meets(q.index, writes, row) || (q.bufferBase >= 0 && conflicts(this.#accesses.ofDrain(q.index)))),
      ) ||
      this.#othersWake.meets(p.index, this.#conflicting, step);
    const draining =
      p.bufferBase >= 0 &&
      (conflicts(this.#accesses.ofDrain(p.index)) || this.#drainWakes.meets(p.index, this.#conflicting, step));
    return Bit.known | (always ? Bit.conflicts : 0) | (draining ? Bit.conflictsWhileDraining : 0);
  }

  /**
   * Finds the sleepers whose doings conflict with a step, and those who may wake them. Its own handlers cannot come
   * before it.
   */
  #findConflicting(step: number, row: number, p: Processor): void {
    const { reads, writes, laterReads, laterWrites, handlers } = this.#known;
    for (const { index } of this.#system.channels)
      if (this.#conflict(reads, writes, this.#accesses.ofChannel(index), row, p)) this.#conflicting.add(step, index);
    for (const q of this.#system.processors) {
      if (q === p || q.interruptAddress < 0) continue;
      const conflicts = (handlers[q.index] ?? []).some((root) =>
        this.#conflict(laterReads, laterWrites, this.#known.rowOf(root, q.index), row, p),
      );
      if (conflicts) this.#conflicting.add(step, this.#handlerOf(q));
    }
    for (let grew = true; grew;) {
      grew = false;
      for (let sleeper = 0; sleeper < this.#count; sleeper++) {
        if (sleeper !== this.#handlerOf(p) && this.#wakes.meets(sleeper, this.#conflicting, step))
          grew = this.#conflicting.add(step, sleeper) || grew;
      }
    }
  }

  /** Whether what a row of two sets touches has to do with a step of `p`. */
  #conflict(reads: WordSets, writes: WordSets, other: number, row: number, p: Processor): boolean {
    const step = this.#known;
    return (
      writes.meets(other, step.reads, row) ||
      writes.meets(other, step.writes, row) ||
      reads.meets(other, step.writes, row) ||
      writes.meets(other, step.own, p.index)
    );
  }

  #handlerOf(p: Processor): number {
    return this.#system.channels.length + p.index;
  }
}
