import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { LackeyDecoder } from './lackey.ts';
import { PackedDecoder } from './packed.ts';
import { type ReferenceTrace, ReferenceTraceBuilder, referencesMax, TraceError } from './reference-trace.ts';

/** Bounds of `readReferenceTrace`, and who hears of it. */
export interface ReadReferenceTraceOptions {
  /** A longer trace is refused. Default and upper limit: the exported constant of the same name. */
  readonly referencesMax?: number;
  /** Ends the reading; what was read until then is the trace. */
  readonly signal?: AbortSignal;
  /** Called between portions of the file with the number of references read so far. */
  readonly onProgress?: (references: number) => void;
}

type Chunks = AsyncIterableIterator<Uint8Array>;

/** Enough to tell text from packed records, and for the two magic bytes of gzip. */
const headBytes = 512;
const readChunkBytes = 2 ** 18;

const packedName = /\.u64(\.gz)?$/i;
const lackeyName = /\.(lackey|txt|log)(\.gz)?$/i;

const reasonOfErrorCode: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EISDIR: 'a directory, not a file',
  EACCES: 'permission denied',
};

/**
 * Reads a memory-reference trace: packed records (`.u64`) or the text of valgrind's lackey (`.txt`, `.lackey`, `.log`), either of them
 * gzipped. Gzip is recognised by its magic bytes; where the name does not tell text from records, the first bytes do. The file is decoded as it is
 * read, so pipes work and only the references are held in memory.
 *
 * @throws {TraceError} when the file cannot be opened, is a device, is empty, is corrupt, or holds more references than the limit.
 */
export async function readReferenceTrace(
  path: string,
  options: ReadReferenceTraceOptions = {},
): Promise<ReferenceTrace> {
  const { signal, onProgress } = options;
  const builder = new ReferenceTraceBuilder(path, Math.min(options.referencesMax ?? referencesMax, referencesMax));
  try {
    await refuseDevice(path);
    const file = await peek(
      createReadStream(path, { highWaterMark: readChunkBytes, ...(signal && { signal }) })[Symbol.asyncIterator](),
    );
    const content = isGzip(file.head) ? await peek(inflated(file.chunks)) : file;
    if (content.head.length === 0) throw new TraceError('read', 'the file is empty', path);
    const decoder = isLackeyText(path, content.head) ? new LackeyDecoder(builder) : new PackedDecoder(builder);
    for await (const chunk of content.chunks) {
      decoder.write(chunk);
      onProgress?.(builder.length);
    }
    decoder.end();
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
  // The iteration of gunzip throws whatever the pipeline fails with, so the pipeline's own rejection carries nothing new.
  pipeline(Readable.from(chunks), gunzip).catch(() => undefined);
  yield* gunzip;
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

function isLackeyText(path: string, head: Uint8Array): boolean {
  if (packedName.test(path)) return false;
  if (lackeyName.test(path)) return true;
  return head.subarray(0, headBytes).every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d));
}

function asTraceError(error: unknown, path: string): unknown {
  if (error instanceof TraceError || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('Z_')) return new TraceError('read', `corrupt gzip data: ${error.message}`, path);
  if ('syscall' in error) return new TraceError('read', reasonOfErrorCode[code] ?? code, path);
  return error;
}
