/** Globals of a program in words: one per scalar, each with a name and what it begins with. */
import type { Problems } from '../diagnostics.ts';
import { field, fields, lineOf, partsOf, quoted, type Node } from '../source/parser.ts';
import { PointerBase } from '../run/words.ts';
import type { Declarations } from '../types/declarations.ts';
import { cellsOf, scalarOf, type CType, type PointerType, type IntType } from '../types/types.ts';
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
}

/** Lays globals out. Mistakes go to `problems`. */
export function layOut(globals: readonly GlobalSource[], declarations: Declarations): ProgramLayout {
  const { problems } = declarations;
  const starts = new Map<string, number>();
  let next = 0;
  for (const { name, type } of globals) {
    starts.set(name, next);
    next += cellsOf(type);
  }
  const words = globals.flatMap(({ name, type, initializer }) => {
    const values = Array.from({ length: cellsOf(type) }, () => 0);
    if (initializer) fill(values, 0, type, initializer, { declarations, problems, starts, globals });
    return namesOf(name, type).map((word, i) => ({ name: word, initial: values[i] ?? 0 }));
  });
  return { words, globals: starts };
}

function namesOf(name: string, type: CType): string[] {
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
}

function fill(values: number[], at: number, type: CType, node: Node, context: Context): void {
  if (node.type !== 'initializer_list') {
    const held = scalarOf(type);
    if (held) values[at] = valueOf(node, held, context);
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
    const byAddress = node.type === 'pointer_expression';
    const target = byAddress ? field(node, 'argument') : node;
    const isArray = context.globals.find(({ name }) => name === target.text)?.type.kind === 'array';
    const start = byAddress || isArray ? context.starts.get(target.text) : undefined;
    if (start !== undefined) return PointerBase.shared + start;
    if (node.text === 'NULL' || node.type === 'null' || /^\(\(void \*\)0\)$/.test(node.text)) return 0;
  }
  const value = context.declarations.constant(node) ?? 0n;
  if (value < -(2n ** 31n) || value >= 2n ** 32n)
    context.problems.add(lineOf(node), `${quoted(node)} has more than 32 bits: shared memory holds 32 of them`);
  return Number(BigInt.asIntN(32, value));
}
