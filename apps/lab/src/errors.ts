/** What the command says of an error: one line, whatever the input was. */
import { ModelError } from '@shootdown/machine';
import { UsageError } from './arguments.ts';
import { OutputError } from './output.ts';

/** True for the errors whose message is one line meant for the user. */
export function isUserError(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    error instanceof OutputError ||
    error instanceof ModelError ||
    (error instanceof Error && ['TraceError', 'TlbGeometryError'].includes(error.constructor.name))
  );
}

/** A message that quotes a whole file says no more than its beginning does. */
const LENGTH_MAX = 4000;

/**
 * Messages quote names and files: what is no printable character in them (line breaks, escapes of a terminal, changes
 * of direction) is written as an escape.
 */
export function oneLine(message: string): string {
  const shown = message.length > LENGTH_MAX ? `${message.slice(0, LENGTH_MAX)}...` : message;
  return shown.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const short = JSON.stringify(character).slice(1, -1);
    return short === character ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : short;
  });
}

/** What an error says: one line, or one per mistake in a file. */
export function linesOf(error: Error): readonly string[] {
  const several = error instanceof ModelError && 'lines' in error ? error.lines : undefined;
  const lines = Array.isArray(several) ? several.map(String) : [error.message];
  return lines.map(oneLine);
}
