/**
 * What the values of options may be: closed sets of words, true or false, whole numbers. A value that means nothing
 * would be taken for the default, or for the other of two, in silence.
 */
import { checkOptions, ModelError, nearest, printable } from './errors.ts';

/** Throws ModelError, which begins with `where`, on a value that an option must not have. */
export type ValueCheck = (where: string, value: unknown) => void;

/** A check per option of `T`: the build fails when one is missing, or is none. */
export type OptionValues<T> = { readonly [K in keyof T]-?: ValueCheck };

/** All words of a closed set: the build fails when one is missing, or is none. */
export function wordsOf<T extends string>() {
  return <const W extends readonly T[]>(
    ...words: W & ([T] extends [W[number]] ? unknown : readonly ['missing', Exclude<T, W[number]>])
  ): readonly T[] => words;
}

/** Refuses what is none of the words that mean something. */
export function checkWord(where: string, given: unknown, known: readonly string[]): void {
  if (known.includes(given as string)) return;
  const near = typeof given === 'string' ? nearest(given, known) : null;
  throw new ModelError(
    `${where}: ${printable(given)} is none of ${known.join(', ')}${near === null ? '' : `: did you mean ${near}?`}`,
  );
}

/** Refuses what is neither true nor false: a string would be true, whatever it says. */
export function checkFlag(where: string, given: unknown): void {
  if (typeof given !== 'boolean') throw new ModelError(`${where}: expected true or false (${printable(given)})`);
}

/** Refuses what is no whole number from `min` to `max`. */
export function checkWhole(where: string, given: unknown, min = 0, max = Number.POSITIVE_INFINITY): void {
  if (typeof given === 'number' && given >= min && given <= max && (Number.isInteger(given) || given === max)) return;
  const range = max === Number.POSITIVE_INFINITY ? `from ${min}` : `${min} .. ${max}`;
  throw new ModelError(`${where}: expected a whole number ${range} (${printable(given)})`);
}

/** Checks for {@link OptionValues}. */
export const is = {
  /** Another check looks at it. */
  anything: (() => {}) as ValueCheck,
  flag: checkFlag,
  text: ((where, value) => {
    if (typeof value !== 'string') throw new ModelError(`${where}: expected some text (${printable(value)})`);
  }) as ValueCheck,
  oneOf:
    (words: readonly string[]): ValueCheck =>
    (where, value) =>
      checkWord(where, value, words),
  whole:
    (min = 0, max = Number.POSITIVE_INFINITY): ValueCheck =>
    (where, value) =>
      checkWhole(where, value, min, max),
  /** A list of what passes another check. */
  listOf:
    (one: ValueCheck): ValueCheck =>
    (where, value) => {
      if (!Array.isArray(value)) throw new ModelError(`${where}: expected a list (${printable(value)})`);
      value.forEach((element, i) => one(`${where}[${i}]`, element));
    },
  /** A function, or a routine. */
  callable: ((where, value) => {
    if (typeof value !== 'function') throw new ModelError(`${where}: expected a function (${printable(value)})`);
  }) as ValueCheck,
  /** An object that does something when it is asked to. */
  withMethods:
    (...names: readonly string[]): ValueCheck =>
    (where, value) => {
      for (const name of names) is.callable(`${where}: ${name}`, (value as Record<string, unknown> | null)?.[name]);
    },
  /** An object of options of its own. */
  options:
    <T extends object>(values: OptionValues<T>, required: readonly (keyof T & string)[] = []): ValueCheck =>
    (where, value) =>
      checkValues(where, value as T, values, required),
} as const;

/**
 * Refuses options with a name that means nothing, without one that they must have, or with a value that means nothing.
 * @param where `component: operation`, which begins the message
 */
export function checkValues<T extends object>(
  where: string,
  options: T,
  values: OptionValues<T>,
  required: readonly (keyof T & string)[] = [],
): void {
  checkOptions(where, options, Object.keys(values), required);
  for (const name of Object.keys(options) as (keyof T & string)[]) {
    // What nothing is known of may be a getter that can only be asked later.
    if (values[name] === is.anything) continue;
    const value: unknown = options[name];
    if (value !== undefined) values[name](`${where}: ${name}`, value);
  }
}

/**
 * A check of objects that routines are handed each time they run: made once per object, so that a run does not pay for
 * it. Returns the object.
 */
export function checkedOnce<T extends object>(check: (given: T) => void): (given: T) => T {
  const checked = new WeakSet<object>();
  return (given) => {
    if (checked.has(given)) return given;
    check(given);
    checked.add(given);
    return given;
  };
}
