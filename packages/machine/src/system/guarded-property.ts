/** Properties that are looked after: what a check may read, and what it may answer. */
import { ModelError, printable, thrown } from '../state/errors.ts';
import type { Layout } from '../state/words.ts';
import { Decisions } from './decisions.ts';
import type { Property } from './specs.ts';

type Read = (address: number) => number;

/** A check that is forgotten to answer would hold, or fail, for ever. */
function answer(name: string, given: unknown): boolean {
  if (given === undefined || typeof given === 'object' || typeof given === 'function')
    throw new ModelError(`property: ${name}: check returned ${printable(given)}, which is neither true nor false`);
  return Boolean(given);
}

/** Evaluations of the words at once that are all compared with the check, and of those that follow one in so many. */
const COMPARED = 50;
const STRIDE = 4_093;

/**
 * The check of the words at once, which now and then has to answer as the other one does. Throws ModelError if it does
 * not, and on words that do not follow one another.
 */
function guardedWords(property: Property, check: Property['check']): Pick<Property, 'checkWords'> {
  const { name, reads = [] } = property;
  const checkWords = property.checkWords?.bind(property);
  if (checkWords === undefined) return {};
  const base = reads[0] ?? 0;
  if (reads.length === 0 || reads.some((address, i) => address !== base + i))
    throw new ModelError(`system: property: ${name}: checkWords: the words in its reads do not follow one another`);
  let evaluations = 0;
  return {
    checkWords: (words) => {
      if (++evaluations > COMPARED && evaluations % STRIDE !== 0) return checkWords(words);
      const held = check((address) => words[address - base] as number);
      if (checkWords(words) !== held)
        throw new ModelError(`property: ${name}: checkWords and check differ (${!held} and ${held})`);
      return held;
    },
  };
}

/**
 * A property whose check may read no other words than `reads` lists, for reduction believes that list, and none that
 * the machine has not. Throws ModelError on a list with words that are none; its check throws it on anything else.
 * @param layout of the machine
 */
export function guardedProperty(property: Property, layout: Layout): Property {
  const { name, reads } = property;
  const listed = new Uint8Array(layout.words).fill(reads === undefined ? 1 : 0);
  for (const address of reads ?? []) {
    if (listed[address] === undefined)
      throw new ModelError(`system: property: ${name}: reads: ${printable(address)} is the address of no word`);
    listed[address] = 1;
  }
  let read: Read = () => 0;
  const guardedRead: Read = (address) => {
    if (listed[address] === 1) return read(address);
    throw new ModelError(
      listed[address] === undefined
        ? `property: ${name}: check reads ${printable(address)}, which is the address of no word`
        : `property: ${name}: check reads ${layout.nameOf(address)} (word ${address}), which is not in its reads`,
    );
  };
  const decisions = new Decisions();
  const decidingRead: Read = (address) => {
    const value = guardedRead(address);
    decisions.read(address, value);
    return value;
  };
  const check = (given: Read): boolean => {
    read = given;
    const deciding = decisions.begin();
    let result: unknown;
    try {
      result = property.check(deciding ? decidingRead : guardedRead);
    } catch (error) {
      throw error instanceof ModelError ? error : new ModelError(`property: ${name}: check threw ${thrown(error)}`);
    }
    const held = typeof result === 'boolean' ? result : answer(name, result);
    if (deciding && !decisions.answered(held))
      throw new ModelError(
        `property: ${name}: check is not deterministic: after the same values it reads or answers otherwise (Math.random, Date, a variable that it changes?)`,
      );
    return held;
  };
  return { ...property, check, ...guardedWords(property, check) };
}
