/** System calls on contiguous entries, by name: what they do on the way is up to whoever asks. */
import { routine, type Routine, type Steps } from '@shootdown/machine';

type Body<A extends readonly unknown[], T> = (...args: A) => Steps<T>;

export const fork = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('fork', body);
export const mprotect = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('mprotect', body);
