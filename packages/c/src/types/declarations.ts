/** Declarations: from the parser's tree to types and names. C11, 6.7. */
import { nearestName } from '@shootdown/explorer';
import type { Problems } from '../diagnostics.ts';
import { MARK } from '../source/casts.ts';
import { apply, characterOf, integerOf, NotConstant } from '../source/constant.ts';
import { field, fields, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { TYPEOF } from '../source/typeofs.ts';
import type { Scope } from './scope.ts';
import {
  basicType,
  cellsOf,
  INT,
  pointerTo,
  sizeOf,
  typeName,
  VOID,
  type CType,
  type Field,
  type FunctionType,
  type Parameter,
  type StructType,
} from './types.ts';

/** A name with its type. */
export interface Declared {
  readonly name: string;
  readonly type: CType;
  readonly line: number;
}

const CELLS_MAX = 65_536;

/** Reads declarations into a scope. Mistakes go to `problems`; what is wrong becomes `int`. */
export class Declarations {
  readonly scope: Scope;
  readonly problems: Problems;
  /** What stood within each typeof of the file, as the operand of a sizeof. */
  typeofs: readonly (Node | null)[] = [];
  /** Tells the type of an expression within the function that is compiled; null outside of functions. */
  typeOfExpression: ((node: Node) => CType) | null = null;
  #anonymous = 0;

  constructor(scope: Scope, problems: Problems) {
    this.scope = scope;
    this.problems = problems;
  }

  /** The type that the specifiers of a declaration name. */
  specified(node: Node): CType {
    return this.type(field(node, 'type'));
  }

  /** A type: `unsigned long`, `struct mm_struct`, `pud_t`, an enum. */
  type(node: Node): CType {
    switch (node.type) {
      case 'primitive_type':
      case 'sized_type_specifier':
      case 'type_identifier':
        return this.#named(node);
      case 'struct_specifier':
      case 'union_specifier':
        return this.#struct(node);
      case 'enum_specifier':
        return this.#enum(node);
      default:
        return this.#wrong(node, `this type is not supported: ${quoted(node)}`);
    }
  }

  /** The type of a cast or of sizeof: specifiers and an abstract declarator. */
  descriptor(node: Node): CType {
    const base = this.specified(node);
    const declarator = node.childForFieldName('declarator');
    return declarator ? this.declare(declarator, base).type : base;
  }

  /** What one declarator declares, `base` being the type before it. */
  declare(node: Node, base: CType): Declared {
    const inner = (): Node | null => node.childForFieldName('declarator') ?? partsOf(node).find(isDeclarator) ?? null;
    const goOn = (type: CType): Declared => {
      const next = inner();
      return next ? this.declare(next, type) : { name: '', type, line: lineOf(node) };
    };
    switch (node.type) {
      case 'identifier':
      case 'field_identifier':
      case 'type_identifier':
      case 'primitive_type':
        return { name: node.text, type: base, line: lineOf(node) };
      case 'pointer_declarator':
      case 'abstract_pointer_declarator':
        return goOn(pointerTo(base));
      case 'array_declarator':
      case 'abstract_array_declarator':
        return goOn(this.#array(node, base));
      case 'function_declarator':
      case 'abstract_function_declarator':
        return goOn(this.#function(node, base));
      case 'init_declarator':
      case 'parenthesized_declarator':
      case 'abstract_parenthesized_declarator':
      case 'attributed_declarator':
        return goOn(base);
      default:
        this.problems.add(lineOf(node), `not understood in a declaration: ${quoted(node)}`);
        return { name: '', type: base, line: lineOf(node) };
    }
  }

  /** `typedef`: adds its names. */
  typedef(node: Node): void {
    const base = this.specified(node);
    for (const declarator of fields(node, 'declarator')) {
      const { name, type } = this.declare(declarator, base);
      if (type.kind === 'struct' && type.name.startsWith('struct (')) type.name = name;
      this.scope.typedefs.set(name, type.kind === 'int' ? { ...type, name } : type);
    }
  }

  /** The value of a constant expression; null, with what is wrong in `problems`. */
  constant(node: Node): bigint | null {
    try {
      return this.#evaluate(node);
    } catch (error) {
      if (!(error instanceof NotConstant)) throw error;
      this.problems.add(lineOf(node), `no constant: ${error.message}`);
      return null;
    }
  }

  /** The same; null, and nothing said, for what has no value when it is compiled. */
  valueIfConstant(node: Node): bigint | null {
    try {
      return this.#evaluate(node);
    } catch (error) {
      if (error instanceof NotConstant) return null;
      throw error;
    }
  }

  #evaluate(node: Node): bigint {
    switch (node.type) {
      case 'number_literal':
      case 'char_literal': {
        const sign = /^[-+]/.exec(node.text)?.[0];
        const text = sign === undefined ? node.text : node.text.slice(1).trim();
        const value = node.type === 'char_literal' ? characterOf(text) : integerOf(text);
        if (value === undefined) throw new NotConstant(`${node.text} is no integer`);
        return sign === '-' ? -value : value;
      }
      case 'true':
      case 'false':
        return node.type === 'true' ? 1n : 0n;
      case 'parenthesized_expression':
        return this.#evaluate(partsOf(node)[0] as Node);
      case 'unary_expression': {
        const value = this.#evaluate(field(node, 'argument'));
        const operator = field(node, 'operator').text;
        return operator === '-' ? -value : operator === '~' ? ~value : operator === '!' ? BigInt(value === 0n) : value;
      }
      case 'binary_expression':
        return apply(
          field(node, 'operator').text,
          this.#evaluate(field(node, 'left')),
          this.#evaluate(field(node, 'right')),
        );
      case 'conditional_expression': {
        const chosen = this.#evaluate(field(node, 'condition')) === 0n ? 'alternative' : 'consequence';
        return this.#evaluate(field(node, chosen));
      }
      case 'cast_expression':
        return this.#evaluate(field(node, 'value'));
      case 'identifier': {
        const known = this.scope.constant(node.text);
        if (!known) throw new NotConstant(`${node.text} has no value when it is compiled`);
        return known.value;
      }
      case 'sizeof_expression': {
        const type = node.childForFieldName('type');
        const size = type ? sizeOf(this.descriptor(type)) : null;
        if (size === null) throw new NotConstant(`${quoted(node)} is not known here`);
        return BigInt(size);
      }
      default:
        throw new NotConstant(quoted(node));
    }
  }

  #named(node: Node): CType {
    return this.#typeNamed(node, node.text);
  }

  #typeNamed(node: Node, name: string): CType {
    const basic = basicType(name.trim().split(/\s+/));
    if (basic) return basic;
    const known = this.scope.typedef(name);
    if (known) return known;
    const near = nearestName(name, this.scope.typeNames);
    return this.#wrong(node, `type ${name} is not known${near === undefined ? '' : `: is ${near} meant?`}`);
  }

  #typeof(node: Node, index: number): CType {
    const within = this.typeofs[index];
    if (!within) return this.#wrong(node, 'syntax: typeof() of what is neither a type nor an expression');
    const type = within.childForFieldName('type');
    // A name alone may be either: the parser takes it for an expression.
    const value = within.childForFieldName('value');
    const [only] = value?.type === 'parenthesized_expression' ? partsOf(value) : [];
    if (type) return this.descriptor(type);
    const named = only?.type === 'identifier' ? this.scope.typedef(only.text) : undefined;
    if (named || !value) return named ?? this.#wrong(node, 'typeof() of nothing');
    if (this.typeOfExpression) return this.typeOfExpression(value);
    const variable = only?.type === 'identifier' ? this.scope.variable(only.text) : undefined;
    return (
      variable ?? this.#wrong(node, 'typeof() of an expression outside of a function: not supported: name the type')
    );
  }

  #struct(node: Node): CType {
    const union = node.type === 'union_specifier';
    const tag = node.childForFieldName('name')?.text;
    if (tag?.startsWith(TYPEOF)) return this.#typeof(node, Number(tag.slice(TYPEOF.length)));
    if (tag?.startsWith(MARK)) return this.#typeNamed(node, tag.slice(MARK.length));
    const body = node.childForFieldName('body');
    const name = `${union ? 'union' : 'struct'} ${tag ?? `(${this.problems.file}:${lineOf(node)}, ${this.#anonymous++})`}`;
    let type = tag === undefined ? undefined : body ? this.scope.tags.get(tag) : this.scope.tag(tag);
    if (!type) {
      type = { kind: 'struct', union, name, fields: null, cells: 0, modelled: false };
      if (tag !== undefined) this.scope.tags.set(tag, type);
    }
    if (body) this.#define(type, body);
    return type;
  }

  #define(type: StructType, body: Node): void {
    if (type.fields !== null) this.problems.add(lineOf(body), `${type.name} is defined twice`);
    const members: Field[] = [];
    let [offset, cells] = [0, 0];
    const place = (name: string, of: CType, line: number): void => {
      if (of.kind === 'struct' && of.fields === null) this.problems.add(line, `${of.name} is not defined`);
      if (of.kind === 'function' || of.kind === 'void') this.problems.add(line, `field ${name} has no size`);
      const size = cellsOf(of);
      if (name === '' && of.kind === 'struct')
        members.push(...(of.fields ?? []).map((f) => ({ ...f, offset: offset + f.offset })));
      else members.push({ name, type: of, offset });
      cells = Math.max(cells, offset + size);
      if (!type.union) offset += size;
    };
    for (const member of partsOf(body)) {
      if (member.type !== 'field_declaration') {
        this.problems.add(lineOf(member), `not understood in ${type.name}: ${quoted(member)}`);
        continue;
      }
      const base = this.specified(member);
      if (partsOf(member).some((part) => part.type === 'bitfield_clause'))
        this.problems.add(lineOf(member), `bit fields are not supported: give ${quoted(member)} a word of its own`);
      const declarators = fields(member, 'declarator');
      if (declarators.length === 0) place('', base, lineOf(member));
      for (const declarator of declarators) {
        const declared = this.declare(declarator, base);
        place(declared.name, declared.type, declared.line);
      }
    }
    if (type.union && members.some((m) => m.type.kind === 'int' && m.type.bits === 64) && members.length > 1)
      this.problems.add(lineOf(body), `${type.name}: a union with a 64-bit member is not supported`);
    type.fields = members;
    type.cells = cells;
  }

  #enum(node: Node): CType {
    const tag = node.childForFieldName('name')?.text;
    const body = node.childForFieldName('body');
    if (tag !== undefined) {
      if (!body && !this.scope.hasEnum(tag)) return this.#wrong(node, `enum ${tag} is not known`);
      this.scope.enums.add(tag);
    }
    let next = 0n;
    for (const enumerator of body ? partsOf(body) : []) {
      if (enumerator.type !== 'enumerator') {
        this.problems.add(lineOf(enumerator), `not understood in an enum: ${quoted(enumerator)}`);
        continue;
      }
      const value = enumerator.childForFieldName('value');
      if (value) next = this.constant(value) ?? next;
      this.scope.constants.set(field(enumerator, 'name').text, { value: next });
      next += 1n;
    }
    return INT;
  }

  #array(node: Node, of: CType): CType {
    const size = node.childForFieldName('size');
    // A parameter `int a[]` is a pointer whatever its length; elsewhere an initializer says it.
    if (!size) return { kind: 'array', of, length: 0 };
    const length = this.constant(size);
    if (length === null) return { kind: 'array', of, length: 1 };
    if (length < 1n || length * BigInt(cellsOf(of)) > BigInt(CELLS_MAX))
      return this.#wrong(node, `an array of ${length} elements`);
    return { kind: 'array', of, length: Number(length) };
  }

  #function(node: Node, returns: CType): FunctionType {
    const known = [node.childForFieldName('declarator')?.id, node.childForFieldName('parameters')?.id];
    // The parser takes any word behind the parameters for an annotation.
    for (const part of partsOf(node))
      if (!known.includes(part.id)) this.#wrong(part, `not understood: ${quoted(part)}`);
    if (returns.kind === 'array' || returns.kind === 'function')
      this.#wrong(node, `a function cannot return ${typeName(returns)}`);
    const list = partsOf(field(node, 'parameters'));
    const parameters: Parameter[] = [];
    for (const parameter of list) {
      if (parameter.type === 'variadic_parameter') continue;
      if (parameter.type !== 'parameter_declaration') {
        this.problems.add(lineOf(parameter), `a parameter without a type: ${quoted(parameter)}`);
        continue;
      }
      const base = this.specified(parameter);
      const declarator = parameter.childForFieldName('declarator');
      const { name, type } = declarator ? this.declare(declarator, base) : { name: '', type: base };
      parameters.push({ name, type: decayed(type) });
    }
    const [only] = parameters;
    if (parameters.length === 1 && only?.type.kind === 'void') parameters.length = 0;
    if (parameters.some(({ type }) => type.kind === 'void'))
      this.problems.add(lineOf(node), 'a parameter of type void');
    return { kind: 'function', returns, parameters, variadic: list.some((p) => p.type === 'variadic_parameter') };
  }

  #wrong(node: Node, what: string): CType {
    this.problems.add(lineOf(node), what);
    return INT;
  }
}

/** The type as a parameter or in an expression: arrays and functions are pointers there. */
function decayed(type: CType): CType {
  if (type.kind === 'array') return pointerTo(type.of);
  return type.kind === 'function' ? pointerTo(type) : type;
}

function isDeclarator(node: Node): boolean {
  return node.type.endsWith('declarator') || node.type === 'identifier' || node.type === 'type_identifier';
}

/** A prototype as it is written. */
export function prototypeText(name: string, type: FunctionType): string {
  const parameters = type.parameters.map((p) => (p.name === '' ? typeName(p.type) : declaration(p.type, p.name)));
  if (type.variadic) parameters.push('...');
  return `${declaration(type.returns, name)}(${parameters.join(', ') || typeName(VOID)})`;
}

function declaration(type: CType, name: string): string {
  const written = typeName(type);
  return written.endsWith('*') ? `${written}${name}` : `${written} ${name}`;
}
