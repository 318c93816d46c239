/**
 * Data races: a plain access is two steps, its beginning and itself, and whatever other access of the same word comes between
 * them without being a read beside a read is a race. Only programs with plain accesses pay for it.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Footprint,
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

interface Watched {
  readonly races: Races;
  readonly inner: unknown;
  readonly write: boolean;
}

/** Plain accesses that have begun, by word and processor. */
export class Races {
  readonly #words: Region;
  readonly #base: number;
  readonly #processors: number;

  /** @param region the words that are watched */
  constructor(builder: SystemBuilder, region: Region, processors: number) {
    this.#base = region.base;
    this.#processors = processors;
    this.#words = builder.region(`${region.name}.plain`, region.cells * processors);
  }

  /** An access as steps of a watched one. */
  *access(op: Operation, address: number, write: boolean, plain: boolean): Steps<number> {
    if (plain) yield operation(BEGIN, address, write ? Under.write : Under.read, 0, this, { label: undefined });
    return yield watched(op, { races: this, inner: op.data, write });
  }

  /** Word that says how far processor `processor` is with the word at `address`. */
  word(address: number, processor: number): number {
    return this.#words.base + (address - this.#base) * this.#processors + processor;
  }

  /** Fails the property if somebody else is within a plain access that this one conflicts with. */
  look(cx: OperationContext, address: number, write: boolean): void {
    for (let p = 0; p < this.#processors; p++) {
      if (p === cx.processor) continue;
      const under = cx.read(this.word(address, p));
      if (under === Under.write || (under === Under.read && write))
        cx.fail(
          DATA_RACE,
          () => `a plain ${under === Under.write ? 'store' : 'load'} of another processor is under way`,
        );
    }
  }

  footprint(address: number, processor: number): Footprint {
    const words = Array.from({ length: this.#processors }, (_, p) => this.word(address, p));
    return { reads: words, writes: [this.word(address, processor)] };
  }
}

const BEGIN = defineOperation({
  name: 'plain access',
  cost: 'nop',
  perform(cx, op) {
    const races = op.data as Races;
    races.look(cx, op.a, op.b === Under.write);
    cx.write(races.word(op.a, cx.processor), op.b);
    return 0;
  },
  footprint: (op, processor) => (op.data as Races).footprint(op.a, processor),
});

const known = new WeakMap<OperationDefinition, OperationDefinition>();

/** The same operation, which looks for plain accesses of others; it ends that of its own processor. */
function watched(op: Operation, data: Watched): Operation {
  let definition = known.get(op.definition);
  if (!definition) {
    const { code: _, ...own } = op.definition;
    definition = defineOperation({
      ...own,
      cost: own.cost ?? own.name,
      perform(cx, outer, branch) {
        const { races, inner, write } = outer.data as Watched;
        const result = own.perform(cx, { ...outer, data: inner }, branch);
        if (result === BLOCKED) return result;
        races.look(cx, outer.a, write);
        const mine = races.word(outer.a, cx.processor);
        if (cx.read(mine) !== Under.nothing) cx.write(mine, Under.nothing);
        return result;
      },
      footprint(outer, processor) {
        const { races, inner } = outer.data as Watched;
        const marks = races.footprint(outer.a, processor);
        const accessed = own.footprint?.({ ...outer, data: inner }, processor) ?? {
          reads: [outer.a],
          writes: [outer.a],
        };
        return { reads: [...accessed.reads, ...marks.reads], writes: [...accessed.writes, ...marks.writes] };
      },
    });
    known.set(op.definition, definition);
  }
  return operation(definition, op.a, op.b, op.c, data, op);
}
