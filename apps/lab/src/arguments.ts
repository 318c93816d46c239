/** Command-line arguments: strict, and every mistake is one line. */
import { parseArgs } from 'node:util';
import { ModelError } from '@shootdown/machine';

/** A mistake in how the command was called. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** One flag of a command. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** What it means, for --help. */
  readonly help: string;
}

/** Flags and positionals of a call. */
export interface Arguments {
  readonly positionals: readonly string[];
  text(name: string): string | undefined;
  /** All values of a flag that may be repeated. */
  texts(name: string): readonly string[];
  has(name: string): boolean;
  /** Refuses flags that mean nothing here, which is better than to ignore them. Throws UsageError. */
  refuse(names: readonly string[], why: string): void;
  /** A whole number within bounds, or undefined if the flag is absent. Throws UsageError if it is none, ModelError if it is out of bounds. */
  whole(name: string, min: number, max?: number): number | undefined;
  /** One of the values listed, or undefined if the flag is absent. */
  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined;
}

/** Parses the arguments of one command. Throws UsageError. */
export function parseArguments(
  command: string,
  argv: readonly string[],
  flags: Readonly<Record<string, Flag>>,
  positionalsMax: number,
): Arguments {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, f]) => [name, { type: f.type, multiple: f.multiple ?? false }]),
  );
  let parsed;
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? (error.message.split(/\.\s/)[0] ?? '').trim() : String(error);
    throw new UsageError(
      `shootdown ${command}: ${message} (flags: ${
        Object.keys(flags)
          .map((f) => `--${f}`)
          .join(' ') || 'none'
      })`,
    );
  }
  const { values, positionals } = parsed;
  if (positionals.length > positionalsMax)
    throw new UsageError(`shootdown ${command}: unexpected argument ${positionals[positionalsMax] ?? ''}`);
  const text = (name: string): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined);
  return {
    positionals,
    text,
    texts: (name) => (Array.isArray(values[name]) ? values[name].map(String) : []),
    has: (name) => values[name] === true,
    refuse(names, why) {
      const name = names.find((n) => values[n] !== undefined);
      if (name !== undefined) throw new UsageError(`shootdown ${command}: --${name} ${why}`);
    },
    whole(name, min, max = Number.MAX_SAFE_INTEGER) {
      const given = text(name);
      if (given === undefined) return undefined;
      if (!/^\d+$/.test(given))
        throw new UsageError(`shootdown ${command}: --${name}: expected a whole number (${given})`);
      const value = Number(given);
      if (!(value >= min && value <= max))
        throw new ModelError(
          `shootdown ${command}: --${name}: expected a whole number of at least ${min}${max < Number.MAX_SAFE_INTEGER ? ` and at most ${max}` : ''} (${given})`,
        );
      return value;
    },
    oneOf(name, allowed) {
      const given = text(name);
      if (given === undefined) return undefined;
      const value = allowed.find((v) => v === given);
      if (value === undefined)
        throw new UsageError(`shootdown ${command}: --${name}: expected one of ${allowed.join(', ')} (${given})`);
      return value;
    },
  };
}

/** The first positional, or a UsageError that says what is missing. */
export function required(command: string, args: Arguments, what: string): string {
  const value = args.positionals[0];
  if (value === undefined) throw new UsageError(`shootdown ${command}: ${what} is missing`);
  return value;
}
