/** What names mean in a file: its own, then those of the scenario's header. */
import type { CType, FunctionType, StructType } from './types.ts';

/** A constant: an enumerator. */
export interface Constant {
  readonly value: bigint;
}

/** Names of one file. Ordinary names, tags and typedefs as C has them, but typedefs apart. */
export class Scope {
  readonly parent: Scope | null;
  readonly typedefs = new Map<string, CType>();
  readonly tags = new Map<string, StructType>();
  readonly enums = new Set<string>();
  readonly constants = new Map<string, Constant>();
  readonly functions = new Map<string, FunctionType>();
  readonly variables = new Map<string, CType>();

  constructor(parent: Scope | null) {
    this.parent = parent;
  }

  typedef(name: string): CType | undefined {
    return this.typedefs.get(name) ?? this.parent?.typedef(name);
  }

  tag(name: string): StructType | undefined {
    return this.tags.get(name) ?? this.parent?.tag(name);
  }

  hasEnum(name: string): boolean {
    return this.enums.has(name) || (this.parent?.hasEnum(name) ?? false);
  }

  constant(name: string): Constant | undefined {
    return this.constants.get(name) ?? this.parent?.constant(name);
  }

  function(name: string): FunctionType | undefined {
    return this.functions.get(name) ?? this.parent?.function(name);
  }

  variable(name: string): CType | undefined {
    return this.variables.get(name) ?? this.parent?.variable(name);
  }

  /** All names that a function could use, for suggestions. */
  get names(): string[] {
    const own = [...this.constants.keys(), ...this.functions.keys(), ...this.variables.keys()];
    return [...own, ...(this.parent?.names ?? [])];
  }

  get typeNames(): string[] {
    return [...this.typedefs.keys(), ...(this.parent?.typeNames ?? [])];
  }
}
