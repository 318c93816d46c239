/** Globals of a program in words: one per scalar, each with a name and what it begins with. */
import type { Problems } from '../diagnostics.ts';
import { field, fields, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { PointerBase } from '../run/words.ts';
import type { Declarations } from '../types/declarations.ts';
import { cellsOf, sameType, scalarOf, typeName, type CType, type IntType, type PointerType } from '../types/types.ts';
import type { GlobalSource } from '../types/unit.ts';

/** One word of a program's memory. */
export interface ProgramWord {
  /** `x`, `a[1]`, `s.next`. */
  readonly name: string;
  readonly initial: number;
}

/** Memory of a program: words, and where each global begins. Pointers to words are numbers of words. */
export interface ProgramLayout {
  readonly words: readonly ProgramWord[];
  readonly globals: ReadonlyMap<string, number>;
  /** Words that begin as pointers to functions, by name: those have numbers only when the program is linked. */
  readonly functions: ReadonlyMap<number, string>;
}

/** Lays globals out. Mistakes go to `problems`. */
export function layOut(globals: readonly GlobalSource[], declarations: Declarations): ProgramLayout {
  const { problems } = declarations;
  const starts = new Map<string, number>();
  const functions = new Map<number, string>();
  let next = 0;
  for (const { name, type } of globals) {
    starts.set(name, next);
    next += cellsOf(type);
  }
  const words = globals.flatMap(({ name, type, initializer }) => {
    const values = Array.from({ length: cellsOf(type) }, () => 0);
    const first = starts.get(name) ?? 0;
    const pointTo = (at: number, to: string): void => void functions.set(first + at, to);
    if (initializer) fill(values, 0, type, initializer, { declarations, problems, starts, globals, pointTo });
    return namesOf(name, type).map((word, i) => ({ name: word, initial: values[i] ?? 0 }));
  });
  return { words, globals: starts, functions };
}

function namesOf(given: string, type: CType): string[] {
  const name = given.replace(/^__percpu_/, '');
  if (type.kind === 'array')
    return Array.from({ length: type.length }, (_, i) => namesOf(`${name}[${i}]`, type.of)).flat();
  // A struct of one word is called as a whole: atomic_t, spinlock_t.
  if (type.kind !== 'struct' || scalarOf(type)) return [name];
  if (type.union) return Array.from({ length: type.cells }, (_, i) => (i === 0 ? name : `${name}+${i}`));
  return (type.fields ?? []).flatMap((f) => namesOf(`${name}.${f.name}`, f.type));
}

interface Context {
  readonly declarations: Declarations;
  readonly problems: Problems;
  readonly starts: ReadonlyMap<string, number>;
  readonly globals: readonly GlobalSource[];
  /** A word of the variable that is begun points to a function. */
  readonly pointTo: (at: number, name: string) => void;
}

function fill(values: number[], at: number, type: CType, node: Node, context: Context): void {
  if (node.type !== 'initializer_list') {
    const held = scalarOf(type);
    if (held) values[at] = valueOf(node, held, { ...context, pointTo: (_, name) => context.pointTo(at, name) });
    else context.problems.add(lineOf(node), `${quoted(node)}: expected { ... }`);
    return;
  }
  const held = scalarOf(type);
  const elements =
    type.kind === 'array'
      ? Array.from({ length: type.length }, (_, i) => ({ name: `[${i}]`, type: type.of, offset: i * cellsOf(type.of) }))
      : type.kind === 'struct'
        ? (type.fields ?? [])
        : [{ name: '', type, offset: 0 }];
  let index = 0;
  for (const entry of partsOf(node)) {
    const designator = entry.type === 'initializer_pair' ? fields(entry, 'designator')[0] : undefined;
    if (designator) index = elements.findIndex(({ name }) => name === designatorName(designator, context));
    const element = index < 0 ? undefined : elements[index];
    if (!element) {
      context.problems.add(lineOf(entry), `no place for ${quoted(entry)}`);
      return;
    }
    const value = entry.type === 'initializer_pair' ? field(entry, 'value') : entry;
    fill(values, at + (held ? 0 : element.offset), element.type, value, context);
    index++;
  }
}

function designatorName(node: Node, { declarations }: Context): string {
  const [inner] = partsOf(node);
  if (node.type === 'subscript_designator' && inner) return `[${declarations.constant(inner) ?? '?'}]`;
  return inner?.text ?? '';
}

function valueOf(node: Node, type: IntType | PointerType, context: Context): number {
  if (type.kind === 'pointer') {
    const { scope } = context.declarations;
    const target = node.type === 'pointer_expression' ? partsOf(node)[0] : node;
    if (type.to.kind === 'function' && target?.type === 'identifier') {
      const called = scope.function(target.text);
      if (called && !sameType(called, type.to))
        context.problems.add(lineOf(node), `${quoted(node)}: expected ${typeName(type)}, have another function`);
      if (called) context.pointTo(0, target.text);
      if (called) return 0;
    }
    const place = node.type === 'pointer_expression' && target ? placeOf(target, context) : arrayOf(node, context);
    if (place && !sameType(place.type, type.to) && type.to.kind !== 'void')
      context.problems.add(
        lineOf(node),
        `${quoted(node)}: expected ${typeName(type)}, have ${typeName({ kind: 'pointer', to: place.type })}`,
      );
    if (place) return PointerBase.shared + place.word;
    if (node.text === 'NULL' || node.type === 'null' || /^\(\(void \*\)0\)$/.test(node.text)) return 0;
  }
  const value = context.declarations.constant(node) ?? 0n;
  if (value < -(2n ** 31n) || value >= 2n ** 32n)
    context.problems.add(lineOf(node), `${quoted(node)} has more than 32 bits: shared memory holds 32 of them`);
  return Number(BigInt.asIntN(32, value));
}

/** A word and what it begins. */
interface ConstantPlace {
  readonly word: number;
  readonly type: CType;
}

/** An array stands for its first element. */
function arrayOf(node: Node, context: Context): ConstantPlace | null {
  const place = placeOf(node, context);
  return place?.type.kind === 'array' ? { word: place.word, type: place.type.of } : null;
}

/** The place that a constant expression names: `a`, `a.b`, `a[2]`; null if it names none. */
function placeOf(node: Node, context: Context): ConstantPlace | null {
  switch (node.type) {
    case 'parenthesized_expression': {
      const [inner] = partsOf(node);
      return inner ? placeOf(inner, context) : null;
    }
    case 'identifier': {
      const word = context.starts.get(node.text);
      const found = context.globals.find(({ name }) => name === node.text);
      return word === undefined || !found ? null : { word, type: found.type };
    }
    case 'field_expression': {
      const base = field(node, 'operator').text === '.' ? placeOf(field(node, 'argument'), context) : null;
      const name = field(node, 'field').text;
      const found = base?.type.kind === 'struct' ? base.type.fields?.find((f) => f.name === name) : undefined;
      return base && found ? { word: base.word + found.offset, type: found.type } : null;
    }
    case 'subscript_expression': {
      const base = placeOf(field(node, 'argument'), context);
      const index = context.declarations.valueIfConstant(field(node, 'index'));
      if (base?.type.kind !== 'array' || index === null) return null;
      return { word: base.word + Number(index) * cellsOf(base.type.of), type: base.type.of };
    }
    default:
      return null;
  }
}
