/**
 * Operations that are left out, taken apart, or answered from memory. Each stays a step of its routine, so that nothing
 * else changes: schedules, histories and states can be compared with those of the code as it was.
 */
import { ForwardingContext } from '../routine/forwarding.ts';
import {
  BLOCKED,
  defineOperation,
  operation,
  type Operation,
  type OperationContext,
  type OperationDefinition,
} from '../routine/operation.ts';

/** What an operation sees that may change nothing: its own writes, until it is over. */
class Powerless extends ForwardingContext {
  readonly #fails: boolean;
  readonly #written: Map<number, number>;

  /**
   * @param fails whether what is wrong with the access is still reported
   * @param written what it has written before
   */
  constructor(cx: OperationContext, fails: boolean, written = new Map<number, number>()) {
    super(cx);
    this.#fails = fails;
    this.#written = written;
  }

  override load(address: number): number {
    return this.#written.get(address) ?? this.cx.load(address);
  }

  /** A plain load: it need not wait for the own store buffer, so it sees what is in there. */
  override read(address: number): number {
    return this.load(address);
  }

  override storeBuffered(address: number, value: number): boolean {
    this.#written.set(address, value);
    return true;
  }

  override write(address: number, value: number): void {
    this.#written.set(address, value);
  }

  override drained(): boolean {
    return true;
  }

  override buffered(): number {
    return 0;
  }

  override fail(property: string, detail: () => string): void {
    if (this.#fails) this.cx.fail(property, detail);
  }

  override send(): boolean {
    return true;
  }

  override note(): void {}

  override tell(): boolean {
    return true;
  }

  override spend(): void {}

  override count(): void {}

  override explain(): void {}
}

/** A definition made from each definition once, so that executors see the same object for the same thing. */
function derived(make: (from: OperationDefinition) => OperationDefinition) {
  const known = new WeakMap<OperationDefinition, OperationDefinition>();
  return (from: OperationDefinition): OperationDefinition => {
    let definition = known.get(from);
    if (!definition) known.set(from, (definition = make(from)));
    return definition;
  };
}

const leftOutDefinition = derived((from) => {
  const { leftOut, branches } = from;
  if (leftOut) return defineOperation({ name: from.name, cost: 'nop', perform: leftOut });
  return defineOperation({
    name: from.name,
    cost: 'nop',
    ...(branches && { branches }),
    // What waits for others waits no longer.
    perform(cx, op, branch) {
      const result = from.perform(new Powerless(cx, false), op, branch);
      return result === BLOCKED ? 0 : result;
    },
  });
});

const readHalf = derived((from) =>
  defineOperation({
    name: from.name,
    cost: 'load',
    ...(from.branches && { branches: from.branches }),
    perform: (cx, op, branch) => from.perform(new Powerless(cx, true), op, branch),
  }),
);

interface Late {
  readonly op: Operation;
  readonly address: number;
  readonly value: number;
}

/** The access is checked a second time, because it is one. */
const STORE_HALF = defineOperation({
  name: 'store',
  perform(cx, { data }) {
    const { op, address, value } = data as Late;
    if (!cx.storeBuffered(address, value)) return BLOCKED;
    op.definition.perform(new Powerless(cx, true, new Map([[address, value]])), op, 0);
    return 0;
  },
});

/** To the code it is a read of the address `b`. */
const REMEMBERED = defineOperation({
  name: 'remembered',
  cost: 'nop',
  role: 'read',
  reads: (op) => op.b,
  perform: (_cx, op) => op.a,
});

const NO_CALL = defineOperation({ name: 'no call', cost: 'nop', perform: () => 0 });

const textOf = ({ label, definition }: Operation): string => label ?? definition.name;

/** The operation without its effect. */
export function leftOut(op: Operation): Operation {
  const { definition, a, b, c, data } = op;
  return operation(leftOutDefinition(definition), a, b, c, data, { label: `(no ${textOf(op)})` });
}

/** A read that is not made: the code goes on with what it read before. */
export function remembered(op: Operation, value: number): Operation {
  return operation(REMEMBERED, value, op.definition.reads?.(op) ?? op.a, 0, undefined, {
    label: `(no ${textOf(op)})`,
    fact: op.fact,
  });
}

/** What a call would do that is left out. */
export function noCall(name: string): Operation {
  return operation(NO_CALL, 0, 0, 0, undefined, { label: `(no ${name}())` });
}

/** The first half of an atomic operation that is none any more. */
export function loaded(op: Operation): Operation {
  const { definition, a, b, c, data, fact } = op;
  return operation(readHalf(definition), a, b, c, data, { label: `${textOf(op)}: load`, fact });
}

/** The second half; null if there is nothing to store. */
export function storedLater(op: Operation, result: number): Operation | null {
  const { halves } = op.definition;
  const value = halves?.stored(op, result) ?? null;
  if (!halves || value === null) return null;
  const late: Late = { op, address: halves.address(op), value };
  return operation(STORE_HALF, 0, 0, 0, late, { label: `${textOf(op)}: store` });
}
