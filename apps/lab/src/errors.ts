/** What the command says of an error: one line, whatever the input was. */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isLimit, ModelError, thrown, ThrownError } from '@shootdown/machine';
import { UsageError } from './arguments.ts';
import { ExitCode } from './exit-codes.ts';
import { OutputError } from './output.ts';

let foreign = false;

/** A module of the user's is loaded: what is thrown from now on may be its. */
export function noteForeignCode(): void {
  foreign = true;
}

/** True for the errors whose message is one line meant for the user. */
export function isUserError(error: unknown): error is Error {
  if (error instanceof ThrownError) return foreign;
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

/**
 * The lines that an error is worth, and the exit code.
 * @param module of the user's that may have thrown it; null: none
 */
export function answerTo(
  error: unknown,
  module: string | null,
): { readonly lines: readonly string[]; readonly code: number } {
  if (isUserError(error)) {
    if (error instanceof OutputError) return { lines: linesOf(error), code: ExitCode.outputFailed };
    if (isLimit(error)) return { lines: linesOf(error), code: ExitCode.bounded };
    return { lines: linesOf(error), code: error instanceof UsageError ? ExitCode.usage : ExitCode.invalidInput };
  }
  const what = oneLine(thrown(error));
  if (module !== null && !isOwn(error))
    return { lines: [`scenario: ${oneLine(module)}: a module threw ${what}`], code: ExitCode.invalidInput };
  const bug = 'this is a bug in shootdown: please report this line and the command that led to it';
  return { lines: [`shootdown: ${bug}: ${what}`], code: ExitCode.software };
}

/** Whether an error comes of the command's own code, and no code of a user's was under way. */
function isOwn(error: unknown): boolean {
  const files = filesOf(error);
  return files.length > 0 && files.every(isOfCommand);
}

/** Whether a file is one of this package, or of another of the command's. */
function isOfCommand(file: string): boolean {
  const home = dirname(dirname(dirname(createRequire(import.meta.url).resolve('@shootdown/machine'))));
  const inPackage = file.startsWith(home + sep) && file.slice(home.length + 1).split(sep)[1] === 'dist';
  return inPackage || file.startsWith(dirname(fileURLToPath(import.meta.url)) + sep);
}

/** The files of the calls that led to an error, but those of Node. */
function filesOf(error: unknown): string[] {
  try {
    const stack = error instanceof Error ? error.stack : '';
    const places = String(stack).matchAll(/^ {4}at (?:.*\()?(file:\/\/.*?|\/.*?):\d+:\d+\)?$/gm);
    return [...places].map(([, at = '']) => (at.startsWith('file:') ? fileURLToPath(at) : at));
  } catch {
    // A stack of the user's own.
    return [];
  }
}
