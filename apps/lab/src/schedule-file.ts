/**
 * Schedules: what makes a run happen again.
 *
 * A saved schedule names its machine (demo, topology or scenario), the choices made, and the fingerprint they lead to.
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  type Stats,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ModelError } from '@shootdown/machine';
import { UsageError } from './arguments.ts';
import { asOutputError, writeAll } from './output.ts';
import type { SavedSchedule } from './saved-schedule.ts';

/**
 * Files of one command, by what each is: none may be another, unless it is no file (`/dev/null`). Throws UsageError.
 */
export function checkDistinct(command: string, files: readonly (readonly [what: string, path: string])[]): void {
  files.forEach(([what, path], i) => {
    const [other] = files.slice(0, i).find(([, before]) => resolve(before) === resolve(path)) ?? [];
    if (other !== undefined && (statSync(path, { throwIfNoEntry: false })?.isFile() ?? true))
      throw new UsageError(`shootdown ${command}: ${what}: the same file as ${other} (${path})`);
  });
}

/** Where a schedule will be written once there is one. */
export interface ScheduleTarget {
  /** Writes the file whole or not at all. Throws ModelError. */
  write(saved: SavedSchedule): void;
}

/** Looks, before the work that leads to a schedule, whether it can be written. Throws ModelError. */
export function scheduleTarget(path: string): ScheduleTarget {
  const target = fileTarget('schedule', path);
  return { write: (saved) => target.write(`${JSON.stringify(saved)}\n`) };
}

/** A file that will be written once there is something to write. */
export interface FileTarget {
  /** Writes the file whole or not at all. Throws ModelError. */
  write(text: string): void;
  /** The same in pieces: the file is there when the work has ended, and is not if it throws. */
  writeDuring<T>(work: (write: (text: string) => void) => Promise<T>): Promise<T>;
}

/**
 * Looks, before the work, whether its result can be written. Throws ModelError.
 * @param what names the result: what the message begins with
 */
export function fileTarget(what: string, path: string): FileTarget {
  return attempt(what, path, () => {
    const known = statSync(path, { throwIfNoEntry: false });
    if (known?.isDirectory()) throw new ModelError(`${what}: ${path}: a directory, not a file`);
    // A link stays one: the file that it names is replaced.
    const real = known ? realpathSync(path) : path;
    accessSync(known ? real : dirname(real), constants.W_OK);
    const replaced = known === undefined || known.isFile();
    if (replaced) accessSync(dirname(real), constants.W_OK);
    return {
      write: (text) => attempt(what, path, () => writeWhole(real, replaced ? known : null, text)),
      async writeDuring(work) {
        const pieces = attempt(what, path, () => new Pieces(real, replaced ? known : null));
        try {
          const result = await work((text) => attempt(what, path, () => pieces.write(text)));
          attempt(what, path, () => pieces.keep());
          return result;
        } finally {
          pieces.close();
        }
      },
    };
  });
}

function writeWhole(path: string, known: Stats | undefined | null, text: string): void {
  const pieces = new Pieces(path, known);
  try {
    pieces.write(text);
    pieces.keep();
  } finally {
    pieces.close();
  }
}

/** A file that takes another's place when it is whole. */
class Pieces {
  readonly #path: string;
  readonly #beside: string | null;
  readonly #fd: number;
  #kept = false;

  /**
   * @param known the file that is replaced; null: what stands there is no file (a pipe, /dev/null): it is written to
   */
  constructor(path: string, known: Stats | undefined | null) {
    this.#path = path;
    this.#beside = known === null ? null : `${path}.${process.pid}.tmp`;
    this.#fd = this.#beside === null ? openSync(path, 'w') : openSync(this.#beside, 'wx', known?.mode);
  }

  write(text: string): void {
    writeAll(this.#fd, Buffer.from(text));
  }

  keep(): void {
    if (this.#beside !== null) {
      // A disk may say only when the file is synchronised that it has no room for it.
      fsyncSync(this.#fd);
      renameSync(this.#beside, this.#path);
    }
    this.#kept = true;
  }

  /** What was not kept is gone. */
  close(): void {
    closeSync(this.#fd);
    if (!this.#kept && this.#beside !== null) rmSync(this.#beside, { force: true });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such folder',
  ENOTDIR: 'no such folder',
  EACCES: 'permission denied',
  EROFS: 'the file system is read-only',
};

function attempt<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ModelError) throw error;
    const lost = asOutputError(error, `${what}: ${path}`);
    if (lost !== error) throw lost;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ModelError(`${what}: ${path}: cannot be written (${REASONS[code] ?? code})`);
  }
}
