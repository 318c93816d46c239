import { kindBits, type ReferenceTrace, type ReferenceTraceBuilder, TraceError } from './reference-trace.ts';

// A packed record is one little-endian u64:
//
//    63 62 61    56 55                                    0
//   +-----+--------+---------------------------------------+
//   | kind|  size  | address                               |
//   +-----+--------+---------------------------------------+
//
// The constants below are for its high word, bits 63:32.
const recordBytes = 8;
const highWordOffset = 4;
const sizeShift = 24;
const packedAddressHighMask = (1 << sizeShift) - 1;
const packedSizeBytesMax = 63;
const packedKindShift = 30;
const kindMask = (1 << kindBits) - 1;
const littleEndian = true;

/** Decodes packed records from chunks that may be cut anywhere. An address is zero-extended from its 56 bits. */
export class PackedDecoder {
  readonly #builder: ReferenceTraceBuilder;
  readonly #partial = new Uint8Array(recordBytes);
  #partialBytes = 0;
  #recordsOffset = 0;

  constructor(builder: ReferenceTraceBuilder) {
    this.#builder = builder;
  }

  /** Takes the next bytes of the file. */
  write(chunk: Uint8Array): void {
    let start = 0;
    if (this.#partialBytes > 0) {
      start = Math.min(recordBytes - this.#partialBytes, chunk.length);
      this.#partial.set(chunk.subarray(0, start), this.#partialBytes);
      this.#partialBytes += start;
      if (this.#partialBytes < recordBytes) return;
      this.#records(this.#partial);
    }
    const whole = start + Math.floor((chunk.length - start) / recordBytes) * recordBytes;
    this.#records(chunk.subarray(start, whole));
    this.#partialBytes = chunk.length - whole;
    this.#partial.set(chunk.subarray(whole));
  }

  /** Says that the file has ended. Throws a TraceError when it ended within a record. */
  end(): void {
    if (this.#partialBytes === 0) return;
    const reason = `truncated record at byte ${this.#recordsOffset}: ${this.#partialBytes} of ${recordBytes} bytes`;
    throw new TraceError('read', reason, this.#builder.source);
  }

  #records(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let offset = 0; offset < bytes.length; offset += recordBytes) {
      const low = view.getUint32(offset, littleEndian);
      const high = view.getUint32(offset + highWordOffset, littleEndian);
      const sizeBytes = (high >>> sizeShift) & packedSizeBytesMax;
      this.#builder.append(low, high & packedAddressHighMask, (sizeBytes << kindBits) | (high >>> packedKindShift));
    }
    this.#recordsOffset += bytes.length;
  }
}

const recordsForLocality = 64;
const localityShift = 8;
const canonicalShift = 15;
const canonicalMask = (1 << (sizeShift - canonicalShift)) - 1;

/**
 * True if the beginning of a file can be packed records. Programs use addresses whose upper bits are all equal, or at
 * least few different regions of the address space; other data has neither, or leaves the sizes empty.
 * @param named the name of the file says so, and records may have no size
 */
export function looksPacked(head: Uint8Array, named: boolean): boolean {
  const records = Math.floor(head.length / recordBytes);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const regions = new Set<number>();
  let canonical = 0;
  let sized = 0;
  for (let offset = 0; offset < records * recordBytes; offset += recordBytes) {
    const high = view.getUint32(offset + highWordOffset, littleEndian);
    const top = (high & packedAddressHighMask) >>> canonicalShift;
    if (top === 0 || top === canonicalMask) canonical++;
    if (((high >>> sizeShift) & packedSizeBytesMax) > 0) sized++;
    regions.add((high & packedAddressHighMask) >>> localityShift);
  }
  if (!named && (records === 0 || 2 * sized < records)) return false;
  return 4 * canonical >= 3 * records || (records >= recordsForLocality && 4 * regions.size <= records);
}

/**
 * Encodes a trace as packed records: the contents of a `.u64` file.
 *
 * @throws {TraceError} when an address exceeds 56 bits or a size exceeds 63 bytes; the format has no room for them.
 */
export function packReferences(trace: ReferenceTrace): Uint8Array {
  const bytes = new Uint8Array(trace.length * recordBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < trace.length; index++) {
    const { address, sizeBytes } = trace.at(index);
    const high = trace.addressHigh[index] ?? 0;
    const kind = (trace.sizeAndKind[index] ?? 0) & kindMask;
    if (high > packedAddressHighMask)
      throw new TraceError('write', 'address exceeds 56 bits', `0x${address.toString(16)}`);
    if (sizeBytes > packedSizeBytesMax)
      throw new TraceError('write', `size exceeds ${packedSizeBytesMax} bytes`, `${sizeBytes}`);
    const offset = index * recordBytes;
    view.setUint32(offset, trace.addressLow[index] ?? 0, littleEndian);
    view.setUint32(offset + highWordOffset, (kind << packedKindShift) | (sizeBytes << sizeShift) | high, littleEndian);
  }
  return bytes;
}
