/** A worker thread that judges mutants, one at a time. */
import type { Bounds, SystemSource } from '../result.ts';
import { WorkerThread } from '../worker-thread.ts';
import type { Judgement, Mutant } from './mutant.ts';
import type { StateSet } from './same-states.ts';

/** What every mutant of one system is judged with. Plain data. */
export interface MutantWork {
  readonly source: SystemSource;
  readonly original: StateSet | null;
  readonly bounds: Bounds;
}

/** One such thread. */
export class MutantThread extends WorkerThread {
  constructor(index: number) {
    super('mutate', index);
  }

  judge({ line, mutation }: Mutant, { source, original, bounds }: MutantWork): Promise<Judgement> {
    const { routine, step } = line;
    return this.raced(this.api.judge(source, { routine, step, change: mutation.change }, original, bounds));
  }
}
