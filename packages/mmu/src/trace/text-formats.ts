import { lackey } from './lackey.ts';
import { appendReference, noReference, type LineFormat } from './lines.ts';
import { type ReferenceKind, ReferenceTraceBuilder, referenceKinds, referencesMax } from './reference-trace.ts';

// Text of other tools, one regular expression each with the groups kind, address (hexadecimal) and, where it is
// recorded, size (decimal). A reference without a size counts as one byte: it touches one page.
//
//   pinatrace   0x401000: R 0x7ffd2000                  Pin, source/tools/ManualExamples; only data
//               0x401000: R 0x7ffd2000  8 0x2a          SimpleExamples: size and value too
//   memtrace    readd 0x7FFD2000 8                      readi, readd, write
//   view        3 1: 3001 ifetch 4 byte(s) @ 0x00401000 non-branch     DynamoRIO, drcachesim's view tool
const newline = 0x0a;
const wordDigits = 8;
const hexadecimal = 16;

function regularFormat(
  name: string,
  line: RegExp,
  commentary: RegExp,
  kinds: Readonly<Record<string, ReferenceKind>>,
): LineFormat {
  return {
    name,
    commentary,
    reference(bytes, start, builder) {
      const end = bytes.indexOf(newline, start);
      const { kind, address, size } = line.exec(latin1(bytes.subarray(start, end)).trimEnd())?.groups ?? {};
      const known = kinds[kind?.toLowerCase() ?? ''];
      if (known === undefined || address === undefined) return noReference;
      const high = Number.parseInt(address.slice(0, -wordDigits) || '0', hexadecimal);
      const low = Number.parseInt(address.slice(-wordDigits), hexadecimal);
      return appendReference(builder, low, high, Number(size ?? 1), referenceKinds[known]) ? end + 1 : noReference;
    },
  };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

const formats: readonly LineFormat[] = [
  lackey,
  regularFormat(
    'pinatrace',
    /^0x[\da-f]{1,16}: (?<kind>[RW]) +0x(?<address>[\da-f]{1,16})(?: +(?<size>\d{1,4})(?: .*)?)?$/i,
    /^#/,
    { r: 'load', w: 'store' },
  ),
  regularFormat('memtrace', /^(?<kind>readi|readd|write) 0x(?<address>[\da-f]{1,16}) (?<size>\d{1,4})$/i, /^#/, {
    readi: 'fetch',
    readd: 'load',
    write: 'store',
  }),
  regularFormat(
    "DynamoRIO's view tool",
    /^ *\d+ +\d+: +\d+ (?<kind>ifetch|read|write) +(?<size>\d{1,4}) byte\(s\) @ 0x(?<address>[\da-f]{1,16})(?: .*)?$/,
    /^(?:Output format:|<--record#->|-+$| *\d+ +\d+: +\d+ <|View tool results:| *\d+ : total )/,
    { ifetch: 'fetch', read: 'load', write: 'store' },
  ),
];

/**
 * The format of which most lines of the beginning of a text are; lackey if there is none. `matches`: how many they are.
 */
export function textFormatOf(head: Uint8Array): { readonly format: LineFormat; readonly matches: number } {
  const whole = head.subarray(0, head.lastIndexOf(newline) + 1);
  const lines = whole.length > 0 ? whole : Uint8Array.from([...head, newline]);
  let best = { format: lackey, matches: 0 };
  for (const format of formats) {
    const matches = matchesOf(format, lines);
    if (matches > best.matches) best = { format, matches };
  }
  return best;
}

function matchesOf(format: LineFormat, lines: Uint8Array): number {
  const builder = new ReferenceTraceBuilder('head', referencesMax);
  for (let at = 0; at < lines.length;) {
    const next = format.reference(lines, at, builder);
    at = next === noReference ? lines.indexOf(newline, at) + 1 : next;
  }
  return builder.length;
}

/** `perf script` of memory samples: one reference in many thousand, of which no TLB can be counted. */
const perfSample = /\d+\.\d+: +\d* *\S*mem-(?:loads|stores)/;

/** True for a text that prints samples and not every reference. */
export function isSampled(head: Uint8Array): boolean {
  return perfSample.test(latin1(head));
}
