/** Statements: C11, 6.8. */
import { field, fields, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { hasWord, withLength, type FunctionSource, type Unit } from '../types/unit.ts';
import { isInt, typeName } from '../types/types.ts';
import { wrapped } from './conversions.ts';
import { Initializers } from './initializers.ts';
import { liveness } from './liveness.ts';
import type { FunctionCode } from './code.ts';
import type { Operand } from './emitter.ts';

interface Goto {
  readonly at: number;
  readonly label: string;
  readonly node: Node;
}

/** Compiles one function. */
export class FunctionCompiler extends Initializers {
  readonly #unit: Unit;
  readonly #source: FunctionSource;
  readonly #labels = new Map<string, number>();
  readonly #gotos: Goto[] = [];
  readonly #breaks: number[][] = [];
  readonly #continues: number[][] = [];

  constructor(unit: Unit, source: FunctionSource) {
    super(unit, source);
    this.#unit = unit;
    this.#source = source;
  }

  /** @param observed names of variables that are read when the function has returned */
  compile(observed: readonly string[] = []): FunctionCode {
    const { name, type, inline, body } = this.#source;
    if (!this.fits(type.returns) && type.returns.kind !== 'void')
      this.miss(
        body,
        `${name}() returns ${typeName(type.returns)}, a struct of several words: not supported: pass a pointer`,
      );
    const given = type.parameters.map((parameter) => {
      if (!this.fits(parameter.type))
        this.miss(body, `${name}() takes ${typeName(parameter.type)}, a struct of several words: pass a pointer`);
      return { parameter, r: this.register() };
    });
    for (const { parameter, r } of given) {
      if (parameter.name === '' || !this.fits(parameter.type)) continue;
      this.assign(body, this.variable(body, parameter.name, parameter.type), { r, type: parameter.type });
    }
    this.inBlock(() => {
      for (const part of partsOf(body)) this.#statement(part);
    });
    this.emit(body.endPosition.row + 1, { op: 'return', a: null });
    for (const { at, label, node } of this.#gotos) {
      const target = this.#labels.get(label);
      if (target === undefined) this.miss(node, `no label ${label}`);
      else this.patch(at, target);
    }
    const kept = this.names.flatMap((n, r) => (observed.includes(n) ? [r] : []));
    return {
      name,
      file: this.#unit.file,
      type,
      inline,
      code: this.code,
      parameters: given.map(({ r }) => r),
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
    });
    return last;
  }

  #statement(node: Node): void {
    switch (node.type) {
      case 'compound_statement':
        this.inBlock(() => partsOf(node).forEach((part) => this.#statement(part)));
        return;
      case 'declaration':
        this.#declaration(node);
        return;
      case 'expression_statement': {
        const [value] = partsOf(node);
        if (value) this.expression(value);
        return;
      }
      case 'if_statement':
        this.#if(node);
        return;
      case 'while_statement':
        this.#loop(node, null, false);
        return;
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
        this.#gotos.push({ at: this.jump(node), label: field(node, 'label').text, node });
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
      this.miss(node, 'a static local is not supported: make it a global');
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
    this.#breaks.push([]);
    this.#continues.push([]);
    const head = this.code.length;
    const condition = node.childForFieldName('condition');
    const out = condition && !atEnd ? this.#unless(condition) : null;
    this.#statement(field(node, 'body'));
    this.#continues.pop()?.forEach((at) => this.patch(at));
    if (update) this.expression(update);
    if (atEnd && condition) {
      const value = this.expression(condition);
      this.scalar(condition, value);
      this.branch(condition, value.r, true, head);
    } else this.jump(node, head);
    if (out !== null) this.patch(out);
    this.#breaks.pop()?.forEach((at) => this.patch(at));
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
    this.#breaks.push([]);
    let hasDefault = false;
    this.inBlock(() => {
      for (const part of partsOf(body)) {
        const i = cases.indexOf(part);
        if (i < 0) {
          this.miss(part, `stands before every case: ${quoted(part)}`);
          continue;
        }
        const jump = jumps[i] ?? null;
        if (jump === null) {
          if (hasDefault) this.miss(part, 'a second default');
          hasDefault = true;
          this.patch(otherwise);
        } else this.patch(jump);
        const own = part.childForFieldName('value');
        for (const inner of partsOf(part)) if (inner.id !== own?.id) this.#statement(inner);
      }
    });
    if (!hasDefault) this.patch(otherwise);
    this.#breaks.pop()?.forEach((at) => this.patch(at));
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
    if (open) open.push(this.jump(node));
    else this.miss(node, isBreak ? 'break outside of a loop or switch' : 'continue outside of a loop');
  }

  #label(node: Node): void {
    const label = field(node, 'label');
    if (this.#labels.has(label.text)) this.miss(node, `label ${label.text} stands twice`);
    this.#labels.set(label.text, this.code.length);
    for (const part of partsOf(node)) if (part.id !== label.id) this.#statement(part);
  }

  #return(node: Node): void {
    const [given] = partsOf(node);
    const { returns } = this.#source.type;
    if (!given) {
      if (returns.kind !== 'void')
        this.problems.add(lineOf(node), `return without a value: expected ${typeName(returns)}`);
      this.emit(node, { op: 'return', a: null });
      return;
    }
    const value = this.expression(given);
    if (returns.kind === 'void') {
      if (value.type.kind !== 'void') this.miss(node, `returns a value: ${this.#source.name}() is void`);
      this.emit(node, { op: 'return', a: null });
      return;
    }
    this.emit(node, { op: 'return', a: this.coerce(given, value, returns, `return of ${this.#source.name}()`).r });
  }
}
