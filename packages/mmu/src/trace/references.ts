import { checkOptions, keysOf } from '@shootdown/machine';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ChampSimDecoder, looksLikeChampSim } from './champsim.ts';
import { LineDecoder, understood, type SkippedLines } from './lines.ts';
import { looksPacked, PackedDecoder } from './packed.ts';
import { type ReferenceTrace, ReferenceTraceBuilder, referencesMax, TraceError } from './reference-trace.ts';
import { isSampled, textFormatOf } from './text-formats.ts';

/** Bounds of `readReferenceTrace`, and who hears of it. */
export interface ReadReferenceTraceOptions {
  /** A longer trace is refused. Default and upper limit: the exported constant of the same name. */
  readonly referencesMax?: number;
  /** Ends the reading; what was read until then is the trace. */
  readonly signal?: AbortSignal;
  /** Called between portions of the file with the number of references read so far. */
  readonly onProgress?: (references: number) => void;
  /** Called at the end if lines of a text were no references, nor commentary of the tool that wrote it. */
  readonly onSkipped?: (skipped: SkippedLines) => void;
}

const READ_REFERENCE_TRACE_KEYS = keysOf<ReadReferenceTraceOptions>()(
  'referencesMax',
  'signal',
  'onProgress',
  'onSkipped',
);

type Decoder = LineDecoder | PackedDecoder | ChampSimDecoder;

type Chunks = AsyncIterableIterator<Uint8Array>;

/** Enough to tell one format from another, and other files from traces. */
const headBytes = 2 ** 16;
const readChunkBytes = 2 ** 18;

const packedName = /\.u64(\.gz)?$/i;
const textName = /\.(lackey|txt|log|out)(\.gz)?$/i;

const reasonOfErrorCode: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EISDIR: 'a directory, not a file',
  EACCES: 'permission denied',
};

/**
 * Reads a memory-reference trace: packed records (`.u64`), the records of ChampSim, or the text of valgrind's lackey,
 * of pinatrace, memtrace or DynamoRIO's view tool, any of them gzipped. Gzip is recognised by its magic bytes, the
 * format by the first 64 KiB; a name that ends in `.u64` or in `.txt`, `.log`, `.lackey` or `.out` tells records from
 * text. The file is decoded as it is read, so pipes work and only the references are held in memory.
 *
 * @throws {TraceError} when the file cannot be opened, is a device, is empty, is corrupt, is no trace, or holds more
 * references than the limit.
 */
export async function readReferenceTrace(
  path: string,
  options: ReadReferenceTraceOptions = {},
): Promise<ReferenceTrace> {
  checkOptions('mmu: readReferenceTrace', options, READ_REFERENCE_TRACE_KEYS);
  const { signal, onProgress, onSkipped } = options;
  const builder = new ReferenceTraceBuilder(path, Math.min(options.referencesMax ?? referencesMax, referencesMax));
  try {
    await refuseDevice(path);
    const file = await peek(
      createReadStream(path, { highWaterMark: readChunkBytes, ...(signal && { signal }) })[Symbol.asyncIterator](),
    );
    const content = isGzip(file.head) ? await peek(inflated(file.chunks)) : file;
    if (content.head.length === 0) throw new TraceError('read', 'the file is empty', path);
    const decoder = decoderFor(path, content.head, builder);
    for await (const chunk of content.chunks) {
      decoder.write(chunk);
      onProgress?.(builder.length);
    }
    decoder.end();
    if (decoder instanceof LineDecoder && decoder.skipped.lines > 0) onSkipped?.(decoder.skipped);
  } catch (error) {
    if (signal?.aborted === true) return builder.finish();
    throw asTraceError(error, path);
  }
  if (builder.length === 0)
    throw new TraceError('read', 'no references, only commentary; run lackey with --trace-mem=yes', path);
  return builder.finish();
}

/** A device may have no end (/dev/zero), or be a terminal where nobody types a trace. */
async function refuseDevice(path: string): Promise<void> {
  const status = await stat(path);
  if (status.isCharacterDevice() || status.isBlockDevice())
    throw new TraceError('read', 'a device, not a file or pipe', path);
}

/** Takes the first bytes off `source` to look at; the returned chunks start with them again. */
async function peek(source: Chunks): Promise<{ head: Uint8Array; chunks: Chunks }> {
  let head = Buffer.alloc(0);
  while (head.length < headBytes) {
    const next = await source.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  return { head, chunks: resumed(head, source) };
}

async function* resumed(head: Uint8Array, source: Chunks): Chunks {
  yield head;
  yield* source;
}

async function* inflated(chunks: Chunks): Chunks {
  const gunzip = createGunzip({ chunkSize: readChunkBytes });
  // The iteration of gunzip throws whatever the pipeline fails with, so the pipeline's own rejection carries nothing
  // new.
  pipeline(Readable.from(chunks), gunzip).catch(() => undefined);
  yield* gunzip;
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * Files that people have at hand and that are no traces, by their first bytes; and what opens those that may hold one.
 */
const otherFiles: readonly (readonly [magic: string, what: string])[] = [
  ['\x7fELF', 'an ELF file'],
  ['PK\x03\x04', 'a zip archive: unzip it first'],
  ['\xfd7zXZ\0', 'compressed with xz: xz -dc <file> | shootdown tlb /dev/stdin'],
  ['\x28\xb5\x2f\xfd', 'compressed with zstd: zstd -dc <file> | shootdown tlb /dev/stdin'],
  ['\x04\x22\x4d\x18', 'compressed with lz4: lz4 -dc <file> | shootdown tlb /dev/stdin'],
  ['7z\xbc\xaf\x27\x1c', 'a 7z archive: unpack it first'],
  ['PERFILE2', 'recorded by perf: samples, of which no TLB can be counted'],
];
const bzip2 = /^BZh\d1AY&SY/;

function decoderFor(path: string, head: Uint8Array, builder: ReferenceTraceBuilder): Decoder {
  const refuse = (reason: string): never => {
    throw new TraceError('read', `${reason}; ${understood}`, path);
  };
  const begins = Buffer.from(head.subarray(0, 16)).toString('latin1');
  const other = otherFiles.find(([magic]) => begins.startsWith(magic));
  if (other) return refuse(other[1]);
  if (bzip2.test(begins)) return refuse('compressed with bzip2: bzip2 -dc <file> | shootdown tlb /dev/stdin');
  if (packedName.test(path)) {
    // What is too short to be looked at is left to the decoder, which says where it ends.
    return head.length < 8 || looksPacked(head, true)
      ? new PackedDecoder(builder)
      : refuse('not packed records: their addresses are all over the address space');
  }
  if (textName.test(path) || isText(head)) {
    const { format, matches } = textFormatOf(head);
    if (matches === 0 && isSampled(head)) return refuse('perf script prints samples, and a TLB needs every reference');
    return new LineDecoder(builder, format);
  }
  if (looksLikeChampSim(head)) return new ChampSimDecoder(builder);
  return looksPacked(head, false) ? new PackedDecoder(builder) : refuse('no trace of memory references');
}

/** A program's own lines among the references may be in any encoding, but have no NUL. */
function isText(head: Uint8Array): boolean {
  const controls = head.reduce((n, byte) => n + (byte < 0x20 && !(byte >= 0x09 && byte <= 0x0d) ? 1 : 0), 0);
  return !head.includes(0) && 20 * controls <= head.length && looksLikeLines(head);
}

/** Random bytes have newlines too, but not only short lines of mostly ASCII. */
function looksLikeLines(head: Uint8Array): boolean {
  const ascii = head.reduce((n, byte) => n + (byte < 0x80 ? 1 : 0), 0);
  return 4 * ascii >= 3 * head.length;
}

function asTraceError(error: unknown, path: string): unknown {
  if (error instanceof TraceError || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('Z_')) return new TraceError('read', `corrupt gzip data: ${error.message}`, path);
  if ('syscall' in error) return new TraceError('read', reasonOfErrorCode[code] ?? code, path);
  return error;
}
