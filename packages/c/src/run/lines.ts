/** The line of the file behind what each operation says. */
import { resumed, type Mark, type Operation, type Steps } from '@shootdown/machine';

/** The same steps, each of which says its line. */
export function* withLine<T>(steps: Steps<T>, text: string): Steps<T> {
  let result: unknown = 0;
  // As `yield*` does: from here on the steps are begun.
  const begun = steps[Symbol.iterator]();
  for (;;) {
    const next = resumed(begun, result);
    if (next.done) return next.value;
    result = yield marked(next.value, text);
  }
}

function marked(value: Operation | Mark, text: string): Operation | Mark {
  if ('definition' in value) return { ...value, label: `${value.label ?? value.definition.name} ${text}` };
  // What a helper without a name does is done in this line.
  return value.mark === 'call' && value.name === null ? { ...value, steps: withLine(value.steps, text) } : value;
}
