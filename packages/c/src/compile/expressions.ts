/** Expressions: C11, 6.5. */
import { characterOf, integerOf } from '../source/constant.ts';
import { field, fields, partsOf, quoted, type Node } from '../source/parser.ts';
import {
  CHAR,
  INT,
  isInt,
  LONG,
  pointerTo,
  scalarOf,
  sizeOf,
  typeName,
  UNSIGNED,
  UNSIGNED_LONG,
  VOID,
  type CType,
  type IntType,
} from '../types/types.ts';
import { Calls } from './calls.ts';
import { commonType, promoted, wrapped } from './conversions.ts';
import type { Operand, Place } from './emitter.ts';

/** Operators that come before assignment. */
const BINDS_TIGHTER = new Set([
  'cast_expression',
  'unary_expression',
  'binary_expression',
  'conditional_expression',
  'pointer_expression',
  'sizeof_expression',
]);

const COMPARISONS = new Set(['==', '!=', '<', '>', '<=', '>=']);

export abstract class Expressions extends Calls {
  protected abstract block(node: Node): Operand | undefined;
  protected abstract initialize(node: Node, place: Place, value: Node): void;

  protected expression(node: Node): Operand {
    if (BINDS_TIGHTER.has(node.type)) this.#refuseAssignment(node);
    switch (node.type) {
      case 'number_literal':
        return this.#number(node);
      case 'char_literal': {
        const value = characterOf(node.text);
        return value === undefined
          ? this.wrong(node, `${node.text} is no character`)
          : this.constant(node, Number(value), INT);
      }
      case 'string_literal':
      case 'concatenated_string':
        // Strings are for messages, which are not modelled.
        return this.constant(node, 0, pointerTo(CHAR));
      case 'true':
      case 'false':
        return { ...this.constant(node, node.type === 'true' ? 1 : 0, INT), zero: node.type === 'false' };
      case 'null':
        return this.constant(node, 0, pointerTo(VOID));
      case 'parenthesized_expression': {
        const inner = partsOf(node)[0] as Node;
        return inner.type === 'compound_statement' ? (this.block(inner) ?? this.nothing) : this.expression(inner);
      }
      case 'identifier':
      case 'field_expression':
      case 'subscript_expression':
        return this.fetch(node, this.place(node));
      case 'pointer_expression':
        return this.#pointer(node);
      case 'unary_expression':
        return this.#unary(node);
      case 'update_expression':
        return this.#update(node);
      case 'assignment_expression':
        return this.#assignment(node);
      case 'binary_expression':
        return this.#binary(node);
      case 'conditional_expression':
        return this.#conditional(node);
      case 'cast_expression': {
        const type = this.declarations.descriptor(field(node, 'type'));
        return this.cast(node, this.expression(field(node, 'value')), type);
      }
      case 'comma_expression':
        this.expression(field(node, 'left'));
        return this.expression(field(node, 'right'));
      case 'call_expression':
        return this.call(node);
      case 'sizeof_expression':
        return this.#sizeof(node);
      case 'compound_literal_expression':
        return this.#literal(node);
      case 'offsetof_expression':
        return this.wrong(node, 'offsetof() has a meaning within container_of() only: fields have no bytes here');
      case 'gnu_asm_expression':
        return this.wrong(node, 'inline assembly is not supported: call the function that holds it by its name');
      default:
        return this.wrong(node, `${node.type.replaceAll('_', ' ')} is not supported: ${quoted(node)}`);
    }
  }

  /** `(int)a = b` assigns to no place, though the parser takes it for `(int)(a = b)`. */
  #refuseAssignment(node: Node): void {
    const inner = node.namedChildren.find((child) => child?.type === 'assignment_expression');
    if (inner && inner.id !== node.childForFieldName('consequence')?.id)
      this.miss(node, `${quoted(node)}: its left side cannot be assigned to`);
  }

  #number(node: Node): Operand {
    // The parser takes a sign before a literal for a part of it, which C does not.
    const sign = /^[-+]/.exec(node.text)?.[0];
    const literal = this.#literalOf(node, sign === undefined ? node.text : node.text.slice(1).trim());
    if (sign !== '-') return literal;
    const type = this.integer(node, literal, quoted(node));
    const d = this.register();
    this.emit(node, { op: 'unary', d, a: literal.r, operator: '-', type });
    return { r: d, type };
  }

  #literalOf(node: Node, text: string): Operand {
    const value = integerOf(text);
    if (value === undefined)
      return this.wrong(node, `${node.text} is no integer (floating point is not for the kernel)`);
    const decimal = !/^0[xXbB0-7]/.test(text);
    const long = /l/i.test(text);
    const unsigned = /u/i.test(text);
    const fits = (type: IntType): boolean => BigInt(wrapped(value, type)) === value;
    const candidates = [INT, UNSIGNED, LONG, UNSIGNED_LONG].filter(
      (type) => (!long || type.bits === 64) && (!unsigned || !type.signed) && (!decimal || unsigned || type.signed),
    );
    const type = candidates.find(fits);
    if (!type) return this.wrong(node, `${node.text} has more than 64 bits`);
    return { ...this.constant(node, wrapped(value, type), type), zero: value === 0n };
  }

  #pointer(node: Node): Operand {
    const argument = field(node, 'argument');
    if (field(node, 'operator').text === '*') return this.fetch(node, this.place(node));
    const place = this.place(argument);
    if (place.type.kind === 'array' && place.kind === 'memory') return { r: place.r, type: pointerTo(place.type) };
    return this.address(node, place);
  }

  #unary(node: Node): Operand {
    const operator = field(node, 'operator').text;
    const value = this.expression(field(node, 'argument'));
    if (operator === '!') return this.truth(node, value, true);
    const type = this.integer(node, value, quoted(node));
    const a = this.convert(node, value, type);
    if (operator === '+') return a;
    const d = this.register();
    this.emit(node, { op: 'unary', d, a: a.r, operator, type });
    return { r: d, type };
  }

  #update(node: Node): Operand {
    const argument = field(node, 'argument');
    const place = this.place(argument);
    const before = this.#kept(node, this.fetch(argument, place));
    const one = this.constant(node, 1, INT);
    const operator = field(node, 'operator').text[0] ?? '+';
    const after = this.arithmetic(node, operator, before, one);
    this.assign(node, place, this.coerce(node, after, place.type, quoted(node)));
    const isPrefix = node.firstChild?.text === '++' || node.firstChild?.text === '--';
    return isPrefix ? this.coerce(node, after, place.type, quoted(node)) : before;
  }

  /** In a register that no assignment changes. */
  #kept(node: Node, value: Operand): Operand {
    const d = this.register();
    this.emit(node, { op: 'move', d, a: value.r });
    return { r: d, type: value.type };
  }

  #assignment(node: Node): Operand {
    const operator = field(node, 'operator').text;
    const left = field(node, 'left');
    const right = field(node, 'right');
    if (operator === '=' && right.type === 'initializer_list')
      return this.wrong(node, 'an initializer list where an expression is expected');
    const place = this.place(left);
    const given = operator === '=' ? this.expression(right) : undefined;
    const value =
      given ?? this.arithmetic(node, operator.slice(0, -1), this.fetch(left, place), this.expression(right));
    const converted = this.coerce(node, value, place.type, quoted(node));
    this.assign(node, place, converted);
    return place.kind === 'memory' && scalarOf(place.type) ? this.#kept(node, converted) : converted;
  }

  #binary(node: Node): Operand {
    const operator = field(node, 'operator').text;
    const left = field(node, 'left');
    const right = field(node, 'right');
    if (operator === '&&' || operator === '||') {
      const d = this.register();
      const first = this.truth(left, this.expression(left), false);
      this.emit(node, { op: 'move', d, a: first.r });
      const decided = this.branch(node, d, operator === '||');
      this.emit(node, { op: 'move', d, a: this.truth(right, this.expression(right), false).r });
      this.patch(decided);
      return { r: d, type: INT };
    }
    const a = this.expression(left);
    return this.arithmetic(node, operator, this.#holdsVariable(left) ? this.#kept(node, a) : a, this.expression(right));
  }

  /** The right operand may change what the left one named, as in `i + i++`: what was read stays read. */
  #holdsVariable(node: Node): boolean {
    return node.type === 'identifier' || node.type === 'parenthesized_expression';
  }

  /** A binary operator but `&&` and `||`. */
  protected arithmetic(node: Node, operator: string, a: Operand, b: Operand): Operand {
    this.scalar(node, a);
    this.scalar(node, b);
    const pointers = [a, b].filter(({ type }) => type.kind === 'pointer').length;
    if (COMPARISONS.has(operator))
      return pointers > 0 ? this.#comparePointers(node, operator, a, b) : this.#numbers(node, operator, a, b);
    if (pointers === 1 && (operator === '+' || (operator === '-' && a.type.kind === 'pointer')))
      return this.added(node, a, b, operator === '-');
    if (pointers === 2 && operator === '-') return this.#distance(node, a, b);
    return this.#numbers(node, operator, a, b);
  }

  #numbers(node: Node, operator: string, a: Operand, b: Operand): Operand {
    const left = this.integer(node, a, quoted(node));
    const right = this.integer(node, b, quoted(node));
    const isShift = operator === '<<' || operator === '>>';
    const type = isShift ? left : commonType(left, right);
    const d = this.register();
    const x = this.convert(node, a, type).r;
    const y = this.convert(node, b, isShift ? promoted(right) : type).r;
    this.emit(node, { op: 'binary', d, a: x, b: y, operator, type });
    return { r: d, type: COMPARISONS.has(operator) ? INT : type };
  }

  #comparePointers(node: Node, operator: string, a: Operand, b: Operand): Operand {
    const [x, y] =
      a.type.kind === 'pointer'
        ? [a, this.coerce(node, b, a.type, quoted(node))]
        : [this.coerce(node, a, b.type, quoted(node)), b];
    const d = this.register();
    this.emit(node, { op: 'compare', d, a: x.r, b: y.r, operator });
    return { r: d, type: INT };
  }

  #distance(node: Node, a: Operand, b: Operand): Operand {
    const same = this.coerce(node, b, a.type, quoted(node));
    const to = a.type.kind === 'pointer' ? a.type.to : INT;
    if (to.kind === 'struct' && to.modelled) return this.wrong(node, `${quoted(node)}: ${to.name} stands alone here`);
    const d = this.register();
    this.emit(node, { op: 'distance', d, a: a.r, b: same.r, cells: to.kind === 'struct' ? to.cells : 1 });
    return { r: d, type: LONG };
  }

  #conditional(node: Node): Operand {
    const condition = field(node, 'condition');
    const consequence = node.childForFieldName('consequence');
    const d = this.register();
    const tested = this.expression(condition);
    this.scalar(condition, tested);
    const no = this.branch(node, tested.r, false);
    const yes = consequence ? this.expression(consequence) : tested;
    const from = this.code.length;
    this.emit(node, { op: 'move', d, a: yes.r });
    const end = this.jump(node);
    this.patch(no);
    const other = this.expression(field(node, 'alternative'));
    const type = this.#commonOf(node, yes, other);
    this.emit(node, {
      op: 'move',
      d,
      a: isInt(type) && isInt(other.type) ? this.convert(node, other, type).r : other.r,
    });
    this.patch(end);
    this.#convertAt(from, yes, type);
    return { r: d, type };
  }

  /** The move of a conditional's first branch, once the common type is known. */
  #convertAt(at: number, value: Operand, type: CType): void {
    const move = this.code[at];
    if (move?.op === 'move' && isInt(type) && isInt(value.type))
      this.code[at] = { op: 'convert', line: move.line, d: move.d, a: move.a, to: type };
  }

  #commonOf(node: Node, a: Operand, b: Operand): CType {
    if (isInt(a.type) && isInt(b.type)) return commonType(a.type, b.type);
    if (a.type.kind === 'void' || b.type.kind === 'void') return VOID;
    if (isInt(a.type) && a.zero) return this.coerce(node, a, b.type, quoted(node)).type;
    if (a.type.kind === 'pointer' && a.type.to.kind === 'void' && b.type.kind === 'pointer') return b.type;
    return this.coerce(node, b, a.type, quoted(node)).type;
  }

  #sizeof(node: Node): Operand {
    const named = node.childForFieldName('type');
    const value = node.childForFieldName('value');
    const type = named ? this.declarations.descriptor(named) : this.typeOf(value as Node);
    const size = sizeOf(type);
    if (size === null) return this.wrong(node, `sizeof(${typeName(type)}): only the fields that matter are modelled`);
    return this.constant(node, BigInt(size), UNSIGNED_LONG);
  }

  /** The type of an expression that is not evaluated. */
  protected typeOf(node: Node): CType {
    const length = this.code.length;
    const { type } = this.place(node);
    this.code.length = length;
    return type;
  }

  #literal(node: Node): Operand {
    const type = this.declarations.descriptor(field(node, 'type'));
    const values = partsOf(field(node, 'value'));
    const held = scalarOf(type);
    if (!held) return this.fetch(node, this.#literalPlace(node, type));
    if (values.length > 1) return this.wrong(node, `${typeName(type)} takes one value`);
    const [only] = values;
    if (!only) return { r: this.constant(node, held.kind === 'int' && held.bits === 64 ? 0n : 0, type).r, type };
    const given = only.type === 'initializer_pair' ? field(only, 'value') : only;
    const value = this.expression(given);
    return { r: value.type === type ? value.r : this.coerce(given, value, held, quoted(node)).r, type };
  }

  /** A literal of several words, `(struct range){ .start = a }`, is a variable without a name. */
  #literalPlace(node: Node, type: CType): Place {
    if (type.kind === 'struct' && (type.fields === null || type.modelled))
      return this.wrongPlace(node, `a literal of ${typeName(type)}, whose content is not known here`);
    const { kind, r } = this.temporary(node, type);
    this.initialize(node, { kind, r, type }, field(node, 'value'));
    return { kind, r, type };
  }

  protected override placeOf(node: Node): Place | undefined {
    if (node.type !== 'compound_literal_expression') return undefined;
    const type = this.declarations.descriptor(field(node, 'type'));
    return scalarOf(type) ? undefined : this.#literalPlace(node, type);
  }

  /** Nodes of an initializer list with their designators. */
  protected entries(list: Node): { readonly designator: Node | null; readonly value: Node }[] {
    if (list.child(1)?.type === ',') this.miss(list, 'syntax: a value is missing before ,');
    return partsOf(list).map((entry) =>
      entry.type === 'initializer_pair'
        ? { designator: fields(entry, 'designator')[0] ?? null, value: field(entry, 'value') }
        : { designator: null, value: entry },
    );
  }
}
