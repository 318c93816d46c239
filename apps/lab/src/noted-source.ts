/**
 * Code of a user's, changed as it is loaded so that a forgotten `yield*` before steps of its own generator functions is
 * noticed: what they make is noted, as operations and routines note what they make by themselves.
 *
 * ```
 * function* clear(w) { ... }              clear = N.made(clear, "clear");      where the block begins
 * const clear = function* (w) { ... }     N.made(function* (w) { ... }, "clear")
 * { *clear(w) { ... } }                   N.methods({ *clear(w) { ... } })
 * class { *clear(w) { ... } }             class { static { N.methods(this); } *clear(w) { ... } }
 * class { *#clear(w) { ... } }            #clear(...a) { return N.steps(this.#made_clear(...a), "#clear"); }
 * ```
 *
 * The assertions in such a function are listed where it is noted, and say when they are evaluated, so that a verdict
 * can name those that never were:
 *
 * ```
 * yield* assertThat(w === 0, 'clear')     yield* N.asserted(assertThat(w === 0, 'clear'), ["clear(): clear", 42])
 * ```
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ModelError } from '@shootdown/machine';
import { parse, type AnyNode, type Node, type Options, type Program } from 'acorn';

/** What stands for `noteEverything` in the code. */
const NOTE = '__shootdown_note';
const MADE = '#__shootdown_made_';

type OfType<T extends AnyNode['type']> = Extract<AnyNode, { type: T }>;
type GeneratorNode = OfType<'FunctionDeclaration' | 'FunctionExpression'>;
type StatementList = OfType<'Program' | 'BlockStatement' | 'StaticBlock' | 'SwitchCase'>;

/** Text in place of a part of the source; of nothing, if it ends where it begins. */
interface Change {
  readonly at: number;
  readonly end: number;
  readonly text: string;
}

/** Where a module is that is loaded from somewhere else. */
export interface Moved {
  /** Its address, as `import.meta` says it. */
  readonly url: string;
  /** The address of what it imports; the path of what it requires. */
  readonly resolve: (specifier: string) => string;
}

/** How JavaScript is read. */
export type SourceKind = 'module' | 'commonjs';

/**
 * JavaScript whose generator functions note what they make. Throws SyntaxError on what is none, ModelError on what
 * loads code that nobody has looked at.
 * @param machine address of `@shootdown/machine`
 * @param moved left out: it is loaded from where it is
 */
export function notedSource(
  source: string,
  machine: string,
  moved: Moved | null = null,
  kind: SourceKind = 'module',
): string {
  const program = parsed(source, kind);
  const noting = new Noting(program, moved, kind, source);
  // What is bundled may import, CommonJS or not.
  const required = kind === 'commonjs' && moved !== null;
  const begin = required ? prologueOf(moved) : [];
  if (noting.notes)
    begin.push(
      required
        ? `const ${NOTE} = require(${JSON.stringify(fileURLToPath(machine))}).noteEverything;`
        : `import { noteEverything as ${NOTE} } from ${JSON.stringify(machine)};`,
    );
  const changes = noting.changes.toSorted((a, b) => a.at - b.at);
  if (begin.length > 0) changes.unshift({ at: beginOf(program), end: beginOf(program), text: begin.join(' ') });
  let text = '';
  let from = 0;
  for (const change of changes.sort((a, b) => a.at - b.at)) {
    text += source.slice(from, change.at) + change.text;
    from = change.end;
  }
  return text + source.slice(from) + noting.exports;
}

/** What CommonJS knows of where it is. */
function prologueOf({ url }: Moved): string[] {
  const file = fileURLToPath(url);
  const words = [file, dirname(file)].map((path) => JSON.stringify(path));
  return [
    `__filename = ${words[0]}; __dirname = ${words[1]}; require = require('node:module').createRequire(__filename);`,
  ];
}

/** Collects the changes of a module: outer ones begin before inner ones, and end after them. */
class Noting {
  readonly changes: Change[] = [];
  /** Whether anything is noted. */
  notes = false;
  /** Tells who imports CommonJS what it exports, as the parser of Node wants it. */
  exports = '';
  readonly #moved: Moved | null;
  readonly #kind: SourceKind;
  readonly #source: string;
  /** Names that assertThat() has here. */
  readonly #assertNames = new Set(['assertThat']);
  /** The innermost generator function that is being read; null: none. */
  #inside: Generating | null = null;

  constructor(program: Program, moved: Moved | null, kind: SourceKind, source: string) {
    this.#moved = moved;
    this.#kind = kind;
    this.#source = source;
    this.#children(program, program);
  }

  /** Puts text in at an offset, or in place of what stands there. */
  put(at: number, text: string, end = at): void {
    this.notes ||= text.includes(NOTE);
    this.changes.push({ at, end, text });
  }

  #children(node: AnyNode, block: StatementList): void {
    const inside = isStatementList(node) ? node : block;
    for (const value of Object.values(node) as unknown[]) {
      for (const child of Array.isArray(value) ? (value as unknown[]) : [value])
        if (isNode(child)) this.#node(child, node, inside);
    }
  }

  #node(node: AnyNode, parent: AnyNode, block: StatementList): void {
    switch (node.type) {
      case 'FunctionDeclaration':
        if (makesSteps(node)) return this.#declaration(node, block);
        break;
      case 'FunctionExpression':
        if (makesSteps(node) && !isMethodOf(parent)) return this.#expression(node, parent, block);
        break;
      case 'ObjectExpression':
        if (node.properties.some((p) => p.type === 'Property' && p.method && makesSteps(p.value)))
          return this.#methods(node, block);
        break;
      case 'ClassBody':
        if (node.body.some((member) => member.type === 'MethodDefinition' && makesSteps(member.value))) {
          const assertions = this.#membersOf(node, block);
          return this.put(node.start + 1, `static { ${NOTE}.methods(this${assertions}); }`);
        }
        break;
      case 'MethodDefinition':
        if (node.key.type === 'PrivateIdentifier' && makesSteps(node.value)) {
          const { name, start, end } = node.key;
          const assertions = listed(this.#assertionsIn(node.value, block, `#${name}`));
          const steps = `${NOTE}.steps(this.${MADE}${name}(...made), ${JSON.stringify(`#${name}`)}${assertions})`;
          this.put(node.start, `${node.static ? 'static ' : ''}#${name}(...made) { return ${steps}; }`);
          return this.put(start, `${MADE}${name}`, end);
        }
        break;
      case 'ImportDeclaration':
        for (const one of node.specifiers)
          if (one.type === 'ImportSpecifier' && nameOf(one.imported) === 'assertThat')
            this.#assertNames.add(one.local.name);
        this.#names(node.source);
        break;
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        this.#names(node.source);
        break;
      case 'ImportExpression':
        if (!this.#names(node.source)) this.#refuse('import() of a name that is computed', node);
        break;
      case 'CallExpression':
        if (this.#kind === 'commonjs' && isNamed(node.callee, 'require') && this.#names(node.arguments[0]))
          return node.arguments.slice(1).forEach((argument) => this.#node(argument, node, block));
        if (this.#inside && this.#asserts(node)) return this.#assertion(node, block, this.#inside);
        break;
      case 'AssignmentExpression':
        if (this.#kind === 'commonjs') this.exports ||= exportsOf(node);
        break;
      case 'Identifier':
        if (node.name === 'createRequire') this.#refuse('createRequire()', node);
        if (this.#kind === 'commonjs' && node.name === 'require' && !isHarmless(node, parent))
          this.#refuse('require() of a name that is computed', node);
        break;
      case 'MemberExpression':
        if (this.#moved && node.object.type === 'MetaProperty' && !node.computed && nameOf(node.property) === 'url')
          return this.put(node.start, JSON.stringify(this.#moved.url), node.end);
        break;
      default:
    }
    this.#children(node, block);
  }

  /** Has a module load the copy of what it names; false if it does not name it. */
  #names(source: AnyNode | null | undefined): boolean {
    if (source?.type !== 'Literal' || typeof source.value !== 'string') return false;
    if (this.#moved) this.put(source.start, JSON.stringify(this.#moved.resolve(source.value)), source.end);
    return true;
  }

  /** Nobody would notice a forgotten `yield*` in what is loaded so. */
  #refuse(what: string, { loc }: Node): never {
    // What is bundled has other lines.
    const line = this.#moved && loc ? `line ${loc.start.line}: ` : '';
    throw new ModelError(
      `${line}${what}: a forgotten yield* in what it loads would not be noticed: load it by its name`,
    );
  }

  /** It is there before its block begins, and can be replaced then. */
  #declaration(node: GeneratorNode, block: StatementList): void {
    const name = node.id?.name;
    if (name === undefined) return this.#wrapped(node, 'default', block, ';');
    const assertions = listed(this.#assertionsIn(node, block, name));
    this.put(beginOf(block), `${name} = ${NOTE}.made(${name}, ${JSON.stringify(name)}${assertions});`);
  }

  /** Its own name, if it has one, has to mean what notes as well. */
  #expression(node: GeneratorNode, parent: AnyNode, block: StatementList): void {
    const { id } = node;
    if (!id) return this.#wrapped(node, nameGivenBy(parent), block);
    this.put(node.start, `(() => { const ${id.name} = ${NOTE}.made(`);
    this.put(id.start, '', id.end);
    const assertions = listed(this.#assertionsIn(node, block, id.name));
    this.put(node.end, `, ${JSON.stringify(id.name)}${assertions}); return ${id.name}; })()`);
  }

  #wrapped(node: GeneratorNode, name: string, block: StatementList, end = ''): void {
    this.put(node.start, `${NOTE}.made(`);
    const assertions = listed(this.#assertionsIn(node, block, name));
    this.put(node.end, `, ${JSON.stringify(name)}${assertions})${end}`);
  }

  #methods(node: OfType<'ObjectExpression'>, block: StatementList): void {
    this.put(node.start, `${NOTE}.methods(`);
    this.put(node.end, `${this.#membersOf(node, block)})`);
  }

  /** Reads a class or an object; returns the assertions of its generators by their names, as the last argument. */
  #membersOf(node: OfType<'ClassBody' | 'ObjectExpression'>, block: StatementList): string {
    const of: Record<string, Assertion[]> = {};
    for (const member of node.type === 'ClassBody' ? node.body : node.properties) {
      const isOne =
        (member.type === 'MethodDefinition' && member.key.type !== 'PrivateIdentifier') ||
        (member.type === 'Property' && member.method);
      if (!isOne || !makesSteps(member.value)) {
        this.#node(member, node, block);
        continue;
      }
      const name = member.computed ? '' : keyOf(member.key);
      if (member.computed) this.#node(member.key, member, block);
      const assertions = this.#assertionsIn(member.value, block, name);
      // Who has a name that is computed is not found by it.
      if (assertions.length > 0 && !member.computed) (of[name] ??= []).push(...assertions);
    }
    return Object.keys(of).length > 0 ? `, ${JSON.stringify(of)}` : '';
  }

  /** Reads a generator function; returns the assertions in it, but for those in generator functions in it. */
  #assertionsIn(node: GeneratorNode, block: StatementList, name: string): Assertion[] {
    const outer = this.#inside;
    const inside: Generating = { name, assertions: [] };
    this.#inside = inside;
    this.#children(node, block);
    this.#inside = outer;
    return inside.assertions;
  }

  /** Whether a call is one of assertThat(), of whatever name. */
  #asserts({ callee }: OfType<'CallExpression'>): boolean {
    if (callee.type === 'Identifier') return this.#assertNames.has(callee.name);
    return callee.type === 'MemberExpression' && !callee.computed && isNamed(callee.property, 'assertThat');
  }

  #assertion(node: OfType<'CallExpression'>, block: StatementList, inside: Generating): void {
    const sentence = node.arguments[1];
    const said =
      sentence?.type === 'Literal'
        ? String(sentence.value)
        : this.#source.slice(sentence?.start ?? 0, sentence?.end ?? 0);
    const assertion: Assertion = [inside.name === '' ? said : `${inside.name}(): ${said}`, node.start];
    inside.assertions.push(assertion);
    this.put(node.start, `${NOTE}.asserted(`);
    this.#children(node, block);
    this.put(node.end, `, ${JSON.stringify(assertion)})`);
  }
}

/** Function and sentence of an assertion, and where it begins. */
type Assertion = [name: string, offset: number];

/** A generator function that is being read. */
interface Generating {
  readonly name: string;
  readonly assertions: Assertion[];
}

/** As the last argument of a call; nothing if there are none. */
function listed(assertions: readonly Assertion[]): string {
  return assertions.length > 0 ? `, ${JSON.stringify(assertions)}` : '';
}

function keyOf(key: AnyNode): string {
  return key.type === 'Literal' ? String(key.value) : nameOf(key);
}

/** What `module.exports = { ... }` exports. */
function exportsOf({ left, right }: OfType<'AssignmentExpression'>): string {
  if (left.type !== 'MemberExpression' || !isNamed(left.object, 'module') || !isNamed(left.property, 'exports'))
    return '';
  if (right.type !== 'ObjectExpression') return '';
  const names = right.properties.map((p) => (p.type === 'Property' && !p.computed ? nameOf(p.key) : ''));
  return `\n0 && (module.exports = { ${names.filter((name) => name !== '').join(', ')} });\n`;
}

/** Whether `require` is no more than a name, or looked at. */
function isHarmless(node: AnyNode, parent: AnyNode): boolean {
  if (parent.type === 'UnaryExpression') return parent.operator === 'typeof';
  if (parent.type === 'Property' || parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition')
    return parent.key === node && !parent.computed && !(parent.type === 'Property' && parent.shorthand);
  if (parent.type !== 'MemberExpression' || parent.computed) return false;
  // `require.resolve()`; `module.require()` loads.
  return parent.object === node || !isNamed(parent.object, 'module');
}

/** Whether JavaScript is a module or CommonJS, as Node finds out where nothing says it. */
export function kindOf(source: string): SourceKind {
  const imports = (): boolean => parsed(source, 'module').body.some(({ type }) => /^(?:Import|Export)/.test(type));
  if (parses(imports)) return 'module';
  return parses(() => parsed(source, 'commonjs')) ? 'commonjs' : 'module';
}

/** False if the answer is no, or a SyntaxError. */
function parses(work: () => unknown): boolean {
  try {
    return work() !== false;
  } catch {
    return false;
  }
}

function parsed(source: string, sourceType: SourceKind): Program {
  const options: Options = { ecmaVersion: 'latest', sourceType, allowHashBang: true, locations: true };
  return parse(source, options);
}

function isNamed(node: AnyNode, name: string): boolean {
  return node.type === 'Identifier' && node.name === name;
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string';
}

function isStatementList(node: AnyNode): node is StatementList {
  return ['Program', 'BlockStatement', 'StaticBlock', 'SwitchCase'].includes(node.type);
}

/** Where the statements of a list begin, after its directives. */
function beginOf(list: StatementList): number {
  const statements = list.type === 'SwitchCase' ? list.consequent : list.body;
  return statements.find((s) => s.type !== 'ExpressionStatement' || s.directive === undefined)?.start ?? list.end;
}

function makesSteps(value: AnyNode): value is GeneratorNode {
  return (value.type === 'FunctionExpression' || value.type === 'FunctionDeclaration') && value.generator;
}

function isMethodOf(parent: AnyNode): boolean {
  return parent.type === 'MethodDefinition' || (parent.type === 'Property' && parent.method);
}

/** As JavaScript names what has no name of its own. */
function nameGivenBy(parent: AnyNode): string {
  switch (parent.type) {
    case 'VariableDeclarator':
      return nameOf(parent.id);
    case 'Property':
    case 'PropertyDefinition':
      return parent.computed ? '' : nameOf(parent.key);
    case 'AssignmentExpression':
    case 'AssignmentPattern':
      return nameOf(parent.left);
    default:
      return '';
  }
}

function nameOf(node: AnyNode): string {
  return node.type === 'Identifier' || node.type === 'PrivateIdentifier' ? node.name : '';
}
