/** Calls from C to the scenario's own code, and what that code does, each with the line of the file that it is of. */
import { inOtherWords, ModelError, type Dependencies, type Steps } from '@shootdown/machine';
import type { Value } from '../compile/code.ts';
import type { FunctionType } from '../types/types.ts';
import { fromResult, isSteps } from './boundary.ts';
import { withLine } from './lines.ts';
import type { Call, CArgument } from './offer.ts';
import type { Binding } from './program.ts';
import type { Thread } from './thread.ts';

/** A line of a file. */
export interface Position {
  readonly file: string;
  readonly line: number;
}

/** Who calls. */
interface CallSite<K extends object> {
  readonly thread: Thread<K>;
  readonly position: Position;
  /** What the arguments came from; null: nobody asks. */
  readonly dependencies: Dependencies | null;
}

/** Calls a function of the scenario. */
export function* callKernel<K extends object>(
  { thread, position, dependencies }: CallSite<K>,
  binding: Binding<K>,
  args: readonly CArgument[],
  type: FunctionType,
): Steps<Value | undefined> {
  const { loaded, cpu } = thread;
  const where = `${position.file}:${position.line}`;
  const call: Call<K> = {
    kernel: loaded.kernel,
    cpu,
    where,
    dependencies,
    own: (name) => {
      const own = loaded.program.own[name];
      if (!own) throw new ModelError(`${where}: this variant has no ${name}()`);
      return own;
    },
  };
  const run = binding.run as (call: Call<K>, ...args: readonly CArgument[]) => ReturnType<typeof binding.run>;
  const body = function* (): Steps<CArgument | boolean | void> {
    const result = run(call, ...args);
    return isSteps(result) ? yield* result : result;
  };
  return fromResult(yield* said(thread, position, body), type.returns, loaded);
}

/** Puts the line behind what each operation says; what the scenario's code takes for a mistake is one of this line. */
export function* said<K extends object, T>({ loaded }: Thread<K>, position: Position, body: () => Steps<T>): Steps<T> {
  const { file, line } = position;
  const text = loaded.program.files > 1 ? `${file}:${line}` : `:${line}`;
  try {
    return yield* withLine(body(), text, position);
  } catch (error) {
    if (!(error instanceof ModelError) || error.message.includes(file)) throw error;
    throw inOtherWords(`${file}:${line}: ${error.message}`, error);
  }
}
