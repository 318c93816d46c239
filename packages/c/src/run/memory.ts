/** Shared memory as C sees it: by address, with the kernel's names for how it is accessed. */
import type { Dependencies, Steps } from '@shootdown/machine';
import type { Access, AtomicName } from '../compile/code.ts';

/** A stretch of memory that is accessed in a way of its own, such as the entries of page tables. */
export interface Memory {
  readonly base: number;
  readonly cells: number;
  load(address: number, access: Access, dependencies?: Dependencies | null): Steps<number>;
  store(address: number, word: number, access: Access, dependencies?: Dependencies | null): Steps;
  atomic(
    address: number,
    name: AtomicName,
    words: readonly number[],
    dependencies?: Dependencies | null,
  ): Steps<number>;
}
