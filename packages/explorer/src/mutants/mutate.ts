/** `mutate`: changes every line of a system's code in turn, and says which of them are needed for what. */
import { checkOptions, type System, checkFlag, checkWhole } from '@shootdown/machine';
import type { Bounds } from '../result.ts';
import { Watch } from '../watch.ts';
import { judge } from './judge.ts';
import { linesOf, mutantsOf } from './lines.ts';
import {
  MUTATE_KEYS,
  type JudgedMutant,
  type Judgement,
  type Mutant,
  type MutateOptions,
  type MutateResult,
} from './mutant.ts';
import { MutantThread } from './mutant-thread.ts';
import { stateSetOf, type StateSet } from './same-states.ts';

/** States of one mutant at most, unless the caller says otherwise: a change may make a space endless. */
const MUTANT_STATES_MAX = 5_000_000;

/** Judges a mutant; null: cancelled. */
type Judge = (mutant: Mutant) => Promise<Judgement | null>;

/**
 * Searches a system, then every mutant of it. Throws ModelError on mistakes of the model, and on options out of range.
 * The result does not depend on the number of workers.
 */
export async function mutate(system: System, options: MutateOptions = {}): Promise<MutateResult> {
  checkOptions('mutate: options', options, MUTATE_KEYS);
  checkFlag('mutate: options: compare', options.compare ?? true);
  checkWhole('mutate: options: workers', options.workers ?? 1, 1);
  const { signal, compare = true, wanted = () => true, workers = 1, source, onProgress } = options;
  const watch = new Watch({ signal });
  const bounds: Bounds = { maxStates: MUTANT_STATES_MAX, ...options.bounds };
  const cancels = signal && { signal };
  const { unchanged, lines } = await linesOf(system, { bounds, ...cancels, ...(onProgress && { onProgress }) });
  const mutants = unchanged.verdict === 'safe' ? mutantsOf(lines).filter(wanted) : [];
  const compared = compare && mutants.length > 0;
  const original = compared ? await stateSetOf(system, new Watch({ signal, ...bounds })) : null;
  const judged =
    source && (workers > 1 || bounds.timeoutSeconds !== undefined)
      ? await judgedInThreads(mutants, Math.min(workers, mutants.length), { source, original, bounds }, options)
      : await judgedBy([inThisThread(system, original, bounds, signal)], mutants, options);
  return { unchanged, lines, mutants: judged, seconds: watch.seconds };
}

function inThisThread(
  system: System,
  original: StateSet | null,
  bounds: Bounds,
  signal: AbortSignal | undefined,
): Judge {
  return async ({ mutation }) => {
    const judgement = await judge(system, mutation, original, bounds, signal);
    return signal?.aborted === true && judgement.result !== 'needed' ? null : judgement;
  };
}

async function judgedInThreads(
  mutants: readonly Mutant[],
  workers: number,
  work: Parameters<MutantThread['judge']>[1],
  options: MutateOptions,
): Promise<JudgedMutant[]> {
  const { signal } = options;
  const threads = Array.from({ length: workers }, (_, index) => new MutantThread(index));
  const cancelled = new Promise<null>((resolve) => {
    if (signal?.aborted === true) resolve(null);
    signal?.addEventListener('abort', () => resolve(null), { once: true });
  });
  try {
    const judges = threads.map(
      (thread): Judge =>
        (mutant) =>
          Promise.race([thread.judge(mutant, work), cancelled]),
    );
    return await judgedBy(judges, mutants, options);
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()));
  }
}

/** Hands out the mutants, one at a time to each judge. */
async function judgedBy(
  judges: readonly Judge[],
  mutants: readonly Mutant[],
  { signal, onJudged }: MutateOptions,
): Promise<JudgedMutant[]> {
  const judged: JudgedMutant[] = mutants.map((mutant) => ({ ...mutant, judgement: null }));
  let [next, done] = [0, 0];
  const work = async (judgeOne: Judge): Promise<void> => {
    while (next < mutants.length && signal?.aborted !== true) {
      const index = next++;
      const mutant = mutants[index] as Mutant;
      const judgement = await judgeOne(mutant);
      if (judgement === null) return;
      const result = { ...mutant, judgement };
      judged[index] = result;
      onJudged?.(++done, mutants.length, result);
    }
  };
  await Promise.all(judges.map(work));
  return judged;
}
