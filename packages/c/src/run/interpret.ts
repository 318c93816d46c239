/**
 * Runs compiled C as steps of a routine. Before each operation on shared memory it says where it stands: function, pc
 * and live registers of the call on top; callers have said theirs when they called. So nobody who writes C writes a
 * `point`.
 */
import { local, ModelError, type Dependencies, type Mark, type Steps } from '@shootdown/machine';
import { isAccess, type AccessInstruction, type FunctionCode, type Instruction, type Value } from '../compile/code.ts';
import { wrapped } from '../compile/conversions.ts';
import type { FunctionType } from '../types/types.ts';
import { binary, compared, unary } from './arithmetic.ts';
import { Origins } from './dependencies.ts';
import { toArgument } from './boundary.ts';
import { callKernel, said, type Position } from './kernel-call.ts';
import type { CArgument } from './offer.ts';
import type { Binding } from './program.ts';
import type { Thread } from './thread.ts';
import { distinct, fromWord, kindOf, PointerBase, stackCell, stackOwner, stackPointer, toWord } from './words.ts';

/** Violated by what C leaves undefined. */
const UNDEFINED = 'no undefined behaviour in C';

/** What the scenario's header is called. */
const HEADER = 'header';

/** Instructions in a row that touch no shared memory. */
const QUIET_MAX = 100_000;

type Registers = (Value | undefined)[];

/** What a call returns, and the loads that it came from. */
interface Returned {
  readonly value: Value | undefined;
  readonly slots: number;
}

/** Runs a function from outside. `finished` sees its registers when it returns. */
export function* runFunction<K extends object>(
  thread: Thread<K>,
  name: string,
  args: readonly Value[],
  finished?: Finished,
  initial: Readonly<Record<string, Value>> = {},
): Steps<Value | undefined> {
  const { program } = thread.loaded;
  const code = program.functions.get(name);
  if (!code) throw new ModelError(`c: no function ${name}`);
  if (program.usesStack || thread.stack.cells.length > 0) yield* local(thread.stack);
  const activation = new Activation(thread, code, args, { slots: [], at: null }, finished);
  for (const [variable, value] of Object.entries(initial)) activation.begin(variable, value);
  return (yield* activation.run()).value;
}

/** Gets the registers of a call that returns. */
export type Finished = (code: FunctionCode, registers: readonly (Value | undefined)[]) => void;

/** How a call is made: loads that its arguments came from, and where. */
interface Calling {
  readonly slots: readonly number[];
  readonly at: Position | null;
}

/** One call. */
class Activation<K extends object> {
  readonly #thread: Thread<K>;
  readonly #code: FunctionCode;
  readonly #registers: Registers;
  readonly #finished: Finished | undefined;
  readonly #base: number;
  /** Where a function of the scenario's header was called: nobody has its lines. */
  readonly #at: Position | null;
  /** Null: nobody asks. */
  readonly #origins: Origins | null;
  #pc = 0;

  constructor(
    thread: Thread<K>,
    code: FunctionCode,
    args: readonly Value[],
    { slots, at }: Calling,
    finished?: Finished,
  ) {
    this.#thread = thread;
    this.#code = code;
    this.#finished = finished;
    this.#at = code.file === HEADER ? at : null;
    this.#registers = Array.from({ length: code.registers });
    this.#origins = thread.control === null ? null : new Origins(code);
    code.parameters.forEach((r, i) => {
      this.#registers[r] = args[i];
      this.#origins?.set(r, slots[i] ?? 0);
    });
    this.#base = thread.stack.push(code.cells, at ? `${at.file}:${at.line}` : this.#where);
  }

  /** A local variable has a value before the function begins; it is not looked for where it is not used. */
  begin(variable: string, value: Value): void {
    const register = this.#code.names.lastIndexOf(variable);
    if (register >= 0) this.#registers[register] = value;
  }

  get #position(): Position {
    return this.#at ?? { file: this.#code.file, line: this.#code.code[this.#pc]?.line ?? 0 };
  }

  get #where(): string {
    const { file, line } = this.#position;
    return `${file}:${line}`;
  }

  *run(): Steps<Returned> {
    // The caller has said nothing of the arguments.
    yield this.#point(0, this.#code.live[0] ?? []);
    for (;;) {
      const instruction = this.#code.code[this.#pc] as Instruction;
      if (++this.#thread.quiet > QUIET_MAX)
        throw new ModelError(`${this.#where}: a loop that touches no shared memory and does not end`);
      if (instruction.op === 'return') {
        this.#finished?.(this.#code, this.#registers);
        this.#thread.stack.pop(this.#base);
        const { a } = instruction;
        return a === null
          ? { value: undefined, slots: 0 }
          : { value: this.#registers[a], slots: this.#origins?.of(a) ?? 0 };
      }
      if (!isAccess(instruction)) this.#origins?.pass(instruction);
      if (instruction.op === 'branch' && this.#thread.control !== null)
        this.#thread.control |= this.#origins?.of(instruction.a) ?? 0;
      this.#pc = yield* this.#step(instruction);
    }
  }

  /** Performs an instruction; returns where to go on. */
  *#step(i: Instruction): Steps<number> {
    const registers = this.#registers;
    switch (i.op) {
      case 'constant':
        registers[i.d] = i.value;
        break;
      case 'move':
        registers[i.d] = registers[i.a];
        break;
      case 'convert':
        registers[i.d] = wrapped(BigInt(yield* this.#value(i.a)), i.to);
        break;
      case 'unary':
        registers[i.d] = unary(i.operator, yield* this.#value(i.a), i.type);
        break;
      case 'binary': {
        const [a, b] = [yield* this.#value(i.a), yield* this.#value(i.b)];
        const value = binary(i.operator, a, b, i.type);
        if (value === undefined) yield this.#undefined(`${a} ${i.operator} ${b} has no value`);
        registers[i.d] = value ?? wrapped(0n, i.type);
        break;
      }
      case 'compare':
        registers[i.d] = compared(i.operator, yield* this.#value(i.a), yield* this.#value(i.b));
        break;
      case 'truth': {
        const isZero = Number(yield* this.#value(i.a)) === 0;
        registers[i.d] = isZero === i.negated ? 1 : 0;
        break;
      }
      case 'offset':
        registers[i.d] = Number(yield* this.#value(i.a)) + Number(yield* this.#value(i.b)) * i.cells;
        break;
      case 'distance': {
        const cells = Number(yield* this.#value(i.a)) - Number(yield* this.#value(i.b));
        registers[i.d] = BigInt(Math.trunc(cells / i.cells));
        break;
      }
      case 'frame':
        registers[i.d] = stackPointer(this.#thread.cpu, this.#base + i.cell);
        break;
      case 'global':
        registers[i.d] = this.#external(i.name);
        break;
      case 'function':
        registers[i.d] = PointerBase.function + this.#thread.loaded.program.names.indexOf(i.name);
        break;
      case 'field':
        registers[i.d] = yield* this.#field(i);
        break;
      case 'jump':
        return i.target;
      case 'branch': {
        const holds = Number(yield* this.#value(i.a)) !== 0;
        return holds === i.when ? i.target : this.#pc + 1;
      }
      case 'check':
        if (Number(yield* this.#value(i.a)) === 0)
          yield { mark: 'fail', property: i.property, detail: `it does not hold (${this.#where})` };
        break;
      case 'within': {
        const index = Number(yield* this.#value(i.a));
        if (index < 0 || index >= i.length) {
          yield this.#undefined(`${i.text}: there is no element ${index}`);
          return this.#pc + 1;
        }
        break;
      }
      case 'load':
        registers[i.d] = yield* this.#load(i);
        break;
      case 'store':
        yield* this.#store(i);
        break;
      case 'atomic':
        registers[i.d] = yield* this.#atomic(i);
        break;
      case 'call':
        registers[i.d] = yield* this.#call(i.name, i, i.type);
        break;
      case 'indirect': {
        const name = this.#thread.loaded.program.names[Number(yield* this.#value(i.p)) - PointerBase.function];
        if (name === undefined) yield this.#undefined('a call through a pointer to no function');
        else registers[i.d] = yield* this.#call(name, i, i.type);
        break;
      }
      case 'return':
        break;
    }
    return this.#pc + 1;
  }

  #undefined(what: string): Mark {
    return { mark: 'fail', property: UNDEFINED, detail: `${what} (${this.#where})` };
  }

  *#value(r: number): Steps<Value> {
    const value = this.#registers[r];
    if (value !== undefined) return value;
    const name = this.#code.names[r];
    yield this.#undefined(`${name === undefined || name === '' ? 'a value' : name} is used before it is set`);
    return 0;
  }

  /** Where this call stands: function, pc, live registers. */
  #point(pc: number, live: readonly number[]): Mark {
    return {
      mark: 'point',
      label: `${this.#code.name}:${pc}`,
      values: [
        ...live.flatMap((r) => distinct(this.#registers[r])),
        ...(this.#origins ? [this.#thread.control ?? 0, ...this.#origins.words(live)] : []),
      ],
    };
  }

  /** Directly before an operation on shared memory. */
  #pointHere(): Mark {
    this.#thread.quiet = 0;
    return this.#point(this.#pc, this.#code.live[this.#pc] ?? []);
  }

  #external(name: string): number {
    const pointer = this.#thread.loaded.heap.external(name);
    if (pointer === undefined) throw new ModelError(`${this.#where}: ${name} is not in this scenario's kernel`);
    return pointer;
  }

  *#field(i: Instruction & { op: 'field' }): Steps<number> {
    const pointer = Number(yield* this.#value(i.a));
    const found = this.#thread.loaded.heap.field(pointer, i.struct, i.name);
    if (found === undefined) yield this.#undefined(`${i.name} of a ${kindOf(pointer)} pointer to ${i.struct}`);
    return found ?? 0;
  }

  *#load(i: Instruction & { op: 'load' }): Steps<Value> {
    const pointer = Number(yield* this.#value(i.p));
    if (kindOf(pointer) === 'stack') {
      this.#origins?.set(i.d, this.#origins.of(i.p) | (this.#thread.stack.slots[stackCell(pointer)] ?? 0));
      return yield* this.#stackValue(pointer);
    }
    const memory = this.#memoryAt(pointer);
    if (!memory) {
      yield this.#undefined(`a load through a ${kindOf(pointer)} pointer`);
      return fromWord(0, i.type);
    }
    yield this.#pointHere();
    const asked = this.#asked(i, i.p, []);
    const address = pointer - PointerBase.shared;
    return fromWord(yield* said(this.#thread, this.#position, () => memory.load(address, i.access, asked)), i.type);
  }

  *#store(i: Instruction & { op: 'store' }): Steps {
    const pointer = Number(yield* this.#value(i.p));
    if (kindOf(pointer) === 'stack') {
      const cell = this.#ownCell(pointer);
      this.#thread.stack.cells[cell] = this.#registers[i.a];
      if (this.#origins) this.#thread.stack.note(cell, this.#origins.of(i.a) | this.#origins.of(i.p));
      return;
    }
    const memory = this.#memoryAt(pointer);
    if (!memory) {
      yield this.#undefined(`a store through a ${kindOf(pointer)} pointer`);
      return;
    }
    const word = this.#word(yield* this.#value(i.a));
    yield this.#pointHere();
    const asked = this.#asked(i, i.p, [i.a]);
    const address = pointer - PointerBase.shared;
    yield* said(this.#thread, this.#position, () => memory.store(address, word, i.access, asked));
  }

  *#atomic(i: Instruction & { op: 'atomic' }): Steps<Value> {
    const pointer = Number(yield* this.#value(i.p));
    const words: number[] = [];
    for (const r of i.args) words.push(this.#word(yield* this.#value(r)));
    const memory = this.#memoryAt(pointer);
    if (!memory) {
      yield this.#undefined(`${i.atomic.name}() through a ${kindOf(pointer)} pointer`);
      return fromWord(0, i.type);
    }
    yield this.#pointHere();
    const asked = this.#asked(i, i.p, i.args);
    const address = pointer - PointerBase.shared;
    return fromWord(
      yield* said(this.#thread, this.#position, () => memory.atomic(address, i.atomic, words, asked)),
      i.type,
    );
  }

  #memoryAt(pointer: number) {
    return kindOf(pointer) === 'shared' ? this.#thread.loaded.memoryAt(pointer - PointerBase.shared) : undefined;
  }

  #ownCell(pointer: number): number {
    if (stackOwner(pointer) !== this.#thread.cpu)
      throw new ModelError(`${this.#where}: a local variable of another processor: not supported: make it a global`);
    return stackCell(pointer);
  }

  *#stackValue(pointer: number): Steps<Value> {
    const cell = this.#ownCell(pointer);
    const value = this.#thread.stack.cells[cell];
    if (value !== undefined) return value;
    const gone = cell >= this.#thread.stack.cells.length;
    yield this.#undefined(
      gone ? 'a local variable of a call that has returned' : 'a local variable is used before it is set',
    );
    return 0;
  }

  /** A value as a word of shared memory. */
  #word(value: Value): number {
    const word = toWord(value);
    if (word === undefined)
      throw new ModelError(
        `${this.#where}: 0x${value.toString(16)} has more than 32 bits: shared memory holds 32 of them`,
      );
    return word;
  }

  *#call(name: string, i: Instruction & { op: 'call' | 'indirect' }, type: FunctionType): Steps<Value | undefined> {
    const { program } = this.#thread.loaded;
    const args: Value[] = [];
    for (const r of i.args) args.push(yield* this.#value(r));
    const code = program.functions.get(name);
    if (code) {
      const after = (this.#code.live[this.#pc + 1] ?? []).filter((r) => r !== i.d);
      yield this.#point(this.#pc, after);
      return yield* this.#enter(code, args, i);
    }
    const binding = program.bindings.get(name);
    if (!binding) throw new ModelError(`${this.#where}: ${name}() is not in this scenario's kernel`);
    return yield* this.#bound(binding, i, args, type);
  }

  /** Calls compiled C. The caller has said where it stands. */
  *#enter(
    code: FunctionCode,
    args: readonly Value[],
    i: Instruction & { op: 'call' | 'indirect' },
  ): Steps<Value | undefined> {
    const slots = i.args.map((r) => this.#origins?.of(r) ?? 0);
    const { below } = this.#thread;
    below.push((below.at(-1) ?? 0) | (this.#origins?.live(this.#pc + 1, i.d) ?? 0));
    const body = () => new Activation(this.#thread, code, args, { slots, at: this.#position }).run();
    // Not routine(): what the scenario has replaced by this name is this function.
    const name = code.inline ? null : code.name;
    const call = { mark: 'call', name, steps: body(), source: this.#position } as const;
    const returned = (yield call) as unknown as Returned;
    below.pop();
    this.#origins?.set(i.d, returned.slots);
    return returned.value;
  }

  /**
   * What an access depends on, and what becomes of its result; undefined if nobody asks. Called once per access, after
   * the point.
   * @param data registers whose values are stored
   */
  #asked(i: AccessInstruction, address: number | null, data: readonly number[]): Dependencies | undefined {
    return this.#origins?.ask(i, { pc: this.#pc, address, data, thread: this.#thread });
  }

  *#bound(
    binding: Binding<K>,
    i: Instruction & { op: 'call' | 'indirect' },
    values: readonly Value[],
    type: FunctionType,
  ): Steps<Value | undefined> {
    const { loaded } = this.#thread;
    const nullable = loaded.program.offer.nullable?.includes(binding.name);
    const args = values.map((value, n) => toArgument(value, type.parameters[n]?.type, loaded, nullable));
    const wrong = args.find((arg) => typeof arg === 'string');
    if (wrong !== undefined) {
      yield this.#undefined(`${binding.name}(): ${wrong}`);
      return undefined;
    }
    const pointers = i.args.filter((_, n) => type.parameters[n]?.type.kind === 'pointer');
    const [address = null] = pointers;
    yield this.#pointHere();
    const dependencies = this.#asked(
      i,
      address,
      i.args.filter((r) => r !== address),
    );
    const site = { thread: this.#thread, position: this.#position, dependencies: dependencies ?? null };
    return yield* callKernel(site, binding, args as readonly CArgument[], type);
  }
}
