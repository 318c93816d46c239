import {
  kindBits,
  referenceBytesMax,
  type ReferenceTraceBuilder,
  referenceKinds,
  TraceError,
} from './reference-trace.ts';

// The text that `valgrind --tool=lackey --trace-mem=yes` prints (lackey/lk_main.c, trace_instr() to trace_modify()):
//
//   I  0401ab70,3      instruction fetch: hexadecimal address, decimal size in bytes
//    L 1fff000758,8    load
//    S 1fff000750,8    store
//    M 0421c7cc,4      modify: a load and then a store
//
// Valgrind's commentary shares the stream: ==pid==, --pid-- and **pid** lines, and blank ones.
const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const comma = 0x2c;
const byteValues = 256;
const hexDigitBits = 4;
const hexDigitsMax = 16;
const decimalBase = 10;
const wordBits = 32;
const wordRange = 2 ** wordBits;
const wordMax = wordRange - 1;
const noValue = -1;

/** A banner quotes the traced command line, which can be long; no reference comes near this. */
const lineBytesMax = 2 ** 20;
const shownBytesMax = 60;

const commentary = /^(==|--|\*\*)\d+\1/;

const hexDigitOf = valueTable(Object.fromEntries(Array.from('0123456789abcdef', (digit, value) => [digit, value])));
const kindOf = valueTable({
  I: referenceKinds.fetch,
  L: referenceKinds.load,
  S: referenceKinds.store,
  M: referenceKinds.modify,
});

/** Decodes lackey text from chunks that may be cut anywhere; it never holds more than one chunk and one line. */
export class LackeyDecoder {
  readonly #builder: ReferenceTraceBuilder;
  #partial: Uint8Array = new Uint8Array(0);
  #lineNumber = 0;

  constructor(builder: ReferenceTraceBuilder) {
    this.#builder = builder;
  }

  /** Takes the next bytes of the file. Throws a TraceError on a line that is neither a reference nor commentary. */
  write(chunk: Uint8Array): void {
    let start = 0;
    if (this.#partial.length > 0) {
      start = chunk.indexOf(newline) + 1;
      const line = joined(this.#partial, start === 0 ? chunk : chunk.subarray(0, start));
      if (start === 0) {
        this.#keepPartial(line);
        return;
      }
      this.#lines(line, 0, line.length);
    }
    const end = chunk.lastIndexOf(newline) + 1;
    this.#lines(chunk, start, end);
    this.#keepPartial(chunk.slice(end));
  }

  /** Says that the file has ended; its last line need not end in a newline. */
  end(): void {
    if (this.#partial.length === 0) return;
    const line = joined(this.#partial, Uint8Array.of(newline));
    this.#lines(line, 0, line.length);
    this.#partial = new Uint8Array(0);
  }

  #keepPartial(line: Uint8Array): void {
    if (line.length > lineBytesMax) {
      const reason = `line ${this.#lineNumber + 1} is longer than ${lineBytesMax} bytes; this is not lackey text`;
      throw new TraceError('read', reason, this.#builder.source);
    }
    this.#partial = line;
  }

  /** Decodes complete lines: `bytes[end - 1]` is a newline, so no scan within a line needs a bounds check. */
  #lines(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      this.#lineNumber++;
      const next = this.#reference(bytes, at);
      at = next === noValue ? this.#skipCommentary(bytes, at) : next;
    }
  }

  /** Appends the reference on the line at `start`; returns where the next line starts, or `noValue` if this line is no reference. */
  #reference(bytes: Uint8Array, start: number): number {
    let at = skipSpaces(bytes, start);
    const kind = kindOf[bytes[at] ?? newline] ?? noValue;
    if (kind === noValue || bytes[at + 1] !== space) return noValue;
    at = skipSpaces(bytes, at + 1);

    let low = 0;
    let high = 0;
    const addressStart = at;
    for (;;) {
      const digit = hexDigitOf[bytes[at] ?? newline] ?? noValue;
      if (digit === noValue) break;
      high = (high << hexDigitBits) | (low >>> (wordBits - hexDigitBits));
      low = (low << hexDigitBits) | digit;
      at++;
    }
    const digits = at - addressStart;
    if (digits === 0 || digits > hexDigitsMax || bytes[at] !== comma) return noValue;
    at++;

    let sizeBytes = 0;
    for (;;) {
      const digit = hexDigitOf[bytes[at] ?? newline] ?? noValue;
      if (digit === noValue || digit >= decimalBase || sizeBytes > referenceBytesMax) break;
      sizeBytes = sizeBytes * decimalBase + digit;
      at++;
    }
    if (bytes[at] === carriageReturn) at++;
    if (bytes[at] !== newline || sizeBytes === 0 || sizeBytes > referenceBytesMax) return noValue;
    if (high >>> 0 === wordMax && (low >>> 0) + sizeBytes > wordRange) return noValue;
    this.#builder.append(low, high, (sizeBytes << kindBits) | kind);
    return at + 1;
  }

  #skipCommentary(bytes: Uint8Array, start: number): number {
    const end = bytes.indexOf(newline, start);
    const text = String.fromCharCode(...bytes.subarray(start, Math.min(end, start + shownBytesMax))).trimEnd();
    if (text !== '' && !commentary.test(text)) {
      const reason = `line ${this.#lineNumber} is not a lackey reference: ${JSON.stringify(text)}; expected ' L 1fff000758,8' or I, S, M alike`;
      throw new TraceError('read', reason, this.#builder.source);
    }
    return end + 1;
  }
}

function skipSpaces(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === space) at++;
  return at;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** A table from byte to value, `noValue` for bytes that are not among `values`. */
function valueTable(values: Readonly<Record<string, number>>): Int8Array {
  const table = new Int8Array(byteValues).fill(noValue);
  for (const [character, value] of Object.entries(values)) table[character.charCodeAt(0)] = value;
  return table;
}
