/**
 * Integer mixing and content hashes.
 *
 * A state's fingerprint is a *sum* of one contribution per word, so that changing a word costs two mixes however
 * large the state is, and so that words declared interchangeable (see `Layout.symmetric`) can share a seed.
 */

/** Two 32-bit halves of a 64-bit hash. */
export interface Hash64 {
  readonly lo: number;
  readonly hi: number;
}

const GOLDEN_RATIO_32 = 0x9e37_79b9;

/** A 32-bit finalizer (the constants are those of Chris Wellons' `lowbias32`). */
export function mix32(value: number): number {
  let x = value | 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb_352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846c_a68b);
  x ^= x >>> 16;
  return x | 0;
}

/** The `index`-th seed of stream `stream`: fixed for ever, so fingerprints can be compared across runs and machines. */
export function seed32(stream: number, index: number): number {
  return mix32(Math.imul(index + 1, GOLDEN_RATIO_32) ^ mix32(stream + 0x51ed_270b));
}

/** 64-bit content hash of a string (two independent FNV-1a style streams, finalized). */
export function hashString(text: string): Hash64 {
  let a = 0x811c_9dc5 | 0;
  let b = 0x01c9_dc51 | 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x0100_0193);
    b = Math.imul(b ^ c, 0x5bd1_e995);
    b ^= b >>> 13;
  }
  return { lo: mix32(a), hi: mix32(b ^ text.length) };
}

/** The same of a text that is asked for again and again: a name in the code. */
export function hashName(name: string): Hash64 {
  let hash = names.get(name);
  if (hash === undefined) names.set(name, (hash = hashString(name)));
  return hash;
}

const names = new Map<string, Hash64>();

/** A content hash that goes on: of what comes one after another. */
export class RunningHash implements Hash64 {
  lo: number;
  hi: number;

  constructor({ lo, hi }: Hash64) {
    this.lo = lo;
    this.hi = hi;
  }

  /** Begins anew with another. */
  restart({ lo, hi }: Hash64): this {
    this.lo = lo;
    this.hi = hi;
    return this;
  }

  /** Extends it by one number (any finite double; integers and fractions hash by value). */
  extend(value: number): this {
    const low = value | 0;
    if (low === value) return this.#extend(low, value < 0 ? -1 : 0);
    return this.#extend(low, Number.isInteger(value) ? Math.floor(value / 0x1_0000_0000) | 0 : fractionHash(value));
  }

  /** Extends it by something that has a hash itself. */
  join({ lo, hi }: Hash64): this {
    return this.extend(lo).extend(hi);
  }

  #extend(low: number, high: number): this {
    this.lo = mix32(Math.imul(this.lo, 31) + mix32(low ^ 0x3c6e_f372) + Math.imul(high, 0x27d4_eb2f));
    this.hi = mix32(Math.imul(this.hi, 37) ^ (mix32(low + 0x165_667b1) + Math.imul(high, 0x85eb_ca6b)));
    return this;
  }
}

/** Of a number that is no integer, by its text; the end of a range that is empty comes again and again. */
function fractionHash(value: number): number {
  return value === Number.POSITIVE_INFINITY ? INFINITY_HASH : hashString(String(value)).lo;
}

const INFINITY_HASH = hashString(String(Number.POSITIVE_INFINITY)).lo;

/** JSON with sorted keys: equal values give equal text. Used to intern messages and component states by content. */
export function canonicalJson(value: unknown): string {
  if (value === undefined) return 'null';
  if (typeof value !== 'object' || value === null)
    return ((value as number) | 0) === value ? String(value) : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  let members = '';
  for (const key of Object.keys(value).sort()) {
    const member = (value as Readonly<Record<string, unknown>>)[key];
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}
