import { RandomScheduler, type Processor, type System } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WordSets } from './access-sets.ts';
import { Known } from './known.ts';
import { build, messageRecipes, recipes, symmetricRecipes } from './random-system.test-support.ts';
import { RecordingExecutor } from './recording.ts';
import { Sleepers } from './sleepers.ts';
import { warmUp } from './warm-up.ts';

const runs = process.env['SHOOTDOWN_DEEP'] === '1' ? 2_000 : 40;
const STEPS_MAX = 100;

/**
 * The same question answered state by state: all that anybody may touch, with everybody who may be woken, up to the
 * fixed point.
 */
class Gathered {
  readonly #reads: WordSets;
  readonly #writes: WordSets;
  readonly #system: System;
  readonly #executor: RecordingExecutor;
  readonly #known: Known;

  constructor(system: System, executor: RecordingExecutor, known: Known) {
    this.#system = system;
    this.#executor = executor;
    this.#known = known;
    this.#reads = new WordSets(system.layout.words, 1);
    this.#writes = new WordSets(system.layout.words, 1);
  }

  conflict(node: number, p: Processor, draining: boolean): boolean {
    const { reads, writes, own } = this.#known;
    const { accesses } = this.#executor;
    this.#reads.clear(0);
    this.#writes.clear(0);
    for (const q of this.#system.processors) if (q !== p) this.#gatherProcessor(q);
    for (const s of this.#system.spontaneous) this.#gather(accesses.ofSpontaneous(s.index));
    if (draining) this.#gather(accesses.ofDrain(p.index));
    while (this.#wake(p));
    const row = accesses.ofNode(node, p.index);
    return (
      this.#writes.meets(0, reads, row) ||
      this.#writes.meets(0, writes, row) ||
      this.#reads.meets(0, writes, row) ||
      this.#writes.meets(0, own, p.index)
    );
  }

  #gather(row: number): boolean {
    return [this.#reads.unite(0, this.#known.reads, row), this.#writes.unite(0, this.#known.writes, row)].includes(
      true,
    );
  }

  #gatherLater(node: number, q: Processor): boolean {
    const row = this.#known.rowOf(node, q.index);
    return [
      this.#reads.unite(0, this.#known.laterReads, row),
      this.#writes.unite(0, this.#known.laterWrites, row),
    ].includes(true);
  }

  #gatherProcessor(q: Processor): void {
    const { words } = this.#executor.store;
    this.#reads.unite(0, this.#known.own, q.index);
    for (let slot = 0; slot < q.tasks.length; slot++) this.#gatherLater(words[q.taskBase + slot] as number, q);
    if (q.interruptAddress >= 0) this.#gatherLater(words[q.interruptAddress] as number, q);
    if (q.bufferBase < 0) return;
    this.#gather(this.#executor.accesses.ofDrain(q.index));
    for (let i = 0; i < (words[q.bufferBase] as number); i++)
      this.#writes.add(0, words[q.bufferBase + 1 + 2 * i] as number);
  }

  #wake(p: Processor): boolean {
    let grew = false;
    for (const { index, base } of this.#system.channels) {
      if (this.#executor.store.words[base] !== 0 || this.#writes.has(0, base))
        grew = this.#gather(this.#executor.accesses.ofChannel(index)) || grew;
    }
    for (const q of this.#system.processors) {
      if (q === p || q.interruptAddress < 0 || !this.#writes.has(0, q.interruptAddress)) continue;
      for (const root of this.#known.handlers[q.index] ?? []) grew = this.#gatherLater(root, q) || grew;
    }
    return grew;
  }
}

describe('what sleepers may do before a step', () => {
  it('is what gathering everything in every state says, processors set aside', () => {
    const answers = { conflict: 0, independent: 0 };
    fc.assert(
      fc.property(fc.oneof(recipes, messageRecipes, symmetricRecipes), fc.integer(), (recipe, seed) => {
        const system = build(recipe);
        const executor = new RecordingExecutor(system);
        for (const _ of warmUp(system, executor, STEPS_MAX));
        const known = new Known(system, executor);
        const sleepers = new Sleepers(system, executor.store.words, executor.accesses, known);
        const gathered = new Gathered(system, executor, known);
        const scheduler = new RandomScheduler(seed);
        for (let i = 0; i < STEPS_MAX && !known.stale; i++) {
          for (const p of system.processors) compare(p);
          if (scheduler.next(executor) < 0) break;
        }

        function compare(p: Processor): void {
          const node = executor.store.words[executor.topAddress(p)] as number;
          const draining = p.bufferBase >= 0 && (executor.store.words[p.bufferBase] as number) > 0;
          const expected = gathered.conflict(node, p, draining);
          // What processors do by themselves is not asked of sleepers: reduction looks at them first.
          const others = system.processors.some((q) => q !== p && processorConflicts(q, p, node));
          if (others) return;
          expect(sleepers.conflict(node, p, draining)).toBe(expected);
          answers[expected ? 'conflict' : 'independent']++;
        }

        function processorConflicts(q: Processor, p: Processor, node: number): boolean {
          const { words } = executor.store;
          const row = executor.accesses.ofNode(node, p.index);
          const routines = [
            ...q.tasks.map((_, slot) => words[q.taskBase + slot] as number),
            ...(q.interruptAddress < 0 ? [] : [words[q.interruptAddress] as number]),
          ];
          const { reads, writes, laterReads, laterWrites, own } = known;
          const buffered =
            q.bufferBase < 0
              ? []
              : Array.from(
                  { length: words[q.bufferBase] as number },
                  (_, i) => words[q.bufferBase + 1 + 2 * i] as number,
                );
          return (
            buffered.some((word) => reads.has(row, word) || writes.has(row, word)) ||
            routines.some((other) => {
              const later = known.rowOf(other, q.index);
              return (
                laterWrites.meets(later, reads, row) ||
                laterWrites.meets(later, writes, row) ||
                laterReads.meets(later, writes, row) ||
                laterWrites.meets(later, own, p.index)
              );
            })
          );
        }
      }),
      { numRuns: runs },
    );
    expect(Math.min(answers.conflict, answers.independent)).toBeGreaterThan(runs);
  });
});
