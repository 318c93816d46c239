/**
 * The shared state of a machine: one array of 32-bit words, laid out by named regions.
 *
 * Every write goes through {@link WordStore.write}: it is journalled, so that it can be undone in O(writes), and folded
 * into a 64-bit fingerprint, so that the hash of a state costs O(changed words).
 */
import { checkOptions, keysOf, ModelError, printable } from './errors.ts';
import { seed32, type Hash64 } from './hash.ts';
import { LineMap } from './line-map.ts';

declare const addressBrand: unique symbol;

/** A named word. Routines pass addresses around and never do arithmetic on them: use {@link Region.at}. */
export type Address = number & { readonly [addressBrand]: 'Address' };

/** Consecutive words under one name. */
export interface Region {
  readonly name: string;
  readonly base: number;
  readonly cells: number;
  /** The address of one cell; throws a RangeError outside the region. */
  at(index: number): Address;
}

/** How a region starts and how its cells and their values are printed. */
export interface RegionOptions {
  /** One value for all cells, or a value per cell. Default 0. */
  readonly initial?: number | readonly number[];
  /** What a cell is called in a trace. Default: the region's name, with the index if there are several. */
  readonly cellName?: (index: number) => string;
  /** How a value of this region reads in a trace. Default: decimal. */
  readonly format?: (value: number) => string;
  /**
   * What its words are on a weakly ordered machine (`arm`). `weak`: ordinary memory, which one processor may see later
   * than another. `strong`: a word whose newest value everybody sees, which is ordered with other memory as any: lock
   * words, and data under locks. That is a claim: plain loads and stores of it that nothing orders are a data race,
   * which violates `DATA_RACE`. `ghost`: a word that orders nothing: what only the simulation keeps, the insides of a
   * lock. `code`: ordinary memory that is fetched as instructions. Default `weak`.
   */
  readonly memory?: 'weak' | 'strong' | 'ghost' | 'code';
  /**
   * Consecutive words that share a cache line on the machine that is modelled: what runs in virtual time may charge for
   * lines that go from one CPU to another. Left out: accesses cost the same whoever had them last.
   */
  readonly lineWords?: number;
}

const REGION_KEYS = keysOf<RegionOptions>()('initial', 'cellName', 'format', 'memory', 'lineWords');
/** What a word is on a weakly ordered machine: see {@link RegionOptions.memory}. */
export const WordClass = { ghost: 0, weak: 1, strong: 2, code: 3 } as const;

const WORDS_MAX = 1 << 25;
const WORD_END = 2 ** 32;

/** Whether a value fits a word, read as a signed or as an unsigned number. */
export function isWord(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= -WORD_END / 2 && value < WORD_END;
}

/**
 * What a word says that is given such a value: unsigned numbers and truth values are fine. Anything else is left as it
 * is.
 */
export function wordOf(value: number): number {
  return isWord(value) || typeof value === 'boolean' ? Number(value) | 0 : value;
}

/** Collects regions; {@link Layout.seal} makes the store. Names are unique. */
export class Layout {
  readonly #regions: Region[] = [];
  readonly #options: RegionOptions[] = [];
  readonly #names = new Set<string>();
  #words = 0;

  /** Reserves `cells` consecutive words. Throws ModelError on a name taken twice or a size out of range. */
  region(name: string, cells: number, options: RegionOptions = {}): Region {
    if (typeof name !== 'string' || name === '')
      throw new ModelError(`layout: region: a region needs a name (${printable(name)})`);
    checkOptions(`layout: region: ${name}`, options, REGION_KEYS);
    if (this.#names.has(name)) throw new ModelError(`layout: region: name taken twice (${name})`);
    if (!Number.isInteger(cells) || cells < 1 || this.#words + cells > WORDS_MAX) {
      throw new ModelError(`layout: region: ${name} wants ${cells} cells, have ${WORDS_MAX - this.#words}`);
    }
    checkInitial(name, options.initial);
    const base = this.#words;
    const at = (index: number): Address => {
      if (!(index >= 0 && index < cells && Number.isInteger(index)))
        throw new RangeError(`layout: at: index ${printable(index)} outside ${name}[${cells}]`);
      return (base + index) as Address;
    };
    const region: Region = Object.freeze({ name, base, cells, at });
    this.#names.add(name);
    this.#regions.push(region);
    this.#options.push(options);
    this.#words += cells;
    return region;
  }

  get words(): number {
    return this.#words;
  }

  get regions(): readonly Region[] {
    return this.#regions;
  }

  /** `pmd[3]`, or `key` for a region of one cell, unless its region has another name for it. */
  nameOf(address: number): string {
    const region = this.#regionOf(address);
    if (!region) return `word ${address}`;
    const { cellName } = this.#optionsOf(region);
    if (cellName) return cellName(address - region.base);
    return region.cells === 1 ? region.name : `${region.name}[${address - region.base}]`;
  }

  /** A word's value as its region prints it. */
  formatValue(address: number, value: number): string {
    const region = this.#regionOf(address);
    const format = region && this.#optionsOf(region).format;
    return format ? format(value) : String(value);
  }

  #optionsOf(region: Region): RegionOptions {
    return this.#options[this.#regions.indexOf(region)] ?? {};
  }

  #regionOf(address: number): Region | undefined {
    return this.#regions.find((r) => address >= r.base && address < r.base + r.cells);
  }

  /** {@link WordClass} of each word. */
  classes(): Uint8Array {
    const classes = new Uint8Array(this.#words);
    this.#regions.forEach(({ base, cells }, i) => {
      classes.fill(WordClass[this.#options[i]?.memory ?? 'weak'], base, base + cells);
    });
    return classes;
  }

  /** The cache lines of the words for which it is said which share one. */
  lines(): LineMap {
    return new LineMap(
      this.#words,
      this.#regions.map(({ base, cells }, i) => ({ base, cells, lineWords: this.#options[i]?.lineWords })),
    );
  }

  /** The initial words. */
  initial(): Int32Array {
    const words = new Int32Array(Math.max(1, this.#words));
    this.#regions.forEach((region, i) => {
      const initial = this.#options[i]?.initial ?? 0;
      // What is 0 stays as it is: memory that nobody has written takes no room.
      if (typeof initial === 'number') {
        if (initial !== 0) words.fill(initial, region.base, region.base + region.cells);
      } else words.set(initial.slice(0, region.cells), region.base);
    });
    return words;
  }
}

function checkInitial(name: string, initial: RegionOptions['initial'] = 0): void {
  const values: readonly unknown[] = typeof initial === 'object' ? initial : [initial];
  const wrong = values.find((value) => typeof value !== 'boolean' && !isWord(value));
  if (wrong !== undefined || values.includes(undefined))
    throw new ModelError(`layout: region: ${name}: initial: ${printable(wrong)} is no 32-bit integer`);
}

/** From so many words on a view and a copy of the whole take less time than a loop. */
const COPIED_WHOLE = 32;
const SEED_LO = 1;
const SEED_HI = 2;

/**
 * Values whose meaning is not their number: routine nodes, component states, messages. The number is an index that
 * depends on the order of discovery; what counts for the fingerprint is the content hash behind it.
 */
export class ContentHashes {
  lo = new Int32Array(1024);
  hi = new Int32Array(1024);

  set(id: number, hash: Hash64): void {
    if (id >= this.lo.length) {
      this.lo = grown(this.lo, id + 1);
      this.hi = grown(this.hi, id + 1);
    }
    this.lo[id] = hash.lo;
    this.hi[id] = hash.hi;
  }
}

/** A copy of at least `length` elements (doubling), for growing typed arrays. */
export function grown(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  let size = array.length;
  while (size < length) size *= 2;
  const next = new Int32Array(size);
  next.set(array);
  return next;
}

/** The words, their journal and their fingerprint. */
export class WordStore {
  readonly words: Int32Array;
  /** Low and high half of the fingerprint of the whole store; where it is not kept, as it was asked for last. */
  lo = 0;
  hi = 0;
  /** Journal length: remember it (with `lo` and `hi`) to come back with {@link undo}. */
  mark = 0;
  /** By word; 0 until it is needed. */
  readonly #seedLo: Int32Array;
  readonly #seedHi: Int32Array;
  readonly #seedIndex: ((address: number) => number) | undefined;
  /** By word that is interned: what its numbers stand for. Null: the fingerprint is kept, and nobody asks. */
  readonly #interned: Map<number, ContentHashes> | null;
  /** The initial words and their fingerprint, once they have been asked for. */
  #initial: Int32Array | null = null;
  #initialLo = 0;
  #initialHi = 0;
  #journalAddress = new Int32Array(4096);
  #journalOld = new Int32Array(4096);

  /**
   * @param initial the initial words (kept, not copied)
   * @param seedIndex the seed each word uses; words with the same seed are interchangeable (symmetry). Default: its
   * own.
   * @param keepsFingerprint whether it is kept up to date with every write. A run that goes on for long asks for it
   * once, and each write would look up two words more
   */
  constructor(initial: Int32Array, seedIndex?: (address: number) => number, keepsFingerprint = true) {
    this.words = initial;
    this.#seedIndex = seedIndex;
    this.#interned = keepsFingerprint ? null : new Map();
    this.#seedLo = new Int32Array(initial.length);
    this.#seedHi = new Int32Array(initial.length);
    if (keepsFingerprint) this.rehash();
  }

  /** Back to the initial words, which `initial` makes: as if every one were plain, and nothing written. */
  restart(initial: () => Int32Array): void {
    const known = this.#initial !== null;
    this.words.set((this.#initial ??= initial()));
    if (this.#interned !== null) this.#interned.clear();
    else if (known) {
      this.lo = this.#initialLo;
      this.hi = this.#initialHi;
    } else {
      this.rehash();
      this.#initialLo = this.lo;
      this.#initialHi = this.hi;
    }
    this.mark = 0;
  }

  /** Makes the seeds of a word that was 0 up to now: those of words that never change take no memory. */
  #seed(address: number): number {
    const index = this.#seedIndex ? this.#seedIndex(address) : address;
    this.#seedHi[address] = seed32(SEED_HI, index);
    return (this.#seedLo[address] = seed32(SEED_LO, index));
  }

  /**
   * Computes the fingerprint anew. Where it is kept, every word counts as plain; interned words are then set through
   * {@link writeInterned}.
   */
  rehash(): void {
    this.lo = 0;
    this.hi = 0;
    const { words } = this;
    for (let a = 0; a < words.length; a++) {
      const word = words[a] as number;
      if (word === 0) continue;
      const hashes = this.#interned?.get(a);
      if (hashes === undefined) this.#fold(a, 0, word);
      else this.#foldInterned(a, 0, word, hashes);
    }
  }

  /** Throws ModelError on an address that is none. */
  read(address: number): number {
    const word = this.words[address];
    if (word === undefined) throw this.#noWord('read', address);
    return word;
  }

  #noWord(what: string, address: unknown): ModelError {
    return new ModelError(
      `words: ${what}: ${printable(address)} is the address of no word (there are ${this.words.length})`,
    );
  }

  /**
   * Writes a plain word: journalled and folded into the fingerprint. Throws ModelError on an address or value that is
   * none.
   */
  write(address: number, value: number): void {
    const word = value | 0;
    if (word !== value && wordOf(value) !== word)
      throw new ModelError(`words: write: ${printable(value)} is no 32-bit integer (address ${printable(address)})`);
    const old = this.words[address];
    if (old === word) return;
    if (old === undefined) throw this.#noWord('write', address);
    this.#journal(address, old);
    if (this.#interned === null) this.#fold(address, old, word);
    this.words[address] = word;
  }

  /** Writes an interned word (0 means "none" and contributes nothing). */
  writeInterned(address: number, value: number, hashes: ContentHashes): void {
    const old = this.words[address] as number;
    if (old === value) return;
    this.#journal(address, old);
    if (this.#interned === null) this.#foldInterned(address, old, value, hashes);
    else if (old === 0) this.#interned.set(address, hashes);
    this.words[address] = value;
  }

  #foldInterned(address: number, old: number, value: number, hashes: ContentHashes): void {
    const a = (this.#seedLo[address] as number) || this.#seed(address);
    const b = this.#seedHi[address] as number;
    let lo = this.lo;
    let hi = this.hi;
    if (old !== 0) {
      lo = (lo - scramble((hashes.lo[old] as number) ^ a)) | 0;
      hi = (hi - scramble((hashes.hi[old] as number) ^ b)) | 0;
    }
    if (value !== 0) {
      lo = (lo + scramble((hashes.lo[value] as number) ^ a)) | 0;
      hi = (hi + scramble((hashes.hi[value] as number) ^ b)) | 0;
    }
    this.lo = lo;
    this.hi = hi;
  }

  /** Takes back every write since `mark`; the caller restores the fingerprint it had there. */
  undo(mark: number, lo: number, hi: number): void {
    const words = this.words;
    const addresses = this.#journalAddress;
    const olds = this.#journalOld;
    let position = this.mark;
    while (position > mark) {
      position--;
      words[addresses[position] as number] = olds[position] as number;
    }
    this.mark = mark;
    this.lo = lo;
    this.hi = hi;
  }

  /** Forgets the journal: what was written so far can no longer be undone. */
  commit(): void {
    this.mark = 0;
  }

  /** The address of one journal entry, 0 <= position < `mark`. */
  journalAddress(position: number): number {
    return this.#journalAddress[position] as number;
  }

  /** The value that journal entry replaced. */
  journalOld(position: number): number {
    return this.#journalOld[position] as number;
  }

  /** The addresses written since `mark`, in order of writing. */
  writtenSince(mark: number): readonly number[] {
    return Array.from(this.#journalAddress.subarray(mark, this.mark));
  }

  /** Loads a whole state saved earlier with its fingerprint. */
  load(row: Int32Array, offset: number, lo: number, hi: number): void {
    const words = this.words;
    if (words.length >= COPIED_WHOLE) words.set(row.subarray(offset, offset + words.length));
    else for (let i = 0; i < words.length; i++) words[i] = row[offset + i] as number;
    this.lo = lo;
    this.hi = hi;
    this.mark = 0;
  }

  /** The fingerprint as 16 hex digits. */
  fingerprint(): string {
    if (this.#interned !== null) this.rehash();
    return hex32(this.hi) + hex32(this.lo);
  }

  #journal(address: number, old: number): void {
    const position = this.mark;
    if (position === this.#journalAddress.length) {
      this.#journalAddress = grown(this.#journalAddress, position + 1);
      this.#journalOld = grown(this.#journalOld, position + 1);
    }
    this.#journalAddress[position] = address;
    this.#journalOld[position] = old;
    this.mark = position + 1;
  }

  /** A plain word of value 0 contributes nothing, so that a sparse store is cheap to hash. */
  #fold(address: number, old: number, value: number): void {
    const a = (this.#seedLo[address] as number) || this.#seed(address);
    const b = this.#seedHi[address] as number;
    let lo = this.lo;
    let hi = this.hi;
    if (old !== 0) {
      const x = scramble(old ^ a);
      lo = (lo - x) | 0;
      hi = (hi - scramble(x ^ b)) | 0;
    }
    if (value !== 0) {
      const x = scramble(value ^ a);
      lo = (lo + x) | 0;
      hi = (hi + scramble(x ^ b)) | 0;
    }
    this.lo = lo;
    this.hi = hi;
  }
}

/** Two rounds of multiply and shift: a bijection, cheap enough for the inner loop. */
function scramble(value: number): number {
  let x = Math.imul(value, 0x2c1b_3c6d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x297a_2d39);
  return x ^ (x >>> 14);
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
