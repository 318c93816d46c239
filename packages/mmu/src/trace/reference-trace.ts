/**
 * Kinds of memory reference, as bits 63:62 of a packed record encode them. A `modify` is a load and then a store of the
 * same bytes.
 */
export const referenceKinds = { fetch: 0, load: 1, store: 2, modify: 3 } as const;

/** Name of a kind of reference. */
export type ReferenceKind = keyof typeof referenceKinds;

/** One memory reference, in the form meant for people and tests; `ReferenceTrace` stores columns instead. */
export interface Reference {
  readonly kind: ReferenceKind;
  /** Virtual address of the first byte, 0 to 2^64 - 1. */
  readonly address: bigint;
  /** 0 to `referenceBytesMax`. Packed records can say 0; it counts as one byte. */
  readonly sizeBytes: number;
}

/**
 * No reference is larger than the smallest page, so none touches more than two pages. (Lackey's own bound, MAX_DSIZE,
 * is 512.)
 */
export const referenceBytesMax = 4096;

/** Ten bytes of memory each: a full trace takes 1.3 GB. */
export const referencesMax = 2 ** 27;

/** Low bits of `ReferenceTrace.sizeAndKind` that hold the kind; the size in bytes lies above them. */
export const kindBits = 2;

const kindMask = (1 << kindBits) - 1;
const kindNames: readonly ReferenceKind[] = ['fetch', 'load', 'store', 'modify'];
const wordBits = 32n;
const wordMask = 0xffff_ffffn;
const addressLimit = 1n << 64n;
const initialCapacity = 2 ** 14;

/** A trace that cannot be read or written. The message is one line, `trace: operation: reason (file)`. */
export class TraceError extends Error {
  override readonly name = 'TraceError';

  constructor(operation: 'read' | 'write', reason: string, source: string) {
    super(`trace: ${operation}: ${reason} (${source})`);
  }
}

/**
 * Memory references in program order, one column per field so that a loop over them touches only machine integers.
 * Nothing in it depends on the page size. All columns have `length` elements.
 */
export class ReferenceTrace {
  /** Address bits 31:0. */
  readonly addressLow: Uint32Array;
  /** Address bits 63:32. */
  readonly addressHigh: Uint32Array;
  /** Size in bytes << `kindBits` | kind. */
  readonly sizeAndKind: Uint16Array;

  constructor(addressLow: Uint32Array, addressHigh: Uint32Array, sizeAndKind: Uint16Array) {
    this.addressLow = addressLow;
    this.addressHigh = addressHigh;
    this.sizeAndKind = sizeAndKind;
  }

  /** Number of references. */
  get length(): number {
    return this.sizeAndKind.length;
  }

  /** The reference at `index`. Throws a RangeError outside 0 to `length` - 1. */
  at(index: number): Reference {
    const sizeAndKind = this.sizeAndKind[index];
    const low = this.addressLow[index];
    const high = this.addressHigh[index];
    if (sizeAndKind === undefined || low === undefined || high === undefined) {
      throw new RangeError(`trace: at: no reference with this index; the trace has ${this.length} (${index})`);
    }
    const kind = kindNames[sizeAndKind & kindMask] ?? 'fetch';
    return { kind, address: (BigInt(high) << wordBits) | BigInt(low), sizeBytes: sizeAndKind >>> kindBits };
  }

  /** The references from `start` up to, but not including, `end`. They share memory with this trace. */
  slice(start: number, end: number): ReferenceTrace {
    return new ReferenceTrace(
      this.addressLow.subarray(start, end),
      this.addressHigh.subarray(start, end),
      this.sizeAndKind.subarray(start, end),
    );
  }

  /** Builds a trace from single references; throws a RangeError on an address or size that a trace cannot hold. */
  static from(references: Iterable<Reference>): ReferenceTrace {
    const builder = new ReferenceTraceBuilder('in memory', referencesMax);
    for (const { kind, address, sizeBytes } of references) {
      if (address < 0n || address >= addressLimit)
        throw new RangeError(`trace: from: address exceeds 64 bits (${address})`);
      if (!Number.isInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > referenceBytesMax) {
        throw new RangeError(`trace: from: size must be 0 to ${referenceBytesMax} bytes (${sizeBytes})`);
      }
      builder.append(
        Number(address & wordMask),
        Number(address >> wordBits),
        (sizeBytes << kindBits) | referenceKinds[kind],
      );
    }
    return builder.finish();
  }
}

/** Collects references whose number is not known beforehand: columns double when full. Used by the decoders. */
export class ReferenceTraceBuilder {
  /** The file the references come from, for error messages. */
  readonly source: string;
  readonly #lengthMax: number;
  #length = 0;
  #addressLow = new Uint32Array(initialCapacity);
  #addressHigh = new Uint32Array(initialCapacity);
  #sizeAndKind = new Uint16Array(initialCapacity);

  constructor(source: string, lengthMax: number) {
    this.source = source;
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds one reference. The caller guarantees the field ranges. Throws a TraceError at the length limit. */
  append(addressLow: number, addressHigh: number, sizeAndKind: number): void {
    const index = this.#length;
    if (index === this.#sizeAndKind.length || index >= this.#lengthMax) this.#grow();
    this.#addressLow[index] = addressLow;
    this.#addressHigh[index] = addressHigh;
    this.#sizeAndKind[index] = sizeAndKind;
    this.#length = index + 1;
  }

  /** The trace collected so far. It shares memory with the builder, which must not be used afterwards. */
  finish(): ReferenceTrace {
    const length = this.#length;
    return new ReferenceTrace(
      this.#addressLow.subarray(0, length),
      this.#addressHigh.subarray(0, length),
      this.#sizeAndKind.subarray(0, length),
    );
  }

  #grow(): void {
    if (this.#length >= this.#lengthMax) {
      throw new TraceError('read', `more than ${this.#lengthMax} references; split the trace`, this.source);
    }
    const capacity = this.#sizeAndKind.length * 2;
    this.#addressLow = enlarged(this.#addressLow, new Uint32Array(capacity));
    this.#addressHigh = enlarged(this.#addressHigh, new Uint32Array(capacity));
    this.#sizeAndKind = enlarged(this.#sizeAndKind, new Uint16Array(capacity));
  }
}

function enlarged<Column extends Uint16Array | Uint32Array>(column: Column, room: Column): Column {
  room.set(column);
  return room;
}
