import { kindBits, referenceBytesMax, type ReferenceTraceBuilder, TraceError } from './reference-trace.ts';

/** A text form of memory references, one per line. */
export interface LineFormat {
  /** Who prints it, for messages. */
  readonly name: string;
  /** What the tool says besides, and what has no meaning for a TLB: such lines are passed over. */
  readonly commentary: RegExp;
  /**
   * Appends the reference on the line that begins at `start`; returns where the next line begins, or {@link
   * noReference}. There is a newline at or after every position it is asked about.
   */
  reference(bytes: Uint8Array, start: number, builder: ReferenceTraceBuilder): number;
}

/** What {@link LineFormat.reference} returns for a line that is none. */
export const noReference = -1;

/** Lines of a text that are neither references nor commentary of its tool: a program writes to the same terminal. */
export interface SkippedLines {
  readonly lines: number;
  /** The first of them: its number, from 1, and its beginning. */
  readonly first: { readonly line: number; readonly text: string } | null;
}

/** What the reader understands, for messages that refuse something else. */
export const understood =
  "understood are packed records (.u64), ChampSim's records, and the text of valgrind's lackey, pinatrace, memtrace and DynamoRIO's view tool, gzipped or not";

const newline = 0x0a;
/** A banner quotes the traced command line, which can be long; no reference comes near this. */
const lineBytesMax = 2 ** 20;
const shownBytesMax = 60;
/** Text of which most lines are foreign is no trace; the verdict on a long file comes before its end. */
const foreignBeforeVerdict = 100_000;

/** Decodes text from chunks that may be cut anywhere; it never holds more than one chunk and one line. */
export class LineDecoder {
  readonly #builder: ReferenceTraceBuilder;
  readonly #format: LineFormat;
  #partial: Uint8Array = new Uint8Array(0);
  #lineNumber = 0;
  #foreign = 0;
  #firstForeign: SkippedLines['first'] = null;

  constructor(builder: ReferenceTraceBuilder, format: LineFormat) {
    this.#builder = builder;
    this.#format = format;
  }

  /** Lines that were skipped so far. */
  get skipped(): SkippedLines {
    return { lines: this.#foreign, first: this.#firstForeign };
  }

  /** Takes the next bytes of the file. Throws a TraceError once it is clear that they are no trace. */
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
    if (this.#foreign > foreignBeforeVerdict) this.#refuseForeign();
  }

  /** Says that the file has ended; its last line need not end in a newline. Throws a TraceError if it was no trace. */
  end(): void {
    if (this.#partial.length > 0) {
      const line = joined(this.#partial, Uint8Array.of(newline));
      this.#lines(line, 0, line.length);
      this.#partial = new Uint8Array(0);
    }
    this.#refuseForeign();
  }

  #refuseForeign(): void {
    if (this.#foreign <= this.#builder.length || this.#firstForeign === null) return;
    const { line, text } = this.#firstForeign;
    const share = this.#builder.length === 0 ? 'no line is a memory reference' : 'most lines are no memory references';
    throw new TraceError(
      'read',
      `${share} (line ${line}: ${JSON.stringify(text)}); ${understood}`,
      this.#builder.source,
    );
  }

  #keepPartial(line: Uint8Array): void {
    if (line.length > lineBytesMax) {
      const reason = `line ${this.#lineNumber + 1} is longer than ${lineBytesMax} bytes; this is no trace in text`;
      throw new TraceError('read', reason, this.#builder.source);
    }
    this.#partial = line;
  }

  /** Decodes complete lines: `bytes[end - 1]` is a newline, so no scan within a line needs a bounds check. */
  #lines(bytes: Uint8Array, start: number, end: number): void {
    const format = this.#format;
    let at = start;
    while (at < end) {
      this.#lineNumber++;
      const next = format.reference(bytes, at, this.#builder);
      at = next === noReference ? this.#passOver(bytes, at) : next;
    }
  }

  #passOver(bytes: Uint8Array, start: number): number {
    const end = bytes.indexOf(newline, start);
    const text = String.fromCharCode(...bytes.subarray(start, Math.min(end, start + shownBytesMax))).trimEnd();
    if (text !== '' && !this.#format.commentary.test(text)) {
      this.#foreign++;
      this.#firstForeign ??= { line: this.#lineNumber, text };
    }
    return end + 1;
  }
}

/** Bounds of what a reference can be, as formats share them. */
export function appendReference(
  builder: ReferenceTraceBuilder,
  low: number,
  high: number,
  sizeBytes: number,
  kind: number,
): boolean {
  if (sizeBytes === 0 || sizeBytes > referenceBytesMax) return false;
  if (high >>> 0 === wordMax && (low >>> 0) + sizeBytes > wordRange) return false;
  builder.append(low, high, (sizeBytes << kindBits) | kind);
  return true;
}

const wordRange = 2 ** 32;
const wordMax = wordRange - 1;

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
