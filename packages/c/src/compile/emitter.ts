/** Where the code of one function comes together: instructions, registers, memory of the call, names in scope. */
import type { Problems } from '../diagnostics.ts';
import { lineOf, type Node } from '../source/parser.ts';
import type { Declarations } from '../types/declarations.ts';
import type { Scope } from '../types/scope.ts';
import type { FunctionSource, Unit } from '../types/unit.ts';
import { cellsOf, INT, scalarOf, type CType } from '../types/types.ts';
import type { Instruction, Value } from './code.ts';

/** A value: the register that holds it, and its type. `zero`: written as 0, so that it may be a null pointer. */
export interface Operand {
  readonly r: number;
  readonly type: CType;
  readonly zero?: boolean;
}

/** What can stand left of `=`, or be taken the address of. */
export type Place =
  | { readonly kind: 'register'; readonly r: number; readonly type: CType }
  /** `r` holds the address. `temporary`: of a value, which C gives no place. */
  | { readonly kind: 'memory'; readonly r: number; readonly type: CType; readonly temporary?: true }
  /** A value that has no place. */
  | { readonly kind: 'value'; readonly r: number; readonly type: CType };

/** A variable of the function. */
type Variable =
  | { readonly kind: 'register'; readonly r: number; readonly type: CType }
  | { readonly kind: 'frame'; readonly cell: number; readonly type: CType }
  /** A static local: a variable of the program, by the name that it has there. */
  | { readonly kind: 'static'; readonly name: string; readonly type: CType };

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type Unplaced = DistributiveOmit<Instruction, 'line'>;

const REGISTERS_MAX = 4096;
const CELLS_MAX = 4096;

export abstract class Emitter {
  protected readonly problems: Problems;
  protected readonly scope: Scope;
  protected readonly declarations: Declarations;
  protected readonly lenient: boolean;
  protected readonly code: Instruction[] = [];
  protected readonly names: string[] = [];
  protected readonly types: (CType | undefined)[] = [];
  protected cells = 0;
  readonly #blocks: Map<string, Variable>[] = [new Map()];
  readonly #addressed: ReadonlySet<string>;

  constructor(unit: Unit, source: FunctionSource) {
    this.problems = unit.problems;
    this.scope = unit.scope;
    this.declarations = unit.declarations;
    this.lenient = unit.lenient;
    this.#addressed = addressedIn(source.body);
  }

  protected miss(node: Node, what: string): void {
    this.problems.add(lineOf(node), what);
  }

  /** Says what is wrong; compiling goes on with a 0. */
  protected wrong(node: Node, what: string): Operand {
    this.miss(node, what);
    return this.constant(node, 0, INT);
  }

  protected emit(node: Node | number, instruction: Unplaced): number {
    const line = typeof node === 'number' ? node : lineOf(node);
    this.code.push({ ...instruction, line });
    return this.code.length - 1;
  }

  /** Sends a jump or branch to an instruction; default: the next one. */
  protected patch(at: number, target = this.code.length): void {
    const instruction = this.code[at];
    if (instruction?.op === 'jump' || instruction?.op === 'branch') instruction.target = target;
  }

  protected jump(node: Node, target = 0): number {
    return this.emit(node, { op: 'jump', target });
  }

  protected branch(node: Node, a: number, when: boolean, target = 0): number {
    return this.emit(node, { op: 'branch', a, when, target });
  }

  /** A new register. */
  protected register(name = '', type?: CType): number {
    if (this.names.length === REGISTERS_MAX) this.problems.add(1, `a function of more than ${REGISTERS_MAX} registers`);
    this.types.push(type);
    return this.names.push(name) - 1;
  }

  protected constant(node: Node, value: Value, type: CType): Operand {
    const d = this.register();
    this.emit(node, { op: 'constant', d, value });
    return { r: d, type };
  }

  /** @param _end line of the end of the block */
  protected inBlock(body: () => void, _end?: number): void {
    this.#blocks.push(new Map());
    body();
    this.#blocks.pop();
  }

  /** Makes a variable: a register, or memory of the call if somebody takes its address or it has several words. */
  protected variable(node: Node, name: string, type: CType): Place {
    const block = this.#blocks.at(-1) as Map<string, Variable>;
    if (block.has(name)) this.miss(node, `${name} is declared twice`);
    if (type.kind === 'void' || type.kind === 'function' || (type.kind === 'struct' && type.fields === null))
      this.miss(node, `${name} has no size`);
    if (type.kind === 'struct' && type.modelled)
      this.miss(node, `${name}: only pointers to ${type.name} can be had: this scenario keeps what is in it`);
    if (scalarOf(type) && !this.#addressed.has(name)) {
      const r = this.register(name, type);
      block.set(name, { kind: 'register', r, type });
      return { kind: 'register', r, type };
    }
    const cell = this.#room(node, type);
    block.set(name, { kind: 'frame', cell, type });
    return this.#inFrame(node, cell, type);
  }

  /** Makes the name of a static local known: a variable of the program. */
  protected staticVariable(node: Node, local: string, name: string, type: CType): void {
    const block = this.#blocks.at(-1) as Map<string, Variable>;
    if (block.has(local)) this.miss(node, `${local} is declared twice`);
    block.set(local, { kind: 'static', name, type });
  }

  /** Memory of the call for a value of several words. */
  protected temporary(node: Node, type: CType): Place & { readonly kind: 'memory' } {
    return { ...this.#inFrame(node, this.#room(node, type), type), temporary: true };
  }

  #room(node: Node, type: CType): number {
    const cell = this.cells;
    this.cells += cellsOf(type);
    if (this.cells > CELLS_MAX) this.miss(node, `more than ${CELLS_MAX} words of local variables`);
    return cell;
  }

  /** The place of a local variable; undefined if there is none of that name. */
  protected local(node: Node, name: string): Place | undefined {
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const variable = this.#blocks[i]?.get(name);
      if (!variable) continue;
      const { type } = variable;
      if (variable.kind === 'static') return this.global(node, variable.name, type);
      return variable.kind === 'register'
        ? { kind: 'register', r: variable.r, type }
        : this.#inFrame(node, variable.cell, type);
    }
    return undefined;
  }

  /** The place of a variable of the program. */
  protected global(node: Node, name: string, type: CType): Place & { readonly kind: 'memory' } {
    const d = this.register();
    this.emit(node, { op: 'global', d, name });
    return { kind: 'memory', r: d, type };
  }

  /** A variable that was never declared, for the whole function. */
  protected undeclared(name: string): Place {
    const r = this.register(name, INT);
    this.#blocks[0]?.set(name, { kind: 'register', r, type: INT });
    return { kind: 'register', r, type: INT };
  }

  protected get localNames(): string[] {
    return this.#blocks.flatMap((block) => [...block.keys()]);
  }

  #inFrame(node: Node, cell: number, type: CType): Place & { readonly kind: 'memory' } {
    const d = this.register();
    this.emit(node, { op: 'frame', d, cell });
    return { kind: 'memory', r: d, type };
  }
}

/** Names of which somebody takes the address, or of what is in them. */
function addressedIn(body: Node): Set<string> {
  const names = new Set<string>();
  for (const node of body.descendantsOfType('pointer_expression')) {
    if (node?.childForFieldName('operator')?.text !== '&') continue;
    let inner = node.childForFieldName('argument');
    while (inner && inner.type !== 'identifier') {
      if (inner.type === 'field_expression' && inner.childForFieldName('operator')?.text === '->') break;
      inner = inner.childForFieldName('argument') ?? inner.childForFieldName('value') ?? inner.namedChild(0);
    }
    if (inner?.type === 'identifier') names.add(inner.text);
  }
  return names;
}
