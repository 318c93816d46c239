/** Statements: C11, 6.8. */
import { field, fields, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { hasWord, withLength, type FunctionSource, type Unit } from '../types/unit.ts';
import { isInt, typeName } from '../types/types.ts';
import { wrapped } from './conversions.ts';
import { Cleanups } from './cleanups.ts';
import { liveness } from './liveness.ts';
import type { FunctionCode } from './code.ts';
import type { Operand } from './emitter.ts';

interface Goto {
  readonly at: number;
  readonly label: string;
  readonly node: Node;
  readonly due: Due;
}

/** A place that jumps lead to, which is not known yet. */
interface Open {
  readonly jumps: number[];
  /** Scopes that stay open there. */
  readonly depth: number;
}

type Due = FunctionCompiler['due'];

/** The name that a declarator declares. */
function nameOf(node: Node): string | undefined {
  return node.type === 'identifier' ? node.text : node.descendantsOfType('identifier')[0]?.text;
}

function endOf(node: Node): number {
  return node.endPosition.row + 1;
}

/** Compiles one function. */
export class FunctionCompiler extends Cleanups {
  readonly #unit: Unit;
  readonly #source: FunctionSource;
  readonly #labels = new Map<string, { readonly at: number; readonly due: Due }>();
  readonly #gotos: Goto[] = [];
  readonly #breaks: Open[] = [];
  readonly #continues: Open[] = [];
  /** Where a struct of several words is returned to. */
  #result: number | null = null;

  constructor(unit: Unit, source: FunctionSource) {
    super(unit, source);
    this.#unit = unit;
    this.#source = source;
  }

  /** @param observed names of variables that are read when the function has returned */
  compile(observed: readonly string[] = []): FunctionCode {
    const { name, type, inline, body } = this.#source;
    this.declarations.typeOfExpression = (node) => this.typeOf(node);
    this.passable(body, type.returns, `${name}() returns`);
    if (this.inWords(type.returns)) this.#result = this.register();
    const given = type.parameters.map((parameter) => {
      this.passable(body, parameter.type, `${name}() takes`);
      return { parameter, r: this.register() };
    });
    for (const { parameter, r } of given) {
      if (parameter.name === '') continue;
      this.assign(body, this.variable(body, parameter.name, parameter.type), { r, type: parameter.type });
    }
    this.inBlock(() => {
      for (const part of partsOf(body)) this.#statement(part);
    }, endOf(body));
    this.emit(endOf(body), { op: 'return', a: null });
    for (const { at, label, node, due } of this.#gotos) {
      const target = this.#labels.get(label);
      if (target === undefined) this.miss(node, `no label ${label}`);
      else this.patch(at, this.wayOut(node, due, target.due, target.at));
    }
    this.declarations.typeOfExpression = null;
    const kept = this.names.flatMap((n, r) => (observed.includes(n) ? [r] : []));
    return {
      name,
      file: this.#unit.file,
      type,
      inline,
      code: this.code,
      parameters: [...(this.#result === null ? [] : [this.#result]), ...given.map(({ r }) => r)],
      registers: this.names.length,
      names: this.names,
      cells: this.cells,
      live: this.problems.any ? [] : liveness(this.code, kept),
      types: this.types,
    };
  }

  /** Statements of a block; the value of the last one, for `({ ... })`. */
  protected block(node: Node): Operand | undefined {
    let last: Operand | undefined;
    this.inBlock(() => {
      const parts = partsOf(node);
      parts.forEach((part, i) => {
        const value = part.type === 'expression_statement' ? partsOf(part)[0] : undefined;
        if (value && i === parts.length - 1) last = this.expression(value);
        else this.#statement(part);
      });
    }, endOf(node));
    return last;
  }

  #statement(node: Node): void {
    switch (node.type) {
      case 'compound_statement':
        this.inBlock(() => partsOf(node).forEach((part) => this.#statement(part)), endOf(node));
        return;
      case 'declaration':
        this.#declaration(node);
        return;
      case 'expression_statement': {
        const [value] = partsOf(node);
        if (value && this.isGuard(value)) this.guard(value);
        else if (value) this.expression(value);
        return;
      }
      case 'if_statement':
        this.#if(node);
        return;
      case 'while_statement': {
        const guard = this.scopedGuard(field(node, 'condition'));
        if (guard) this.#scoped(node, guard);
        else this.#loop(node, null, false);
        return;
      }
      case 'do_statement':
        this.#loop(node, null, true);
        return;
      case 'for_statement':
        this.inBlock(() => {
          const initializer = node.childForFieldName('initializer');
          if (initializer?.type === 'declaration') this.#declaration(initializer);
          else if (initializer) this.expression(initializer);
          this.#loop(node, node.childForFieldName('update'), false);
        });
        return;
      case 'switch_statement':
        this.#switch(node);
        return;
      case 'break_statement':
      case 'continue_statement':
        this.#leave(node);
        return;
      case 'goto_statement':
        this.#gotos.push({ at: this.jump(node), label: field(node, 'label').text, node, due: this.due });
        return;
      case 'labeled_statement':
        this.#label(node);
        return;
      case 'return_statement':
        this.#return(node);
        return;
      case 'type_definition':
        this.declarations.typedef(node);
        return;
      case 'struct_specifier':
      case 'union_specifier':
      case 'enum_specifier':
        this.declarations.type(node);
        return;
      case 'case_statement':
        this.miss(node, 'a case that stands not directly in its switch is not supported');
        return;
      default:
        this.miss(node, `${node.type.replaceAll('_', ' ')} is not supported: ${quoted(node)}`);
    }
  }

  #declaration(node: Node): void {
    if (hasWord(node, 'static')) {
      this.#statics(node);
      return;
    }
    const base = this.declarations.specified(node);
    for (const declarator of fields(node, 'declarator')) {
      const { name, type } = this.declarations.declare(declarator, base);
      const value = declarator.type === 'init_declarator' ? field(declarator, 'value') : null;
      if (type.kind === 'function') {
        this.miss(declarator, `${name}() is declared within a function: declare it outside`);
        continue;
      }
      const place = this.variable(declarator, name, withLength(type, value));
      if (value) this.initialize(declarator, place, value);
    }
  }

  /** Names of static locals: what they name was laid out with the variables of the program. */
  #statics(node: Node): void {
    for (const declarator of fields(node, 'declarator')) {
      const known = this.#unit.statics.find(
        ({ function: of, line, local }) =>
          of === this.#source.name && line === lineOf(declarator) && nameOf(declarator) === local,
      );
      if (known) this.staticVariable(declarator, known.local, known.name, known.type);
    }
  }

  #if(node: Node): void {
    const no = this.#unless(field(node, 'condition'));
    this.#statement(field(node, 'consequence'));
    const alternative = node.childForFieldName('alternative');
    if (!alternative) {
      this.patch(no);
      return;
    }
    const end = this.jump(node);
    this.patch(no);
    const [other] = partsOf(alternative);
    if (other) this.#statement(other);
    this.patch(end);
  }

  /** A branch that is taken unless the condition holds. */
  #unless(condition: Node): number {
    const value = this.expression(condition);
    this.scalar(condition, value);
    return this.branch(condition, value.r, false);
  }

  #loop(node: Node, update: Node | null, atEnd: boolean): void {
    this.#breaks.push(this.#open());
    this.#continues.push(this.#open());
    const head = this.code.length;
    const condition = node.childForFieldName('condition');
    const out = condition && !atEnd ? this.#unless(condition) : null;
    this.#statement(field(node, 'body'));
    this.#close(this.#continues);
    if (update) this.expression(update);
    if (atEnd && condition) {
      const value = this.expression(condition);
      this.scalar(condition, value);
      this.branch(condition, value.r, true, head);
    } else this.jump(node, head);
    if (out !== null) this.patch(out);
    this.#close(this.#breaks);
  }

  #switch(node: Node): void {
    const condition = field(node, 'condition');
    const body = field(node, 'body');
    const chosen = this.expression(condition);
    const type = this.integer(condition, chosen, quoted(condition));
    const value = this.convert(condition, chosen, type);
    const cases = partsOf(body).filter((part) => part.type === 'case_statement');
    const seen = new Set<bigint>();
    const jumps = cases.map((part) => this.#case(part, value, seen));
    const otherwise = this.jump(node);
    this.#breaks.push(this.#open());
    const depth = this.depth;
    let hasDefault = false;
    this.inBlock(() => {
      for (const part of partsOf(body)) {
        const i = cases.indexOf(part);
        if (i < 0) {
          this.miss(part, `stands before every case: ${quoted(part)}`);
          continue;
        }
        if (this.depth > depth) this.miss(part, 'case jumps into the scope of a guard(): put braces around it');
        const jump = jumps[i] ?? null;
        if (jump === null) {
          if (hasDefault) this.miss(part, 'a second default');
          hasDefault = true;
          this.patch(otherwise);
        } else this.patch(jump);
        const own = part.childForFieldName('value');
        for (const inner of partsOf(part)) if (inner.id !== own?.id) this.#statement(inner);
      }
    }, endOf(body));
    if (!hasDefault) this.patch(otherwise);
    this.#close(this.#breaks);
  }

  /** The branch to a case; null for `default`. */
  #case(part: Node, value: Operand, seen: Set<bigint>): number | null {
    const own = part.childForFieldName('value');
    if (!own) return null;
    const constant = this.declarations.constant(own) ?? 0n;
    if (seen.has(constant)) this.miss(part, `case ${constant} stands twice`);
    seen.add(constant);
    const { type } = value;
    if (!isInt(type)) return null;
    const wanted = this.constant(part, wrapped(constant, type), type);
    const d = this.register();
    this.emit(part, { op: 'binary', d, a: value.r, b: wanted.r, operator: '==', type });
    return this.branch(part, d, true);
  }

  #leave(node: Node): void {
    const isBreak = node.type === 'break_statement';
    const open = (isBreak ? this.#breaks : this.#continues).at(-1);
    if (open) {
      this.leaveTo(lineOf(node), open.depth);
      open.jumps.push(this.jump(node));
    } else this.miss(node, isBreak ? 'break outside of a loop or switch' : 'continue outside of a loop');
  }

  #label(node: Node): void {
    const label = field(node, 'label');
    if (this.#labels.has(label.text)) this.miss(node, `label ${label.text} stands twice`);
    this.#labels.set(label.text, { at: this.code.length, due: this.due });
    for (const part of partsOf(node)) if (part.id !== label.id) this.#statement(part);
  }

  #return(node: Node): void {
    const [given] = partsOf(node);
    const { returns } = this.#source.type;
    if (!given) {
      if (returns.kind !== 'void')
        this.problems.add(lineOf(node), `return without a value: expected ${typeName(returns)}`);
      this.#leaveFunction(node, null);
      return;
    }
    const value = this.expression(given);
    if (returns.kind === 'void') {
      if (value.type.kind !== 'void') this.miss(node, `returns a value: ${this.#source.name}() is void`);
      this.#leaveFunction(node, null);
      return;
    }
    const returned = this.coerce(given, value, returns, `return of ${this.#source.name}()`);
    if (this.#result === null) this.#leaveFunction(node, returned.r);
    else {
      this.store(node, { kind: 'memory', r: this.#result, type: returns }, returned);
      this.#leaveFunction(node, null);
    }
  }

  /** Gives back what guards have taken, and returns. */
  #leaveFunction(node: Node, a: number | null): void {
    this.leaveTo(lineOf(node), 0);
    this.emit(node, { op: 'return', a });
  }

  #open(): Open {
    return { jumps: [], depth: this.depth };
  }

  #close(list: Open[]): void {
    list.pop()?.jumps.forEach((at) => this.patch(at));
  }

  /** `scoped_guard(spinlock, &lock) ...`, which the preprocessor made a loop: break and continue leave it. */
  #scoped(node: Node, call: Node): void {
    this.#breaks.push(this.#open());
    this.#continues.push(this.#open());
    this.inBlock(() => {
      this.enterScoped(call);
      this.#statement(field(node, 'body'));
    }, endOf(node));
    this.#close(this.#continues);
    this.#close(this.#breaks);
  }
}
