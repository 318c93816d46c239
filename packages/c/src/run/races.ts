/**
 * Data races: a plain access is two steps, its beginning and itself, and whatever other access of the same word comes
 * between them without being a read beside a read is a race. Only programs with plain accesses pay for it.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';

/** Violated when an access meets a plain access of another processor that it conflicts with. */
export const DATA_RACE = 'no data race with a plain access';

const Under = { nothing: 0, read: 1, write: 2 } as const;

/** An access of a word. */
interface Watched {
  readonly races: Races;
  readonly word: number;
  readonly write: boolean;
  readonly inner: unknown;
}

/** Plain accesses that have begun, by word and processor. */
export class Races {
  readonly #marks: Region;
  readonly #processors: number;

  /** @param words how many are watched */
  constructor(builder: SystemBuilder, words: number, processors: number) {
    this.#processors = processors;
    this.#marks = builder.region('plain accesses', Math.max(1, words * processors), { memory: 'strong' });
  }

  /** An access as steps of a watched one. */
  *access(op: Operation, word: number, write: boolean, plain: boolean): Steps<number> {
    const watched: Watched = { races: this, word, write, inner: op.data };
    if (plain) yield operation(BEGIN, 0, 0, 0, watched, { label: `${op.label ?? ''} begins` });
    const { label, fact, source, unmodelled } = op;
    return yield operation(watching(op.definition), op.a, op.b, op.c, watched, { label, fact, source, unmodelled });
  }

  /** Fails the property if somebody else is within a plain access that this one conflicts with. */
  look(cx: OperationContext, word: number, write: boolean): void {
    for (let p = 0; p < this.#processors; p++) {
      if (p === cx.processor) continue;
      const under = cx.read(this.#mark(word, p));
      if (under === Under.write || (under === Under.read && write))
        cx.fail(
          DATA_RACE,
          () => `a plain ${under === Under.write ? 'store' : 'load'} of another processor is under way`,
        );
    }
  }

  begin(cx: OperationContext, word: number, write: boolean): void {
    cx.write(this.#mark(word, cx.processor), write ? Under.write : Under.read);
  }

  end(cx: OperationContext, word: number): void {
    const mark = this.#mark(word, cx.processor);
    if (cx.read(mark) !== Under.nothing) cx.write(mark, Under.nothing);
  }

  #mark(word: number, processor: number): number {
    return this.#marks.base + word * this.#processors + processor;
  }
}

const BEGIN = defineOperation({
  name: 'plain access begins',
  cost: 'nop',
  order: 'relaxed',
  perform(cx, op) {
    const { races, word, write } = op.data as Watched;
    races.look(cx, word, write);
    races.begin(cx, word, write);
    return 0;
  },
});

const known = new WeakMap<OperationDefinition, OperationDefinition>();

/** The same operation, which looks for plain accesses of others; it ends that of its own processor. */
function watching(own: OperationDefinition): OperationDefinition {
  const made = known.get(own);
  if (made) return made;
  const { code: _, footprint: __, weak, ...rest } = own;
  const unwrapped = (op: Operation): Operation => ({ ...op, data: (op.data as Watched).inner });
  const looked = (cx: OperationContext, op: Operation, result: number): number => {
    if (result === BLOCKED) return result;
    const { races, word, write } = op.data as Watched;
    races.look(cx, word, write);
    races.end(cx, word);
    return result;
  };
  const definition = defineOperation({
    ...rest,
    cost: own.cost ?? own.name,
    perform: (cx, op, branch) => looked(cx, op, own.perform(cx, unwrapped(op), branch)),
    ...(weak && { weak: (cx, memory, op, branch) => looked(cx, op, weak(cx, memory, unwrapped(op), branch)) }),
  });
  known.set(own, definition);
  return definition;
}
