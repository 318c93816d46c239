/** One file: its functions, globals, types and macros. */
import { Problems } from '../diagnostics.ts';
import { markCasts } from '../source/casts.ts';
import type { Macro } from '../source/macros.ts';
import { field, fields, lineOf, loadParser, partsOf, quoted, type CParser, type Node } from '../source/parser.ts';
import { preprocess } from '../source/preprocess.ts';
import { markTypeofs, type TypeofExpression } from '../source/typeofs.ts';
import { Declarations } from './declarations.ts';
import { Scope } from './scope.ts';
import { sameType, type CType, type FunctionType } from './types.ts';

/** A function with a body. */
export interface FunctionSource {
  readonly name: string;
  readonly type: FunctionType;
  /** `static inline`, `inline`: shows in no column. */
  readonly inline: boolean;
  readonly body: Node;
  readonly line: number;
}

/** A variable of a file. */
export interface GlobalSource {
  readonly name: string;
  readonly type: CType;
  readonly initializer: Node | null;
  readonly line: number;
}

/** A static local: a variable of the program that one function has a name for. */
export interface StaticLocal extends GlobalSource {
  readonly function: string;
  readonly local: string;
}

/** A file that was read. */
export interface Unit {
  readonly file: string;
  readonly problems: Problems;
  readonly scope: Scope;
  readonly macros: ReadonlyMap<string, Macro>;
  readonly declarations: Declarations;
  readonly functions: ReadonlyMap<string, FunctionSource>;
  readonly globals: readonly GlobalSource[];
  readonly statics: readonly StaticLocal[];
  /** As litmus tests have it: numbers and pointers are one, and a variable need not be declared. */
  readonly lenient: boolean;
  /** It is no C, and nothing of it was read. */
  readonly syntaxError: boolean;
}

/** What a file sees of those that come before it. */
export interface Before {
  readonly scope: Scope;
  readonly macros: ReadonlyMap<string, Macro>;
}

const NOTHING: Before = { scope: new Scope(null), macros: new Map() };

/**
 * Reads a file. What is wrong is in `unit.problems`: functions are compiled later, and all mistakes are said together.
 * @param before the scenario's header
 */
export async function readUnit(file: string, text: string, before: Before = NOTHING, lenient = false): Promise<Unit> {
  const parser = await loadParser();
  const problems = new Problems(file);
  const { text: expanded, macros } = preprocess(text, before.macros, problems);
  const isType = (name: string): boolean => before.scope.typedef(name) !== undefined;
  const marked = markTypeofs(expanded);
  const root = problems.any ? null : parser.parse(markCasts(marked.text, isType), problems, before === NOTHING);
  const scope = new Scope(before.scope);
  const declarations = new Declarations(scope, problems);
  if (root) declarations.typeofs = marked.expressions.map((one) => operandOf(one, isType, parser, problems));
  const functions = new Map<string, FunctionSource>();
  const globals: GlobalSource[] = [];
  for (const node of root ? partsOf(root) : []) topLevel(node, declarations, functions, globals);
  const statics = [...functions.values()].flatMap((source) =>
    before === NOTHING ? [] : staticsOf(source, declarations),
  );
  const syntaxError = root === null;
  return { file, problems, scope, macros, declarations, functions, globals, statics, lenient, syntaxError };
}

/** What a typeof is of, as the parser sees it in `sizeof(...)`; null, with what is wrong in `problems`. */
function operandOf(
  { text, line }: TypeofExpression,
  isType: (name: string) => boolean,
  parser: CParser,
  problems: Problems,
): Node | null {
  const probe = `${'\n'.repeat(line - 1)}long __probe = sizeof(${text});`;
  const root = parser.parse(markCasts(probe, isType), problems);
  return root?.descendantsOfType('sizeof_expression')[0] ?? null;
}

/** Static locals, each with a name of its own among the variables of the program: `P0.count`. */
function staticsOf({ name, body }: FunctionSource, declarations: Declarations): StaticLocal[] {
  const found: StaticLocal[] = [];
  for (const node of body.descendantsOfType('declaration')) {
    if (!node || !hasWord(node, 'static')) continue;
    const base = declarations.specified(node);
    for (const declarator of fields(node, 'declarator')) {
      const declared = declarations.declare(declarator, base);
      const { line } = declared;
      const own = `${name}.${declared.name}`;
      const initializer = declarator.type === 'init_declarator' ? field(declarator, 'value') : null;
      found.push({
        function: name,
        local: declared.name,
        name: found.some((other) => other.name === own) ? `${own}@${line}` : own,
        type: withLength(declared.type, initializer),
        initializer,
        line,
      });
    }
  }
  return found;
}

function topLevel(
  node: Node,
  declarations: Declarations,
  functions: Map<string, FunctionSource>,
  globals: GlobalSource[],
): void {
  const { problems, scope } = declarations;
  checkWords(node, problems);
  switch (node.type) {
    case 'function_definition': {
      const { name, type, line } = declarations.declare(field(node, 'declarator'), declarations.specified(node));
      if (type.kind !== 'function') {
        problems.add(line, `not understood: ${quoted(node)}`);
        return;
      }
      if (functions.has(name)) problems.add(line, `${name}() is defined twice`);
      const before = scope.functions.get(name);
      if (before && !sameType(before, type)) problems.add(line, `${name}() was declared otherwise before`);
      checkKind(declarations, 'function', name, line);
      scope.functions.set(name, type);
      functions.set(name, { name, type, inline: hasWord(node, 'inline'), body: field(node, 'body'), line });
      return;
    }
    case 'declaration':
      globalsOf(node, declarations, globals);
      return;
    case 'type_definition':
      declarations.typedef(node);
      return;
    case 'struct_specifier':
    case 'union_specifier':
    case 'enum_specifier':
      declarations.type(node);
      return;
    case 'expression_statement':
      if (partsOf(node).length > 0) problems.add(lineOf(node), `stands outside of every function: ${quoted(node)}`);
      return;
    default:
      problems.add(lineOf(node), `stands outside of every function: ${quoted(node)}`);
  }
}

/** `static static` says nothing that a compiler would take. */
function checkWords(node: Node, problems: Problems): void {
  const words = node.children.flatMap((child) => (child?.type === 'storage_class_specifier' ? [child.text] : []));
  const twice = words.find((word, i) => words.indexOf(word) !== i);
  if (twice !== undefined) problems.add(lineOf(node), `syntax: ${twice} stands twice`);
  if (words.includes('static') && words.includes('extern'))
    problems.add(lineOf(node), 'syntax: both static and extern');
}

/** A name is a function, a variable, a constant or a type, and one of them only. */
function checkKind({ problems, scope }: Declarations, kind: 'function' | 'variable', name: string, line: number): void {
  const others = {
    function: kind !== 'function' && scope.functions.has(name),
    variable: kind !== 'variable' && scope.variables.has(name),
    constant: scope.constants.has(name),
    type: scope.typedefs.has(name),
  };
  const other = Object.entries(others).find(([, is]) => is)?.[0];
  if (other !== undefined) problems.add(line, `${name} is a ${other} already`);
}

function globalsOf(node: Node, declarations: Declarations, globals: GlobalSource[]): void {
  const { problems, scope } = declarations;
  const base = declarations.specified(node);
  for (const declarator of fields(node, 'declarator')) {
    const { name, type, line } = declarations.declare(declarator, base);
    checkKind(declarations, type.kind === 'function' ? 'function' : 'variable', name, line);
    if (type.kind === 'function') {
      const before = scope.function(name);
      if (before && !sameType(before, type)) problems.add(line, `${name}() was declared otherwise before`);
      scope.functions.set(name, type);
      continue;
    }
    const initializer = declarator.type === 'init_declarator' ? field(declarator, 'value') : null;
    if (!hasWord(node, 'extern') || initializer) {
      if (type.kind === 'void' || (type.kind === 'struct' && type.fields === null))
        problems.add(line, `${name} has no size`);
      if (scope.variables.has(name) && globals.some((g) => g.name === name))
        problems.add(line, `${name} is defined twice`);
      globals.push({ name, type: withLength(type, initializer), initializer, line });
    }
    scope.variables.set(name, withLength(type, initializer));
  }
}

/** `int a[] = { 1, 2 }`: as long as what it begins with. */
export function withLength(type: CType, initializer: Node | null): CType {
  if (type.kind !== 'array' || type.length > 0) return type;
  const length = initializer?.type === 'initializer_list' ? partsOf(initializer).length : 0;
  return { ...type, length: Math.max(1, length) };
}

/** True if a declaration has a storage class or specifier: `static`, `extern`, `inline`. */
export function hasWord(node: Node, word: string): boolean {
  return node.children.some((child) => child?.type === 'storage_class_specifier' && child.text === word);
}
