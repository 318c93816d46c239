/** Stands for the explorer's worker threads in the page, which searches in one worker. */
import { ModelError } from '@shootdown/machine';

/** Always refuses. */
export function searchInWorkers(): never {
  throw new ModelError('explore: options: several workers are for the command: a page searches in one');
}

/** Always refuses. */
export class MutantThread {
  constructor() {
    searchInWorkers();
  }
}
