/** Output that is whole or an error: Node takes part of a chunk for all of it when a file has no room for the rest. */
import { fstatSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { withoutControls } from '@shootdown/machine';

/**
 * What a write ends with when there is no room, or something is wrong with the medium: the output is lost, the input
 * was right.
 */
const LOST: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is longer than is allowed here',
  EIO: 'an error of the medium',
};

/** An output that cannot be written although nothing was wrong with its name. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

/** The error as an OutputError if it says that the output was lost, otherwise itself. */
export function asOutputError(error: unknown, what: string): unknown {
  const reason = LOST[(error as NodeJS.ErrnoException).code ?? ''];
  return reason === undefined ? error : new OutputError(`${what}: cannot be written (${reason})`);
}

/** Writes all bytes, in as many calls as it takes. Throws what the last of them fails with. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

/** A stream onto a file writes what it is given whole, or emits an error. Pipes and terminals do so by themselves. */
export function writeWholeChunks(stream: Writable & { readonly fd?: number }): void {
  const { fd } = stream;
  if (fd === undefined || !fstatSync(fd).isFile()) return;
  stream._write = (chunk: string | Uint8Array, encoding, done) => {
    try {
      writeAll(fd, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  };
}

/**
 * Names and labels come from modules of others: what a terminal would obey is written as an escape, as JSON has them.
 */
export function writeNoControls(stream: Writable): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? withoutControls(chunk, '\n\t') : chunk, ...rest);
}
