/** Stands for the reader of trace files in the page, which has no files. */
import { ModelError } from '@shootdown/machine';

/** Always refuses. */
export function readReferenceTrace(): never {
  throw new ModelError('trace: read: a page has no trace files: use shootdown tlb');
}
