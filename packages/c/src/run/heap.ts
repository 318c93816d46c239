/**
 * Objects of one kernel by number. Numbers do not depend on who asks first, so that all worker threads have the same.
 */
import { ModelError } from '@shootdown/machine';
import type { Scope } from '../types/scope.ts';
import type { CType } from '../types/types.ts';
import type { CArgument, KernelOffer } from './offer.ts';
import { kindOf, PointerBase } from './words.ts';

/** Objects that C can point to: the external variables, and what their fields lead to. */
export class Heap<K extends object> {
  readonly #offer: KernelOffer<K>;
  readonly #externals: Readonly<Record<string, CArgument>>;
  readonly #objects: object[] = [];
  readonly #numbers = new Map<object, number>();

  /** @param scope names of the offer's header */
  constructor(offer: KernelOffer<K>, kernel: K, scope: Scope) {
    this.#offer = offer;
    this.#externals = offer.objects(kernel);
    for (const [name, external] of Object.entries(this.#externals)) this.#add(external, scope.variable(name));
  }

  /** A pointer to an external variable; undefined if there is none of that name. */
  external(name: string): number | undefined {
    const found = Object.hasOwn(this.#externals, name) ? this.#externals[name] : undefined;
    return found === undefined ? undefined : this.pointer(found);
  }

  /** A pointer to an object, or to a word at an address. */
  pointer(to: CArgument): number {
    if (typeof to === 'number') return PointerBase.shared + to;
    const number = this.#numbers.get(to);
    if (number === undefined) throw new ModelError('c: an object that no external variable of this scenario leads to');
    return PointerBase.object + number;
  }

  /** The object that a pointer points to; undefined if it points to something else. */
  object(pointer: number): object | undefined {
    return kindOf(pointer) === 'object' ? this.#objects[pointer - PointerBase.object] : undefined;
  }

  /** A pointer to a field of an object. */
  field(pointer: number, struct: string, name: string): number | undefined {
    const object = this.object(pointer);
    const find = this.#offer.structs?.[struct]?.[name];
    return object && find ? this.pointer(find(object as never)) : undefined;
  }

  #add(object: CArgument, type: CType | undefined): void {
    if (typeof object === 'number' || this.#numbers.has(object)) return;
    this.#numbers.set(object, this.#objects.length);
    this.#objects.push(object);
    if (type?.kind !== 'struct') return;
    for (const [name, find] of Object.entries(this.#offer.structs?.[type.name] ?? {}))
      this.#add(find(object as never), type.fields?.find((f) => f.name === name)?.type);
  }
}
