/**
 * What threads are called that several scenarios have, by the system call that they make or by who they are; what they
 * do is each scenario's own.
 */
import { routine, type Routine, type Steps } from '@shootdown/machine';

type Body<A extends readonly unknown[], T> = (...args: A) => Steps<T>;

export const dma = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('DMA', body);
export const kernelWork = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('kernel', body);
export const madvises = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('madvise', body);
export const otherThread = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> =>
  routine('other thread', body);
export const asUser = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> => routine('user', body);
export const userCode = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> =>
  routine('user code', body);
export const setsThenExchanges = <A extends readonly unknown[], T>(body: Body<A, T>): Routine<A, T> =>
  routine('set_pte, ptep_get_and_clear', body);
