/** What an executor derives from a system about its words. */
import { ModelError } from '../state/errors.ts';
import type { WeakMemoryOptions } from '../memory/weak-memory.ts';
import { WordClass } from '../state/words.ts';
import type { Processor, System } from './specs.ts';

/** 1 + index of the watch of each word, 0 for none; null if nothing is watched. */
export function watchedWords(system: System): Int32Array | null {
  if (system.watches.length === 0) return null;
  const watched = new Int32Array(system.layout.words);
  system.watches.forEach((watch, i) => watched.fill(i + 1, watch.base, watch.base + watch.cells));
  return watched;
}

/** How the weak memory of a system is set up: as it says, with the words that are fetched as instructions. */
export function weakOptions({ weak, wordClasses }: System): WeakMemoryOptions {
  const code = [...wordClasses.keys()].filter((address) => wordClasses[address] === WordClass.code);
  return { ...weak, code };
}

/** Interchangeable processors share the seeds of their task words, so that permuted states have one fingerprint. */
export function symmetricSeeds(system: System): ((address: number) => number) | undefined {
  if (system.symmetric.length === 0) return undefined;
  const seeds = new Map<number, number>();
  for (const group of system.symmetric) {
    const [first, ...others] = group.map((index) => system.processors[index] as Processor);
    if (!first) continue;
    for (const other of others) {
      if (
        other.tasks.join() !== first.tasks.join() ||
        other.bufferBase >= 0 ||
        other.component >= 0 ||
        other.gate >= 0
      ) {
        throw new ModelError(
          `system: symmetric: ${other.name} and ${first.name} do not run the same programs, or have words of their own`,
        );
      }
      other.tasks.forEach((_, slot) => seeds.set(other.taskBase + slot, first.taskBase + slot));
    }
  }
  return (address) => seeds.get(address) ?? address;
}
