/** Whether something is a System, before it is taken for one. */
import { ModelError, printable, SystemBuilder, type System } from '@shootdown/machine';

/** Throws ModelError on what is no System. @param where begins the message */
export function checkSystem(where: string, given: System): void {
  const value: unknown = given;
  if (value instanceof SystemBuilder)
    throw new ModelError(`${where}: got a SystemBuilder instead of a System: return builder.build()`);
  if (value instanceof Promise)
    throw new ModelError(`${where}: got a promise instead of a System: build must not be async`);
  const { layout, programs, processors, choices, properties } = (value ?? {}) as Partial<System>;
  if (layout && [programs, processors, choices, properties].every(Array.isArray)) return;
  throw new ModelError(`${where}: got ${printable(value)} instead of a System: return builder.build()`);
}
