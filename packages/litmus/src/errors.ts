import { ModelError } from '@shootdown/machine';

/** A litmus test that says something we cannot read, or do not model. The message says what. */
export class Unsupported extends ModelError {}

/** Throws {@link Unsupported}. */
export function unsupported(why: string): never {
  throw new Unsupported(why);
}
