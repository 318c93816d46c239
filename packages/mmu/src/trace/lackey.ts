import { appendReference, LineDecoder, noReference, type LineFormat } from './lines.ts';
import { referenceBytesMax, type ReferenceTraceBuilder, referenceKinds } from './reference-trace.ts';

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
const noValue = -1;

const hexDigitOf = valueTable(Object.fromEntries(Array.from('0123456789abcdef', (digit, value) => [digit, value])));
const kindOf = valueTable({
  I: referenceKinds.fetch,
  L: referenceKinds.load,
  S: referenceKinds.store,
  M: referenceKinds.modify,
});

/** Valgrind's lackey. Its traces are the longest, so lines are read byte by byte. */
export const lackey: LineFormat = {
  name: "valgrind's lackey",
  commentary: /^(==|--|\*\*)\d+\1/,
  reference(bytes, start, builder) {
    let at = skipSpaces(bytes, start);
    const kind = kindOf[bytes[at] ?? newline] ?? noValue;
    if (kind === noValue || bytes[at + 1] !== space) return noReference;
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
    if (digits === 0 || digits > hexDigitsMax || bytes[at] !== comma) return noReference;
    at++;

    let sizeBytes = 0;
    for (;;) {
      const digit = hexDigitOf[bytes[at] ?? newline] ?? noValue;
      if (digit === noValue || digit >= decimalBase || sizeBytes > referenceBytesMax) break;
      sizeBytes = sizeBytes * decimalBase + digit;
      at++;
    }
    if (bytes[at] === carriageReturn) at++;
    if (bytes[at] !== newline || !appendReference(builder, low, high, sizeBytes, kind)) return noReference;
    return at + 1;
  },
};

/** Decodes lackey text. */
export class LackeyDecoder extends LineDecoder {
  constructor(builder: ReferenceTraceBuilder) {
    super(builder, lackey);
  }
}

function skipSpaces(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === space) at++;
  return at;
}

/** A table from byte to value, `noValue` for bytes that are not among `values`. */
function valueTable(values: Readonly<Record<string, number>>): Int8Array {
  const table = new Int8Array(byteValues).fill(noValue);
  for (const [character, value] of Object.entries(values)) table[character.charCodeAt(0)] = value;
  return table;
}
