/** Initializers of local variables: C11, 6.7.9. What is not named is zero. */
import { lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { cellsOf, scalarOf, typeName, type CType } from '../types/types.ts';
import type { Place } from './emitter.ts';
import { PerCpu } from './per-cpu.ts';

export abstract class Initializers extends PerCpu {
  protected override initialize(node: Node, place: Place, value: Node): void {
    const { type } = place;
    if (value.type !== 'initializer_list') {
      const given = this.expression(value);
      this.assign(node, place, this.coerce(value, given, type, quoted(node)));
      return;
    }
    const held = scalarOf(type);
    if (place.kind !== 'memory') {
      const only = this.entries(value);
      if (only.length > 1 || !held) this.miss(value, `${typeName(type)} takes one value`);
      const zero = this.constant(value, held?.kind === 'int' && held.bits === 64 ? 0n : 0, type);
      const first = only[0]?.value;
      const given = first && held ? this.coerce(first, this.expression(first), held, quoted(node)) : zero;
      this.assign(node, place, { r: given.r, type });
      return;
    }
    this.#zero(value, place.r, type);
    this.#list(value, place.r, type);
  }

  #zero(node: Node, r: number, type: CType): void {
    const held = scalarOf(type);
    if (held) {
      const zero = this.constant(node, held.kind === 'int' && held.bits === 64 ? 0n : 0, type);
      this.emit(node, { op: 'store', p: r, a: zero.r, access: 'plain', type: held });
    } else if (type.kind === 'array') {
      for (let i = 0; i < type.length; i++) this.#zero(node, this.moved(node, r, i * cellsOf(type.of)), type.of);
    } else if (type.kind === 'struct') {
      for (const f of type.fields ?? []) this.#zero(node, this.moved(node, r, f.offset), f.type);
    }
  }

  #list(list: Node, r: number, type: CType): void {
    const elements =
      type.kind === 'array'
        ? Array.from({ length: type.length }, (_, i) => ({
            name: `[${i}]`,
            type: type.of,
            offset: i * cellsOf(type.of),
          }))
        : type.kind === 'struct'
          ? (type.fields ?? [])
          : [{ name: '', type, offset: 0 }];
    let next = 0;
    for (const { designator, value } of this.entries(list)) {
      if (designator) next = elements.findIndex((e) => e.name === this.#designated(designator));
      const element = next < 0 ? undefined : elements[next];
      if (!element) {
        this.miss(value, `${typeName(type)} has no place for ${designator ? designator.text : quoted(value)}`);
        return;
      }
      next++;
      const to = this.moved(value, r, element.offset);
      if (value.type === 'initializer_list' && !scalarOf(element.type)) this.#list(value, to, element.type);
      else this.initialize(value, { kind: 'memory', r: to, type: element.type }, value);
    }
  }

  #designated(designator: Node): string {
    const [inner] = partsOf(designator);
    if (designator.type === 'field_designator') return inner?.text ?? '';
    if (designator.type === 'subscript_designator' && inner) return `[${this.declarations.constant(inner) ?? '?'}]`;
    this.problems.add(lineOf(designator), `not supported in an initializer: ${quoted(designator)}`);
    return '';
  }
}
