import { kindBits, type ReferenceTraceBuilder, referenceKinds, TraceError } from './reference-trace.ts';

// An instruction as ChampSim's tracers record it (inc/trace_instruction.h, struct input_instr), little-endian:
//
//    byte 0   u64     address of the instruction
//         8   u8      is_branch, branch_taken
//        10   u8 x 6  registers written and read
//        16   u64 x 2 addresses written, 0 if there is none
//        32   u64 x 4 addresses read, 0 if there is none
//
// Sizes are not recorded: every reference counts as one byte.
const recordBytes = 64;
const flagBytes = [8, 9] as const;
const written = [16, 24] as const;
const read = [32, 40, 48, 56] as const;
const oneByte = 1 << kindBits;
const highWord = 4;
const littleEndian = true;
const recordsLookedAt = 1024;

/** Decodes ChampSim's records from chunks that may be cut anywhere. */
export class ChampSimDecoder {
  readonly #builder: ReferenceTraceBuilder;
  #partial = Buffer.alloc(0);
  #instructions = 0;

  constructor(builder: ReferenceTraceBuilder) {
    this.#builder = builder;
  }

  /** Takes the next bytes of the file. */
  write(chunk: Uint8Array): void {
    const bytes = this.#partial.length > 0 ? Buffer.concat([this.#partial, chunk]) : Buffer.from(chunk);
    const whole = bytes.length - (bytes.length % recordBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let offset = 0; offset < whole; offset += recordBytes) {
      this.#append(view, offset, referenceKinds.fetch);
      for (const field of read) this.#append(view, offset + field, referenceKinds.load);
      for (const field of written) this.#append(view, offset + field, referenceKinds.store);
      this.#instructions++;
    }
    this.#partial = bytes.subarray(whole);
  }

  /** Says that the file has ended. Throws a TraceError when it ended within a record. */
  end(): void {
    if (this.#partial.length === 0) return;
    const reason = `truncated record of instruction ${this.#instructions}: ${this.#partial.length} of ${recordBytes} bytes`;
    throw new TraceError('read', reason, this.#builder.source);
  }

  #append(view: DataView, offset: number, kind: number): void {
    const low = view.getUint32(offset, littleEndian);
    const high = view.getUint32(offset + highWord, littleEndian);
    if (low !== 0 || high !== 0) this.#builder.append(low, high, oneByte | kind);
  }
}

/** True if all records at the beginning of a file can be instructions: flags are flags, addresses are canonical. */
export function looksLikeChampSim(head: Uint8Array): boolean {
  const records = Math.min(Math.floor(head.length / recordBytes), recordsLookedAt);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (let offset = 0; offset < records * recordBytes; offset += recordBytes) {
    if (view.getBigUint64(offset, littleEndian) === 0n) return false;
    if (flagBytes.some((field) => view.getUint8(offset + field) > 1)) return false;
    if (
      ![0, ...written, ...read].every((field) => isCanonical(view.getUint32(offset + field + highWord, littleEndian)))
    )
      return false;
  }
  return records > 0;
}

/** Bits 63:47 of an address are equal: 48-bit virtual addresses, those of nearly every program. */
function isCanonical(addressHigh: number): boolean {
  const top = addressHigh >>> 15;
  return top === 0 || top === 0x1_ffff;
}
