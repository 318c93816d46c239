/**
 * Calls: of functions by their prototypes, through pointers, and of the kernel's macros that take a value of any type.
 */
import { field, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { BOOL, INT, pointerTo, scalarOf, typeName, VOID, type CType, type FunctionType } from '../types/types.ts';
import type { Access, Scalar } from './code.ts';
import type { Operand, Place } from './emitter.ts';
import { Places } from './places.ts';

const LOADS: Readonly<Record<string, Access>> = {
  READ_ONCE: 'READ_ONCE',
  smp_load_acquire: 'smp_load_acquire',
  rcu_dereference: 'rcu_dereference',
  rcu_dereference_check: 'rcu_dereference',
  rcu_dereference_raw: 'rcu_dereference',
  rcu_dereference_sched: 'rcu_dereference',
  rcu_access_pointer: 'READ_ONCE',
  rcu_dereference_protected: 'plain',
  lockless_dereference: 'rcu_dereference',
};
const STORES: Readonly<Record<string, Access>> = {
  WRITE_ONCE: 'WRITE_ONCE',
  smp_store_release: 'smp_store_release',
  rcu_assign_pointer: 'rcu_assign_pointer',
  RCU_INIT_POINTER: 'WRITE_ONCE',
  smp_store_mb: 'WRITE_ONCE',
};
/** They take the address of what they access, where the others take the lvalue. */
const BY_ADDRESS = new Set(['smp_load_acquire', 'smp_store_release']);
const EXCHANGE = /^(try_)?(xchg|cmpxchg)(_acquire|_release|_relaxed)?$/;
/** Their argument is their value. */
const TRANSPARENT = new Set(['likely', 'unlikely', 'data_race', '__builtin_expect', 'READ_ONCE_NOCHECK']);

/** `this_cpu_inc()`, and those without a prefix that care about interrupts. */
const PER_CPU_OPERATION =
  /^(this|__this|raw)_cpu_(read|write|add|sub|inc|dec|and|or|add_return|inc_return|dec_return|xchg|cmpxchg)$/;

export abstract class Calls extends Places {
  protected abstract perCpu(node: Node, name: string, args: readonly Node[]): Operand;
  protected abstract perCpuOperation(node: Node, operation: string, plain: boolean, args: readonly Node[]): Operand;

  protected call(node: Node): Operand {
    const called = field(node, 'function');
    const args = partsOf(field(node, 'arguments'));
    const name = called.type === 'identifier' ? called.text : '';
    if (name !== '' && this.local(node, name) === undefined && !this.scope.function(name)) {
      const built = this.#builtIn(node, name, args);
      if (built) return built;
      if (!this.scope.variable(name)) {
        for (const arg of args) this.expression(arg);
        return this.unknown(node, name, `${name}()`);
      }
    }
    const type = name === '' || this.local(node, name) ? undefined : this.scope.function(name);
    if (type)
      return this.#apply(
        node,
        name,
        type,
        args,
        (d, registers) => void this.emit(node, { op: 'call', d, name, args: registers, type }),
      );
    const pointer = this.expression(called);
    const to = pointer.type.kind === 'pointer' ? pointer.type.to : undefined;
    if (to?.kind !== 'function')
      return this.wrong(node, `${quoted(called)} is no function: have ${typeName(pointer.type)}`);
    return this.#apply(
      node,
      quoted(called),
      to,
      args,
      (d, registers) => void this.emit(node, { op: 'indirect', d, p: pointer.r, args: registers, type: to }),
    );
  }

  #apply(
    node: Node,
    name: string,
    type: FunctionType,
    args: readonly Node[],
    emit: (d: number, registers: readonly number[]) => void,
  ): Operand {
    const { parameters, returns } = type;
    if (args.length < parameters.length || (args.length > parameters.length && !type.variadic))
      return this.wrong(node, `${name}() takes ${counted(parameters.length, 'argument')} (given: ${args.length})`);
    this.passable(node, returns, `${name}() returns`);
    const registers = this.argumentsOf(node, name, type, args);
    const d = this.register();
    if (!this.inWords(returns)) {
      emit(d, registers);
      return { r: d, type: returns };
    }
    // Room for the result is the caller's.
    const { r } = this.temporary(node, returns);
    emit(d, [r, ...registers]);
    return { r, type: returns };
  }

  /** Arguments as a function takes them; a struct of several words by the address of a copy. */
  protected argumentsOf(node: Node, name: string, type: FunctionType, args: readonly Node[]): number[] {
    const { parameters } = type;
    if (args.length < parameters.length || (args.length > parameters.length && !type.variadic)) {
      this.miss(node, `${name}() takes ${counted(parameters.length, 'argument')} (given: ${args.length})`);
      return [];
    }
    return args.map((arg, i) => {
      const value = this.expression(arg);
      const expected = parameters[i]?.type;
      if (!expected) return value.r;
      this.passable(arg, expected, `${name}() takes`);
      const given = this.coerce(arg, value, expected, `argument ${i + 1} of ${name}()`);
      if (!this.inWords(expected)) return given.r;
      const copy = this.temporary(arg, expected);
      this.store(arg, copy, given);
      return copy.r;
    });
  }

  /** Says so if a type cannot be handed over. */
  protected passable(node: Node, type: CType, what: string): void {
    if (type.kind === 'void' || this.fits(type)) return;
    if (type.kind !== 'struct' || type.fields === null)
      this.miss(node, `${what} ${typeName(type)}, which has no size here: pass a pointer`);
    else if (type.modelled)
      this.miss(node, `${what} ${typeName(type)}, whose content the scenario keeps: pass a pointer`);
  }

  #builtIn(node: Node, name: string, args: readonly Node[]): Operand | undefined {
    const [first, second] = args;
    const load = Object.hasOwn(LOADS, name) ? LOADS[name] : undefined;
    const store = Object.hasOwn(STORES, name) ? STORES[name] : undefined;
    const takes = (n: number): boolean => {
      if (args.length === n || (args.length > n && name.startsWith('rcu_dereference'))) return true;
      this.miss(node, `${name}() takes ${counted(n, 'argument')} (given: ${args.length})`);
      return false;
    };
    const none = (): Operand => this.constant(node, 0, INT);
    if (load) return takes(1) && first ? this.#load(node, name, first, load) : none();
    if (store) return takes(2) && first && second ? this.#store(node, name, first, second, store) : none();
    if (TRANSPARENT.has(name)) return first ? this.expression(first) : none();
    const perCpu = PER_CPU_OPERATION.exec(name);
    if (perCpu) return this.perCpuOperation(node, perCpu[2] ?? '', perCpu[1] !== 'this', args);
    const exchange = EXCHANGE.exec(name);
    if (exchange) return this.#exchange(node, name, args);
    switch (name) {
      case 'assert':
        return takes(1) && first ? this.#check(node, first, false, `assert(${quoted(first)})`) : none();
      case 'BUG_ON':
      case 'VM_BUG_ON':
        return takes(1) && first ? this.#check(node, first, true, `${name}(${quoted(first)})`) : none();
      case 'per_cpu':
      case 'per_cpu_ptr':
      case 'this_cpu_ptr':
      case 'raw_cpu_ptr':
      case 'get_cpu_var':
        return this.perCpu(node, name, args);
      case 'BUILD_BUG_ON':
        return this.#buildBug(node, first);
      case '__container_of':
        return takes(2) && first && second ? this.#container(node, first, second) : none();
      default:
        return undefined;
    }
  }

  /** A condition that must be false when it is compiled; what is not known then says nothing. */
  #buildBug(node: Node, condition: Node | undefined): Operand {
    const value = condition ? this.declarations.valueIfConstant(condition) : null;
    if (value !== null && value !== 0n) this.miss(node, `${quoted(node)}: it holds`);
    return this.constant(node, 0, INT);
  }

  #container(node: Node, first: Node, second: Node): Operand {
    const pointer = this.expression(first);
    if (pointer.type.kind !== 'pointer' || second.type !== 'offsetof_expression')
      return this.wrong(node, `container_of(): expected a pointer, have ${typeName(pointer.type)}`);
    const offset = this.offsetOf(second);
    return { r: this.moved(node, pointer.r, -offset), type: pointerTo(VOID) };
  }

  /** offsetof() in words. */
  protected offsetOf(node: Node): number {
    const type = this.declarations.descriptor(field(node, 'type'));
    const name = field(node, 'member').text;
    const found = type.kind === 'struct' && !type.modelled ? type.fields?.find((f) => f.name === name) : undefined;
    if (!found) this.miss(node, `${typeName(type)} has no field ${name} at a known offset`);
    return found?.offset ?? 0;
  }

  #check(node: Node, condition: Node, negated: boolean, property: string): Operand {
    const { r } = this.truth(condition, this.expression(condition), negated);
    this.emit(node, { op: 'check', a: r, property: `${property} at line ${lineOf(node)}` });
    return { r, type: VOID };
  }

  #shared(name: string, arg: Node, byAddress: boolean): Place {
    if (!byAddress) return this.place(arg);
    const pointer = this.expression(arg);
    if (pointer.type.kind === 'pointer' && pointer.type.to.kind !== 'void')
      return { kind: 'memory', r: pointer.r, type: pointer.type.to };
    if (this.lenient) return { kind: 'memory', r: pointer.r, type: INT };
    this.miss(arg, `argument 1 of ${name}(): expected a pointer, have ${typeName(pointer.type)}`);
    return { kind: 'memory', r: pointer.r, type: INT };
  }

  #load(node: Node, name: string, arg: Node, access: Access): Operand {
    const place = this.#shared(name, arg, BY_ADDRESS.has(name));
    if (place.kind === 'value' || (place.kind === 'memory' && place.temporary))
      return this.wrong(arg, `argument 1 of ${name}(): ${quoted(arg)} has no address`);
    if (place.kind === 'register') return { r: place.r, type: place.type };
    const held = this.held(arg, name, place.type);
    const d = this.register();
    this.emit(node, { op: 'load', d, p: place.r, access, type: held });
    return { r: d, type: place.type };
  }

  #store(node: Node, name: string, arg: Node, given: Node, access: Access): Operand {
    const place = this.#shared(name, arg, BY_ADDRESS.has(name));
    const value = this.coerce(given, this.expression(given), place.type, `argument 2 of ${name}()`);
    if (place.kind === 'memory') {
      const held = this.held(arg, name, place.type);
      this.emit(node, { op: 'store', p: place.r, a: value.r, access, type: held });
    } else this.assign(node, place, value);
    if (name === 'smp_store_mb') {
      const type = this.scope.function('smp_mb');
      if (type) this.emit(node, { op: 'call', d: this.register(), name: 'smp_mb', args: [], type });
      else this.miss(node, 'smp_store_mb() is not offered here');
    }
    return value;
  }

  #exchange(node: Node, name: string, args: readonly Node[]): Operand {
    const [, attempt, operation, order = ''] = EXCHANGE.exec(name) ?? [];
    const [target, ...rest] = args;
    const wanted = operation === 'xchg' ? 2 : 3;
    if (!target || args.length !== wanted || (attempt !== undefined && operation === 'xchg'))
      return this.wrong(node, `${name}() takes ${wanted} arguments (given: ${args.length})`);
    const place = this.#shared(name, target, true);
    const held = this.held(target, name, place.type);
    const expected = attempt === undefined ? undefined : this.#shared(name, rest[0] as Node, true);
    const registers = rest.map((arg, i) => {
      const value = i === 0 && expected ? this.fetch(arg, expected) : this.expression(arg);
      return this.coerce(arg, value, place.type, `argument ${i + 2} of ${name}()`).r;
    });
    const d = this.register();
    const atomic = { operation: operation === 'xchg' ? 'xchg' : 'cmpxchg', name: `${operation}${order}` } as const;
    this.emit(node, { op: 'atomic', d, p: place.r, args: registers, atomic, type: held });
    if (!expected) return { r: d, type: place.type };
    const same = this.register();
    this.emit(node, { op: 'compare', d: same, a: d, b: registers[0] as number, operator: '==' });
    const succeeded = this.branch(node, same, true);
    this.assign(node, expected, { r: d, type: place.type });
    this.patch(succeeded);
    return { r: same, type: BOOL };
  }

  protected held(node: Node, name: string, type: CType): Scalar {
    const held = scalarOf(type);
    if (held) return held;
    this.miss(node, `${name}(): ${typeName(type)} is not one word`);
    return INT;
  }
}

function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
