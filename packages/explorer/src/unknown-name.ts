/** The nearest name that is known. */
import { nearest } from '@shootdown/machine';

export { unknownName } from '@shootdown/machine';

/** The known name that differs by the fewest letters, if it differs by few. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  return nearest(name, known) ?? undefined;
}
