/**
 * Runs compiled C as steps of a routine. Before each operation on shared memory it says where it stands: function, pc and live
 * registers of the call on top; callers have said theirs when they called. So nobody who writes C writes a `point`.
 */
import { inlined, local, ModelError, routine, type Mark, type Operation, type Steps } from '@shootdown/machine';
import type { FunctionCode, Instruction, Scalar, Value } from '../compile/code.ts';
import { wrapped } from '../compile/conversions.ts';
import { isInt, scalarOf, typeName, type CType, type FunctionType } from '../types/types.ts';
import { binary, compared, unary } from './arithmetic.ts';
import type { Call, CArgument } from './offer.ts';
import type { Binding, Loaded } from './program.ts';
import { Stack } from './thread.ts';
import { distinct, fromWord, kindOf, PointerBase, stackCell, stackOwner, stackPointer, toWord } from './words.ts';

/** Violated by what C leaves undefined. */
const UNDEFINED = 'no undefined behaviour in C';

/** Instructions in a row that touch no shared memory. */
const QUIET_MAX = 100_000;

type Registers = (Value | undefined)[];

/** One processor's run of a program: what all of its calls share. */
export class Thread<K extends object> {
  readonly loaded: Loaded<K>;
  readonly cpu: number;
  readonly stack = new Stack();
  quiet = 0;

  constructor(loaded: Loaded<K>, cpu: number) {
    this.loaded = loaded;
    this.cpu = cpu;
  }

  /** Runs a function from outside. `finished` sees its registers when it returns. */
  *run(name: string, args: readonly Value[], finished?: Finished): Steps<Value | undefined> {
    const code = this.loaded.program.functions.get(name);
    if (!code) throw new ModelError(`c: no function ${name}`);
    if (this.loaded.program.usesStack) yield* local(this.stack);
    return yield* new Activation(this, code, args, finished).run();
  }
}

/** Gets the registers of a call that returns. */
export type Finished = (code: FunctionCode, registers: readonly (Value | undefined)[]) => Steps;

/** One call. */
class Activation<K extends object> {
  readonly #thread: Thread<K>;
  readonly #code: FunctionCode;
  readonly #registers: Registers;
  readonly #finished: Finished | undefined;
  readonly #base: number;
  #pc = 0;

  constructor(thread: Thread<K>, code: FunctionCode, args: readonly Value[], finished?: Finished) {
    this.#thread = thread;
    this.#code = code;
    this.#finished = finished;
    this.#registers = Array.from({ length: code.registers });
    code.parameters.forEach((r, i) => (this.#registers[r] = args[i]));
    this.#base = thread.stack.push(code.cells, this.#where);
  }

  get #where(): string {
    return `${this.#code.file}:${this.#code.code[this.#pc]?.line ?? '?'}`;
  }

  *run(): Steps<Value | undefined> {
    // The caller has said nothing of the arguments.
    yield this.#point(0, this.#code.live[0] ?? []);
    for (;;) {
      const instruction = this.#code.code[this.#pc] as Instruction;
      if (++this.#thread.quiet > QUIET_MAX)
        throw new ModelError(`${this.#where}: a loop that touches no shared memory and does not end`);
      if (instruction.op === 'return') {
        if (this.#finished) yield* this.#finished(this.#code, this.#registers);
        this.#thread.stack.pop(this.#base);
        return instruction.a === null ? undefined : this.#registers[instruction.a];
      }
      const next = yield* this.#step(instruction);
      this.#pc = next;
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
      values: live.flatMap((r) => distinct(this.#registers[r])),
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
    if (kindOf(pointer) === 'stack') return yield* this.#stackValue(pointer);
    const memory = this.#memoryAt(pointer);
    if (!memory) {
      yield this.#undefined(`a load through a ${kindOf(pointer)} pointer`);
      return fromWord(0, i.type);
    }
    yield this.#pointHere();
    return fromWord(yield* this.#said(memory.load(pointer - PointerBase.shared, i.access)), i.type);
  }

  *#store(i: Instruction & { op: 'store' }): Steps {
    const pointer = Number(yield* this.#value(i.p));
    if (kindOf(pointer) === 'stack') {
      this.#thread.stack.cells[this.#ownCell(pointer)] = this.#registers[i.a];
      return;
    }
    const memory = this.#memoryAt(pointer);
    if (!memory) {
      yield this.#undefined(`a store through a ${kindOf(pointer)} pointer`);
      return;
    }
    const word = this.#word(yield* this.#value(i.a));
    yield this.#pointHere();
    yield* this.#said(memory.store(pointer - PointerBase.shared, word, i.access));
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
    return fromWord(yield* this.#said(memory.atomic(pointer - PointerBase.shared, i.atomic, words)), i.type);
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
      const body = () => new Activation(this.#thread, code, args).run();
      return yield* code.inline ? inlined(body)() : routine(name, body)();
    }
    const binding = program.bindings.get(name);
    if (!binding) throw new ModelError(`${this.#where}: ${name}() is not in this scenario's kernel`);
    return yield* this.#bound(binding, args, type);
  }

  *#bound(binding: Binding<K>, values: readonly Value[], type: FunctionType): Steps<Value | undefined> {
    const { loaded, cpu } = this.#thread;
    const args = values.map((value, n) => this.#argument(value, type.parameters[n]?.type, binding.name));
    const call: Call<K> = {
      kernel: loaded.kernel,
      cpu,
      where: this.#where,
      own: (name) => {
        const own = loaded.program.own[name];
        if (!own) throw new ModelError(`${this.#where}: this variant has no ${name}()`);
        return own;
      },
    };
    const run = binding.run as (call: Call<K>, ...args: readonly CArgument[]) => ReturnType<typeof binding.run>;
    yield this.#pointHere();
    const result = run(call, ...args);
    if (!isSteps(result)) return this.#result(result, type.returns);
    return this.#result(yield* this.#said(result), type.returns);
  }

  #argument(value: Value, type: CType | undefined, name: string): CArgument {
    if (type?.kind === 'pointer') return this.#pointed(Number(value), type.to, name);
    const held = type && scalarOf(type);
    // Words of page tables are signed, as the machine's are.
    if (type?.kind === 'struct' && held) return this.#word(value);
    const number = Number(value);
    if (!Number.isSafeInteger(number))
      throw new ModelError(`${this.#where}: 0x${value.toString(16)} is too big for ${name}()`);
    return number;
  }

  #pointed(pointer: number, to: CType, name: string): CArgument {
    const kind = kindOf(pointer);
    const object = this.#thread.loaded.heap.object(pointer);
    if (object) return object;
    if (kind === 'null') return 0;
    if (kind === 'shared') return pointer - PointerBase.shared;
    throw new ModelError(
      `${this.#where}: ${name}(): a ${kind} pointer where ${typeName(to)} of the kernel is expected`,
    );
  }

  #result(result: CArgument | boolean | void, type: CType): Value | undefined {
    if (result === undefined || type.kind === 'void') return undefined;
    if (typeof result === 'boolean') return this.#result(result ? 1 : 0, type);
    if (type.kind === 'pointer') return result === 0 ? 0 : this.#thread.loaded.heap.pointer(result);
    const held: Scalar | null = scalarOf(type);
    if (!held || typeof result !== 'number') return undefined;
    return isInt(type) ? wrapped(BigInt(Math.trunc(result)), type) : fromWord(result, held);
  }

  /** Puts the line behind what each operation says. */
  *#said<T>(steps: Steps<T>): Steps<T> {
    const { line } = this.#code.code[this.#pc] as Instruction;
    const text = this.#thread.loaded.program.files > 1 ? `${this.#code.file}:${line}` : `:${line}`;
    return yield* withLine(steps, text);
  }
}

function* withLine<T>(steps: Steps<T>, text: string): Steps<T> {
  let result: unknown = 0;
  for (;;) {
    const next = steps.next(result as number);
    if (next.done) return next.value;
    result = yield marked(next.value, text);
  }
}

function marked(value: Operation | Mark, text: string): Operation | Mark {
  if ('definition' in value) return { ...value, label: `${value.label ?? value.definition.name} ${text}` };
  // What a helper without a name does is done in this line.
  return value.mark === 'call' && value.name === null ? { ...value, steps: withLine(value.steps, text) } : value;
}

function isSteps(value: unknown): value is Steps<CArgument | boolean | void> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'next' in value;
}
