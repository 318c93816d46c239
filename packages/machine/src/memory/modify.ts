/** What atomics make of a word. */
import type { Modify } from './requests.ts';

const made = new Map<string, Modify>();

function once(key: string, apply: (old: number) => number | null, compares = false, computes = true): Modify {
  let modify = made.get(key);
  if (!modify) made.set(key, (modify = { key, compares, computes, apply }));
  return modify;
}

/** SWP: the value, whatever was there. */
export const swapTo = (value: number): Modify => once(`swap ${value}`, () => value, false, false);

/** CAS: the value, if `expected` was there. */
export const swapIf = (expected: number, value: number): Modify =>
  once(`cas ${expected} ${value}`, (old) => (old === expected ? value : null), true, false);

/** LDADD: adds, with 32 bits. */
export const addTo = (delta: number): Modify => once(`add ${delta}`, (old) => (old + delta) | 0);
/** LDSET: sets bits. */
export const setIn = (bits: number): Modify => once(`or ${bits}`, (old) => old | bits);
/** LDCLR: clears bits. */
export const clearIn = (bits: number): Modify => once(`andnot ${bits}`, (old) => old & ~bits);
/** LDEOR: inverts bits. */
export const toggleIn = (bits: number): Modify => once(`xor ${bits}`, (old) => old ^ bits);

/** Adds `delta` unless one of the busy bits is set. */
export const addUnless = (busy: number, delta: number): Modify =>
  once(`unless ${busy} ${delta}`, (old) => ((old & busy) === 0 ? (old + delta) | 0 : null));
