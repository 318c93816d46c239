/** Places: variables, what pointers point to, fields, elements. */
import { nearestName } from '@shootdown/explorer';
import { field, partsOf, quoted, type Node } from '../source/parser.ts';
import {
  cellsOf,
  INT,
  isInt,
  scalarOf,
  typeName,
  VOID,
  type ArrayType,
  type CType,
  type StructType,
} from '../types/types.ts';
import { Conversions, wrapped } from './conversions.ts';
import type { Operand, Place } from './emitter.ts';

/** What DEFINE_PER_CPU() puts before a name: the variable is an array, one element per CPU. */
const PER_CPU = '__percpu_';

export abstract class Places extends Conversions {
  protected abstract expression(node: Node): Operand;
  /** The place that a call or a literal names; undefined if it is a value. */
  protected abstract placeOf(node: Node): Place | undefined;
  #cpu: number | null = null;

  /** The place that an expression names; what names none is a value. */
  protected place(node: Node): Place {
    switch (node.type) {
      case 'parenthesized_expression': {
        const inner = partsOf(node)[0] as Node;
        return inner.type === 'compound_statement' ? { kind: 'value', ...this.expression(node) } : this.place(inner);
      }
      case 'identifier':
        return this.#named(node);
      case 'pointer_expression':
        if (field(node, 'operator').text === '*') return this.#pointee(node, this.expression(field(node, 'argument')));
        break;
      case 'subscript_expression': {
        const argument = field(node, 'argument');
        const array = this.place(argument);
        const base = this.fetch(argument, array);
        const index = this.expression(field(node, 'index'));
        if (array.type.kind === 'array') this.#within(node, index, array.type.length);
        return this.#pointee(node, this.added(node, base, index, false));
      }
      case 'field_expression':
        return this.#field(node);
      case 'compound_literal_expression':
      case 'call_expression': {
        const place = this.placeOf(node);
        if (place) return place;
        break;
      }
      default:
    }
    const { r, type } = this.expression(node);
    return this.inWords(type) ? { kind: 'memory', r, type, temporary: true } : { kind: 'value', r, type };
  }

  /** Stores a value of the place's type. */
  protected assign(node: Node, place: Place, value: Operand): void {
    if (place.kind === 'value' || (place.kind === 'memory' && place.temporary)) {
      this.miss(node, `${quoted(node)}: its left side cannot be assigned to`);
      return;
    }
    if (place.kind === 'register') {
      this.emit(node, { op: 'move', d: place.r, a: value.r });
      return;
    }
    this.store(node, place, value);
  }

  /** Stores a value in memory, whoever it belongs to. */
  protected store(node: Node, place: Place, value: Operand): void {
    const { type } = place;
    const held = scalarOf(type);
    if (held) this.emit(node, { op: 'store', p: place.r, a: value.r, access: 'plain', type: held });
    else if (type.kind === 'struct') this.#copy(node, place.r, value.r, type, 0);
    else this.miss(node, `${typeName(type)} cannot be assigned to`);
  }

  /** The address of a place. */
  protected address(node: Node, place: Place): Operand {
    if ((place.kind !== 'memory' || place.temporary) && place.type.kind !== 'function')
      return this.wrong(node, `${quoted(node)}: this has no address`);
    return { r: place.r, type: { kind: 'pointer', to: place.type } };
  }

  /** A pointer moved by a number of elements. */
  protected added(node: Node, a: Operand, b: Operand, subtract: boolean): Operand {
    const [pointer, index] = a.type.kind === 'pointer' ? [a, b] : [b, a];
    if (pointer.type.kind !== 'pointer')
      return this.wrong(node, `${quoted(node)}: expected a pointer, have ${typeName(pointer.type)}`);
    const { to } = pointer.type;
    this.integer(node, index, quoted(node));
    if (to.kind === 'struct' && (to.modelled || to.fields === null))
      return this.wrong(node, `${quoted(node)}: ${to.name} stands alone here: there is no next one`);
    const cells = to.kind === 'void' ? 1 : cellsOf(to);
    const d = this.register();
    this.emit(node, { op: 'offset', d, a: pointer.r, b: index.r, cells: subtract ? -cells : cells });
    return { r: d, type: pointer.type };
  }

  #pointee(node: Node, pointer: Operand): Place {
    const { type } = pointer;
    if (type.kind !== 'pointer') {
      if (!this.lenient || !isInt(type)) this.miss(node, `${quoted(node)}: expected a pointer, have ${typeName(type)}`);
      return { kind: 'memory', r: pointer.r, type: INT };
    }
    if (type.to.kind === 'void')
      this.miss(node, `${quoted(node)}: a pointer to void points to nothing that has a type`);
    return { kind: 'memory', r: pointer.r, type: type.to.kind === 'void' ? INT : type.to };
  }

  #named(node: Node): Place {
    const name = node.text;
    const local = this.local(node, name);
    if (local) return local;
    const constant = this.scope.constant(name);
    if (constant) return { kind: 'value', ...this.constant(node, wrapped(constant.value, INT), INT) };
    const type = this.scope.variable(name);
    if (type) return this.global(node, name, type);
    const perCpu = this.scope.variable(PER_CPU + name);
    if (perCpu?.kind === 'array') return this.#perCpu(node, name, perCpu);
    const called = this.scope.function(name);
    if (called) {
      const d = this.register();
      this.emit(node, { op: 'function', d, name });
      return { kind: 'value', r: d, type: called };
    }
    return this.lenient ? this.undeclared(name) : { kind: 'value', ...this.unknown(node, name) };
  }

  /** An index of an array whose length is known. The address of what comes after it may be taken. */
  #within(node: Node, index: Operand, length: number): void {
    if (length === 0 || !isInt(index.type)) return;
    const isAddress = node.parent?.type === 'pointer_expression' && field(node.parent, 'operator').text === '&';
    this.emit(node, { op: 'within', a: index.r, length: isAddress ? length + 1 : length, text: quoted(node) });
  }

  /** A variable that every CPU has: which CPU's is said by what is around it. */
  #perCpu(node: Node, name: string, { of, length }: ArrayType): Place {
    if (this.#cpu === null)
      return this.wrongPlace(
        node,
        `${name} is per CPU: use this_cpu_read(${name}), per_cpu(${name}, cpu) and the like`,
      );
    const { r } = this.global(node, PER_CPU + name, of);
    this.emit(node, { op: 'within', a: this.#cpu, length, text: `${name} of a CPU` });
    const d = this.register();
    this.emit(node, { op: 'offset', d, a: r, b: this.#cpu, cells: cellsOf(of) });
    return { kind: 'memory', r: d, type: of };
  }

  /** Per-CPU variables are those of the CPU in a register while `body` is compiled. */
  protected ofCpu<T>(cpu: number, body: () => T): T {
    const before = this.#cpu;
    this.#cpu = cpu;
    try {
      return body();
    } finally {
      this.#cpu = before;
    }
  }

  /** True for a struct of several words: its value is where it stands. */
  protected inWords(type: CType): boolean {
    return type.kind === 'struct' && scalarOf(type) === null;
  }

  protected unknown(node: Node, name: string, what = name): Operand {
    const near = nearestName(name, [...this.localNames, ...this.scope.names]);
    return this.wrong(node, `${what} is not known here${near === undefined ? '' : `: is ${near} meant?`}`);
  }

  #field(node: Node): Place {
    const argument = field(node, 'argument');
    const name = field(node, 'field').text;
    const arrow = field(node, 'operator').text === '->';
    const base = arrow ? this.#pointee(node, this.expression(argument)) : this.place(argument);
    const { type } = base;
    if (type.kind !== 'struct') {
      const hint = !arrow && type.kind === 'pointer' ? ': use ->' : '';
      return this.wrongPlace(node, `${quoted(node)}: ${typeName(type)} has no fields${hint}`);
    }
    const found = fieldOf(type, name);
    if (!found) {
      const names = (type.fields ?? []).map((f) => f.name);
      return this.wrongPlace(node, `${type.name} has no field ${name} (have: ${names.join(', ') || 'none'})`);
    }
    if (base.kind !== 'memory') return { kind: base.kind, r: base.r, type: found.type };
    if (!type.modelled) return { ...base, r: this.moved(node, base.r, found.offset), type: found.type };
    const d = this.register();
    this.emit(node, { op: 'field', d, a: base.r, struct: type.name, name });
    // Where a pointer in an object of the scenario leads is known, and nobody changes it.
    return { kind: found.type.kind === 'pointer' ? 'value' : 'memory', r: d, type: found.type };
  }

  protected wrongPlace(node: Node, what: string): Place {
    return { kind: 'memory', r: this.wrong(node, what).r, type: INT };
  }

  /** Word by word. */
  #copy(node: Node, to: number, from: number, type: CType, offset: number): void {
    const held = scalarOf(type);
    if (held) {
      const a = this.loaded(node, this.moved(node, from, offset), held);
      this.emit(node, { op: 'store', p: this.moved(node, to, offset), a, access: 'plain', type: held });
    } else if (type.kind === 'array') {
      for (let i = 0; i < type.length; i++) this.#copy(node, to, from, type.of, offset + i * cellsOf(type.of));
    } else if (type.kind === 'struct' && !type.modelled) {
      for (const f of type.union ? (type.fields ?? []).slice(0, 1) : (type.fields ?? []))
        this.#copy(node, to, from, f.type, offset + f.offset);
    } else this.miss(node, `${typeName(type)} cannot be copied`);
  }

  /** An expression without a value. */
  protected get nothing(): Operand {
    return { r: this.register(), type: VOID };
  }

  /** True for a type of which there can be a value in a register. */
  protected fits(type: CType): boolean {
    return isInt(type) || scalarOf(type) !== null;
  }
}

function fieldOf(type: StructType, name: string) {
  return type.fields?.find((f) => f.name === name);
}
