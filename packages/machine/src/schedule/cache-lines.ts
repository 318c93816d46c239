/**
 * What it costs that memory is in caches: lines that another CPU has written are fetched from its cache, a line can be
 * on its way to one CPU at a time, and what has not been used for long is in no cache.
 *
 * No coherence protocol and no sets: a line has one last writer and those who have read it since, and a cache holds
 * what was used last. It changes how long steps take, never what they do.
 */
import type { LineMap } from '../state/line-map.ts';
import type { WordStore } from '../state/words.ts';

/** A machine's caches, as far as time goes. */
export interface CacheCosts {
  /** The physical CPU of each processor: what runs on one CPU shares its cache. */
  readonly cpus: readonly number[];
  /** Cycles to fetch a line from the cache of another CPU. */
  transfer(from: number, to: number): number;
  /** Cycles to fetch a word's line from memory. */
  memory(cpu: number, address: number): number;
  /** The last-level cache of a CPU: CPUs with one number share it. */
  cacheOf(cpu: number): number;
  /** Bytes that a last-level cache holds. */
  readonly cacheBytes: number;
  /** Bytes that an operation brings into the cache besides its words: by its entry of the cost table. */
  readonly traffic: Readonly<Record<string, number>>;
}

const LINE_BYTES = 64;
const NOBODY = -1;
/** CPUs in a word. */
const READER_BITS = 32;
const READER_SHIFT = 5;

/** Two doubles of a line: until when it is on its way to somebody, */
const BUSY_UNTIL = 0;
/** and the traffic of the cache it was in when it was used last, plus one; 0: it was never used. */
const USED_AT = 1;
/** Then words: the CPU that has written it last, plus one; */
const WRITER = 4;
/** a CPU that has a copy of it, plus one; */
const HOLDER = 5;
/** the cache it was used in last; */
const CACHE = 6;
/** and CPUs that have read it since it was written, a bit each. */
const READERS = 7;

/** The lines of a run. One object per run. */
export class CacheLines {
  readonly #costs: CacheCosts;
  /** A line that is 0 is none: the word's accesses are not looked at. */
  readonly #map: LineMap;
  /** What is known of a line is in one place, one after another. What has not been used is 0, and takes no memory. */
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  /** Words of a line, an even number. */
  readonly #stride: number;
  /** By last-level cache: bytes that have come into it. */
  readonly #traffic: number[] = [];

  constructor(map: LineMap, costs: CacheCosts) {
    this.#costs = costs;
    this.#map = map;
    const readerWords = Math.ceil((1 + Math.max(0, ...costs.cpus)) / READER_BITS);
    this.#stride = 2 * Math.ceil((READERS + readerWords) / 2);
    const buffer = new ArrayBuffer((map.lines + 1) * this.#stride * Int32Array.BYTES_PER_ELEMENT);
    this.#words = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    for (const cpu of costs.cpus) this.#traffic[costs.cacheOf(cpu)] = 0;
  }

  /**
   * Cycles that a step takes longer for its lines.
   * @param traffic bytes that it brings into the cache besides its words
   * @param read the word that it has read; -1: none
   * @param mark what it has written is in the journal from there on
   */
  cyclesOf(processor: number, traffic: number, read: number, now: number, store: WordStore, mark: number): number {
    const cpu = this.#costs.cpus[processor];
    if (cpu === undefined) return 0;
    const cache = this.#costs.cacheOf(cpu);
    if (traffic > 0) this.#bring(cache, traffic);
    let cycles = 0;
    for (let i = mark; i < store.mark; i++)
      cycles += this.#use(cpu, store.journalAddress(i), true, now + cycles, cache);
    // A read of a line that the step has written as well costs nothing more.
    if (read >= 0) cycles += this.#use(cpu, read, false, now + cycles, cache);
    return cycles;
  }

  #bring(cache: number, bytes: number): void {
    this.#traffic[cache] = (this.#traffic[cache] as number) + bytes;
  }

  #use(cpu: number, address: number, writes: boolean, now: number, cache: number): number {
    const line = this.#map.lineOf(address);
    if (line === 0) return 0;
    const at = line * this.#stride;
    const cycles = this.#fetch(cpu, at, address, writes, now, cache);
    this.#words[at + CACHE] = cache;
    this.#doubles[at / 2 + USED_AT] = 1 + (this.#traffic[cache] as number);
    return cycles;
  }

  #fetch(cpu: number, at: number, address: number, writes: boolean, now: number, cache: number): number {
    const words = this.#words;
    const writer = (words[at + WRITER] as number) - 1;
    const evicted = this.#isEvicted(at);
    const has = !evicted && (writer === cpu || this.#hasRead(at, cpu));
    const alone = (writer === cpu || writer === NOBODY) && !this.#othersHaveRead(at, cpu);
    const holder = (words[at + HOLDER] as number) - 1;
    if (writes) {
      words[at + WRITER] = cpu + 1;
      for (let of = at + READERS; of < at + this.#stride; of++) words[of] = 0;
      words[at + HOLDER] = cpu + 1;
    } else if (writer !== cpu) {
      const of = at + READERS + (cpu >> READER_SHIFT);
      words[of] = (words[of] as number) | bitOf(cpu);
      words[at + HOLDER] = cpu + 1;
    }
    if (has && (!writes || alone)) return 0;
    if (evicted) this.#bring(cache, LINE_BYTES);
    const way = evicted || holder === NOBODY ? this.#costs.memory(cpu, address) : this.#costs.transfer(holder, cpu);
    const start = Math.max(now, this.#doubles[at / 2 + BUSY_UNTIL] as number);
    this.#doubles[at / 2 + BUSY_UNTIL] = start + way;
    return start + way - now;
  }

  /** It was never used, or so much else has been since that it had to make room. */
  #isEvicted(at: number): boolean {
    const usedAt = this.#doubles[at / 2 + USED_AT] as number;
    if (usedAt === 0) return true;
    return (this.#traffic[this.#words[at + CACHE] as number] as number) - (usedAt - 1) > this.#costs.cacheBytes;
  }

  #hasRead(at: number, cpu: number): boolean {
    return ((this.#words[at + READERS + (cpu >> READER_SHIFT)] as number) & bitOf(cpu)) !== 0;
  }

  #othersHaveRead(at: number, cpu: number): boolean {
    const mine = at + READERS + (cpu >> READER_SHIFT);
    for (let of = at + READERS; of < at + this.#stride; of++) {
      const set = this.#words[of] as number;
      if ((of === mine ? set & ~bitOf(cpu) : set) !== 0) return true;
    }
    return false;
  }
}

function bitOf(cpu: number): number {
  return 1 << (cpu & (READER_BITS - 1));
}
