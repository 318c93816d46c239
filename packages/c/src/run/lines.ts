/** The line of the file behind what each operation says. */
import { resumed, sitesWithin, type Mark, type Operation, type SourceLine, type Steps } from '@shootdown/machine';

/** The same steps, each of which says its line. @param text what traces show of it */
export function* withLine<T>(steps: Steps<T>, text: string, source: SourceLine): Steps<T> {
  let result: unknown = 0;
  // As `yield*` does: from here on the steps are begun.
  const begun = steps[Symbol.iterator]();
  for (;;) {
    const received = result;
    const next = sitesWithin(source, () => resumed(begun, received));
    if (next.done) return next.value;
    result = yield marked(next.value, text, source);
  }
}

function marked(value: Operation | Mark, text: string, source: SourceLine): Operation | Mark {
  if ('definition' in value) return { ...value, label: `${value.label ?? value.definition.name} ${text}`, source };
  if (value.mark !== 'call') return value;
  // What a helper without a name does is done in this line.
  return value.name === null ? { ...value, steps: withLine(value.steps, text, source), source } : { ...value, source };
}
