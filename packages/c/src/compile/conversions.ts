/** Conversions: C11, 6.3. What the compiler of the kernel warns about is refused here. */
import type { Node } from '../source/parser.ts';
import {
  INT,
  isInt,
  LONG,
  sameType,
  scalarOf,
  typeName,
  UNSIGNED,
  UNSIGNED_LONG,
  type CType,
  type IntType,
} from '../types/types.ts';
import type { Scalar, Value } from './code.ts';
import { Emitter, type Operand, type Place } from './emitter.ts';

export abstract class Conversions extends Emitter {
  /**
   * A value as another type, as an assignment, an argument or a return converts it.
   * @param what who asks, for the message: `argument 2 of pmd_free()`
   */
  protected coerce(node: Node, value: Operand, type: CType, what: string): Operand {
    const { type: from } = value;
    // Litmus tests care little for types, but `&x` of a pointer to an atomic is another word: that of the pointer.
    const tooFar = from.kind === 'pointer' && type.kind === 'pointer' && sameType(from.to, type) && !isInt(type.to);
    if (tooFar) return this.mismatch(node, type, from, what);
    if (this.lenient && scalarOf(type) && scalarOf(from)) return this.#asWord(node, value, type);
    if (isInt(type) && isInt(from)) return this.convert(node, value, type);
    if (isInt(type) && type.bool && from.kind === 'pointer') return this.truth(node, value, false, type);
    if (type.kind === 'pointer') {
      if (isInt(from) && value.zero) return { r: this.constant(node, 0, type).r, type };
      if (from.kind === 'pointer') {
        const fits = sameType(from.to, type.to) || from.to.kind === 'void' || type.to.kind === 'void';
        if (!fits) this.miss(node, `${what}: expected ${typeName(type)}, have ${typeName(from)}`);
        return { r: value.r, type };
      }
    }
    if (!sameType(type, from)) return this.mismatch(node, type, from, what);
    return value;
  }

  /** Any word as any other. */
  #asWord(node: Node, value: Operand, type: CType): Operand {
    const [from, to] = [scalarOf(value.type), scalarOf(type)];
    if (from?.kind === 'int' && to?.kind === 'int')
      return { ...this.convert(node, { ...value, type: from }, to), type };
    if (from?.kind === 'int' && from.bits === 64)
      return { ...this.convert(node, { ...value, type: from }, UNSIGNED), type };
    if (to?.kind === 'int' && to.bits === 64) return { ...this.convert(node, { ...value, type: UNSIGNED }, to), type };
    return { ...value, type };
  }

  protected mismatch(node: Node, type: CType, from: CType, what: string): Operand {
    const { r } = this.wrong(node, `${what}: expected ${typeName(type)}, have ${typeName(from)}`);
    return { r, type };
  }

  /** An integer as another integer type. */
  protected convert(node: Node, value: Operand, to: IntType): Operand {
    if (sameType(value.type, to)) return { ...value, type: to };
    const d = this.register();
    this.emit(node, { op: 'convert', d, a: value.r, to });
    return { r: d, type: to, ...(value.zero && { zero: true }) };
  }

  /** `(type)value`. */
  protected cast(node: Node, value: Operand, type: CType): Operand {
    if (type.kind === 'void') return { r: value.r, type };
    if (isInt(type) && isInt(value.type)) return this.convert(node, value, type);
    if (type.kind === 'pointer') {
      if (value.type.kind === 'pointer') return { r: value.r, type };
      if (isInt(value.type) && value.zero) return this.coerce(node, value, type, 'cast');
      return this.wrong(
        node,
        `a cast from ${typeName(value.type)} to ${typeName(type)}: an address has no number here`,
      );
    }
    if (value.type.kind === 'pointer' && isInt(type)) {
      if (type.bool) return this.truth(node, value, false, type);
      return this.wrong(
        node,
        `a cast from ${typeName(value.type)} to ${typeName(type)}: an address has no number here`,
      );
    }
    return this.coerce(node, value, type, 'cast');
  }

  /** 1 if the value is not 0; the other way round if negated. */
  protected truth(node: Node, value: Operand, negated: boolean, type: IntType = INT): Operand {
    this.scalar(node, value);
    const d = this.register();
    this.emit(node, { op: 'truth', d, a: value.r, negated });
    return { r: d, type };
  }

  /** Says so if a value cannot be tested or computed with. */
  protected scalar(node: Node, value: Operand): void {
    if (value.type.kind !== 'int' && value.type.kind !== 'pointer')
      this.miss(node, `${typeName(value.type)} is no number and no pointer`);
  }

  /** Says so if a value is no integer. */
  protected integer(node: Node, value: Operand, what: string): IntType {
    if (isInt(value.type)) return promoted(value.type);
    this.miss(node, `${what}: expected a number, have ${typeName(value.type)}`);
    return INT;
  }

  /** What a place holds. */
  protected fetch(node: Node, place: Place): Operand {
    const { type } = place;
    if (type.kind === 'array') {
      if (place.kind !== 'memory') return this.wrong(node, 'an array that is in no memory');
      return { r: place.r, type: { kind: 'pointer', to: type.of } };
    }
    if (type.kind === 'function') return { r: place.r, type: { kind: 'pointer', to: type } };
    if (place.kind !== 'memory') return { r: place.r, type };
    const held = scalarOf(type);
    // A struct of several words stays where it is: its address stands for it.
    if (!held) return this.whole(node, place.r, type);
    return { r: this.loaded(node, place.r, held), type };
  }

  private whole(node: Node, r: number, type: CType): Operand {
    if (type.kind === 'struct' && type.modelled)
      return this.wrong(node, `the whole of ${type.name} cannot be read: take a field`);
    if (type.kind !== 'struct' || type.fields === null) return this.wrong(node, `${typeName(type)} cannot be read`);
    return { r, type };
  }

  protected loaded(
    node: Node,
    p: number,
    type: Scalar,
    access: 'plain' | 'READ_ONCE' | 'smp_load_acquire' | 'rcu_dereference' = 'plain',
  ): number {
    const d = this.register();
    this.emit(node, { op: 'load', d, p, access, type });
    return d;
  }

  /** The address some words further on. */
  protected moved(node: Node, r: number, cells: number): number {
    if (cells === 0) return r;
    const one = this.constant(node, 1, INT);
    const d = this.register();
    this.emit(node, { op: 'offset', d, a: r, b: one.r, cells });
    return d;
  }
}

/** Integer promotions: what is smaller than int is int. */
export function promoted(type: IntType): IntType {
  return type.bits < 32 ? INT : type;
}

/** Usual arithmetic conversions. */
export function commonType(a: IntType, b: IntType): IntType {
  const [left, right] = [promoted(a), promoted(b)];
  const bits = Math.max(left.bits, right.bits);
  const signed = [left, right].every((type) => type.bits < bits || type.signed);
  if (bits === 64) return signed ? LONG : UNSIGNED_LONG;
  return signed ? INT : UNSIGNED;
}

/** Cuts a whole number to a type, and gives it the form that registers hold. */
export function wrapped(value: bigint, type: IntType): Value {
  if (type.bool) return value === 0n ? 0 : 1;
  const cut = type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value);
  return type.bits === 64 ? cut : Number(cut);
}
