/**
 * What it costs that memory is in caches: lines that another CPU has written are fetched from its cache, a line can be
 * on its way to one CPU at a time, and what has not been used for long is in no cache.
 *
 * No coherence protocol and no sets: a line has one last writer and those who have read it since, and a cache holds
 * what was used last. It changes how long steps take, never what they do.
 */
import type { Operation } from '../routine/operation.ts';
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
  /** Bytes that an operation brings into the cache besides its words: by the name of the operation. */
  readonly traffic: Readonly<Record<string, number>>;
}

const LINE_BYTES = 64;
const NOBODY = -1;
const READER_BITS = 32;

/** The lines of a run. One object per run. */
export class CacheLines {
  readonly #costs: CacheCosts;
  /** A line that is 0 is none: the word's accesses are not looked at. */
  readonly #map: LineMap;
  // What has not been used is 0 in all of these, and takes no memory.
  /** By line: the CPU that has written it last, plus one. */
  readonly #writer: Int16Array;
  /** By line: until when it is on its way to somebody. */
  readonly #busyUntil: Float64Array;
  /** By line: traffic of the cache it was in when it was used last, plus one; 0: never used. */
  readonly #usedAt: Float64Array;
  /** By line: the cache it was used in last. */
  readonly #cache: Int16Array;
  /** By line: CPUs that have read it since it was written, a bit each. */
  readonly #readers: (Uint32Array | undefined)[] = [];
  /** By line: a CPU that has a copy of it, plus one. */
  readonly #holder: Int16Array;
  readonly #readerWords: number;
  /** By last-level cache: bytes that have come into it. */
  readonly #traffic: number[] = [];

  constructor(map: LineMap, costs: CacheCosts) {
    const { lines } = map;
    this.#costs = costs;
    this.#map = map;
    this.#writer = new Int16Array(lines + 1);
    this.#busyUntil = new Float64Array(lines + 1);
    this.#usedAt = new Float64Array(lines + 1);
    this.#cache = new Int16Array(lines + 1);
    this.#holder = new Int16Array(lines + 1);
    this.#readerWords = Math.ceil((1 + Math.max(0, ...costs.cpus)) / READER_BITS);
  }

  /**
   * Cycles that a step takes longer for its lines: what it has written is in the journal from `mark` on, what it has
   * only read is its operand.
   */
  cyclesOf(processor: number, operation: Operation, now: number, store: WordStore, mark: number): number {
    const cpu = this.#costs.cpus[processor];
    if (cpu === undefined) return 0;
    const { definition } = operation;
    const cache = this.#costs.cacheOf(cpu);
    const bytes = this.#costs.traffic[definition.cost ?? definition.name];
    if (bytes !== undefined) this.#traffic[cache] = (this.#traffic[cache] ?? 0) + bytes;
    let cycles = 0;
    for (let i = mark; i < store.mark; i++)
      cycles += this.#use(cpu, store.journalAddress(i), true, now + cycles, cache);
    // A read of a line that the step has written as well costs nothing more.
    if (definition.addressed === true) cycles += this.#use(cpu, operation.a, false, now + cycles, cache);
    return cycles;
  }

  #use(cpu: number, address: number, writes: boolean, now: number, cache: number): number {
    const line = this.#map.lineOf(address);
    if (line === 0) return 0;
    const cycles = this.#fetch(cpu, line, address, writes, now, cache);
    this.#cache[line] = cache;
    this.#usedAt[line] = 1 + (this.#traffic[cache] ?? 0);
    return cycles;
  }

  #fetch(cpu: number, line: number, address: number, writes: boolean, now: number, cache: number): number {
    const writer = (this.#writer[line] as number) - 1;
    const readers = this.#readers[line];
    const evicted = this.#isEvicted(line);
    const has = !evicted && (writer === cpu || isIn(readers, cpu));
    const alone = (writer === cpu || writer === NOBODY) && !hasOthers(readers, cpu);
    const holder = (this.#holder[line] as number) - 1;
    if (writes) {
      this.#writer[line] = cpu + 1;
      readers?.fill(0);
      this.#holder[line] = cpu + 1;
    } else if (writer !== cpu) {
      this.#addReader(line, cpu);
      this.#holder[line] = cpu + 1;
    }
    if (has && (!writes || alone)) return 0;
    if (evicted) this.#traffic[cache] = (this.#traffic[cache] ?? 0) + LINE_BYTES;
    const way = evicted || holder === NOBODY ? this.#costs.memory(cpu, address) : this.#costs.transfer(holder, cpu);
    const start = Math.max(now, this.#busyUntil[line] as number);
    this.#busyUntil[line] = start + way;
    return start + way - now;
  }

  /** It was never used, or so much else has been since that it had to make room. */
  #isEvicted(line: number): boolean {
    const traffic = this.#traffic[this.#cache[line] as number] ?? 0;
    const usedAt = this.#usedAt[line] as number;
    return usedAt === 0 || traffic - (usedAt - 1) > this.#costs.cacheBytes;
  }

  #addReader(line: number, cpu: number): void {
    const readers = (this.#readers[line] ??= new Uint32Array(this.#readerWords));
    const word = Math.floor(cpu / READER_BITS);
    readers[word] = (readers[word] as number) | bitOf(cpu);
  }
}

function bitOf(cpu: number): number {
  return 1 << (cpu % READER_BITS);
}

function isIn(readers: Uint32Array | undefined, cpu: number): boolean {
  return readers !== undefined && ((readers[Math.floor(cpu / READER_BITS)] as number) & bitOf(cpu)) !== 0;
}

function hasOthers(readers: Uint32Array | undefined, cpu: number): boolean {
  if (readers === undefined) return false;
  const mine = Math.floor(cpu / READER_BITS);
  for (let word = 0; word < readers.length; word++) {
    const set = readers[word] as number;
    if ((word === mine ? set & ~bitOf(cpu) : set) !== 0) return true;
  }
  return false;
}
